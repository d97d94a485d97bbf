//! Which weights of a multilayer perceptron with one output are there.

use serde::{Deserialize, Serialize};

/// A connected mask: the units that are in use, and the weights between them.
///
/// Layers are in the order of the forward pass; the last has one unit, the output. Units that are not in use have no
/// place here, so that a layer may have fewer than the network that the mask is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wiring {
    inputs: usize,
    /// For each unit of each layer, the units of the layer before that it reads, as bits.
    layers: Vec<Vec<u32>>,
}

impl Wiring {
    /// Of `inputs` inputs and the units of each layer, the output last.
    pub(super) fn new(inputs: usize, layers: Vec<Vec<u32>>) -> Self {
        Self { inputs, layers }
    }

    /// Inputs of the network, in use or not.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// For each unit of each layer, the units of the layer before that it reads, as bits.
    pub fn layers(&self) -> &[Vec<u32>] {
        &self.layers
    }

    /// Hidden units in use, by layer.
    pub fn widths(&self) -> Vec<usize> {
        self.layers[..self.layers.len() - 1].iter().map(Vec::len).collect()
    }

    /// Weights that are there. Biases do not count.
    pub fn nnz(&self) -> usize {
        self.layers.iter().flatten().map(|row| row.count_ones() as usize).sum()
    }

    /// Weights and biases of the units in use: as many numbers are trained.
    pub fn parameters(&self) -> usize {
        self.nnz() + self.layers.iter().map(Vec::len).sum::<usize>()
    }

    /// The masks of the weights of a network with these hidden widths, each `[units, inputs]` row by row (PyTorch's
    /// order), with the units in use first; and of the biases.
    pub fn masks(&self, hidden: &[usize]) -> Vec<(Vec<bool>, Vec<bool>)> {
        let before = std::iter::once(self.inputs).chain(hidden.iter().copied());
        let units = hidden.iter().copied().chain([1]);
        let layer = |((rows, before), units): ((&Vec<u32>, usize), usize)| {
            let kept = |unit: usize, from: usize| rows.get(unit).is_some_and(|row| row >> from & 1 == 1);
            let weights = (0..units * before).map(|at| kept(at / before, at % before)).collect();
            (weights, (0..units).map(|unit| unit < rows.len()).collect())
        };
        self.layers.iter().zip(before).zip(units).map(layer).collect()
    }

    /// Numbers of a wiring, unit by unit (the weights it reads with, in order, then its bias), as the parameters of a
    /// network with these hidden widths: `[units, inputs]` and `[units]` of each layer, zero where nothing is.
    pub fn spread(&self, numbers: &[f32], hidden: &[usize]) -> Vec<(Vec<f32>, Vec<f32>)> {
        let mut numbers = numbers.iter().copied();
        let mut next = || numbers.next().unwrap_or(0.0);
        let before = std::iter::once(self.inputs).chain(hidden.iter().copied());
        let units = hidden.iter().copied().chain([1]);
        let mut all = Vec::new();
        for ((rows, before), units) in self.layers.iter().zip(before).zip(units) {
            let (mut weights, mut biases) = (vec![0.0; units * before], vec![0.0; units]);
            for (unit, row) in rows.iter().enumerate() {
                for from in bits(*row) {
                    weights[unit * before + from] = next();
                }
                biases[unit] = next();
            }
            all.push((weights, biases));
        }
        all
    }

    /// Whether it is one, of a network with these inputs and hidden widths: what was read from a file may be anything.
    pub(super) fn fits(&self, inputs: usize, hidden: &[usize]) -> bool {
        if self.inputs != inputs || !(1..=31).contains(&inputs) || self.layers.len() != hidden.len() + 1 {
            return false;
        }
        let widths = hidden.iter().copied().chain([1]);
        let mut before = inputs;
        self.layers.iter().zip(widths).all(|(rows, width)| {
            let fitting = rows.len() <= width.min(31) && rows.iter().all(|row| *row >> before == 0);
            before = rows.len();
            fitting
        })
    }

    /// The same without one weight, and without what then lies on no path; none where nothing is left.
    pub(super) fn without(&self, layer: usize, unit: usize, from: usize) -> Option<Self> {
        let mut layers = self.layers.clone();
        layers[layer][unit] &= !(1 << from);
        connected(self.inputs, layers)
    }

    /// The same with units in an order that depends little on theirs: by what they read and who reads them. Equal
    /// wirings may stay apart, different ones never fall together.
    pub(super) fn sorted(mut self) -> Self {
        for _ in 0..3 {
            for layer in 0..self.layers.len() - 1 {
                let read: Vec<u32> =
                    (0..self.layers[layer].len()).map(|unit| column(&self.layers[layer + 1], unit)).collect();
                let mut order: Vec<usize> = (0..read.len()).collect();
                order.sort_by_key(|unit| (self.layers[layer][*unit], read[*unit].count_ones(), read[*unit]));
                self.layers[layer] = order.iter().map(|unit| self.layers[layer][*unit]).collect();
                for row in &mut self.layers[layer + 1] {
                    *row = order.iter().enumerate().fold(0, |bits, (to, from)| bits | (*row >> from & 1) << to);
                }
            }
        }
        self
    }
}

/// Who reads a unit, as bits.
fn column(rows: &[u32], unit: usize) -> u32 {
    rows.iter().enumerate().fold(0, |bits, (to, row)| bits | (row >> unit & 1) << to)
}

/// The places of the bits that are set, the lowest first.
pub(super) fn bits(row: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| row >> at & 1 == 1)
}

/// What of a mask lies on a path from an input to the output, without the units that then have no weights; none where
/// there is no path.
pub(super) fn connected(inputs: usize, mut layers: Vec<Vec<u32>>) -> Option<Wiring> {
    // What no input reaches, forwards; what leads to no output, backwards.
    let mut alive = if inputs == 32 { u32::MAX } else { (1 << inputs) - 1 };
    for rows in &mut layers {
        rows.iter_mut().for_each(|row| *row &= alive);
        alive = rows.iter().enumerate().fold(0, |bits, (unit, row)| bits | u32::from(*row != 0) << unit);
    }
    if alive == 0 {
        return None;
    }
    for layer in (1..layers.len()).rev() {
        let read = layers[layer].iter().fold(0, |all, row| all | row);
        let before = &mut layers[layer - 1];
        (0..before.len()).filter(|unit| read >> unit & 1 == 0).for_each(|unit| before[unit] = 0);
    }
    for layer in 0..layers.len() - 1 {
        let kept: Vec<usize> = (0..layers[layer].len()).filter(|unit| layers[layer][*unit] != 0).collect();
        layers[layer] = kept.iter().map(|unit| layers[layer][*unit]).collect();
        for row in &mut layers[layer + 1] {
            *row = kept.iter().enumerate().fold(0, |bits, (to, from)| bits | (*row >> from & 1) << to);
        }
    }
    Some(Wiring { inputs, layers })
}
