//! How long a saved network takes here, beside another one. Both are timed in turns, so that what else the machine does, or
//! a clock that it slows down, falls on both.

use std::time::{Duration, Instant};

use secateur::backend::Bits;
use secateur::network::model::Batch;
use secateur::network::params::{Masking, ParamStore};
use secateur::plugins::registry::Registered;
use secateur::seed::Seed;
use secateur::tensor::Tensor;
use secateur::training::Predictor;
use serde::Serialize;

use crate::config::{Resolved, TopConfig};
use crate::engine::Workbench;
use crate::engine::device::{Work, on_device};
use crate::failure::Failure;

/// One reading of the clock spans so many passes that they take this long, so that its own steps do not count.
const READING: Duration = Duration::from_millis(2);
/// Readings of each network take about this long together.
const TOGETHER: Duration = Duration::from_secs(1);
/// Readings, at the least and at most: odd, so that the median is one of them.
const READINGS: [usize; 2] = [11, 101];

/// Values of a batch at most, half a gigabyte: what passes make of it can be many times as large.
const MOST: usize = 1 << 27;

/// Milliseconds of a pass: the median of all readings, and between what the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Milliseconds {
    /// Half of the readings are below.
    pub median: f64,
    /// A quarter of the readings is below.
    pub lower: f64,
    /// A quarter of the readings is above.
    pub upper: f64,
}

/// Both networks at one size of batch, with one number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Examples in a batch.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// The network.
    pub network: Milliseconds,
    /// The other one.
    pub other: Milliseconds,
    /// How many times as fast the network is: the ratio of the medians.
    pub speedup: f64,
    /// Readings of each.
    pub readings: usize,
}

/// A network's config and its file.
#[derive(Clone, Copy, Debug)]
pub struct OfFile<'a> {
    /// The config.
    pub config: &'a Resolved,
    /// The file.
    pub file: &'a [u8],
}

impl Workbench {
    /// Times a network beside another, or beside its own architecture as it was before anything was pruned, with this
    /// number of threads (0 for all cores).
    ///
    /// # Errors
    /// A network that is not its config's; two that do not take the same examples.
    pub fn latency(
        &self,
        network: OfFile<'_>,
        other: Option<OfFile<'_>>,
        batches: &[usize],
        threads: usize,
    ) -> Result<Vec<Timed>, Failure> {
        let top = TopConfig { threads, ..network.config.run.top.clone() };
        on_device((&top, Bits::Fastest), Timing { bench: self, network, other, batches })
    }
}

struct Timing<'a> {
    bench: &'a Workbench,
    network: OfFile<'a>,
    other: Option<OfFile<'a>>,
    batches: &'a [usize],
}

impl Work for Timing<'_> {
    type Made = Vec<Timed>;

    fn on<B: Registered>(self, device: B) -> Result<Vec<Timed>, Failure> {
        let Self { bench, network: of, other, batches } = self;
        let network = bench.saved(&device, of.config, of.file)?;
        // A network beside itself is one in memory too: two would push each other's weights out of the cache.
        let itself = other.is_some_and(|other| other.file == of.file);
        let beside = match other {
            Some(OfFile { config, file }) if !itself => Some(bench.saved(&device, config, file)?),
            _ => None,
        };
        if let Some(beside) = beside.as_ref().filter(|beside| beside.about.input.shape != network.about.input.shape) {
            let (a, b) = (&network.about.input.shape, &beside.about.input.shape);
            let fix = "name a network of the same data";
            return Err(Failure::Usage(format!("one network takes {a:?}, the other one {b:?}\n  fix: {fix}")));
        }
        let input = &network.about.input;
        // How long it takes does not go by what its weights are.
        let dense = match &beside {
            Some(_) => None,
            None if itself => None,
            None => {
                let sizes = of.config.run.prune.start_sizes(|sizes| network.model().layout(input, sizes))?;
                Some(ParamStore::new(&device, network.model().layout(input, &sizes)?, Seed(0), Masking::Held)?)
            }
        };
        let shape = &input.shape;
        let one: usize = shape.iter().product();
        if let Some(size) = batches.iter().find(|size| size.checked_mul(one.max(1)).is_none_or(|all| all > MOST)) {
            let fix = format!("give {} at most", MOST / one.max(1));
            return Err(Failure::Usage(format!(
                "--batch {size}: a batch of inputs with {one} values each may hold {MOST} values\n  fix: {fix}"
            )));
        }
        let a = Predictor::of(network.task(), &network.params, shape)?;
        let b = match (&beside, &dense) {
            (Some(beside), _) => Some(Predictor::of(beside.task(), &beside.params, shape)?),
            (None, Some(dense)) => Some(Predictor::of(network.task(), dense, shape)?),
            (None, None) => None,
        };
        let b = b.as_ref().unwrap_or(&a);
        batches.iter().map(|&size| compare(&a, b, &examples(&device, &input.shape, size)?)).collect()
    }
}

