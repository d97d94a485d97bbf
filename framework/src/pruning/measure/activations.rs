//! What the activation of a neuron tells of the example: how much a neuron does, in bits, which "Neural Burden" (arXiv
//! 2407.16716) names as what to look at next, with merged tokens and without. The paper names no measure; this one bins
//! activations, as Shwartz-Ziv & Tishby (2017, arXiv 1703.00810) do for whole layers, neuron by neuron.

use crate::information::{entropy, miller_madow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bins of equal width between the least and the largest activation of a layer. Bins of the layer's own range say that a
/// neuron which hardly moves beside the others tells little.
const BINS: usize = 30;

/// What the activation of each neuron of a layer tells, in bits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerActivations {
    /// Name of the layer.
    pub name: String,
    /// `[neurons]`: of the example, I(bin; example) = H(bin) over the examples looked at.
    pub about_example: Vec<f64>,
    /// `[neurons]`: of its class, I(bin; class) = H(bin) + H(class) - H(bin, class), each with the correction of Miller and
    /// Madow (1955), and at least 0; nothing where there are no classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about_class: Vec<f64>,
}

/// Means over neurons, in bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivationMeans {
    /// Neurons.
    pub neurons: usize,
    /// Those of them that tell nothing: the activation is in one bin whatever the example.
    pub silent: usize,
    /// Of the example.
    pub about_example: f64,
    /// Of its class; absent where there are no classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_class: Option<f64>,
}

/// What the activations of a network's neurons tell, as means over neurons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivationInformation {
    /// Examples that were looked at; no neuron can tell more of them than the logarithm of their number.
    pub examples: usize,
    /// Neurons of all layers.
    pub neurons: usize,
    /// Those of them that tell nothing; see [`ActivationMeans`] for this and what follows.
    pub silent: usize,
    /// Of the example, the mean over all neurons.
    pub about_example: f64,
    /// Of its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_class: Option<f64>,
    /// The same of each layer.
    pub layers: BTreeMap<String, ActivationMeans>,
}

/// Activations of a layer, one number an example and neuron.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activations {
    neurons: usize,
    values: Vec<f32>,
}

impl Activations {
    /// Adds a batch of so many examples: what the layer gives, `[rows, neurons]` with the rows (tokens) of an example one
    /// after another, or `[examples, neurons, rows, columns]`. Of an example with several positions the mean is taken, each
    /// token as one, however many were merged into it. Whether the shape is one of these.
    pub fn add(&mut self, values: &[f32], shape: &[usize], examples: usize) -> bool {
        let (neurons, of_row) = match *shape {
            [rows, neurons] if examples > 0 && rows.is_multiple_of(examples) => (neurons, true),
            [images, neurons, _, _] if images == examples => (neurons, false),
            _ => return false,
        };
        let each = values.len() / examples.max(1);
        let positions = each / neurons.max(1);
        if positions == 0 || (self.neurons != neurons && !self.values.is_empty()) {
            return false;
        }
        self.neurons = neurons;
        for example in values.chunks_exact(each) {
            let at = |neuron: usize, position: usize| {
                f64::from(example[if of_row { position * neurons + neuron } else { neuron * positions + position }])
            };
            let mean = |neuron| (0..positions).map(|position| at(neuron, position)).sum::<f64>() / positions as f64;
            self.values.extend((0..neurons).map(|neuron| mean(neuron) as f32));
        }
        true
    }

    /// What each neuron tells of the first `classes.len()` examples, or of all where there are no classes.
    pub fn tell(&self, name: &str, examples: usize, classes: Option<&[u32]>) -> LayerActivations {
        let values = &self.values[..(examples * self.neurons).min(self.values.len())];
        let (least, most) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let (least, range) = (f64::from(least), f64::from(most) - f64::from(least));
        let bin = |value: f32| {
            let place = (f64::from(value) - least) / range * BINS as f64;
            if range > 0.0 { (place as usize).min(BINS - 1) } else { 0 }
        };
        let kinds = classes.and_then(|classes| classes.iter().max()).map_or(1, |most| *most as usize + 1);
        let mut found = LayerActivations { name: name.to_owned(), ..LayerActivations::default() };
        for neuron in 0..self.neurons {
            let mut joint = vec![[0u64; BINS]; kinds];
            for (example, row) in values.chunks_exact(self.neurons).enumerate() {
                let class = classes.and_then(|classes| classes.get(example)).map_or(0, |class| *class as usize);
                joint[class][bin(row[neuron])] += 1;
            }
            let bins: Vec<u64> = (0..BINS).map(|bin| joint.iter().map(|row| row[bin]).sum()).collect();
            found.about_example.push(entropy(bins.iter().copied()));
            if classes.is_some() {
                let of_class: Vec<u64> = joint.iter().map(|row| row.iter().sum()).collect();
                let cells: Vec<u64> = joint.iter().flatten().copied().collect();
                found.about_class.push((corrected(&bins) + corrected(&of_class) - corrected(&cells)).max(0.0));
            }
        }
        found
    }
}

/// Entropy in bits with the correction of Miller and Madow.
fn corrected(counts: &[u64]) -> f64 {
    let seen = counts.iter().filter(|count| **count > 0).count();
    entropy(counts.iter().copied()) + miller_madow(seen, counts.iter().sum())
}

