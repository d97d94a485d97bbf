//! How much the remaining weights have to do ("Neural Burden", arXiv 2407.16716; the paper names gradient magnitudes
//! and weight norms, the forms are ours), and how many changed places.

use super::neurons::{LayerNeurons, NeuronSummary, Neurons};
use super::{PruneCost, Recovering, Returned, UnitScores};
use crate::autograd::Grads;
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::Layout;
use crate::network::params::{Param, ParamStore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Indicators of one parameter over one epoch, on active weights alone; they rise with sparsity where the network
/// suffers from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerBurden {
    /// Name of the parameter.
    pub name: String,
    /// ‖g m‖₂ / √nnz, the mean over the steps looked at.
    pub gradient: f64,
    /// Σ |g m| / nnz, likewise.
    pub gradient_mean: f64,
    /// ‖w m‖₂ / √nnz at the last of them.
    pub weight: f64,
    /// Active weights at the end of the epoch.
    pub kept: usize,
    /// Weights that were pruned in the epoch.
    #[serde(alias = "left")]
    pub pruned: usize,
    /// Weights that regrew in the epoch.
    #[serde(alias = "returned")]
    pub regrown: usize,
    /// Σ_i |g_ji m_ji| / Σ_i m_ji over its neurons j; absent where none has an active input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neurons: Option<NeuronSummary>,
}

/// Indicators of one parameter at one moment of a run; as in [`LayerBurden`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Indicators {
    /// Name of the parameter.
    pub name: String,
    /// ‖g m‖₂ / √nnz.
    pub gradient: f64,
    /// Σ |g m| / nnz.
    pub gradient_mean: f64,
    /// ‖w m‖₂ / √nnz.
    pub weight: f64,
    /// Active weights, nnz.
    pub kept: usize,
}

/// Looks that are remembered one by one.
const RECENT: usize = 8;

/// Weights that changed places, by parameter: how many were pruned, and how many regrown.
pub type Churn = BTreeMap<String, (usize, usize)>;

/// Collects the indicators of an epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Burden {
    sums: BTreeMap<String, (f64, f64, f64)>,
    #[serde(default)]
    neurons: BTreeMap<String, Neurons>,
    looks: usize,
    /// The last looks since the last pruning step.
    #[serde(default)]
    recent: BTreeMap<String, Vec<(f64, f64, f64)>>,
    churn: Churn,
    latest: Vec<LayerBurden>,
    total: (usize, usize),
    /// What the pruning steps cost around which the network was measured.
    #[serde(default)]
    pub(crate) costs: Vec<PruneCost>,
    /// What training brings back of that.
    #[serde(default)]
    pub(crate) recovering: Recovering,
    /// What the scores of units looked like at the last pruning step.
    #[serde(default)]
    pub(crate) scores: BTreeMap<String, UnitScores>,
    /// Flags, which a checkpoint keeps among its arrays.
    #[serde(skip)]
    pub(crate) returned: Returned,
}

