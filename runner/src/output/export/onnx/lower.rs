//! From the operations of a network to operators of ONNX, each the oldest that does it.

use std::collections::HashMap;

use secateur::autograd::Operation;
use secateur::backend::{Act, Pool, Pooling};
use secateur::network::graph::{Extents, Graph, Node, Operand, Source};

use super::model::{Attribute, Initializer, OnnxModel, OnnxNode, Port, Values};
use crate::output::export::Preprocessing;

/// The oldest set of operators that is written: before it, a file's initializers are its inputs too.
const OLDEST: u64 = 9;

/// A graph while it is made.
pub(super) struct Lowering<'a> {
    graph: &'a Graph,
    pub nodes: Vec<OnnxNode>,
    initializers: Vec<Initializer>,
    opset: u64,
    /// What the values of the graph are called, and in which extents they were made.
    made: HashMap<Source, (String, Extents)>,
    /// Values in other extents, by name and shape.
    reshaped: HashMap<(String, Vec<i64>), String>,
    /// What nodes were named by.
    taken: HashMap<String, usize>,
}

/// The model; with `inside` the input is what the data stores, and is normalised first.
pub fn lower(graph: &Graph, output: &str, inside: Option<&Preprocessing>) -> OnnxModel {
    let mut lowering = Lowering {
        graph,
        nodes: vec![],
        initializers: vec![],
        opset: OLDEST,
        made: HashMap::new(),
        reshaped: HashMap::new(),
        taken: HashMap::new(),
    };
    let mut input = "input".to_owned();
    if let Some(Preprocessing { scale, shift, .. }) = inside {
        // A pair for each channel, the first axis of an example.
        let dims: Vec<usize> = [1, scale.len()].into_iter().chain(graph.input.iter().skip(1).map(|_| 1)).collect();
        let (scale, shift) = (lowering.floats(dims.clone(), scale.clone()), lowering.floats(dims, shift.clone()));
        let scaled = lowering.node("Mul", &[&input, &scale], vec![]);
        input = lowering.node("Add", &[&scaled, &shift], vec![]);
    }
    let extents = Extents { per_example: Some(1), rest: graph.input.clone() };
    lowering.made.insert(Source::Input, (input, extents));
    for (at, node) in graph.nodes.iter().enumerate() {
        let outputs = lowering.operation(node);
        for (nth, (name, extents)) in outputs.into_iter().zip(&node.outputs).enumerate() {
            lowering.made.insert(Source::Node(at, nth), (name, extents.clone()));
        }
    }
    let last = lowering.operand(&graph.output);
    let rename = |name: &mut String| {
        if *name == last {
            *name = output.to_owned();
        }
    };
    lowering.nodes.iter_mut().for_each(|node| node.inputs.iter_mut().chain(&mut node.outputs).for_each(rename));
    OnnxModel {
        opset: lowering.opset,
        nodes: lowering.nodes,
        initializers: lowering.initializers,
        input: Port { name: "input".to_owned(), dims: graph.input.clone() },
        output: Port { name: output.to_owned(), dims: graph.output.extents.rest.clone() },
        metadata: vec![],
    }
}

pub(super) fn ints(all: &[usize]) -> Attribute {
    Attribute::Ints(all.iter().map(|&v| v as i64).collect())
}

