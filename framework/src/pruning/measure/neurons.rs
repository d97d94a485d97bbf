//! The burden of single neurons: how strongly the loss pulls at each of the inputs that a neuron has left.

use crate::backend::{Backend, Reduce};
use crate::error::Result;
use crate::network::layout::{Layout, Role};
use crate::network::params::Param;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What there is to say of a layer's neurons in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NeuronSummary {
    /// The least burden.
    pub min: f64,
    /// Half of the neurons carry less; between two neurons, their mean.
    pub median: f64,
    /// Nine in ten carry less, interpolated between neighbours.
    pub p90: f64,
    /// The largest burden.
    pub max: f64,
    /// The neuron that carries it, counted from 0 in the layer as it is at the end of the epoch.
    pub heaviest: usize,
    /// Neurons that had no active input whenever it was looked, and enter none of these numbers.
    pub without_inputs: usize,
}

/// The burden of every neuron of a layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerNeurons {
    /// Name of the parameter.
    pub name: String,
    /// `[neurons]`: Σ_i |g_ji m_ji| / Σ_i m_ji, the mean over those of the epoch's steps looked at where the neuron
    /// had an active input; `None` where it never had.
    pub burden: Vec<Option<f64>>,
}

/// Sums for every neuron (output unit, channel) of one parameter, in memory that the steps looked at do not change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Neurons {
    sums: Vec<f64>,
    /// Steps at which each had an active input.
    looks: Vec<u32>,
}

impl Neurons {
    /// Takes in one step's gradient, pruned elements zero; gives Σ|g m| of the whole parameter.
    pub fn observe<B: Backend>(&mut self, p: &Param<B>, layout: &Layout, active: &Tensor<B>) -> Result<f64> {
        let axis = output_axis(layout, &p.spec().name);
        let pulls = by_neuron(active, axis)?;
        let dense = (active.count() / pulls.len().max(1)) as f64;
        let inputs = p.mask().map(|mask| by_neuron(mask.tensor(), axis)).transpose()?;
        self.add(&pulls, |j| inputs.as_ref().map_or(dense, |inputs| inputs[j]));
        Ok(pulls.iter().sum())
    }

    /// The same of the gradient at the parameter's nonzeros, which are at these places.
    pub fn observe_nonzeros<B: Backend>(&mut self, p: &Param<B>, layout: &Layout, places: &[u32], grad: &[f32]) -> f64 {
        let (_, n, inner) = p.spec().shape.around(output_axis(layout, &p.spec().name));
        let (mut pulls, mut inputs) = (vec![0.0; n], vec![0.0; n]);
        for (&at, &g) in places.iter().zip(grad) {
            let neuron = at as usize / inner % n;
            pulls[neuron] += f64::from(g.abs());
            inputs[neuron] += 1.0;
        }
        self.add(&pulls, |j| inputs[j]);
        pulls.iter().sum()
    }

    /// Adds one step's Σ|g m| of every neuron, each over its active inputs.
    fn add(&mut self, pulls: &[f64], fan_in: impl Fn(usize) -> f64) {
        self.sums.resize(pulls.len(), 0.0);
        self.looks.resize(pulls.len(), 0);
        for (j, &pull) in pulls.iter().enumerate() {
            let fan_in = fan_in(j);
            if fan_in > 0.0 {
                self.sums[j] += pull / fan_in;
                self.looks[j] += 1;
            }
        }
    }

    /// Forgets the neurons of a parameter that are about to be cut away: the burden of a neuron that stays goes on.
    pub fn shrink(&mut self, name: &str, layout: &Layout, alive: &[(String, Vec<bool>)]) {
        let axis = output_axis(layout, name);
        let neurons = layout.spec(name).and_then(|spec| spec.shape.get(axis)).copied().unwrap_or(0);
        if neurons != self.sums.len() {
            return; // Nothing was looked at yet.
        }
        let mut keep = vec![true; neurons];
        for (group, alive) in alive {
            let Some(group) = layout.group(group) else { continue };
            for member in group.members.iter().filter(|m| m.param == name && m.axis == axis) {
                for unit in (0..group.units).filter(|&u| !alive[u]) {
                    member.indices(unit, group.units).for_each(|i| keep[i] = false);
                }
            }
        }
        let (mut of_sums, mut of_looks) = (keep.iter(), keep.iter());
        self.sums.retain(|_| of_sums.next().is_none_or(|keep| *keep));
        self.looks.retain(|_| of_looks.next().is_none_or(|keep| *keep));
    }

    /// The mean burden of every neuron.
    pub fn means(&self) -> Vec<Option<f64>> {
        let mean = |(&sum, &looks): (&f64, &u32)| (looks > 0).then(|| sum / f64::from(looks));
        self.sums.iter().zip(&self.looks).map(mean).collect()
    }
}

