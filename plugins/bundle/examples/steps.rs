//! Times training steps of the built-in models: `steps NAME [DEVICE [avx2 | baseline]]` prints lines `figure value`, among
//! them on a CPU the memory of weights, masks, gradients, optimizer and patterns (`resident_bytes`), and last the median in milliseconds, with vector instructions up to those that are named. `framework/benches/peers.py` runs
//! it beside PyTorch. `NAME-95` holds 95 % of every prunable weight at zero, those of the smallest magnitude, and goes over
//! the others alone; `NAME-95-dense` goes over all of them. `NAME-bf16` computes products in bf16.

use secateur::autograd::Grads;
use secateur::backend::{Cpu, DeviceName, Precision, Update};
use secateur::error::{Error, Result};
use secateur::network::compressor::Compressor;
use secateur::network::forward::{Forward, with_threads_awake};
use secateur::network::layout::Sizes;
use secateur::network::model::{Batch, InputSpec, Model, Output};
use secateur::network::params::{Masking, ParamStore, Sparse};
use secateur::options::Table;
use secateur::plugins::registry::Registered;
use secateur::prelude::Needs;
use secateur::seed::Seed;
use secateur::tensor::Tensor;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One entry of the comparison.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    model: &'static str,
    options: &'static str,
    /// Options of token merging before the encoder; none where empty.
    compressor: &'static str,
    /// Whether half of the units of every group are gone.
    half: bool,
    /// Whether every weight has a 0/1 mask.
    masked: bool,
    /// Share of every prunable weight that masks hold at zero, and whether layers then go over the others alone.
    held: Option<(f64, Sparse)>,
    /// What products are computed in.
    precision: Precision,
    input: &'static [usize],
    batch: usize,
    rule: Update,
}

const SGD: Update = Update::Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0, nesterov: false };

const ADAM: Update =
    Update::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false, t: 0 };

const CASES: &[Case] = &[
    Case {
        name: "mlp",
        model: "mlp",
        options: "hidden = [50, 30]",
        compressor: "",
        half: false,
        masked: true,
        held: None,
        precision: Precision::F32,
        input: &[784],
        batch: 128,
        rule: SGD,
    },
    Case { name: "mlp300", model: "mlp", options: "hidden = [300, 100]", input: &[784], ..IMAGES },
    Case { name: "cnn", options: CNN, ..IMAGES },
    Case { name: "cnn-half", options: CNN, half: true, ..IMAGES },
    Case { name: "vit192", options: VIT192, ..VIT },
    Case { name: "vit128", options: VIT128, ..VIT },
    Case { name: "vit192-merge", options: VIT192, compressor: "ratio = 0.4", ..VIT },
    Case { name: "vit192-half", options: VIT192, half: true, ..VIT },
    // Its units are cut out, so that no mask is left to multiply with.
    Case { name: "vae", model: "vae", masked: false, input: &[3, 64, 64], batch: 64, ..VIT },
];

const IMAGES: Case = Case {
    name: "",
    model: "cnn",
    options: "",
    compressor: "",
    half: false,
    masked: true,
    held: None,
    precision: Precision::F32,
    input: &[3, 32, 32],
    batch: 128,
    rule: SGD,
};
const VIT: Case = Case { model: "vit", rule: ADAM, ..IMAGES };
const CNN: &str = "channels = [32, 32]\nhidden = [512, 128]\nbias = true";
const VIT192: &str = "dim = 192\nheads = 4\nmlp_ratio = 2.0\npool = \"mean\"";
const VIT128: &str = "dim = 128\nheads = 4\nmlp_ratio = 2.0\npool = \"mean\"";

struct Stepper<B: Registered> {
    model: Box<dyn Model<B>>,
    compressor: Box<dyn Compressor<B>>,
    store: ParamStore<B>,
    batch: Batch<B>,
    rule: Update,
    precision: Precision,
}

impl Case {
    /// The case of this name, which may say how much is held at zero, and what products are computed in.
    fn named(name: &str) -> Option<Self> {
        if let Some(base) = name.strip_suffix("-bf16") {
            return Self::named(base).map(|case| Self { precision: Precision::Bf16, ..case });
        }
        let (rest, sparse) = name.strip_suffix("-dense").map_or((name, Sparse::Auto), |rest| (rest, Sparse::Off));
        let held = rest.rsplit_once('-').and_then(|(base, percent)| Some((base, percent.parse::<f64>().ok()? / 100.0)));
        let (base, held) = held.map_or((name, None), |(base, share)| (base, Some((share, sparse))));
        CASES.iter().find(|case| case.name == base).map(|case| Self { held, ..*case })
    }
}

