//! Examples that live on the device, and batches drawn from them.

use super::Cuda;
use super::runtime::{Bytes, Context, Ints, extent};
use crate::backend::{DrawOps, Picks, Values};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use cudarc::driver::result;
use std::sync::{Mutex, PoisonError, Weak};

impl DrawOps for Cuda {
    type Examples = Examples;

    fn examples(&self, values: &Values) -> Result<Option<Examples>> {
        examples_of(values)
    }

    fn draw(&self, from: &Examples, picks: &Picks<'_>) -> Result<Tensor<Self>> {
        draw_picked(from, picks)
    }
}

/// A pool of examples on the device.
#[derive(Clone)]
pub struct Examples(Stored);

#[derive(Clone)]
enum Stored {
    Bytes(Bytes),
    Floats(Tensor<Cuda>),
}

/// Pools on the device, by where they are on the host; several runs of a process share them.
static POOLS: Mutex<Vec<(Host, Option<Examples>)>> = Mutex::new(Vec::new());

/// The host's copy, if it still lives.
enum Host {
    Bytes(Weak<Vec<u8>>),
    Floats(Weak<Vec<f32>>),
}

impl Host {
    fn of(values: &Values) -> Self {
        match values {
            Values::U8(v) => Self::Bytes(std::sync::Arc::downgrade(v)),
            Values::F32(v) => Self::Floats(std::sync::Arc::downgrade(v)),
        }
    }

    fn is(&self, values: &Values) -> bool {
        match (self, values) {
            (Self::Bytes(weak), Values::U8(v)) => weak.as_ptr() == std::sync::Arc::as_ptr(v),
            (Self::Floats(weak), Values::F32(v)) => weak.as_ptr() == std::sync::Arc::as_ptr(v),
            _ => false,
        }
    }

    fn lives(&self) -> bool {
        match self {
            Self::Bytes(weak) => weak.strong_count() > 0,
            Self::Floats(weak) => weak.strong_count() > 0,
        }
    }
}

/// The pool on the device, copied there when first asked for; `None` where it would take more than a quarter of what is
/// free.
fn examples_of(values: &Values) -> Result<Option<Examples>> {
    let cx = Context::get()?;
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|(host, _)| host.lives());
    if let Some((_, found)) = pools.iter().find(|(host, _)| host.is(values)) {
        return Ok(found.clone());
    }
    let bytes = match values {
        Values::U8(v) => v.len(),
        Values::F32(v) => 4 * v.len(),
    };
    let free = result::mem_get_info().map_or(0, |(free, _)| free);
    let found = if bytes > free / 4 {
        None
    } else {
        Some(Examples(match values {
            Values::U8(v) => Stored::Bytes(Bytes::upload(cx, v)?),
            Values::F32(v) => Stored::Floats(Tensor::from_vec(&cx.device, v.to_vec(), [v.len()])?),
        }))
    };
    pools.push((Host::of(values), found.clone()));
    Ok(found)
}

fn draw_picked(from: &Examples, picks: &Picks<'_>) -> Result<Tensor<Cuda>> {
    let cx = Context::get()?;
    // Points are images of one pixel.
    let &[channels, ref plane @ ..] = picks.shape else {
        return Err(Error::shape("batch", "examples without an axis"));
    };
    let (width, item) = (plane.last().copied().unwrap_or(1), picks.shape.iter().product::<usize>());
    let height = plane.iter().product::<usize>() / width.max(1);
    let axes: Vec<usize> = std::iter::once(picks.examples.len()).chain(picks.shape.iter().copied()).collect();
    let out = cx.tensor(&axes[..])?;
    let numbers: Vec<u32> =
        picks.examples.iter().flat_map(|p| [p.index, p.down as u32, p.right as u32, p.flip]).collect();
    let maps = picks.channels.iter().flat_map(|(scale, shift)| [scale.to_bits(), shift.to_bits()]);
    // One copy for both: the maps lie behind the picks.
    let at = 4 * numbers.len();
    let small = Ints::upload(cx, &numbers.into_iter().chain(maps).collect::<Vec<_>>())?;
    let (picks_at, maps_at) = (small.ptr(), small.ptr().offset(at));
    let n = picks.examples.len() * item;
    let sizes = (extent(n)?, extent(channels)?, extent(height)?, extent(width)?);
    let (kernel, pool) = match &from.0 {
        Stored::Bytes(bytes) => ("draw_bytes", bytes.ptr()),
        Stored::Floats(values) => ("draw_floats", values.ptr()),
    };
    cx.launch_over(kernel, n, (sizes.0, sizes.1, sizes.2, sizes.3, pool, picks_at, maps_at, out.ptr()))?;
    Ok(out)
}