impl Burden {
    /// Looks at the gradients of one step.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn observe<B: Backend>(&mut self, params: &ParamStore<B>, grads: &Grads<B>) -> Result<()> {
        for p in params.iter().filter(|p| p.spec().prunable) {
            let (layout, kept) = (params.layout(), p.kept().max(1) as f64);
            let neurons = self.neurons.entry(p.spec().name.clone());
            let (squares, sum, weights) = if let Some((pattern, values, g)) = p.nonzeros(|of| grads.get(of)) {
                let sum = neurons.or_default().observe_nonzeros(p, layout, B::places(&pattern), &g.host());
                (B::norm_squared(g)?, sum, B::norm_squared(&values)?)
            } else {
                let Some(g) = p.gradient(|of| grads.get(of))? else { continue };
                let masked = p.mask().map(|m| g.mul(m.tensor())).transpose()?;
                let active = masked.as_ref().unwrap_or(&g);
                (
                    B::norm_squared(active)?,
                    neurons.or_default().observe(p, layout, active)?,
                    B::norm_squared(&p.effective()?)?,
                )
            };
            let (gradient, mean, weight) = ((squares / kept).sqrt(), sum / kept, (weights / kept).sqrt());
            let sums = self.sums.entry(p.spec().name.clone()).or_default();
            *sums = (sums.0 + gradient, sums.1 + mean, weight);
            let recent = self.recent.entry(p.spec().name.clone()).or_default();
            if recent.len() == RECENT {
                recent.remove(0);
            }
            recent.push((gradient, mean, weight));
        }
        self.looks += 1;
        Ok(())
    }

    /// Indicators of every parameter over the last looks since the last pruning step, in the model's order.
    pub fn recent<B: Backend>(&self, params: &ParamStore<B>) -> Vec<Indicators> {
        let of = |p: &Param<B>| {
            let looks = self.recent.get(&p.spec().name).filter(|looks| !looks.is_empty())?;
            let mean = |of: fn(&(f64, f64, f64)) -> f64| looks.iter().map(of).sum::<f64>() / looks.len() as f64;
            let (gradient, gradient_mean, weight) = (mean(|l| l.0), mean(|l| l.1), mean(|l| l.2));
            Some(Indicators { name: p.spec().name.clone(), gradient, gradient_mean, weight, kept: p.kept() })
        };
        params.iter().filter_map(of).collect()
    }

    /// A pruning step is over: earlier looks say nothing of the network that is left.
    pub fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// Counts weights that changed places.
    pub fn moved(&mut self, churn: &Churn) {
        for (name, (pruned, regrown)) in churn {
            let sum = self.churn.entry(name.clone()).or_default();
            (sum.0, sum.1) = (sum.0 + pruned, sum.1 + regrown);
            (self.total.0, self.total.1) = (self.total.0 + pruned, self.total.1 + regrown);
        }
    }

    /// Units of the network of this layout are about to be cut away, those of the listed groups that are not alive.
    pub fn shrink(&mut self, layout: &Layout, alive: &[(String, Vec<bool>)]) {
        for (name, neurons) in &mut self.neurons {
            neurons.shrink(name, layout, alive);
        }
    }

    /// The burden of every neuron in the epoch so far, in the model's order.
    pub fn neurons<B: Backend>(&self, params: &ParamStore<B>) -> Vec<LayerNeurons> {
        let of = |p: &Param<B>| {
            let name = &p.spec().name;
            Some(LayerNeurons { name: name.clone(), burden: self.neurons.get(name)?.means() })
        };
        params.iter().filter_map(of).collect()
    }

    /// Ends the epoch: its indicators in the model's order.
    pub fn end_epoch<B: Backend>(&mut self, params: &ParamStore<B>) -> Vec<LayerBurden> {
        let (sums, churn) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.churn));
        let each = std::mem::take(&mut self.neurons);
        let looks = std::mem::take(&mut self.looks).max(1) as f64;
        let of = |p: &Param<B>| {
            let name = &p.spec().name;
            let &(gradient, mean, weight) = sums.get(name)?;
            let (pruned, regrown) = churn.get(name).copied().unwrap_or_default();
            let (gradient, gradient_mean) = (gradient / looks, mean / looks);
            let neurons = each.get(name).and_then(|neurons| NeuronSummary::of(&neurons.means()));
            let (name, kept) = (name.clone(), p.kept());
            Some(LayerBurden { name, gradient, gradient_mean, weight, kept, pruned, regrown, neurons })
        };
        self.latest = params.iter().filter_map(of).collect();
        self.latest.clone()
    }

    /// Indicators of the last finished epoch.
    pub fn latest(&self) -> &[LayerBurden] {
        &self.latest
    }

    /// Weights that were pruned and that regrew since the start.
    pub fn total(&self) -> (usize, usize) {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use crate::network::params::{Masking, Sparse};
    use crate::seed::Seed;
    use crate::tensor::Tensor;

    #[test]
    fn indicators_are_those_of_active_weights() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &2.into(), &2.into(), true);
        let device = Cpu::default();
        let mut params = ParamStore::<Cpu>::new(&device, layout.build().unwrap(), Seed(0), Masking::Dynamic).unwrap();
        params.set_masks(vec![("fc.weight".into(), vec![true, false, true, true])]).unwrap();
        let w = params.get("fc.weight").unwrap().value().clone();
        let mut burden = Burden::default();
        for gradient in [[1.0, 9.0, -2.0, 2.0], [3.0, 9.0, 0.0, -4.0]] {
            let mut grads = Grads::empty();
            grads.add(&w, Tensor::from_vec(&device, gradient.to_vec(), [2, 2]).unwrap()).unwrap();
            burden.observe(&params, &grads).unwrap();
        }
        let recent = burden.recent(&params);
        assert_eq!((recent.len(), recent[0].kept), (1, 3));
        let expected = ((3f64.sqrt() + (25f64 / 3.0).sqrt()) / 2.0, (5.0 / 3.0 + 7.0 / 3.0) / 2.0);
        assert!((recent[0].gradient - expected.0).abs() < 1e-6 && (recent[0].gradient_mean - expected.1).abs() < 1e-6);
        burden.forget_recent();
        assert_eq!(burden.recent(&params), []);
        burden.moved(&[("fc.weight".to_string(), (2, 1))].into());
        burden.moved(&[("fc.weight".to_string(), (1, 1))].into());
        let each = burden.neurons(&params);
        assert_eq!(each, [LayerNeurons { name: "fc.weight".into(), burden: vec![Some(2.0), Some(2.0)] }]);
        let found = burden.end_epoch(&params);
        let neurons = found[0].neurons.unwrap();
        assert_eq!((neurons.median, neurons.max, neurons.heaviest, neurons.without_inputs), (2.0, 2.0, 0, 0));
        assert_eq!(found.len(), 1, "biases are not prunable");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} instead of {b}");
        close(found[0].gradient, (3f64.sqrt() + (25f64 / 3.0).sqrt()) / 2.0);
        close(found[0].gradient_mean, (5.0 / 3.0 + 7.0 / 3.0) / 2.0);
        let host = w.to_vec();
        let squares = [0, 2, 3].map(|i: usize| f64::from(host[i]).powi(2)).iter().sum::<f64>();
        close(found[0].weight, (squares / 3.0).sqrt());
        assert_eq!((found[0].kept, found[0].pruned, found[0].regrown), (3, 3, 2));
        assert_eq!((burden.latest(), burden.total()), (&found[..], (3, 2)));
        assert_eq!(burden.end_epoch(&params), []);
    }

    #[test]
    fn nonzeros_alone_have_the_burden_of_the_weight_that_holds_them() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &7.into(), &5.into(), false);
        let (device, layout) = (Cpu::default(), layout.build().unwrap());
        let keep: Vec<bool> = (0..35).map(|i| i % 3 == 0 && i < 28).collect();
        let found = [Sparse::Off, Sparse::Always].map(|sparse| {
            let mut params =
                ParamStore::new(&device, layout.clone(), Seed(0), Masking::Held).unwrap().with_sparse(sparse);
            params.set_masks(vec![("fc.weight".into(), keep.clone())]).unwrap();
            let all: Vec<f32> = (0..35u16).map(|i| 1.0 / (f32::from(i) - 8.5)).collect();
            let (mut burden, mut grads) = (Burden::default(), Grads::empty());
            match params.nonzeros("fc.weight", false).unwrap() {
                Some(nonzeros) => {
                    let alone: Vec<f32> = all.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(g, _)| *g).collect();
                    let alone = Tensor::from_vec(&device, alone, nonzeros.values.shape()).unwrap();
                    grads.add(&nonzeros.values, alone).unwrap();
                }
                None => grads
                    .add(params.get("fc.weight").unwrap().value(), Tensor::from_vec(&device, all, [5, 7]).unwrap())
                    .unwrap(),
            }
            burden.observe(&params, &grads).unwrap();
            let each = burden.neurons(&params).remove(0).burden;
            let LayerBurden { gradient, gradient_mean, weight, kept, .. } = burden.end_epoch(&params).remove(0);
            (each, [gradient, gradient_mean, weight, kept as f64])
        });
        let [(dense, all), (sparse, alone)] = found;
        assert_eq!((dense.len(), dense[4]), (5, None), "the last neuron has no input");
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-6 * a.abs(), "{a} and {b}");
        all.into_iter().zip(alone).for_each(|(a, b)| close(a, b));
        assert_eq!(
            dense.iter().map(Option::is_some).collect::<Vec<_>>(),
            sparse.iter().map(Option::is_some).collect::<Vec<_>>()
        );
        dense.into_iter().flatten().zip(sparse.into_iter().flatten()).for_each(|(a, b)| close(a, b));
    }

    /// What a checkpoint holds goes on with the same bits, in the middle of an epoch, and does not grow.
    #[test]
    fn sums_of_an_epoch_survive_a_checkpoint_bit_by_bit() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &7.into(), &5.into(), false);
        let device = Cpu::default();
        let mut params = ParamStore::<Cpu>::new(&device, layout.build().unwrap(), Seed(0), Masking::Dynamic).unwrap();
        params.set_masks(vec![("fc.weight".into(), (0..35).map(|i| i % 3 != 0).collect())]).unwrap();
        let w = params.get("fc.weight").unwrap().value().clone();
        let look = |burden: &mut Burden, step: u16| {
            let gradient = (0..35u16).map(|i| 1.0 / f32::from(i + 7 * step + 3)).collect();
            let mut grads = Grads::empty();
            grads.add(&w, Tensor::from_vec(&device, gradient, [5, 7]).unwrap()).unwrap();
            burden.observe(&params, &grads).unwrap();
        };
        let (mut whole, mut halves, mut length) = (Burden::default(), Burden::default(), 0);
        for epoch in 0..3 {
            for step in 0..9 {
                look(&mut whole, step);
                look(&mut halves, step);
                if step == 4 {
                    let saved = serde_json::to_string(&halves).unwrap();
                    halves = serde_json::from_str(&saved).unwrap();
                    length = length.max(halves.neurons["fc.weight"].means().len());
                }
            }
            assert_eq!(whole.neurons(&params), halves.neurons(&params), "epoch {epoch}");
            let ended = whole.end_epoch(&params);
            assert_eq!(ended, halves.end_epoch(&params), "epoch {epoch}");
            assert!(ended[0].neurons.is_some_and(|n| n.min < n.max));
        }
        assert_eq!((length, whole.neurons(&params)), (5, vec![]), "five neurons, whatever the steps and epochs");
    }
}