/// Whether each value is among the largest that are left when this share goes.
fn largest(values: &[f32], share: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
    let mut keep = vec![true; values.len()];
    order.iter().take((share * values.len() as f64) as usize).for_each(|i| keep[*i] = false);
    keep
}

impl<B: Registered> Stepper<B> {
    /// The case's network with its masks, and a batch of noise.
    fn new(case: &Case, device: &B) -> Result<Self> {
        let table = |text: &str| text.parse::<Table>().map_err(|e| Error::Other(format!("{}: {e}", case.name)));
        let registry = secateur_bundle::registry()?;
        let model = registry.model::<B>(case.model, &table(case.options)?)?;
        let name = if case.compressor.is_empty() { "none" } else { "token-merging" };
        let compressor = registry.compressor(name, &table(case.compressor)?)?;
        let input = InputSpec { shape: case.input.to_vec(), classes: 10 };
        let mut layout = model.layout(&input, &Sizes::default())?;
        if case.half {
            let halves = layout.groups.iter().map(|g| (g.name.clone(), g.units.div_ceil(2)));
            layout = model.layout(&input, &Sizes(halves.collect()))?;
        }
        let masking = if case.held.is_some() { Masking::Held } else { Masking::Dynamic };
        let mut store = ParamStore::new(device, layout, Seed(1), masking)?;
        let masked = store.iter().filter(|p| (case.masked || case.held.is_some()) && p.spec().prunable);
        let share = case.held.map_or(0.0, |held| held.0);
        store.set_masks(masked.map(|p| (p.spec().name.clone(), largest(&p.value().host(), share))).collect())?;
        let store = store.with_sparse(case.held.map_or(Sparse::Off, |held| held.1));
        let shape: Vec<usize> = std::iter::once(case.batch).chain(input.shape.iter().copied()).collect();
        let values = (0..shape.iter().product::<usize>()).map(|i| ((i * 7919) % 2048) as f32 / 2048.0).collect();
        let batch = Batch {
            input: Tensor::from_vec(device, values, &shape[..])?,
            classes: (0..case.batch as u32).map(|i| i % 10).collect(),
            responses: vec![],
        };
        Ok(Self { model, compressor, store, batch, rule: case.rule, precision: case.precision })
    }

    fn step(&mut self) -> Result<()> {
        let grads = self.gradients()?;
        self.store.step(self.rule, None, |value| grads.get(value))
    }

    fn gradients(&self) -> Result<Grads<B>> {
        with_threads_awake(&self.store, self.batch.len(), || self.pass())
    }

    fn pass(&self) -> Result<Grads<B>> {
        let cx = Forward::training(&self.store, Needs::WEIGHTS, Seed(1)).with_compressor(self.compressor.as_ref());
        let mut cx = cx.over_nonzeros(false).with_precision(self.precision);
        let output = self.model.forward(&mut cx, &self.batch)?;
        let (tape, ..) = cx.finish();
        match output {
            Output::Logits(logits) => {
                let loss = B::cross_entropy(&logits, &self.batch.classes, 0.0, true)?;
                tape.backward(&logits, loss.grad.ok_or_else(|| Error::Other("no gradient".into()))?)
            }
            Output::Loss { loss, .. } => {
                let seed = Tensor::from_vec(self.store.device(), vec![1.0], loss.shape())?;
                tape.backward(&loss, seed)
            }
        }
    }

    /// Memory of the store between a backward pass and its update, and of the batch: what the process has less than before
    /// when both are gone. Nothing where the system does not say.
    fn resident(self) -> Result<Option<u64>> {
        let (grads, device) = (self.gradients()?, self.store.device().clone());
        let with = resident(&device);
        drop((grads, self));
        Ok(with.zip(resident(&device)).map(|(with, without)| with.saturating_sub(without)))
    }

    /// Multiplications of a forward pass with all weights.
    fn multiply_adds(&self) -> Result<u64> {
        let mut cx = Forward::evaluation(&self.store).with_compressor(self.compressor.as_ref());
        self.model.forward(&mut cx, &self.batch)?;
        Ok(cx.finish().2.macs)
    }

