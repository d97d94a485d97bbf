//! Batch normalisation and its statistics.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, dest_or_null, extent, pieces, wanted};
use crate::backend::norm::{check_batch_norm, check_channels};
use crate::backend::{BatchNorm, ChannelStats, LayerGrads};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, check_same};

type T = Tensor<Cuda>;

/// Threads of a block where each has one channel.
const THREADS: u32 = 128;

/// `[batch, channels, inner]` as kernels take it, with the pieces that a channel is cut into.
struct Channels {
    /// Values of a channel.
    count: u32,
    channels: u32,
    inner: u32,
    piece: u32,
    pieces: u32,
}

impl Channels {
    fn new((batch, channels, inner): (usize, usize, usize)) -> Result<Self> {
        let (count, pieces) = (batch * inner, pieces(channels, batch * inner));
        extent(count * channels)?;
        let piece = count.div_ceil(pieces).next_multiple_of(4).max(4);
        // Rounding the pieces up may leave the last of them empty.
        let pieces = count.div_ceil(piece).max(1);
        let n = |n| extent(n);
        Ok(Self { count: n(count)?, channels: n(channels)?, inner: n(inner)?, piece: n(piece)?, pieces: n(pieces)? })
    }

    fn elements(&self) -> usize {
        self.count as usize * self.channels as usize
    }

    /// Blocks of [`THREADS`] threads with one channel each.
    fn blocks(&self) -> u32 {
        self.channels.div_ceil(THREADS)
    }

    /// Room for two sums of every piece of every channel.
    fn partial(&self, cx: &Context) -> Result<T> {
        cx.tensor([self.pieces as usize, self.channels as usize, 2])
    }
}

pub(super) fn stats(x: &T) -> Result<ChannelStats<Cuda>> {
    let (cx, c) = (Context::get()?, Channels::new(check_channels(x)?)?);
    let partial = c.partial(cx)?;
    let args = (c.count, c.channels, c.inner, c.piece, x.ptr(), partial.ptr());
    cx.launch("channel_moments", (c.channels, c.pieces), 256, 0, args)?;
    let channels = c.channels as usize;
    let stats = ChannelStats { mean: cx.tensor([channels])?, variance: cx.tensor([channels])? };
    let (mean, variance) = (stats.mean.ptr(), stats.variance.ptr());
    let args = (c.count, c.channels, c.piece, c.pieces, partial.ptr(), mean, variance);
    cx.launch("channel_stats", c.blocks(), THREADS, 0, args)?;
    Ok(stats)
}

pub(super) fn running(
    running: &ChannelStats<Cuda>,
    batch: &ChannelStats<Cuda>,
    count: usize,
    momentum: f32,
) -> Result<ChannelStats<Cuda>> {
    check_same("running statistics", &running.mean, &batch.mean)?;
    let cx = Context::get()?;
    let unbiased = count as f32 / count.saturating_sub(1).max(1) as f32;
    let next = ChannelStats { mean: cx.tensor(running.mean.shape())?, variance: cx.tensor(running.variance.shape())? };
    let n = extent(next.mean.count())?;
    let [old, new, to] = [running, batch, &next].map(|s| (s.mean.ptr(), s.variance.ptr()));
    let args = (n, momentum, unbiased, old.0, old.1, new.0, new.1, to.0, to.1);
    cx.launch("running_stats", n.div_ceil(THREADS), THREADS, 0, args)?;
    Ok(next)
}

pub(super) fn forward(op: &BatchNorm<Cuda>) -> Result<T> {
    let (cx, c) = (Context::get()?, Channels::new(check_batch_norm(op)?)?);
    let y = cx.tensor(op.x.shape())?;
    let (mean, variance) = (op.stats.mean.ptr(), op.stats.variance.ptr());
    let (gamma, beta) = (op.gamma.ptr(), op.beta.ptr());
    let (count, eps) = (extent(c.elements())?, op.eps);
    let args = (count, c.channels, c.inner, eps, op.x.ptr(), mean, variance, gamma, beta, y.ptr());
    cx.launch_over("batch_norm", c.elements(), args)?;
    Ok(y)
}

pub(super) fn backward(op: &BatchNorm<Cuda>, dy: &T, grads: LayerGrads<'_, Cuda>) -> Result<()> {
    let (cx, c) = (Context::get()?, Channels::new(check_batch_norm(op)?)?);
    if dy.count() != op.x.count() {
        return Err(Error::shape("batch norm", format!("gradient {} does not fit {}", dy.shape(), op.x.shape())));
    }
    let dx = wanted(cx, grads.x, Some(&op.x))?;
    let gamma = wanted(cx, grads.w, Some(&op.gamma))?;
    let beta = wanted(cx, grads.b, Some(&op.beta))?;
    let (x, mean, variance) = (op.x.ptr(), op.stats.mean.ptr(), op.stats.variance.ptr());
    let partial = c.partial(cx)?;
    let args = (c.count, c.channels, c.inner, c.piece, x, dy.ptr(), mean, partial.ptr());
    cx.launch("batch_norm_sums", (c.channels, c.pieces), 256, 0, args)?;
    let factors = cx.tensor([c.channels as usize, 4])?;
    let (gamma, beta) = (dest_or_null(gamma), dest_or_null(beta));
    let (of_batch, scale) = (u32::from(op.of_batch), op.gamma.ptr());
    let args = (
        (c.count, c.channels, c.pieces, op.eps, of_batch),
        (partial.ptr(), mean, variance, scale),
        (gamma, beta, factors.ptr()),
    );
    let ((count, channels, pieces, eps, of_batch), (partial, mean, variance, scale), (gamma, beta, factors)) = args;
    let args = (
        count, channels, pieces, eps, of_batch, partial, mean, variance, scale, gamma.0, gamma.1, beta.0, beta.1,
        factors,
    );
    cx.launch("batch_norm_factors", c.blocks(), THREADS, 0, args)?;
    let Some(dx) = dx else { return Ok(()) };
    let args = (extent(c.elements())?, c.channels, c.inner, x, dy.ptr(), factors, dx.ptr, dx.add);
    cx.launch_over("batch_norm_backward", c.elements(), args)
}