/// Values between 0 and 1, which every network takes.
fn examples<B: Registered>(device: &B, shape: &[usize], size: usize) -> Result<Batch<B>, Failure> {
    let axes: Vec<usize> = std::iter::once(size).chain(shape.iter().copied()).collect();
    let value = |i: usize| (i as u32).wrapping_mul(2_654_435_761) as f32 / 4_294_967_296.0;
    let values = (0..axes.iter().product()).map(|i| value(i).min(0.999)).collect();
    Ok(Batch { input: Tensor::from_vec(device, values, &axes[..])?, classes: vec![0; size], responses: vec![] })
}

fn compare<B: Registered>(a: &Predictor<'_, B>, b: &Predictor<'_, B>, batch: &Batch<B>) -> Result<Timed, Failure> {
    // The first passes make ready what the later ones find there: memory, kernels.
    let (mut slowest, mut passes) = (0.0, [1; 2]);
    for (network, passes) in [a, b].into_iter().zip(&mut passes) {
        read(network, batch, 1)?;
        let pass = read(network, batch, 1)?.min(read(network, batch, 1)?);
        *passes = (READING.as_secs_f64() / pass.max(1e-9)).ceil().clamp(1.0, 1e5) as usize;
        slowest += pass * *passes as f64;
    }
    let [least, most] = READINGS;
    let readings = ((2.0 * TOGETHER.as_secs_f64() / slowest.max(1e-9)) as usize).clamp(least, most) | 1;
    let (mut of_a, mut of_b) = (vec![], vec![]);
    for turn in 0..readings {
        // Neither is always the one that comes after the other.
        if turn % 2 == 0 {
            of_a.push(read(a, batch, passes[0])?);
            of_b.push(read(b, batch, passes[1])?);
        } else {
            of_b.push(read(b, batch, passes[1])?);
            of_a.push(read(a, batch, passes[0])?);
        }
    }
    let (network, other) = (Milliseconds::of(of_a), Milliseconds::of(of_b));
    let (batch, threads) = (batch.len(), rayon::current_num_threads());
    Ok(Timed { batch, threads, network, other, speedup: other.median / network.median, readings })
}

/// Seconds of one pass: so many in a row, over their number.
fn read<B: Registered>(network: &Predictor<'_, B>, batch: &Batch<B>, passes: usize) -> Result<f64, Failure> {
    let clock = Instant::now();
    for _ in 0..passes {
        // Reading waits for the device.
        std::hint::black_box(network.output(batch)?.host());
    }
    Ok(clock.elapsed().as_secs_f64() / passes as f64)
}

impl Milliseconds {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at =
            |share: f64| seconds.get((share * (seconds.len() - 1) as f64).round() as usize).map_or(0.0, |s| 1e3 * s);
        Self { median: at(0.5), lower: at(0.25), upper: at(0.75) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quarters_are_readings() {
        let all = Milliseconds::of(vec![0.005, 0.001, 0.004, 0.002, 0.003]);
        assert_eq!((all.lower, all.median, all.upper), (2.0, 3.0, 4.0));
    }
}
