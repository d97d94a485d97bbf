//! A network as one file in Python, of PyTorch's modules, and its weights as plain floats.

mod texts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use secateur::autograd::Operation;
use secateur::backend::{Act, Pool, Pooling};
use secateur::network::graph::{Constant, Extents, Graph, Node, Operand, Source};
use serde_json::json;

use super::Preprocessing;
use crate::engine::Exportable;
use texts::{ATTENTION, EMBED, HEAD, LOAD, MEAN_KEYS, MEAN_TOKENS, MERGE, PATCHES};

/// Both files.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub weights: Vec<u8>,
}

/// Writes both files.
pub fn write(graph: &Graph, network: &Exportable, preprocessing: &Preprocessing) -> Written {
    let about = &network.about;
    let mut weights = Vec::new();
    let (mut table, mut offset) = (String::new(), 0);
    let keys = keys(graph);
    for (constant, key) in graph.constants.iter().zip(&keys) {
        _ = writeln!(table, "    ({}, {offset}, {}),", json!(key), tuple(&constant.shape));
        offset += constant.values.len();
        weights.extend(constant.values.iter().flat_map(|v| v.to_le_bytes()));
    }
    let model = about.model.get("name").and_then(|name| name.as_str()).unwrap_or("model");
    let mut text = format!(
        "\"\"\"A pruned network ({model}), written by secateur {}.\n\nNothing but PyTorch is needed:\n\n    network = \
         load()\n    logits = network(preprocess(images))\n\"\"\"\n{HEAD}\n",
        env!("CARGO_PKG_VERSION")
    );
    _ = writeln!(text, "CLASSES = {}", json!(about.classes));
    _ = writeln!(text, "INPUT_SHAPE = {}", tuple(&about.input.shape));
    let (mean, std) = preprocessing.statistics();
    _ = writeln!(text, "# input = stored * SCALE + SHIFT for each channel: mean {mean:?}, standard deviation {std:?}");
    if preprocessing.unit != 1.0 {
        _ = writeln!(text, "# of values from 0 to 1.");
    }
    _ = writeln!(text, "SCALE = {:?}\nSHIFT = {:?}", preprocessing.scale, preprocessing.shift);
    _ = writeln!(text, "# Name, offset in floats of 4 bytes (little end first), shape.\nWEIGHTS = [\n{table}]");
    let uses = |kind: fn(&Operation) -> bool| graph.nodes.iter().any(|node| kind(&node.operation));
    let helpers = [
        (ATTENTION, uses(|o| matches!(o, Operation::Attention { .. }))),
        (PATCHES, uses(|o| matches!(o, Operation::Patches { .. }))),
        (EMBED, uses(|o| matches!(o, Operation::Embed { .. }))),
        (MEAN_TOKENS, graph.nodes.iter().any(|n| n.operation == Operation::MeanTokens && n.inputs.len() == 2)),
        (MEAN_KEYS, uses(|o| matches!(o, Operation::MeanKeys { .. }))),
        (MERGE, uses(|o| matches!(o, Operation::MergeTokens { .. }))),
    ];
    helpers.iter().filter(|(_, used)| *used).for_each(|(helper, _)| text += helper);
    text += &module(graph, &keys);
    text += LOAD;
    Written { text, weights }
}

/// Reads the weights again, by the table in the text.
pub fn read_back(graph: &Graph, Written { text, weights }: &Written) -> Result<Graph, String> {
    let table = text.split_once("WEIGHTS = [\n").and_then(|(_, rest)| rest.split_once("\n]"));
    let (table, _) = table.ok_or("the file has no table of them")?;
    let floats: Vec<f32> = weights.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut found = BTreeMap::new();
    for line in table.lines() {
        let parts = line.trim().trim_start_matches('(').trim_end_matches("),").splitn(3, ", ").collect::<Vec<_>>();
        let [key, offset, shape] = parts[..] else { return Err(format!("`{line}` is no line of a table")) };
        let numbers = shape.trim_matches(['(', ')']).split(',').map(str::trim).filter(|number| !number.is_empty());
        let shape =
            numbers.map(|n| n.parse().map_err(|e| format!("{line}: {e}"))).collect::<Result<Vec<usize>, _>>()?;
        let offset: usize = offset.parse().map_err(|e| format!("{line}: {e}"))?;
        let values = floats.get(offset..offset + shape.iter().product::<usize>()).ok_or("the weights are cut short")?;
        found.insert(key.trim_matches('"').to_owned(), (shape, values.to_vec()));
    }
    let constants = graph.constants.iter().zip(keys(graph)).map(|(Constant { name, .. }, key)| {
        let (shape, values) = found.remove(&key).ok_or_else(|| format!("`{key}` is not in the table"))?;
        Ok(Constant { name: name.clone(), shape, values })
    });
    Ok(Graph { constants: constants.collect::<Result<_, String>>()?, ..graph.clone() })
}

