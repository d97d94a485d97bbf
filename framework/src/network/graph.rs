//! A network as a graph of operations on named parameters: what exports are made of.
//!
//! The graph is what the model's own forward pass writes down in evaluation, so that no model describes itself twice. It
//! is written down for two batches of different examples and different sizes. What differs between them and is no value
//! that an operation made, is an operation that nobody wrote down; what does not differ is a constant; and axes that
//! grow with the batch show themselves.

use crate::autograd::{Operation, Written};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::compressor::Compressor;
use crate::network::forward::Forward;
use crate::network::model::{Batch, Model, Output};
use crate::network::params::ParamStore;
use crate::tensor::{Shape, Tensor, TensorId};
use std::collections::HashMap;

/// The extents of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extents {
    /// Rows of the first axis for each example; `None` where the value is the same for every batch, and the first axis is
    /// among the others.
    pub per_example: Option<usize>,
    /// The other axes.
    pub rest: Vec<usize>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The examples.
    Input,
    /// An output of a node.
    Node(usize, usize),
    /// One of [`Graph::constants`].
    Constant(usize),
}

/// A value as an operation reads it: with its own extents, into which it may have been reshaped.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// Where it comes from.
    pub source: Source,
    /// The extents in which it is read.
    pub extents: Extents,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The layer whose parameters it reads; empty where it reads none.
    pub layer: String,
    /// What it computes.
    pub operation: Operation,
    /// What it reads.
    pub inputs: Vec<Operand>,
    /// The extents of what it makes.
    pub outputs: Vec<Extents>,
}

/// A parameter, or a value that the model makes for itself and that is the same for every example.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// The parameter's name, or one that was made up.
    pub name: String,
    /// Its extents; what is the same for every example has one example's here, and a first axis of one.
    pub shape: Vec<usize>,
    /// Its values; pruned weights are zero.
    pub values: Vec<f32>,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Shape of one example.
    pub input: Vec<usize>,
    /// Parameters and other constants, in the order of their first use.
    pub constants: Vec<Constant>,
    /// The operations that take part in the output, in order.
    pub nodes: Vec<Node>,
    /// The output: logits, or the prediction of a model with a loss of its own.
    pub output: Operand,
}

impl Extents {
    fn of(shapes: [Shape; 2], batches: [usize; 2]) -> Option<Self> {
        let [one, other] = shapes;
        if one == other {
            return Some(Self { per_example: None, rest: one.to_vec() });
        }
        let grows = |shape: Shape, batch: usize| (shape.first()? % batch == 0).then(|| shape[0] / batch);
        let per = grows(one, batches[0])?;
        let same = one.get(1..)? == other.get(1..)? && grows(other, batches[1])? == per;
        same.then(|| Self { per_example: Some(per), rest: one[1..].to_vec() })
    }

    /// Values of one example, or of all where they are the same for every batch.
    pub fn count(&self) -> usize {
        self.per_example.unwrap_or(1) * self.rest.iter().product::<usize>()
    }

    /// The extents for a batch of this many examples.
    pub fn at(&self, batch: usize) -> Vec<usize> {
        self.per_example.map(|per| per * batch).into_iter().chain(self.rest.iter().copied()).collect()
    }
}

/// One pass, written down.
struct Pass<B: Backend> {
    written: Vec<Written<B>>,
    input: Tensor<B>,
    output: Tensor<B>,
}

impl<B: Backend> Pass<B> {
    fn of(
        model: &dyn Model<B>,
        compressor: &dyn Compressor<B>,
        params: &ParamStore<B>,
        batch: &Batch<B>,
    ) -> Result<Self> {
        let mut cx = Forward::evaluation(params).with_compressor(compressor).with_tape(crate::autograd::Tape::writing);
        let (Output::Logits(output) | Output::Loss { prediction: output, .. }) = model.forward(&mut cx, batch)?;
        Ok(Self { written: cx.tape().take_written(), input: batch.input.clone(), output })
    }

