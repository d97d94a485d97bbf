//! What of a saved network is exported: its graph, and what it computes on some held-out examples.

use std::num::NonZeroUsize;

use secateur::backend::Values;
use secateur::data::Order;
use secateur::network::graph::Graph;
use secateur::network::model::Batch;
use secateur::network::model_file::ModelFile;
use secateur::plugins::registry::Registered;
use secateur::tensor::Tensor;

use super::saved::{Shown, Which};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::engine::device::{Work, on_device};
use crate::failure::Failure;

/// A network, ready to be written in another form, and held-out examples to check what was written.
#[derive(Clone, Debug)]
pub struct Exportable {
    /// The operations; none where they are not asked for.
    pub graph: Option<Graph>,
    /// What its own file says of it.
    pub about: ModelFile,
    /// Whether examples are stored as bytes, 0 to 255.
    pub bytes: bool,
    /// The examples as the data set stores them.
    pub stored: Vec<f32>,
    /// The same, normalised: what the network takes.
    pub inputs: Vec<f32>,
    /// What the network gives for them.
    pub outputs: Vec<f32>,
}

impl Exportable {
    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.inputs.len() / self.about.input.features().max(1)
    }
}

impl Workbench {
    /// Reads a network to be exported, with as many test examples, or those of the images that the config names.
    ///
    /// # Errors
    /// A network that is not the config's, or has an operation that cannot be exported; data that does not fit.
    pub fn exportable(
        &self,
        config: &Resolved,
        file: &[u8],
        which: Which,
        (examples, graph): (NonZeroUsize, bool),
    ) -> Result<Exportable, Failure> {
        on_device(
            (&config.run.top, config.run.train.bits),
            Exporting { bench: self, config, file, which, examples, graph },
        )
    }
}

struct Exporting<'a> {
    bench: &'a Workbench,
    config: &'a Resolved,
    file: &'a [u8],
    which: Which,
    examples: NonZeroUsize,
    graph: bool,
}

impl Work for Exporting<'_> {
    type Made = Exportable;

    fn on<B: Registered>(self, device: B) -> Result<Exportable, Failure> {
        let Self { bench, config, file, which, examples, graph } = self;
        let network = bench.saved(&device, config, file)?;
        let Shown { data, split, .. } = bench.shown(config, &network.about, which)?;
        let item = data.item();
        let examples = examples.get().min(data.split(split).len());
        let (mut inputs, mut classes) = (vec![], vec![]);
        let size = NonZeroUsize::new(examples).unwrap_or(NonZeroUsize::MIN);
        data.batches(split, size, Order::Stored).next_into(&mut inputs, &mut classes);
        let batch = |from: usize, count: usize| -> Result<Batch<B>, Failure> {
            let axes: Vec<usize> = std::iter::once(count).chain(data.shape.iter().copied()).collect();
            // Where there are too few examples, the first ones stand in for those that are missing.
            let values = inputs.iter().copied().cycle().skip(from * item).take(count * item).collect();
            let class = classes.iter().copied().cycle().skip(from).take(count).collect();
            Ok(Batch { input: Tensor::from_vec(&device, values, &axes[..])?, classes: class, responses: vec![] })
        };
        let task = network.task();
        let outputs = task.output(&network.params, &batch(0, examples)?)?.to_vec();
        let graph = if graph {
            let batches = [batch(0, 2)?, batch(1, 3)?];
            Some(Graph::of(task.model, task.compressor, &network.params, [&batches[0], &batches[1]])?)
        } else {
            None
        };
        let pool = data.split(split);
        let of = |values: &dyn Fn(usize) -> f32| {
            let places = pool.indices().iter().take(examples).flat_map(|&i| i as usize * item..(i as usize + 1) * item);
            places.map(values).collect::<Vec<f32>>()
        };
        let (stored, bytes) = match pool.values() {
            Values::U8(all) => (of(&|at| f32::from(all[at])), true),
            Values::F32(all) => (of(&|at| all[at]), false),
        };
        Ok(Exportable { graph, about: network.about, bytes, stored, inputs, outputs })
    }
}