/// `(1, 2)`, with Python's comma behind a single one.
fn tuple(all: &[usize]) -> String {
    let comma = if all.len() == 1 { "," } else { "" };
    format!("({}{comma})", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// A name as Python may have it.
fn identifier(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

/// Names in the module's state, one for each constant: that of a layer's module, or of a parameter that stands alone.
fn keys(graph: &Graph) -> Vec<String> {
    let key = |constant: &Constant| match constant.name.rsplit_once('.') {
        Some((layer, part)) if graph.nodes.iter().any(|node| is_module(node, layer)) => {
            format!("{}.{part}", identifier(layer))
        }
        _ => identifier(&constant.name),
    };
    graph.constants.iter().map(key).collect()
}

/// Whether a node is a module of this layer: then all of its constants are named after it.
fn is_module(node: &Node, layer: &str) -> bool {
    let kinds = matches!(
        node.operation,
        Operation::Linear
            | Operation::Conv2d { .. }
            | Operation::ConvTranspose2d { .. }
            | Operation::BatchNorm { .. }
            | Operation::LayerNorm { .. }
    );
    kinds && node.layer == layer
}

/// The class.
fn module(graph: &Graph, keys: &[String]) -> String {
    let mut begin = String::new();
    let mut built = Vec::new();
    for node in &graph.nodes {
        if is_module(node, &node.layer) && !node.layer.is_empty() && !built.contains(&node.layer) {
            _ = writeln!(begin, "        self.{} = {}", identifier(&node.layer), constructor(node));
            built.push(node.layer.clone());
        }
    }
    for (constant, key) in graph.constants.iter().zip(keys).filter(|(_, key)| !key.contains('.')) {
        _ = writeln!(begin, "        self.{key} = nn.Parameter(torch.empty({}))", tuple(&constant.shape));
    }
    let mut text = format!(
        "\n\nclass Network(nn.Module):\n    def __init__(self):\n        super().__init__()\n{begin}\n    def \
         forward(self, x):\n"
    );
    for (at, node) in graph.nodes.iter().enumerate() {
        let operands: Vec<String> = node.inputs.iter().map(|operand| read(graph, keys, operand)).collect();
        let result = if node.outputs.len() > 1 { format!("x{at}, size{at}") } else { format!("x{at}") };
        _ = writeln!(text, "        {result} = {}  # {}", expression(node, &operands), shape(&node.outputs[0]));
    }
    _ = writeln!(text, "        return {}", read(graph, keys, &graph.output));
    text
}

/// Extents for a reader.
fn shape(extents: &Extents) -> String {
    let first = extents.per_example.map(|per| if per == 1 { "batch".to_owned() } else { format!("{per} batch") });
    let all: Vec<String> = first.into_iter().chain(extents.rest.iter().map(ToString::to_string)).collect();
    format!("[{}]", all.join(", "))
}

/// An operand, in the shape in which it is read.
fn read(graph: &Graph, keys: &[String], operand: &Operand) -> String {
    let (name, made) = match operand.source {
        Source::Input => ("x".to_owned(), Extents { per_example: Some(1), rest: graph.input.clone() }),
        Source::Node(at, nth) => {
            let name = if nth == 0 { format!("x{at}") } else { format!("size{at}") };
            (name, graph.nodes[at].outputs[nth].clone())
        }
        Source::Constant(at) => {
            let made = Extents { per_example: None, rest: graph.constants[at].shape.clone() };
            (format!("self.{}", keys[at]), made)
        }
    };
    if made == operand.extents {
        return name;
    }
    let first = operand.extents.per_example.map(|_| "-1".to_owned());
    let all: Vec<String> = first.into_iter().chain(operand.extents.rest.iter().map(ToString::to_string)).collect();
    format!("{name}.reshape({})", all.join(", "))
}

fn bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Said of a convolution whose filters see a part of the channels alone.
fn in_groups(groups: usize) -> String {
    if groups > 1 { format!(", groups={groups}") } else { String::new() }
}

/// How a layer's module is made.
fn constructor(node: &Node) -> String {
    let of = |at: usize| &node.inputs[at].extents.rest;
    let bias = bool(node.inputs.len() > 2);
    match &node.operation {
        Operation::Linear => format!("nn.Linear({}, {}, bias={bias})", of(1)[1], of(1)[0]),
        Operation::Conv2d { stride, padding, groups } => format!(
            "nn.Conv2d({}, {}, {}, stride={stride}, padding={padding}{}, bias={bias})",
            of(1)[1] * groups,
            of(1)[0],
            tuple(&of(1)[2..]),
            in_groups(*groups)
        ),
        Operation::ConvTranspose2d { stride, padding } => format!(
            "nn.ConvTranspose2d({}, {}, {}, stride={stride}, padding={padding}, bias={bias})",
            of(1)[0],
            of(1)[1],
            tuple(&of(1)[2..])
        ),
        Operation::BatchNorm { eps } => {
            let kind = if node.inputs[0].extents.rest.len() == 3 { "2d" } else { "1d" };
            format!("nn.BatchNorm{kind}({}, eps={eps:e})", of(1)[0])
        }
        Operation::LayerNorm { eps } => format!("nn.LayerNorm({}, eps={eps:e})", of(1)[0]),
        _ => String::new(),
    }
}

fn expression(node: &Node, x: &[String]) -> String {
    if is_module(node, &node.layer) && !node.layer.is_empty() {
        return format!("self.{}({})", identifier(&node.layer), x[0]);
    }
    let all = x.join(", ");
    match &node.operation {
        Operation::Linear => format!("F.linear({all})"),
        Operation::Conv2d { stride, padding, groups } => {
            format!("F.conv2d({all}, stride={stride}, padding={padding}{})", in_groups(*groups))
        }
        Operation::ConvTranspose2d { stride, padding } => {
            format!("F.conv_transpose2d({all}, stride={stride}, padding={padding})")
        }
        Operation::BatchNorm { eps } => {
            format!("F.batch_norm({}, {}, {}, {}, {}, eps={eps:e})", x[0], x[3], x[4], x[1], x[2])
        }
        Operation::LayerNorm { eps } => {
            format!("F.layer_norm({}, {}.shape, {}, {}, eps={eps:e})", x[0], x[1], x[1], x[2])
        }
        Operation::Act(act) => match act {
            Act::None => x[0].clone(),
            Act::Relu => format!("F.relu({all})"),
            Act::Relu6 => format!("F.relu6({all})"),
            Act::Gelu => format!("F.gelu({all}, approximate=\"tanh\")"),
            Act::GeluExact => format!("F.gelu({all})"),
            Act::Tanh => format!("torch.tanh({all})"),
            Act::Sigmoid => format!("torch.sigmoid({all})"),
        },
        Operation::Pool(Pool { kind, kernel, stride, padding }) => {
            let name = if *kind == Pooling::Max { "max_pool2d" } else { "avg_pool2d" };
            format!("F.{name}({all}, {kernel}, stride={stride}, padding={padding})")
        }
        Operation::Add => x.join(" + "),
        Operation::Mul => x.join(" * "),
        Operation::Attention { tokens, heads, head_dim, scale } => {
            let sizes = x.get(1).map(|sizes| format!(", {sizes}")).unwrap_or_default();
            format!("attention({}, {tokens}, {heads}, {head_dim}, {scale:e}{sizes})", x[0])
        }
        Operation::Patches { side } => format!("patches({all}, {side})"),
        Operation::Embed { class, position } => {
            let names = [("token", *class), ("position", *position)].into_iter().filter(|(_, there)| *there);
            let more: Vec<String> = names.zip(&x[1..]).map(|((name, _), x)| format!(", {name}={x}")).collect();
            format!("embed({}{})", x[0], more.concat())
        }
        Operation::MeanTokens if x.len() == 1 => format!("{all}.mean(dim=1)"),
        Operation::MeanTokens => format!("mean_tokens({all})"),
        Operation::TakeToken { index } => format!("{all}[:, {index}]"),
        Operation::MeanKeys { heads, head_dim } => {
            let tokens = node.outputs[0].rest.first().copied().unwrap_or(1);
            format!("mean_keys({all}, {tokens}, {heads}, {head_dim})")
        }
        Operation::MergeTokens { r, protected } => format!("merge_tokens({all}, {r}, {protected})"),
        // A graph holds none of these.
        Operation::Other(name) => format!("None  # {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_are_written_as_python_has_them() {
        assert_eq!([tuple(&[3]), tuple(&[1, 28, 28]), tuple(&[])], ["(3,)", "(1, 28, 28)", "()"]);
        assert_eq!(["blocks.0.attn.qkv", "1x1", "my-layer"].map(identifier), ["blocks_0_attn_qkv", "_1x1", "my_layer"]);
    }
}
