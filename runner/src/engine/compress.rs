//! From a finished run to its compressed network.

use std::sync::Arc;

use secateur::Error;
use secateur::data::SplitName;
use secateur::deep_compression::{Bits, Decoded, LayerSize, SharedWeights, TrainOn, encode};
use secateur::network::layout::ParamSpec;
use secateur::network::model_file::SavedModel;
use secateur::network::params::Param;
use secateur::plugins::registry::Registered;
use secateur::training::{Evaluation, Task, evaluate};
use serde::Serialize;

use super::Workbench;
use super::bits::BitsOf;
use super::device::{Work, on_device};
use crate::config::Resolved;
use crate::failure::Failure;

/// The learning rate of shared values is the run's divided by this, unless one is given: a shared value's gradient is a
/// sum over all its weights.
const SLOWER: f64 = 100.0;

/// How a network is compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    /// Bits of cluster indices, where they are not the paper's.
    pub index_bits: Vec<BitsOf>,
    /// Bits of offsets, where they are not the paper's.
    pub offset_bits: Vec<BitsOf>,
    /// Epochs of training with shared weights.
    pub epochs: u64,
    /// Its learning rate.
    pub lr: Option<f64>,
}

/// A compressed network.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The file.
    pub file: Vec<u8>,
    /// What it takes, and what the network does.
    pub sizes: Sizes,
}

/// What a network takes and does at each stage.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// Layers whose weights are shared, in the model's order.
    pub layers: Vec<Layer>,
    /// All parameters, and the whole file.
    pub total: Total,
    /// What was measured on the test examples.
    pub test: Tests,
    /// The learning rate of the training with shared weights.
    pub lr: f64,
    /// Its epochs.
    pub epochs: u64,
    /// Mean training loss of each of them.
    pub losses: Vec<f64>,
    /// Whether anything of the network was pruned before.
    pub pruned: bool,
}

/// The weights of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Weights before anything was pruned, those of units that were cut out among them.
    pub weights_dense: usize,
    /// What they take, stage by stage.
    #[serde(flatten)]
    pub size: LayerSize,
}

/// Bytes of a network.
#[derive(Clone, Debug, Serialize)]
pub struct Total {
    /// Parameters before anything was pruned.
    pub params_dense: usize,
    /// As f32.
    pub bytes_dense: usize,
    /// After pruning.
    pub bytes_pruned: usize,
    /// After quantisation.
    pub bytes_quantised: usize,
    /// After Huffman coding, without the description.
    pub bytes_huffman: usize,
    /// Parameters that stand in the file as they are (biases, norms, positions); part of each of the three above.
    pub bytes_raw: usize,
    /// The description of network and layers, and the checksum.
    pub bytes_description: usize,
    /// The whole file.
    pub bytes_file: usize,
    /// Bytes of the dense network for each byte of the file.
    pub compression_rate: f64,
}

/// Measurements on the test examples.
#[derive(Clone, Debug, Serialize)]
pub struct Tests {
    /// The pruned network.
    pub pruned: Test,
    /// After quantisation.
    pub quantised: Test,
    /// After training on with shared weights: what the file holds.
    pub trained: Test,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// Mean loss.
    pub loss: f64,
    /// Fraction classified rightly, for classifiers.
    pub accuracy: Option<f64>,
}

impl From<Evaluation> for Test {
    fn from(Evaluation { loss, accuracy, .. }: Evaluation) -> Self {
        Self { loss, accuracy }
    }
}

impl Workbench {
    /// Compresses the network of a run, given as its `model.safetensors`; tells each epoch of training with shared
    /// weights, from 0, and its loss.
    ///
    /// # Errors
    /// A network that is not the config's; bits for layers that it does not have; whatever ends the training early.
    pub fn compress(
        &self,
        config: &Resolved,
        model: &[u8],
        how: &Compression,
        told: &mut (dyn FnMut(u64, f64) + Send),
    ) -> Result<Compressed, Failure> {
        on_device((&config.run.top, config.run.train.bits), Compressing { bench: self, config, model, how, told })
    }
}

struct Compressing<'a> {
    bench: &'a Workbench,
    config: &'a Resolved,
    model: &'a [u8],
    how: &'a Compression,
    told: &'a mut (dyn FnMut(u64, f64) + Send),
}

