//! What the search for the sparsest network takes from a config, and the network it finds as a file.

use secateur::backend::Cpu;
use secateur::data::{Dataset, Order, SplitName};
use secateur::network::forward::Forward;
use secateur::network::given::Fitted;
use secateur::network::layout::Sizes;
use secateur::network::model::{Batch, InputSpec};
use secateur::network::model_file::ModelFile;
use secateur::network::params::{Masking, ParamStore};
use secateur::pruning::sparsest::{Task, Wiring};
use secateur::seed::Seed;
use secateur::tensor::Tensor;
use secateur::training::Loss;

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::config::Resolved;
use crate::engine::Workbench;
use crate::failure::Failure;

/// A task of two classes, and the widths of the network that is to separate them.
#[derive(Debug)]
pub struct Separable {
    /// The training examples, normalised as the config says.
    pub task: Task,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
}

/// What a network of the search is, as a config says it.
const NETWORK: &str = "model.name=mlp model.activation=relu model.bias=true train.loss=binary";

fn refused(problem: String) -> Failure {
    Failure::Usage(format!("{problem}\n  fix: {NETWORK}"))
}

impl Workbench {
    /// The training examples of a config, and the widths of its perceptron.
    ///
    /// # Errors
    /// Another network than the search knows, more than two classes, or data that cannot be read.
    pub fn separable(&self, config: &Resolved) -> Result<Separable, Failure> {
        let run = &config.run;
        if run.model.name != "mlp" {
            return Err(refused(format!("model.name = \"{}\": the search knows \"mlp\" alone", run.model.name)));
        }
        if run.train.loss != Loss::Binary {
            return Err(refused(
                "train.loss: networks of the search have one output, which \"binary\" trains".to_owned(),
            ));
        }
        let data = self.examples(config)?;
        let split = data.split(SplitName::Train);
        let (mut inputs, mut classes) = (vec![], vec![]);
        let all = NonZeroUsize::new(split.len()).unwrap_or(NonZeroUsize::MIN);
        data.batches(SplitName::Train, all, Order::Stored).next_into(&mut inputs, &mut classes);
        let labels: Vec<bool> = classes.iter().map(|class| *class == 1).collect();
        let task = Task::new(data.item(), inputs, &labels)?;
        let sections = &run.model;
        let model = self.registry.model::<Cpu>(&sections.name, &sections.options)?;
        let input = InputSpec { shape: data.shape.clone(), classes: 1 };
        let layout = model.layout(&input, &Sizes::default())?;
        if layout.spec("fc1.bias").is_none() {
            return Err(refused("model.bias = false: networks of the search have biases".to_owned()));
        }
        let activation = sections.options.get("activation").and_then(toml::Value::as_str).unwrap_or("relu");
        if activation != "relu" {
            return Err(refused(format!("model.activation = \"{activation}\": networks of the search have \"relu\"")));
        }
        Ok(Separable { task, hidden: layout.groups.iter().map(|group| group.dense_units).collect() })
    }

    fn examples(&self, config: &Resolved) -> Result<Arc<Dataset>, Failure> {
        let run = &config.run;
        let data = self.data.dataset(&self.registry, &run.data, run.seeds(), &mut |_| ());
        let data = data.map_err(|error| Failure::from(&*error))?;
        if data.classes() != 2 {
            let (name, found) = (&data.name, data.classes());
            let fix = "choose data of two classes, such as data/cubist-spiral";
            return Err(Failure::Usage(format!(
                "\"{name}\" has {found} classes, and one output tells two\n  fix: {fix}"
            )));
        }
        Ok(data)
    }

    /// A wiring with its numbers as the `model.safetensors` of the config's network, units that are not in use masked.
    ///
    /// # Errors
    /// A wiring that is no part of that network.
    pub fn network_of(&self, config: &Resolved, wiring: &Wiring, numbers: &[f32]) -> Result<Vec<u8>, Failure> {
        let Separable { hidden, .. } = self.separable(config)?;
        let (run, data, device) = (&config.run, self.examples(config)?, Cpu::default());
        let model = self.registry.model::<Cpu>(&run.model.name, &run.model.options)?;
        let input = InputSpec { shape: data.shape.clone(), classes: 1 };
        let layout = model.layout(&input, &Sizes::default())?;
        let mut given = Fitted::default();
        for (layer, ((weights, biases), (keep, _))) in
            wiring.spread(numbers, &hidden).into_iter().zip(wiring.masks(&hidden)).enumerate()
        {
            let name = |of: &str| format!("fc{}.{of}", layer + 1);
            given.values.extend([(name("weight"), weights), (name("bias"), biases)]);
            given.masks.insert(name("weight"), keep);
        }
        let mut params = ParamStore::new(&device, layout.clone(), Seed(0), Masking::Held)?;
        params.begin(layout, Seed(0), given)?;
        let axes: Vec<usize> = std::iter::once(1).chain(data.shape.iter().copied()).collect();
        let zeros = Tensor::from_vec(&device, vec![0.0; data.item()], &axes[..])?;
        let mut cx = Forward::evaluation(&params).listing_layers();
        model.forward(&mut cx, &Batch { input: zeros, classes: vec![0], responses: vec![] })?;
        let layers = cx.layers().to_vec();
        let section = run.model.section();
        let about = ModelFile::new(section, &params, input, &data.class_names, &data.normalizer, layers);
        Ok(about.write(&params)?)
    }
}