    /// Which output of which operation each value is.
    fn made(&self) -> HashMap<TensorId, (usize, usize)> {
        let each = self.written.iter().enumerate();
        each.flat_map(|(at, step)| step.outputs.iter().enumerate().map(move |(nth, y)| (y.id(), (at, nth)))).collect()
    }
}

/// Two passes side by side, and the graph as it grows.
struct Reading<'a, B: Backend> {
    passes: [&'a Pass<B>; 2],
    made: [HashMap<TensorId, (usize, usize)>; 2],
    batches: [usize; 2],
    named: HashMap<TensorId, (&'a str, Tensor<B>)>,
    graph: Graph,
    /// Constants by the value in the first pass.
    known: HashMap<TensorId, usize>,
    /// Where an operation of the passes stands among the nodes.
    placed: HashMap<usize, usize>,
}

impl Graph {
    /// Reads a network; the two batches are of different sizes, and of different examples.
    ///
    /// # Errors
    /// An operation that cannot be exported, by its name; what the model reports.
    pub fn of<B: Backend>(
        model: &dyn Model<B>,
        compressor: &dyn Compressor<B>,
        params: &ParamStore<B>,
        batches: [&Batch<B>; 2],
    ) -> Result<Self> {
        let passes =
            [Pass::of(model, compressor, params, batches[0])?, Pass::of(model, compressor, params, batches[1])?];
        let kinds = |pass: &Pass<B>| pass.written.iter().map(|step| step.operation.clone()).collect::<Vec<_>>();
        if kinds(&passes[0]) != kinds(&passes[1]) {
            return Err(refused("it computes other operations for other batches, which no graph can say"));
        }
        let named = params.iter().map(|p| Ok((p.value().id(), (p.spec().name.as_str(), p.effective()?))));
        let mut reading = Reading {
            passes: [&passes[0], &passes[1]],
            made: [passes[0].made(), passes[1].made()],
            batches: [batches[0].len(), batches[1].len()],
            named: named.collect::<Result<_>>()?,
            graph: Self {
                input: batches[0].input.shape()[1..].to_vec(),
                constants: vec![],
                nodes: vec![],
                output: Operand { source: Source::Input, extents: Extents { per_example: None, rest: vec![] } },
            },
            known: HashMap::new(),
            placed: HashMap::new(),
        };
        reading.read()?;
        Ok(reading.graph)
    }
}

impl<'a, B: Backend> Reading<'a, B> {
    fn read(&mut self) -> Result<()> {
        let [one, other] = self.passes;
        let mut wanted = vec![false; one.written.len()];
        let mut left: Vec<&Tensor<B>> = vec![&one.output];
        while let Some(value) = left.pop() {
            if let Some(&(at, _)) = self.made[0].get(&value.id())
                && !std::mem::replace(&mut wanted[at], true)
            {
                left.extend(&one.written[at].inputs);
            }
        }
        for (at, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let (step, twin) = (&one.written[at], &other.written[at]);
            if let Operation::Other(name) = &step.operation {
                return Err(refused(&format!("{name} is an operation that has no export")));
            }
            let reader = name_of(&step.operation);
            if step.inputs.len() != twin.inputs.len() || step.outputs.len() != twin.outputs.len() {
                return Err(refused(&format!("{reader} reads other values for other batches")));
            }
            let pairs = step.inputs.iter().zip(&twin.inputs);
            let inputs = pairs.map(|(a, b)| self.operand([a, b], &reader)).collect::<Result<Vec<_>>>()?;
            let outputs = step.outputs.iter().zip(&twin.outputs).map(|(a, b)| self.extents([a, b], &reader));
            let outputs = outputs.collect::<Result<Vec<_>>>()?;
            let layer = step.inputs.iter().find_map(|x| self.named.get(&x.id())?.0.strip_suffix(".weight"));
            let layer = layer.unwrap_or_default().to_owned();
            self.placed.insert(at, self.graph.nodes.len());
            self.graph.nodes.push(Node { layer, operation: step.operation.clone(), inputs, outputs });
        }
        self.graph.output = self.operand([&one.output, &other.output], "the output")?;
        Ok(())
    }

    fn extents(&self, [a, b]: [&Tensor<B>; 2], reader: &str) -> Result<Extents> {
        let found = Extents::of([a.shape(), b.shape()], self.batches);
        found.ok_or_else(|| {
            let [a, b] = [a.shape(), b.shape()];
            refused(&format!("{reader} has a value of the shape {a} for one batch and {b} for another"))
        })
    }

    fn operand(&mut self, [a, b]: [&Tensor<B>; 2], reader: &str) -> Result<Operand> {
        let extents = self.extents([a, b], reader)?;
        let source = match (self.made[0].get(&a.id()), self.made[1].get(&b.id())) {
            _ if a.id() == self.passes[0].input.id() && b.id() == self.passes[1].input.id() => Source::Input,
            (Some(from), Some(twin)) if from == twin && self.placed.contains_key(&from.0) => {
                Source::Node(self.placed[&from.0], from.1)
            }
            (None, None) => return self.constant([a, b], extents, reader),
            _ => return Err(refused(&format!("{reader} reads other values for other batches"))),
        };
        Ok(Operand { source, extents })
    }

    /// A value that no operation made.
    fn constant(&mut self, [a, b]: [&Tensor<B>; 2], extents: Extents, reader: &str) -> Result<Operand> {
        let unknown = || {
            refused(&format!(
                "{reader} reads a value that the model computes by an operation of its own, which has no export (see \
                 Tape::write_down)"
            ))
        };
        let at = match (self.known.get(&a.id()), self.named.get(&a.id())) {
            (Some(&at), _) => at,
            (None, Some((name, value))) if a.id() == b.id() => {
                let (name, shape) = ((*name).to_owned(), value.shape().to_vec());
                self.keep(a.id(), Constant { name, shape, values: value.to_vec() })
            }
            (None, _) => {
                let (values, twin) = (a.to_vec(), b.to_vec());
                let each = if extents.per_example.is_some() { extents.count() } else { values.len() };
                let first = values.get(..each).ok_or_else(unknown)?;
                let same = |all: &[f32]| all.chunks(each.max(1)).all(|one| one == first);
                if each == 0 || !same(&values) || !same(&twin) {
                    return Err(unknown());
                }
                let shape = extents.per_example.into_iter().chain(extents.rest.iter().copied()).collect();
                let name = format!("constant{}", self.graph.constants.len());
                let values = first.to_vec();
                self.keep(a.id(), Constant { name, shape, values })
            }
        };
        // The same for every example: one of them stands for all.
        let rest = extents.per_example.into_iter().chain(extents.rest).collect();
        Ok(Operand { source: Source::Constant(at), extents: Extents { per_example: None, rest } })
    }

    fn keep(&mut self, id: TensorId, constant: Constant) -> usize {
        self.graph.constants.push(constant);
        self.known.insert(id, self.graph.constants.len() - 1);
        self.graph.constants.len() - 1
    }
}

/// What an operation is called in an error.
fn name_of(operation: &Operation) -> String {
    let text = format!("{operation:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn refused(why: &str) -> Error {
    Error::Config(format!("this network cannot be exported: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Act, Cpu};
    use crate::network::compressor::NoCompression;
    use crate::network::layout::{Layout, LayoutBuilder, Sizes};
    use crate::network::model::InputSpec;
    use crate::network::params::Masking;
    use crate::seed::Seed;

    /// Two layers, and between them what the test says.
    struct Net(fn(&mut Forward<'_, Cpu>, Tensor<Cpu>) -> Result<Tensor<Cpu>>);
    impl Model<Cpu> for Net {
        fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
            let mut layout = LayoutBuilder::new(sizes);
            let hidden = layout.units("fc1", 4);
            layout.linear("fc1", &input.features().into(), &hidden, true);
            layout.linear("fc2", &hidden, &input.classes.into(), false);
            layout.output("fc2");
            layout.build()
        }
        fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
            let x = cx.linear("fc1", &batch.input, Act::Relu)?;
            let x = (self.0)(cx, x)?;
            Ok(Output::Logits(cx.linear("fc2", &x, Act::None)?))
        }
    }

    fn graph(net: &Net) -> Result<Graph> {
        let device = Cpu::default();
        let layout = net.layout(&InputSpec { shape: vec![3], classes: 2 }, &Sizes::default())?;
        let params = ParamStore::new(&device, layout, Seed(1), Masking::Held)?;
        let batch = |n: usize, from: f32| {
            let values = (0..3 * n).map(|i| from + i as f32).collect();
            let input = Tensor::from_vec(&device, values, [n, 3]).unwrap();
            Batch { input, classes: vec![0; n], responses: vec![] }
        };
        Graph::of(net, &NoCompression {}, &params, [&batch(2, 0.0), &batch(3, 10.0)])
    }

    #[test]
    fn a_pass_becomes_nodes_on_named_parameters() {
        let found = graph(&Net(|_, x| Ok(x))).unwrap();
        let names: Vec<&str> = found.constants.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["fc1.weight", "fc1.bias", "fc2.weight"]);
        let kinds: Vec<&Operation> = found.nodes.iter().map(|node| &node.operation).collect();
        assert_eq!(kinds, [&Operation::Linear, &Operation::Act(Act::Relu), &Operation::Linear]);
        assert_eq!(found.nodes[2].layer, "fc2");
        assert_eq!(found.output.source, Source::Node(2, 0));
        assert_eq!(found.output.extents, Extents { per_example: Some(1), rest: vec![2] });
    }

    #[test]
    fn constants_of_the_model_and_reshapes_are_part_of_it() {
        let found = graph(&Net(|cx, x| {
            let n = x.count() / 4;
            let halves = Tensor::from_vec(x.device(), vec![0.5; 4 * n], [2 * n, 2])?;
            cx.tape().mul(&x.reshape([2 * n, 2])?, &halves)?.reshape([n, 4])
        }))
        .unwrap();
        let mul = &found.nodes[2];
        assert_eq!(mul.inputs[0].extents, Extents { per_example: Some(2), rest: vec![2] });
        let Source::Constant(at) = mul.inputs[1].source else { panic!("{mul:?}") };
        assert_eq!(
            (found.constants[at].shape.as_slice(), found.constants[at].values.as_slice()),
            (&[2, 2][..], &[0.5; 4][..])
        );
    }

    #[test]
    fn what_takes_no_part_is_left_out() {
        let found = graph(&Net(|cx, x| {
            cx.tape().act(&x, Act::Tanh)?;
            Ok(x)
        }));
        assert_eq!(found.unwrap().nodes.len(), 3);
    }

    #[test]
    fn operations_without_an_export_are_refused_by_name() {
        let refused = |net| graph(&Net(net)).unwrap_err().to_string();
        let own = refused(|_, x| x.scale(2.0));
        assert!(own.contains("Linear reads a value that the model computes by an operation of its own"), "{own}");
        let dfdx = refused(|cx, x| {
            let [rows, columns] = *x.shape() else { panic!("two axes") };
            cx.tape().dfdx(&x, (rows, columns), dfdx::prelude::sqrt)
        });
        assert!(dfdx.contains("an operation of dfdx is an operation that has no export"), "{dfdx}");
        let told = graph(&Net(|cx, x| {
            let y = x.scale(2.0)?;
            cx.tape().write_down(Operation::Add, &[&x, &x], &[&y]);
            Ok(y)
        }));
        assert_eq!(told.unwrap().nodes[2].operation, Operation::Add);
    }
}