impl ActivationMeans {
    fn of<'a>(layers: impl Iterator<Item = &'a LayerActivations> + Clone) -> Self {
        let mean = |of: fn(&LayerActivations) -> &Vec<f64>| {
            let all = layers.clone().flat_map(of);
            let (count, sum) = all.fold((0usize, 0.0), |(count, sum), bits| (count + 1, sum + bits));
            (count > 0).then(|| sum / count as f64)
        };
        let bits = || layers.clone().flat_map(|layer| &layer.about_example);
        Self {
            neurons: bits().count(),
            silent: bits().filter(|bits| **bits == 0.0).count(),
            about_example: mean(|layer| &layer.about_example).unwrap_or_default(),
            about_class: mean(|layer| &layer.about_class),
        }
    }
}

impl ActivationInformation {
    /// The means of what was found in so many examples; none where there is no neuron.
    pub fn of(examples: usize, layers: &[LayerActivations]) -> Option<Self> {
        let ActivationMeans { neurons, silent, about_example, about_class } = ActivationMeans::of(layers.iter());
        let of_layer = |layer: &LayerActivations| (layer.name.clone(), ActivationMeans::of(std::iter::once(layer)));
        let layers = layers.iter().map(of_layer).collect();
        (neurons > 0).then_some(Self { examples, neurons, silent, about_example, about_class, layers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The activations of the golden file: numbers that both sides make up alike.
    fn made_up(examples: usize, neurons: usize) -> Vec<f32> {
        let number = |i: usize, j: usize| (i * 37 + j * 101 + i * i * (j + 1)) % 199;
        let value = |i: usize, j: usize| match j {
            // A unit that is dead, and one that is off for most.
            0 => 0.0,
            1 => number(i, j).saturating_sub(120) as f32 / 64.0,
            _ => number(i, j) as f32 / 128.0 - j as f32 / 4.0,
        };
        (0..examples).flat_map(|i| (0..neurons).map(move |j| value(i, j))).collect()
    }

    #[test]
    fn bits_are_those_of_numpy() {
        #[derive(Deserialize)]
        struct Golden {
            about_example: Vec<f64>,
            about_class: Vec<f64>,
        }
        let golden: Golden = serde_json::from_str(include_str!("golden/activations.json")).unwrap();
        let (examples, neurons) = (200, 6);
        let mut activations = Activations::default();
        let values = made_up(examples, neurons);
        // Two batches, of which the second holds more than is looked at.
        let classes: Vec<u32> = (0..examples as u32).map(|i| i * i % 7 % 4).collect();
        assert!(activations.add(&values[..120 * neurons], &[120, neurons], 120));
        assert!(activations.add(&[&values[120 * neurons..], &[9.0; 12]].concat(), &[82, neurons], 82));
        let found = activations.tell("fc1", examples, Some(&classes));
        let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&found.about_example, &golden.about_example), "{found:?}");
        assert!(close(&found.about_class, &golden.about_class), "{found:?}");
        assert_eq!((found.about_example[0], found.about_class[0]), (0.0, 0.0), "a dead unit tells nothing");
        let without = activations.tell("fc1", examples, None);
        assert_eq!((without.about_example, without.about_class.len()), (found.about_example.clone(), 0));

        let all = ActivationInformation::of(examples, &[found.clone(), found]).unwrap();
        assert_eq!((all.neurons, all.silent, all.layers.len()), (12, 2, 1));
        assert!((all.about_example - golden.about_example.iter().sum::<f64>() / 6.0).abs() < 1e-12);
        assert!((all.layers["fc1"].about_class.unwrap() - golden.about_class.iter().sum::<f64>() / 6.0).abs() < 1e-12);
        assert_eq!(ActivationInformation::of(examples, &[]), None);
    }

    #[test]
    fn a_neuron_that_knows_the_class_tells_all_of_it_and_one_that_draws_lots_nothing() {
        let mut activations = Activations::default();
        let classes: Vec<u32> = (0..4000).map(|i| i % 4).collect();
        // A hash of the example stands for lots.
        let lot = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0;
        let values: Vec<f32> = classes.iter().zip(0..).flat_map(|(class, i)| [*class as f32 / 3.0, lot(i)]).collect();
        assert!(activations.add(&values, &[4000, 2], 4000));
        let found = activations.tell("fc1", 4000, Some(&classes));
        assert!((found.about_class[0] - 2.0).abs() < 1e-3 && (found.about_example[0] - 2.0).abs() < 1e-12);
        // Without the correction it would be 29 * 3 / (2 * 4000 ln 2), some 0.016 bits.
        assert!(found.about_class[1] < 0.008 && found.about_example[1] > 4.8, "{found:?}");
    }

    #[test]
    fn an_example_of_several_positions_counts_with_their_mean() {
        let of = |values: &[f32], shape: &[usize], examples| {
            let mut activations = Activations::default();
            activations.add(values, shape, examples).then_some(activations.values)
        };
        // Two examples of two tokens and three neurons.
        let tokens: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(of(&tokens, &[4, 3], 2).unwrap(), [1.5, 2.5, 3.5, 7.5, 8.5, 9.5]);
        // Two examples of three channels with one row of two pixels.
        assert_eq!(of(&tokens, &[2, 3, 1, 2], 2).unwrap(), [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]);
        assert_eq!(of(&tokens, &[4, 3], 3), None);
        assert_eq!(of(&tokens, &[12], 2), None);
    }
}
