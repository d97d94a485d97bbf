//! The tensors of a PyTorch file: a zip archive with `data.pkl`, which names them, and a file of numbers for each
//! storage that they are views of.

use super::pickle::{self, Node, Pickle, Value};
use super::tensor::{Bytes, Numbers, TensorInFile};
use super::zip::{self, Stored};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// What holds the weights among other things that a training script keeps.
const HOLDERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];
/// How deep dicts and lists may stand in each other.
const DEPTH: usize = 16;

/// The tensors of the file, by dotted names, in its order; tensors within lists go by their number.
///
/// # Errors
/// It is no such archive, or cut short; its pickle holds anything but plain containers and tensors; a tensor reaches
/// beyond its storage.
pub(super) fn tensors(file: &[u8]) -> Result<Vec<TensorInFile>> {
    let all = zip::files(file)?;
    const INDEX: &str = "data.pkl";
    let index = all.iter().find(|one| one.name == INDEX || one.name.ends_with("/data.pkl"));
    let index = index.ok_or_else(|| Error::Other("this zip archive is not PyTorch's: it has no data.pkl".into()))?;
    let folder = index.name.strip_suffix(INDEX).unwrap_or_default();
    let find = |name: &str| all.iter().find(|one| one.name.strip_prefix(folder) == Some(name));
    let big_endian = find("byteorder").is_some_and(|order| file[order.at.clone()].trim_ascii() == b"big");
    let pickle = pickle::read(&file[index.at.clone()])?;
    let mut named = Named { pickle: &pickle, find: &find, big_endian, seen: 0, all: BTreeMap::new() };
    named.walk(named.weights(pickle.root), "", 0)?;
    let mut all: Vec<_> = named.all.into_values().collect();
    all.sort_by_key(|(order, _)| *order);
    Ok(all.into_iter().map(|(_, tensor)| tensor).collect())
}

struct Named<'p, 'a> {
    pickle: &'p Pickle<'a>,
    find: &'p dyn Fn(&str) -> Option<&'p Stored<'a>>,
    big_endian: bool,
    /// Values looked at: a container that holds another one twice would be walked through twice, and so on.
    seen: usize,
    /// By name, with the place of each.
    all: BTreeMap<String, (usize, TensorInFile)>,
}

impl<'a> Named<'_, 'a> {
    /// The dict of weights: the whole, or what a training script keeps under one of the usual keys.
    fn weights(&self, root: Value<'a>) -> Value<'a> {
        let Some(Node::Dict { items, .. }) = self.node(root) else { return root };
        let under = |name: &str| {
            let held = items.iter().rev().find(|(key, _)| *key == Value::Text(name));
            held.map(|(_, value)| *value).filter(|value| matches!(self.node(*value), Some(Node::Dict { .. })))
        };
        HOLDERS.into_iter().find_map(under).unwrap_or(root)
    }

    fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        if let Value::Node(at) = value { self.pickle.nodes.get(at) } else { None }
    }

    fn walk(&mut self, value: Value<'a>, name: &str, depth: usize) -> Result<()> {
        self.seen += 1;
        if depth > DEPTH || self.seen > 1_000_000 {
            return Err(Error::Other("its pickle cannot be read: its containers hold each other too often".into()));
        }
        let pickle = self.pickle;
        let Value::Node(at) = value else { return Ok(()) };
        let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match &pickle.nodes[at] {
            Node::Dict { items, .. } => {
                for (key, value) in items {
                    match key {
                        Value::Text(key) => self.walk(*value, &inner(key), depth + 1)?,
                        Value::Whole(key) => self.walk(*value, &inner(&key.to_string()), depth + 1)?,
                        _ => {}
                    }
                }
            }
            Node::List(all) | Node::Tuple(all) => {
                for (number, value) in all.iter().enumerate() {
                    self.walk(*value, &inner(&number.to_string()), depth + 1)?;
                }
            }
            Node::Tensor(tensor) => {
                let tensor = self.tensor(name, tensor)?;
                self.all.insert(name.to_owned(), (self.seen, tensor));
            }
            Node::Storage { .. } => {}
        }
        Ok(())
    }

    fn tensor(&self, name: &str, tensor: &pickle::Tensor<'a>) -> Result<TensorInFile> {
        let pickle::Tensor { numbers, file, offset, shape, strides } = tensor;
        let stored = (self.find)(&format!("data/{file}"))
            .ok_or_else(|| Error::Other(format!("the numbers of `{name}` are missing: there is no data/{file}")))?;
        let numbers = match *numbers {
            "Float" => Numbers::F32,
            "Double" => Numbers::F64,
            "Half" => Numbers::F16,
            "BFloat16" => Numbers::Bf16,
            other => Numbers::Other(other.to_lowercase()),
        };
        let bytes =
            Bytes { at: stored.at.clone(), offset: *offset, strides: strides.clone(), big_endian: self.big_endian };
        TensorInFile::new(name, numbers, shape.clone(), bytes)
    }
}