pub(super) type Attributes = Vec<(&'static str, Attribute)>;

impl Lowering<'_> {
    /// The operator needs a set of operators of this version at least.
    pub fn since(&mut self, opset: u64) {
        self.opset = self.opset.max(opset);
    }

    /// Adds an operator of one output, whose name is given back.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: Attributes) -> String {
        let name = self.name(&operator.to_lowercase());
        self.node_named(operator, inputs, attributes, name)
    }

    fn node_named(&mut self, operator: &str, inputs: &[&str], attributes: Attributes, name: String) -> String {
        self.nodes.push(OnnxNode {
            operator: operator.to_owned(),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: vec![name.clone()],
            attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
        name
    }

    /// A name that no other value has.
    fn name(&mut self, stem: &str) -> String {
        let count = self.taken.entry(stem.to_owned()).or_default();
        *count += 1;
        if *count == 1 && stem.contains('.') { stem.to_owned() } else { format!("{stem}_{count}") }
    }

    pub fn floats(&mut self, dims: Vec<usize>, values: Vec<f32>) -> String {
        let name = self.name("floats");
        self.initializers.push(Initializer { name: name.clone(), dims, values: Values::Floats(values) });
        name
    }

    pub fn number(&mut self, value: f32) -> String {
        self.floats(vec![], vec![value])
    }

    /// Whole numbers on one axis.
    pub fn whole(&mut self, values: Vec<i64>) -> String {
        let (name, dims) = (self.name("ints"), vec![values.len()]);
        self.initializers.push(Initializer { name: name.clone(), dims, values: Values::Ints(values) });
        name
    }

    /// A whole number without an axis.
    pub fn index(&mut self, value: usize) -> String {
        let name = self.name("ints");
        let values = Values::Ints(vec![value as i64]);
        self.initializers.push(Initializer { name: name.clone(), dims: vec![], values });
        name
    }

    /// The value in another shape; -1 stands for what grows with the batch.
    pub fn reshape(&mut self, value: &str, shape: Vec<i64>) -> String {
        let key = (value.to_owned(), shape);
        if let Some(name) = self.reshaped.get(&key) {
            return name.clone();
        }
        let shape = self.whole(key.1.clone());
        let name = self.node("Reshape", &[value, &shape], vec![]);
        self.reshaped.insert(key, name.clone());
        name
    }

    /// The name of a value in the extents in which it is read.
    pub fn operand(&mut self, operand: &Operand) -> String {
        let rest = || operand.extents.rest.iter().map(|&v| v as i64);
        if let Source::Constant(at) = operand.source {
            let constant = &self.graph.constants[at];
            let name = constant.name.clone();
            if !self.initializers.iter().any(|one| one.name == name) {
                let values = Values::Floats(constant.values.clone());
                let dims = constant.shape.clone();
                self.initializers.push(Initializer { name: name.clone(), dims, values });
            }
            return if operand.extents.rest == constant.shape { name } else { self.reshape(&name, rest().collect()) };
        }
        let (name, extents) = self.made[&operand.source].clone();
        if extents == operand.extents {
            return name;
        }
        let shape = operand.extents.per_example.map(|_| -1).into_iter().chain(rest()).collect();
        self.reshape(&name, shape)
    }

    /// Adds an operation; the names of its results.
    fn operation(&mut self, node: &Node) -> Vec<String> {
        let inputs: Vec<String> = node.inputs.iter().map(|operand| self.operand(operand)).collect();
        let named: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let layer = |lowering: &mut Self, operator: &str, attributes: Attributes| {
            // Results of layers are called as the layers are.
            let stem = if node.layer.is_empty() { operator.to_lowercase() } else { format!("{}.output", node.layer) };
            let name = lowering.name(&stem);
            lowering.node_named(operator, &named, attributes, name)
        };
        let result = match &node.operation {
            Operation::Linear => {
                if named.len() == 2 {
                    self.since(11);
                }
                layer(self, "Gemm", vec![("transB", Attribute::Int(1))])
            }
            Operation::Conv2d { stride, padding, groups } => {
                let mut attributes = windows(&node.inputs[1].extents.rest[2..], *stride, *padding);
                if *groups > 1 {
                    attributes.push(("group", Attribute::Int(*groups as i64)));
                }
                layer(self, "Conv", attributes)
            }
            Operation::ConvTranspose2d { stride, padding } => {
                layer(self, "ConvTranspose", windows(&node.inputs[1].extents.rest[2..], *stride, *padding))
            }
            Operation::BatchNorm { eps } => {
                layer(self, "BatchNormalization", vec![("epsilon", Attribute::Float(*eps))])
            }
            Operation::LayerNorm { eps } => self.layer_norm(node, &named, *eps),
            Operation::Act(act) => self.activation(*act, named[0]),
            Operation::Pool(Pool { kind, kernel, stride, padding }) => {
                let mut attributes = windows(&[*kernel, *kernel], *stride, *padding);
                if *kind == Pooling::Max {
                    layer(self, "MaxPool", attributes)
                } else {
                    attributes.push(("count_include_pad", Attribute::Int(1)));
                    layer(self, "AveragePool", attributes)
                }
            }
            Operation::Add => self.node("Add", &named, vec![]),
            Operation::Mul => self.node("Mul", &named, vec![]),
            Operation::Attention { tokens, heads, head_dim, scale } => {
                self.attention(&named, [*tokens, *heads, *head_dim], *scale)
            }
            Operation::Patches { side } => self.patches(node, named[0], *side),
            Operation::Embed { class, position } => self.embed(node, &named, *class, *position),
            Operation::MeanTokens => self.mean_tokens(node, &named),
            Operation::TakeToken { index } => {
                let index = self.index(*index);
                self.node("Gather", &[named[0], &index], vec![("axis", Attribute::Int(1))])
            }
            Operation::MeanKeys { heads, head_dim } => self.mean_keys(node, named[0], *heads, *head_dim),
            Operation::MergeTokens { r, protected } => return self.merge(node, &named, *r, *protected),
            // A graph holds none of these.
            Operation::Other(_) => named[0].to_owned(),
        };
        vec![result]
    }

    fn activation(&mut self, act: Act, x: &str) -> String {
        match act {
            Act::None => x.to_owned(),
            Act::Relu => self.node("Relu", &[x], vec![]),
            Act::Relu6 => {
                // Its bounds are operands since then.
                self.since(11);
                let (least, most) = (self.number(0.0), self.number(6.0));
                self.node("Clip", &[x, &least, &most], vec![])
            }
            Act::Tanh => self.node("Tanh", &[x], vec![]),
            Act::Sigmoid => self.node("Sigmoid", &[x], vec![]),
            Act::Gelu => {
                let square = self.node("Mul", &[x, x], vec![]);
                let cube = self.node("Mul", &[&square, x], vec![]);
                let factor = self.number(0.044_715);
                let inner = self.node("Mul", &[&cube, &factor], vec![]);
                let inner = self.node("Add", &[x, &inner], vec![]);
                let factor = self.number((2.0 / std::f64::consts::PI).sqrt() as f32);
                let inner = self.node("Mul", &[&inner, &factor], vec![]);
                let curve = self.node("Tanh", &[&inner], vec![]);
                self.gelu(x, &curve)
            }
            Act::GeluExact => {
                let factor = self.number(std::f32::consts::FRAC_1_SQRT_2);
                let inner = self.node("Mul", &[x, &factor], vec![]);
                let curve = self.node("Erf", &[&inner], vec![]);
                self.gelu(x, &curve)
            }
        }
    }

    /// x/2 (1 + curve)
    fn gelu(&mut self, x: &str, curve: &str) -> String {
        let (one, half) = (self.number(1.0), self.number(0.5));
        let curve = self.node("Add", &[curve, &one], vec![]);
        let y = self.node("Mul", &[x, &curve], vec![]);
        self.node("Mul", &[&y, &half], vec![])
    }

    fn layer_norm(&mut self, node: &Node, named: &[&str], eps: f32) -> String {
        let last = node.outputs[0].rest.len() - usize::from(node.outputs[0].per_example.is_none());
        let mean_of = || vec![("axes", ints(&[last])), ("keepdims", Attribute::Int(1))];
        let (eps, two) = (self.number(eps), self.number(2.0));
        let mean = self.node("ReduceMean", &[named[0]], mean_of());
        let centred = self.node("Sub", &[named[0], &mean], vec![]);
        let square = self.node("Pow", &[&centred, &two], vec![]);
        let variance = self.node("ReduceMean", &[&square], mean_of());
        let variance = self.node("Add", &[&variance, &eps], vec![]);
        let deviation = self.node("Sqrt", &[&variance], vec![]);
        let y = self.node("Div", &[&centred, &deviation], vec![]);
        let y = self.node("Mul", &[&y, named[1]], vec![]);
        self.node("Add", &[&y, named[2]], vec![])
    }
}

/// Attributes of what moves windows over an image.
fn windows(kernel: &[usize], stride: usize, padding: usize) -> Attributes {
    vec![("kernel_shape", ints(kernel)), ("strides", ints(&[stride; 2])), ("pads", ints(&[padding; 4]))]
}