impl NeuronSummary {
    /// `None` where no neuron has an active input.
    pub fn of(burden: &[Option<f64>]) -> Option<Self> {
        let mut sorted: Vec<f64> = burden.iter().flatten().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let quantile = |q: f64| {
            let at = q * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        let heaviest = burden.iter().position(|b| *b == Some(max)).unwrap_or_default();
        let without_inputs = burden.len() - sorted.len();
        Some(Self { min, median: quantile(0.5), p90: quantile(0.9), max, heaviest, without_inputs })
    }
}

/// The axis of a parameter whose indices are neurons: the first, but the second of a transposed convolution.
fn output_axis(layout: &Layout, name: &str) -> usize {
    let mut of_first = layout.groups.iter().flat_map(|g| &g.members).filter(|m| m.param == name && m.axis == 0);
    let two = layout.spec(name).is_some_and(|spec| spec.shape.len() > 1);
    let produced = || {
        let mut of_second = layout.groups.iter().flat_map(|g| &g.members).filter(|m| m.param == name && m.axis == 1);
        of_second.any(|m| m.role == Role::Producer)
    };
    match of_first.next() {
        Some(member) => usize::from(two && member.role == Role::Consumer),
        None => usize::from(two && produced()),
    }
}

/// Σ|x| over all axes but one.
fn by_neuron<B: Backend>(x: &Tensor<B>, axis: usize) -> Result<Vec<f64>> {
    // Row by row first, so that the sums stay short enough for single precision.
    let (outer, n, inner) = if x.shape().is_empty() { (1, 1, 1) } else { x.shape().around(axis) };
    let rows = x.reshape([outer * n, inner])?.reduce(Reduce::L1, 1)?;
    let mut sums = vec![0.0; n];
    rows.host().iter().enumerate().for_each(|(i, v)| sums[i % n.max(1)] += f64::from(*v));
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use crate::network::params::{Masking, ParamStore};
    use crate::seed::Seed;

    fn store() -> ParamStore<Cpu> {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let (a, b) = (layout.units("fc", 3), layout.units("up", 2));
        layout.linear("fc", &2.into(), &a, true);
        layout.conv_transpose2d("up", &a, &b, 2, true);
        layout.linear("head", &b, &2.into(), false);
        ParamStore::new(&Cpu::default(), layout.build().unwrap(), Seed(0), Masking::Dynamic).unwrap()
    }

    fn look(neurons: &mut Neurons, params: &ParamStore<Cpu>, name: &str, gradient: impl Fn(usize) -> f32) -> f64 {
        let p = params.get(name).unwrap();
        let all = (0..p.value().count()).map(gradient).collect();
        let g = Tensor::from_vec(&Cpu::default(), all, p.spec().shape).unwrap();
        let g = p.mask().map_or(Ok(g.clone()), |m| g.mul(m.tensor())).unwrap();
        neurons.observe(p, params.layout(), &g).unwrap()
    }

    #[test]
    fn each_neuron_divides_by_its_own_active_inputs() {
        let (mut params, mut neurons) = (store(), Neurons::default());
        let keep = vec![true, false, true, true, false, false];
        params.set_masks(vec![("fc.weight".into(), keep)]).unwrap();
        assert_eq!(look(&mut neurons, &params, "fc.weight", |i| -(i as f32) - 1.0), 1.0 + 3.0 + 4.0);
        assert_eq!(neurons.means(), [Some(1.0), Some(3.5), None]);
        // The third gets an input: its mean is over the looks since then.
        params.set_masks(vec![("fc.weight".into(), vec![true, true, false, true, true, false])]).unwrap();
        look(&mut neurons, &params, "fc.weight", |_| 2.0);
        assert_eq!(neurons.means(), [Some(1.5), Some(2.75), Some(2.0)]);
    }

    #[test]
    fn neurons_of_a_transposed_convolution_are_its_second_axis() {
        let (params, mut neurons) = (store(), Neurons::default());
        // Channel 0 has elements 0 to 3, 8 to 11, 16 to 19.
        let sum = look(&mut neurons, &params, "up.weight", |i| if i / 4 % 2 == 0 { 1.0 } else { 3.0 });
        assert_eq!((sum, neurons.means()), (12.0 + 36.0, vec![Some(1.0), Some(3.0)]));
    }

    #[test]
    fn neurons_that_are_cut_away_take_their_burden_with_them() {
        let (params, mut fc, mut up) = (store(), Neurons::default(), Neurons::default());
        look(&mut fc, &params, "fc.weight", |i| (i / 2) as f32);
        look(&mut up, &params, "up.weight", |i| (i / 4 % 2) as f32);
        let alive = [("fc".to_string(), vec![true, false, true])];
        fc.shrink("fc.weight", params.layout(), &alive);
        up.shrink("up.weight", params.layout(), &alive);
        assert_eq!(fc.means(), [Some(0.0), Some(2.0)], "as if the second had never been");
        assert_eq!(up.means(), [Some(0.0), Some(1.0)], "its inputs are fewer, its neurons the same");
        // Nothing was looked at yet: nothing is to be forgotten.
        let mut new = Neurons::default();
        new.shrink("fc.weight", params.layout(), &alive);
        assert_eq!(new.means(), []);
    }

    #[test]
    fn the_summary_leaves_out_neurons_without_inputs() {
        let burden: Vec<Option<f64>> = (0..11).map(|i| Some(f64::from(i))).chain([None, None]).rev().collect();
        let found = NeuronSummary::of(&burden).unwrap();
        assert_eq!((found.min, found.median, found.p90, found.max), (0.0, 5.0, 9.0, 10.0));
        assert_eq!((found.heaviest, found.without_inputs), (2, 2));
        let two = NeuronSummary::of(&[Some(1.0), Some(3.0)]).unwrap();
        assert_eq!((two.median, two.p90), (2.0, 1.0 + 2.0 * 0.9));
        assert_eq!(NeuronSummary::of(&[None]), None);
    }
}
