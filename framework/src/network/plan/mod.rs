//! A network that does nothing but answer, as operations in the order in which they are computed.
//!
//! A pass over the [`Graph`] that the model's own forward pass writes down: batch normalisation becomes a part of the
//! convolution before it, a convolution or a linear layer takes what follows it along (a sum, an activation, a maximum), and
//! filters are packed once. The answers are those of the model but for the last bits.

mod planning;
#[cfg(test)]
mod tests;
mod ways;

use crate::autograd::Operation;
use crate::backend::{Backend, Cpu, alone, together};
use crate::error::{Error, Result};
use crate::network::compressor::Compressor;
use crate::network::forward::Forward;
use crate::network::graph::{Extents, Graph, Node};
use crate::network::model::{Batch, Model, Output};
use crate::network::params::ParamStore;
use crate::tensor::{Device as _, Shape, Tensor};
use planning::Planning;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;
use ways::Ways;

/// Elements of the largest value between two operations that a batch is cut for, where the device is the host: what one
/// operation leaves is in the cache still when the next one reads it.
const LARGEST: usize = 1 << 20;
/// Operations of a pass from which the other threads wait for its pieces, where the device is the host.
const TOGETHER: usize = 1 << 21;
/// Steps of such a pass at least: waking threads for fewer takes no longer than gathering them.
const STEPS: usize = 8;
/// Operations of a pass from which that pays for certain.
const CERTAIN: usize = 1 << 30;
/// Examples of such a part are a multiple of this many.
const PART: usize = 12;

/// The operations of a network.
pub struct Plan<B: Backend> {
    input: Vec<usize>,
    steps: Vec<Step<B>>,
    /// What each value is called by: its place among the values of a pass.
    places: usize,
    output: Read<B>,
    /// Examples at once, where the device is the host.
    part: usize,
    /// Operations of the layers for an example.
    work: usize,
    /// How batches of each size are computed, where that is to be found out.
    ways: RefCell<HashMap<usize, Ways>>,
}

type Compute<B> = Box<dyn Fn(&[Tensor<B>], usize) -> Result<Tensor<B>>>;

struct Step<B: Backend> {
    inputs: Vec<Read<B>>,
    compute: Compute<B>,
    place: usize,
    /// Places that nothing reads any more.
    done: Vec<usize>,
}

/// A value as an operation reads it.
enum Read<B: Backend> {
    Held(Tensor<B>),
    Made { place: usize, extents: Extents },
}

impl<B: Backend> Plan<B> {
    /// The plan of a network for examples of this shape; `None` where the network has a loss of its own, or computes what no
    /// plan can say: then only the model itself answers.
    ///
    /// # Errors
    /// What the model reports of its forward pass.
    pub fn of(
        model: &dyn Model<B>,
        compressor: &dyn Compressor<B>,
        params: &ParamStore<B>,
        example: &[usize],
    ) -> Result<Option<Self>> {
        let batches = [2, 3].map(|size| examples(params.device(), example, size));
        let [one, other] = batches;
        let [one, other] = [one?, other?];
        let mut cx = Forward::evaluation(params).with_compressor(compressor);
        let Output::Logits(expected) = model.forward(&mut cx, &one)? else { return Ok(None) };
        let Ok(graph) = Graph::of(model, compressor, params, [&one, &other]) else { return Ok(None) };
        let mut planning = Planning::of(params.device(), &graph)?;
        if planning.all()?.is_none() {
            return Ok(None);
        }
        let Some(output) = planning.read(&graph.output) else { return Ok(None) };
        let mut steps = planning.steps;
        // A value is let go behind its last reader.
        let mut kept: Vec<usize> = if let Read::Made { place, .. } = &output { vec![*place] } else { vec![] };
        for step in steps.iter_mut().rev() {
            for read in &step.inputs {
                if let Read::Made { place, .. } = read
                    && !kept.contains(place)
                {
                    kept.push(*place);
                    step.done.push(*place);
                }
            }
        }
        let largest = graph.nodes.iter().flat_map(|node| &node.outputs).map(Extents::count).max().unwrap_or(1);
        let part = (LARGEST / largest.max(1) / PART).max(1) * PART;
        let (input, work) = (example.to_vec(), work(&graph));
        let plan = Self { input, steps, places: planning.places, output, part, work, ways: RefCell::default() };
        // A value that nobody wrote down and that these examples share would be taken for a constant.
        let found = plan.run(&one.input)?;
        Ok(agree(&found.host(), &expected.host()).then_some(plan))
    }

