//! A model in ONNX: the messages of `onnx.proto` that a network needs, written and read.

use crate::output::protobuf::{Wire, field, fields};

/// Numbers of element types (`TensorProto.DataType`).
const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
}

/// The values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Initializer {
    pub name: String,
    pub dims: Vec<usize>,
    pub values: Values,
}

/// An operator.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxNode {
    pub operator: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<(String, Attribute)>,
}

/// An input or an output; its first axis is the batch, whatever that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub name: String,
    /// The other axes.
    pub dims: Vec<usize>,
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxModel {
    pub opset: u64,
    pub nodes: Vec<OnnxNode>,
    pub initializers: Vec<Initializer>,
    pub input: Port,
    pub output: Port,
    pub metadata: Vec<(String, String)>,
}

impl OnnxModel {
    /// The oldest version of the format that goes with the operators (ONNX, docs/Versioning.md).
    fn ir_version(&self) -> u64 {
        match self.opset {
            ..=9 => 4,
            10 => 5,
            11 => 6,
            _ => 7,
        }
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in &self.nodes {
            graph.extend(field(1, Wire::Bytes(&node.message())));
        }
        graph.extend(text(2, "network"));
        for initializer in &self.initializers {
            graph.extend(field(5, Wire::Bytes(&initializer.message())));
        }
        graph.extend(field(11, Wire::Bytes(&self.input.message())));
        graph.extend(field(12, Wire::Bytes(&self.output.message())));
        let mut model = field(1, Wire::Whole(self.ir_version()));
        model.extend(text(2, "secateur"));
        model.extend(text(3, env!("CARGO_PKG_VERSION")));
        model.extend(field(7, Wire::Bytes(&graph)));
        model.extend(field(8, Wire::Bytes(&field(2, Wire::Whole(self.opset)))));
        for (key, value) in &self.metadata {
            model.extend(field(14, Wire::Bytes(&[text(1, key), text(2, value)].concat())));
        }
        model
    }

    /// Reads a file; `None` where it is no model, or holds what is not written here.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (mut graph, mut opset, mut metadata) = (None, None, vec![]);
        for (number, value) in fields(bytes)? {
            match (number, value) {
                (7, Wire::Bytes(message)) => graph = Some(message),
                (8, Wire::Bytes(message)) => opset = whole(message, 2),
                (14, Wire::Bytes(message)) => metadata.push((string(message, 1)?, string(message, 2)?)),
                _ => {}
            }
        }
        let (mut nodes, mut initializers, mut input, mut output) = (vec![], vec![], None, None);
        for (number, value) in fields(graph?)? {
            match (number, value) {
                (1, Wire::Bytes(message)) => nodes.push(OnnxNode::read(message)?),
                (5, Wire::Bytes(message)) => initializers.push(Initializer::read(message)?),
                (11, Wire::Bytes(message)) => input = Some(Port::read(message)?),
                (12, Wire::Bytes(message)) => output = Some(Port::read(message)?),
                _ => {}
            }
        }
        Some(Self { opset: opset?, nodes, initializers, input: input?, output: output?, metadata })
    }
}

impl OnnxNode {
    fn message(&self) -> Vec<u8> {
        let mut node = Vec::new();
        node.extend(self.inputs.iter().flat_map(|name| text(1, name)));
        node.extend(self.outputs.iter().flat_map(|name| text(2, name)));
        node.extend(text(3, self.outputs.first().map_or("", String::as_str)));
        node.extend(text(4, &self.operator));
        for (name, value) in &self.attributes {
            let (content, kind) = match value {
                Attribute::Float(value) => (field(2, Wire::Float(*value)), 1),
                Attribute::Int(value) => (field(3, Wire::Whole(*value as u64)), 2),
                Attribute::Ints(all) => (all.iter().flat_map(|v| field(8, Wire::Whole(*v as u64))).collect(), 7),
            };
            let attribute = [text(1, name), content, field(20, Wire::Whole(kind))].concat();
            node.extend(field(5, Wire::Bytes(&attribute)));
        }
        node
    }

    fn read(message: &[u8]) -> Option<Self> {
        let mut node = Self { operator: String::new(), inputs: vec![], outputs: vec![], attributes: vec![] };
        for (number, value) in fields(message)? {
            match (number, value) {
                (1, Wire::Bytes(name)) => node.inputs.push(owned(name)?),
                (2, Wire::Bytes(name)) => node.outputs.push(owned(name)?),
                (4, Wire::Bytes(name)) => node.operator = owned(name)?,
                (5, Wire::Bytes(message)) => node.attributes.push(attribute(message)?),
                _ => {}
            }
        }
        Some(node)
    }
}