    /// Seconds of a step, over `count` of them; waits for the device at the end only.
    fn steps(&mut self, count: usize) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..count {
            self.step()?;
        }
        // The smallest parameter that the last update wrote to.
        if let Some(p) = self.store.iter().min_by_key(|p| p.spec().shape.count()) {
            p.value().host();
        }
        Ok(start.elapsed().as_secs_f64() / count as f64)
    }
}

/// Bytes of this process that are in memory when all that nobody uses was given back, where the system says so.
fn resident<B: Registered>(device: &B) -> Option<u64> {
    device.trim();
    // The allocator gives pages back when they have been free for a second and something else is freed.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(600));
        drop(std::hint::black_box(vec![1u8; 1 << 22]));
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(1024 * kilobytes.parse::<u64>().ok()?)
}

/// What a GPU's memory must hold: weights, masks and optimizer state, and what a forward pass leaves for the backward
/// pass.
#[cfg(feature = "cuda")]
fn needed(stepper: &Stepper<secateur::backend::Cuda>) -> Result<u64> {
    let held = secateur::backend::cuda::memory()?.in_use;
    let mut cx = Forward::training(&stepper.store, Needs::WEIGHTS, Seed(1));
    cx = cx.with_compressor(stepper.compressor.as_ref());
    let output = stepper.model.forward(&mut cx, &stepper.batch)?;
    let needed = secateur::backend::cuda::memory()?.in_use;
    drop((output, cx));
    Ok(needed.max(held))
}

/// Prints what `framework/benches/gpu.py` records beside the time.
#[cfg(feature = "cuda")]
fn report_memory(case: &Case, device: &secateur::backend::Cuda) -> Result<()> {
    let mut stepper = Stepper::new(case, device)?;
    // With a batch in it, and the optimizer's state.
    stepper.steps(2)?;
    println!("needed_bytes {}", needed(&stepper)?);
    println!("peak_bytes {}", secateur::backend::cuda::memory()?.peak);
    Ok(())
}

/// Median of many steps in milliseconds, after a tenth as many to warm up; about three seconds in all, and at least
/// seven steps. Where nobody waits for single steps, each figure is a mean over some of them.
fn median<B: Registered>(case: &Case, device: &B) -> Result<f64> {
    if let Some(why) = B::lacks_bf16().filter(|_| case.precision == Precision::Bf16) {
        return Err(Error::Config(format!("{}: {why}", case.name)));
    }
    let mut stepper = Stepper::new(case, device)?;
    println!("multiply_adds {}", stepper.multiply_adds()?);
    stepper.steps(1)?;
    let count = (3.0 / stepper.steps(1)?).clamp(7.0, 4000.0) as usize;
    stepper.steps(count / 10 + 2)?;
    let at_once = B::PENDING_STEPS.min(count / 7).max(1);
    let mut times = (0..count / at_once).map(|_| stepper.steps(at_once)).collect::<Result<Vec<_>>>()?;
    times.sort_unstable_by(f64::total_cmp);
    if let Some(bytes) = if B::NAME == "cpu" { stepper.resident()? } else { None } {
        println!("resident_bytes {bytes}");
    }
    Ok(times[times.len() / 2] * 1e3)
}

fn main() -> Result<()> {
    let known = CASES.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let case =
        &Case::named(&wanted).ok_or_else(|| Error::Config(format!("unknown case `{wanted}`; known: {known}")))?;
    if let Some(level) = std::env::args().nth(3).filter(|name| !secateur::backend::limit_vector_level(name)) {
        return Err(Error::Config(format!("unknown vector instructions `{level}`; known: avx512, avx2, baseline")));
    }
    // Inside a pool, as the runner does: entering it anew costs a wake-up for every operation.
    let pool = rayon::ThreadPoolBuilder::new().build().map_err(|e| Error::Other(e.to_string()))?;
    let device = std::env::args().nth(2).unwrap_or_else(|| "cpu".into());
    let place =
        DeviceName::parse(&device).map_err(|allowed| Error::Config(format!("device `{device}`: must be {allowed}")))?;
    let median = pool.install(|| match place {
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(n) => {
            let device = secateur::backend::cuda::cuda(n)?;
            report_memory(case, &device)?;
            median(case, &device)
        }
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => Err(Error::Config(format!("`{place}`: this program was built without CUDA"))),
        DeviceName::Cpu => median(case, &Cpu::default()),
    })?;
    println!("{median:.4}");
    Ok(())
}