impl Work for Compressing<'_> {
    type Made = Compressed;

    fn on<B: Registered>(self, device: B) -> Result<Compressed, Failure> {
        let Self { bench, config, model, how, told } = self;
        let (registry, run) = (&bench.registry, &config.run);
        let saved = SavedModel::read(model)?;
        let about = saved.about.clone();
        let model = registry.model(&run.model.name, &run.model.options)?;
        let mut params = saved.params::<B>(&device, model.as_ref())?;
        let specs: Vec<&ParamSpec> = params.iter().map(Param::spec).filter(|spec| spec.prunable).collect();
        known_layers(&how.index_bits, "--bits", &specs)?;
        known_layers(&how.offset_bits, "--offset-bits", &specs)?;
        let data = bench.data.dataset(registry, &run.data, run.seeds(), &mut |_| ());
        let data = data.map_err(|error: Arc<Error>| Failure::from(&*error))?;
        let compressor = registry.compressor(&run.compressor.name, &run.compressor.options)?;
        let task = Task { model: model.as_ref(), compressor: compressor.as_ref(), loss: run.train.loss };
        let measure = |params: &_| evaluate(&task, params, &data, SplitName::Test, run.train.eval_batch_size);

        let pruned = measure(&params)?;
        let bits = |spec: &ParamSpec| {
            let paper = Bits::of_paper(spec);
            let index = BitsOf::last(&how.index_bits, spec).unwrap_or(paper.index);
            Bits { index, offset: BitsOf::last(&how.offset_bits, spec).unwrap_or(paper.offset) }
        };
        let mut shared = SharedWeights::cluster(&mut params, bits)?;
        let quantised = measure(&params)?;
        let lr = how.lr.unwrap_or(run.train.lr / SLOWER);
        let train_on = TrainOn {
            epochs: how.epochs,
            lr,
            batch_size: run.train.batch_size.try_into().unwrap_or(std::num::NonZeroUsize::MIN),
            label_smoothing: run.train.label_smoothing,
            seed: run.seeds().order,
        };
        let mut losses = vec![];
        let mut told = |epoch, loss| {
            losses.push(loss);
            told(epoch, loss);
        };
        train_on.train(&task, &data, &mut params, &mut shared, &mut told).map_err(|error| diverged(error, lr))?;
        let trained = measure(&params)?;

        let encoded = encode(&about, &params, &shared)?;
        // What was measured must be what the file holds.
        if Decoded::read(&encoded.file)?.model()? != about.write(&params)? {
            return Err(Failure::Failed(
                "the compressed file does not give back the network; nothing was written".into(),
            ));
        }
        let dense = run.prune.start_sizes(|sizes| model.layout(&about.input, sizes))?;
        let dense = model.layout(&about.input, &dense)?;
        let count = |name: &str| dense.spec(name).map_or(0, |spec| spec.shape.count());
        let layer = |size: LayerSize| Layer { weights_dense: count(&size.name), size };
        let layers: Vec<Layer> = encoded.layers.into_iter().map(layer).collect();
        let sum = |bytes: fn(&LayerSize) -> usize| {
            encoded.bytes_raw + layers.iter().map(|layer| bytes(&layer.size)).sum::<usize>()
        };
        let params_dense: usize = dense.params.iter().map(|spec| spec.shape.count()).sum();
        let bytes_huffman = sum(|size| size.bytes_huffman);
        let total = Total {
            params_dense,
            bytes_dense: 4 * params_dense,
            bytes_pruned: sum(|size| size.bytes_pruned),
            bytes_quantised: sum(|size| size.bytes_quantised),
            bytes_huffman,
            bytes_raw: encoded.bytes_raw,
            bytes_description: encoded.file.len() - bytes_huffman,
            bytes_file: encoded.file.len(),
            compression_rate: 4.0 * params_dense as f64 / encoded.file.len() as f64,
        };
        let test = Tests { pruned: pruned.into(), quantised: quantised.into(), trained: trained.into() };
        let pruned = layers.iter().any(|layer| layer.size.kept < layer.weights_dense);
        let sizes = Sizes { layers, total, test, lr, epochs: how.epochs, losses, pruned };
        Ok(Compressed { file: encoded.file, sizes })
    }
}

/// Refuses bits for layers that the network does not have.
fn known_layers(asked: &[BitsOf], flag: &str, specs: &[&ParamSpec]) -> Result<(), Failure> {
    let Some(layers) = BitsOf::for_none(asked, specs) else { return Ok(()) };
    let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let fix = format!("name one of {}, or a kind: conv, fc", known.join(", "));
    Err(Failure::Usage(format!("{flag} {layers}=...: the network has no such layer\n  fix: {fix}")))
}

fn diverged(error: Error, lr: f64) -> Failure {
    match error {
        Error::NotFinite { value, step, .. } => Failure::Failed(format!(
            "the loss is {value} at step {step} of the training with shared weights\n  fix: lower --lr, which is {lr:?}"
        )),
        other => other.into(),
    }
}