fn attribute(message: &[u8]) -> Option<(String, Attribute)> {
    let (mut float, mut int, mut ints) = (0.0, 0, vec![]);
    for (number, value) in fields(message)? {
        match (number, value) {
            (2, Wire::Float(value)) => float = value,
            (3, Wire::Whole(value)) => int = value as i64,
            (8, Wire::Whole(value)) => ints.push(value as i64),
            _ => {}
        }
    }
    let value = match whole(message, 20)? {
        1 => Attribute::Float(float),
        2 => Attribute::Int(int),
        7 => Attribute::Ints(ints),
        _ => return None,
    };
    Some((string(message, 1)?, value))
}

impl Initializer {
    fn message(&self) -> Vec<u8> {
        let mut tensor: Vec<u8> = self.dims.iter().flat_map(|dim| field(1, Wire::Whole(*dim as u64))).collect();
        let (kind, bytes): (u64, Vec<u8>) = match &self.values {
            Values::Floats(all) => (FLOAT, all.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::Ints(all) => (INT64, all.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        tensor.extend(field(2, Wire::Whole(kind)));
        tensor.extend(text(8, &self.name));
        tensor.extend(field(9, Wire::Bytes(&bytes)));
        tensor
    }

    fn read(message: &[u8]) -> Option<Self> {
        let (mut dims, mut raw) = (vec![], &[][..]);
        for (number, value) in fields(message)? {
            match (number, value) {
                (1, Wire::Whole(dim)) => dims.push(usize::try_from(dim).ok()?),
                (9, Wire::Bytes(bytes)) => raw = bytes,
                _ => {}
            }
        }
        let values = match whole(message, 2)? {
            FLOAT => Values::Floats(raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            INT64 => Values::Ints(raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()),
            _ => return None,
        };
        Some(Self { name: string(message, 8)?, dims, values })
    }
}

impl Port {
    fn message(&self) -> Vec<u8> {
        let mut shape = field(1, Wire::Bytes(&text(2, "batch")));
        for dim in &self.dims {
            shape.extend(field(1, Wire::Bytes(&field(1, Wire::Whole(*dim as u64)))));
        }
        let tensor = [field(1, Wire::Whole(FLOAT)), field(2, Wire::Bytes(&shape))].concat();
        [text(1, &self.name), field(2, Wire::Bytes(&field(1, Wire::Bytes(&tensor))))].concat()
    }

    fn read(message: &[u8]) -> Option<Self> {
        let shape = bytes(bytes(bytes(message, 2)?, 1)?, 2)?;
        let mut dims = vec![];
        for (number, value) in fields(shape)?.into_iter().skip(1) {
            if let (1, Wire::Bytes(dim)) = (number, value) {
                dims.push(usize::try_from(whole(dim, 1)?).ok()?);
            }
        }
        Some(Self { name: string(message, 1)?, dims })
    }
}

fn text(number: u64, text: &str) -> Vec<u8> {
    field(number, Wire::Bytes(text.as_bytes()))
}

fn owned(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// The field of this number, where it is text.
fn string(message: &[u8], number: u64) -> Option<String> {
    owned(bytes(message, number)?)
}

fn bytes(message: &[u8], number: u64) -> Option<&[u8]> {
    fields(message)?.into_iter().find_map(|(at, value)| match value {
        Wire::Bytes(bytes) if at == number => Some(bytes),
        _ => None,
    })
}

fn whole(message: &[u8], number: u64) -> Option<u64> {
    fields(message)?.into_iter().find_map(|(at, value)| match value {
        Wire::Whole(whole) if at == number => Some(whole),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_read_is_the_one_that_was_written() {
        let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let model = OnnxModel {
            opset: 11,
            nodes: vec![OnnxNode {
                operator: "Softmax".into(),
                inputs: names(&["input", "w"]),
                outputs: names(&["logits"]),
                attributes: vec![
                    ("axis".into(), Attribute::Int(-1)),
                    ("pads".into(), Attribute::Ints(vec![0, 1, 300])),
                    ("epsilon".into(), Attribute::Float(1e-5)),
                ],
            }],
            initializers: vec![
                Initializer { name: "w".into(), dims: vec![2, 1], values: Values::Floats(vec![0.5, -2.0]) },
                Initializer { name: "shape".into(), dims: vec![1], values: Values::Ints(vec![-1]) },
            ],
            input: Port { name: "input".into(), dims: vec![3, 4, 4] },
            output: Port { name: "logits".into(), dims: vec![10] },
            metadata: vec![("classes".into(), "[\"a\"]".into())],
        };
        let bytes = model.write();
        assert_eq!(OnnxModel::read(&bytes), Some(model));
        // ir_version 6: the first field.
        assert_eq!(bytes[..2], [0x08, 6]);
        assert_eq!(OnnxModel::read(&bytes[..bytes.len() - 1]), None);
    }
}
