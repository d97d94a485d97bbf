//! A network as one file in Python, of PyTorch's modules, and its weights as plain floats.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use secateur::autograd::Operation;
use secateur::backend::{Act, Pool, Pooling};
use secateur::network::graph::{Constant, Extents, Graph, Node, Operand, Source};
use serde_json::json;

use super::Preprocessing;
use crate::engine::Exportable;

/// Both files.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub weights: Vec<u8>,
}

const HEAD: &str = r#"
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
"#;

const LOAD: &str = r#"

def load(weights=None):
    """The network with its weights, ready for use: this file's name with .bin, or another file of the same content."""
    data = bytearray(Path(weights or Path(__file__).with_suffix(".bin")).read_bytes())
    values = torch.frombuffer(data, dtype=torch.float32)
    network = Network()
    state = network.state_dict()
    for name, offset, shape in WEIGHTS:
        count = state[name].numel()
        if tuple(state[name].shape) != shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, and the weights are {shape}")
        state[name] = values[offset : offset + count].reshape(shape)
    network.load_state_dict(state)
    return network.eval()


def preprocess(stored):
    """What the network takes, of values as they are stored: bytes of images from 0 to 255, channels first."""
    shape = (1, -1) + (1,) * (len(INPUT_SHAPE) - 1)
    return stored.float() * torch.tensor(SCALE).reshape(shape) + torch.tensor(SHIFT).reshape(shape)


if __name__ == "__main__":
    network = load()
    print(network)
    print("output for zeros:", network(torch.zeros(1, *INPUT_SHAPE)))
"#;

const ATTENTION: &str = r#"

def attention(qkv, tokens, heads, head_dim, scale, sizes=None):
    """softmax(scale q k^T + log sizes) v; heads of q, k and v stand side by side in each row."""
    q, k, v = qkv.reshape(-1, tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
    bias = None if sizes is None else sizes.log()[:, None, None, :]
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return y.transpose(1, 2).reshape(-1, heads * head_dim)
"#;

const PATCHES: &str = r#"

def patches(x, side):
    """Square patches, row by row, each as channels, rows, columns."""
    n, channels, rows, columns = x.shape
    x = x.reshape(n, channels, rows // side, side, columns // side, side)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels * side * side)
"#;

const EMBED: &str = r#"

def embed(x, token=None, position=None):
    """A class token in front, and positions added."""
    if token is not None:
        x = torch.cat([token.reshape(1, 1, -1).expand(x.shape[0], 1, -1), x], dim=1)
    return x if position is None else x + position
"#;

const MEAN_TOKENS: &str = r#"

def mean_tokens(x, sizes):
    """The mean of the tokens, weighted by how many each stands for."""
    sizes = sizes[:, :, None]
    return (x * sizes).sum(dim=1) / sizes.expand(x.shape[0], -1, -1).sum(dim=1)
"#;

const MEAN_KEYS: &str = r#"

def mean_keys(qkv, tokens, heads, head_dim):
    """The keys, averaged over the heads: what tokens are compared by."""
    keys = qkv[:, heads * head_dim : 2 * heads * head_dim]
    return keys.reshape(-1, heads, head_dim).mean(dim=1).reshape(-1, tokens, head_dim)
"#;

const MERGE: &str = r#"

def merge_tokens(metric, x, sizes, r, protected):
    """Bipartite soft matching (Bolya et al. 2022): tokens take turns between A and B, each of A finds its most similar one
    of B, and the r most similar pairs become their mean, weighted by sizes. Left are the protected tokens, the others of
    A, those of B. Of equal similarities the first wins."""
    n, tokens, dim = x.shape
    a = torch.arange(2 * ((protected + 1) // 2), tokens, 2)
    b = torch.arange(2 * (protected // 2) + 1, tokens, 2)
    norm = metric.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    unit = metric / norm
    best, partner = (unit[:, a] @ unit[:, b].transpose(1, 2)).max(dim=-1)
    top = best.sort(dim=-1, descending=True, stable=True).indices[:, :r]
    joins = torch.zeros_like(best, dtype=torch.bool).scatter_(1, top, True)
    first_b = protected + len(a) - r
    place = protected + (~joins).long().cumsum(dim=1) - 1
    target = torch.arange(tokens).repeat(n, 1)
    target[:, a] = torch.where(joins, first_b + partner, place)
    target[:, b] = first_b + torch.arange(len(b))
    sizes = sizes.expand(n, -1)
    kept = torch.zeros(n, tokens - r).scatter_add_(1, target, sizes)
    sums = torch.zeros(n, tokens - r, dim).scatter_add_(1, target[:, :, None].expand(-1, -1, dim), x * sizes[:, :, None])
    return sums / kept[:, :, None], kept
"#;

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

/// How a layer's module is made.
fn constructor(node: &Node) -> String {
    let of = |at: usize| &node.inputs[at].extents.rest;
    let bias = bool(node.inputs.len() > 2);
    match &node.operation {
        Operation::Linear => format!("nn.Linear({}, {}, bias={bias})", of(1)[1], of(1)[0]),
        Operation::Conv2d { stride, padding } => format!(
            "nn.Conv2d({}, {}, {}, stride={stride}, padding={padding}, bias={bias})",
            of(1)[1],
            of(1)[0],
            tuple(&of(1)[2..])
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
        Operation::Conv2d { stride, padding } => format!("F.conv2d({all}, stride={stride}, padding={padding})"),
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