    /// What the network gives for `[batch, ...example]`.
    ///
    /// # Errors
    /// If the examples have another shape; what the operations report.
    pub fn run(&self, input: &Tensor<B>) -> Result<Tensor<B>> {
        let shape = input.shape();
        if shape.get(1..) != Some(&self.input[..]) {
            return Err(Error::shape("examples", format!("{shape} for a network of {:?}", self.input)));
        }
        let batch = shape[0];
        if B::NAME != Cpu::NAME {
            return self.pass(input, batch);
        }
        let parts = || self.parts(input, batch);
        let all = batch.saturating_mul(self.work);
        if all < TOGETHER || self.steps.len() < STEPS {
            return parts();
        }
        let way = self.ways.borrow().get(&batch).is_none_or(Ways::together);
        if all >= CERTAIN {
            return together(parts);
        }
        let clock = Instant::now();
        let answer = if way { together(parts) } else { alone(parts) };
        self.ways.borrow_mut().entry(batch).or_default().took(way, clock.elapsed());
        answer
    }

    /// [`Plan::run`], part by part.
    fn parts(&self, input: &Tensor<B>, batch: usize) -> Result<Tensor<B>> {
        if batch <= self.part {
            return self.pass(input, batch);
        }
        let shape = input.shape();
        let values = input.host();
        let (each, mut answers, mut axes) = (input.count() / batch, vec![], None);
        for part in values.chunks(self.part * each) {
            let size = part.len() / each;
            let answer = self.pass(&Tensor::from_vec(input.device(), part.to_vec(), shape.with(0, size))?, size)?;
            answers.extend_from_slice(&answer.host());
            axes = Some(answer.shape());
        }
        let rows = axes.map_or(1, |axes: Shape| answers.len() / axes[1..].iter().product::<usize>().max(1));
        Tensor::from_vec(input.device(), answers, axes.unwrap_or(shape).with(0, rows))
    }

    fn pass(&self, input: &Tensor<B>, batch: usize) -> Result<Tensor<B>> {
        let mut made: Vec<Option<Tensor<B>>> = vec![None; self.places];
        made[0] = Some(input.clone());
        for step in &self.steps {
            let inputs = step.inputs.iter().map(|read| read.at(&made, batch)).collect::<Result<Vec<_>>>()?;
            step.done.iter().for_each(|&place| made[place] = None);
            made[step.place] = Some((step.compute)(&inputs, batch)?);
        }
        self.output.at(&made, batch)
    }
}

impl<B: Backend> Read<B> {
    fn at(&self, made: &[Option<Tensor<B>>], batch: usize) -> Result<Tensor<B>> {
        match self {
            Self::Held(value) => Ok(value.clone()),
            Self::Made { place, extents } => match &made[*place] {
                Some(value) => value.reshape(&extents.at(batch)[..]),
                None => Err(Error::Other(format!("value {place} of a plan is read before it is made"))),
            },
        }
    }
}

/// Operations of the convolutions and linear layers for an example.
fn work(graph: &Graph) -> usize {
    let of = |node: &Node| match (&node.operation, node.inputs.get(1)) {
        (Operation::Conv2d { .. } | Operation::Linear, Some(weight)) => {
            // Each output is a sum over a filter.
            let filter: usize = weight.extents.rest.iter().skip(1).product();
            2 * filter * node.outputs.first().map_or(0, Extents::count)
        }
        _ => 0,
    };
    graph.nodes.iter().map(of).sum()
}

/// Whether answers are the same but for rounding.
fn agree(found: &[f32], expected: &[f32]) -> bool {
    let largest = expected.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * largest || a.to_bits() == b.to_bits();
    found.len() == expected.len() && found.iter().zip(expected).all(near)
}

/// Examples that differ, between 0 and 1.
fn examples<B: Backend>(device: &B, example: &[usize], size: usize) -> Result<Batch<B>> {
    let axes: Vec<usize> = std::iter::once(size).chain(example.iter().copied()).collect();
    let value = |i: usize| ((i + size) as u32).wrapping_mul(2_654_435_761) as f32 / 4_294_967_296.0;
    let values = (0..axes.iter().product()).map(|i| value(i).min(0.999)).collect();
    Ok(Batch { input: Tensor::from_vec(device, values, &axes[..])?, classes: vec![0; size], responses: vec![] })
}
