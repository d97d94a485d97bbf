//! Pickles, read without running them.
//!
//! A pickle is a program for a stack machine, which may call whatever it names. This one knows the instructions that
//! plain containers and tensors need, and the few names that stand for those; anything else is refused by its name
//! before anything comes of it (Python's `pickletools.py` describes every instruction).
//!
//! Longer than 300 lines because the machine, its stack and its instructions are one account, which is checked at once.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// The largest pickle that is read, in bytes: a state dict has about 150 for each tensor, whose numbers stand elsewhere.
const LARGEST: usize = 8 << 20;

/// A value of a pickle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// `None`.
    Nothing,
    /// `True` and `False`.
    Flag(bool),
    /// A whole number of at most 64 bits.
    Whole(i64),
    /// A fraction, or a larger whole number: nothing that a tensor is made with.
    Number,
    /// A text.
    Text(&'a str),
    /// A type or function that is known here.
    Name(Name),
    /// A container or tensor: its place among [`Pickle::nodes`].
    Node(usize),
    /// Where the arguments of an instruction begin.
    Mark,
}

/// The names that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter`.
    Parameter,
    /// `torch.FloatStorage` and the others: what the numbers of a tensor are, by the name before `Storage`.
    Storage(&'static str),
}

/// A container or tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    /// A list.
    List(Vec<Value<'a>>),
    /// A tuple.
    Tuple(Vec<Value<'a>>),
    /// A dict, in its order.
    Dict {
        /// Keys and values.
        items: Vec<(Value<'a>, Value<'a>)>,
        /// Whether it is an `OrderedDict`, which may have attributes.
        ordered: bool,
    },
    /// Numbers of tensors: what they are, and the name of the file that holds them.
    Storage {
        /// The name before `Storage`: `Float`.
        numbers: &'static str,
        /// The file, among those in `data/`.
        file: &'a str,
    },
    /// A tensor.
    Tensor(Box<Tensor<'a>>),
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor<'a> {
    /// What its numbers are: `Float`.
    pub numbers: &'static str,
    /// The file that holds them, among those in `data/`.
    pub file: &'a str,
    /// The first of them, in elements.
    pub offset: usize,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Elements between two neighbours on each axis.
    pub strides: Vec<usize>,
}

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    /// Its containers and tensors. A container may hold itself, and be held by many.
    pub nodes: Vec<Node<'a>>,
    /// What it is the pickle of.
    pub root: Value<'a>,
}

/// The storages of PyTorch, by the name before `Storage`.
const STORAGES: [&str; 12] = [
    "Float",
    "Double",
    "Half",
    "BFloat16",
    "Long",
    "Int",
    "Short",
    "Char",
    "Byte",
    "Bool",
    "ComplexFloat",
    "ComplexDouble",
];

impl Name {
    fn of(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::Tensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::Parameter),
            ("torch", name) => {
                let numbers = name.strip_suffix("Storage")?;
                STORAGES.into_iter().find(|known| *known == numbers).map(Self::Storage)
            }
            _ => None,
        }
    }
}

/// Reads a pickle.
///
/// # Errors
/// It uses a name or an instruction that is refused; it is damaged.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    if bytes.len() > LARGEST {
        return Err(refused(format!("it has {} bytes, and no state dict has more than {LARGEST}", bytes.len())));
    }
    let mut machine = Machine { rest: bytes, stack: vec![], memo: HashMap::new(), nodes: vec![] };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { nodes: machine.nodes, root })
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    memo: HashMap<u64, Value<'a>>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Machine<'a> {
    /// Carries out one instruction; whether there is another one.
    fn step(&mut self) -> Result<bool> {
        let instruction = self.take(1)?[0];
        match instruction {
            b'.' => return Ok(false),
            0x80 => _ = self.take(1)?,
            0x95 => _ = self.take(8)?,
            b'(' => self.stack.push(Value::Mark),
            b'0' => _ = self.pop()?,
            b'1' => _ = self.since_mark()?,
            b'2' => self.stack.push(self.top()?),
            b'N' => self.stack.push(Value::Nothing),
            0x88 => self.stack.push(Value::Flag(true)),
            0x89 => self.stack.push(Value::Flag(false)),
            b'K' => self.whole(1)?,
            b'M' => self.whole(2)?,
            b'J' => {
                let bits = self.number(4)? as u32;
                self.stack.push(Value::Whole(i64::from(bits.cast_signed())));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' => self.digits()?,
            b'L' => self.digits()?,
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Number);
            }
            b'F' => {
                self.line()?;
                self.stack.push(Value::Number);
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b')' => self.node(Node::Tuple(vec![])),
            b't' => {
                let all = self.since_mark()?;
                self.node(Node::Tuple(all));
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(instruction - 0x84)).ok_or_else(empty)?;
                let all = self.stack.split_off(from);
                self.node(Node::Tuple(all));
            }
            b']' => self.node(Node::List(vec![])),
            b'l' => {
                let all = self.since_mark()?;
                self.node(Node::List(all));
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' => {
                let all = self.since_mark()?;
                self.append(all)?;
            }
            b'}' => self.node(Node::Dict { items: vec![], ordered: false }),
            b'd' => {
                let all = self.since_mark()?;
                self.node(Node::Dict { items: vec![], ordered: false });
                self.set(all)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let all = self.since_mark()?;
                self.set(all)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name)?;
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    return Err(refused("a name in it is no text"));
                };
                self.name(module, name)?;
            }
            b'R' => self.call()?,
            b'b' => self.attributes()?,
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => _ = self.memo.insert(self.memo.len() as u64, self.top()?),
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'Q' => self.storage()?,
            other => return Err(refused(format!("it has {}, and a state dict has nothing of that kind", said(other)))),
        }
        Ok(true)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| refused("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of so many bytes, the lowest first.
    fn number(&mut self, size: usize) -> Result<u64> {
        Ok(self.take(size)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| refused("it ends too early"))?;
        let line = self.take(end)?;
        self.take(1)?;
        utf8(line)
    }

    fn whole(&mut self, size: usize) -> Result<()> {
        let value = self.number(size)?;
        self.stack.push(Value::Whole(value as i64));
        Ok(())
    }

    /// A whole number in two's complement, of as many bytes as the number before it says.
    fn long(&mut self, size: usize) -> Result<()> {
        let length = self.number(size)? as usize;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let value = match length {
            0..=8 => {
                let start = if negative { -1 } else { 0 };
                Value::Whole(bytes.iter().rev().fold(start, |value: i64, byte| value << 8 | i64::from(*byte)))
            }
            _ => Value::Number,
        };
        self.stack.push(value);
        Ok(())
    }

    /// A whole number or a flag in digits.
    fn digits(&mut self) -> Result<()> {
        let value = match self.line()? {
            "00" => Value::Flag(false),
            "01" => Value::Flag(true),
            digits => digits.trim_end_matches('L').parse().map_or(Value::Number, Value::Whole),
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, size: usize) -> Result<()> {
        let length = usize::try_from(self.number(size)?).map_err(|_| refused("it ends too early"))?;
        let text = utf8(self.take(length)?)?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn node(&mut self, node: Node<'a>) {
        self.nodes.push(node);
        self.stack.push(Value::Node(self.nodes.len() - 1));
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        self.stack.pop().filter(|value| *value != Value::Mark).ok_or_else(empty)
    }

    fn top(&self) -> Result<Value<'a>> {
        self.stack.last().copied().ok_or_else(empty)
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark).ok_or_else(empty)?;
        let all = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(all)
    }

    fn append(&mut self, values: Vec<Value<'a>>) -> Result<()> {
        match self.top_node()? {
            Node::List(list) => list.extend(values),
            _ => return Err(refused("something is appended to what is no list")),
        }
        Ok(())
    }

    /// Sets keys, each with its value behind it.
    fn set(&mut self, pairs: Vec<Value<'a>>) -> Result<()> {
        match self.top_node()? {
            Node::Dict { items, .. } => items.extend(pairs.as_chunks().0.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(refused("a key is set in what is no dict")),
        }
        Ok(())
    }

    fn top_node(&mut self) -> Result<&mut Node<'a>> {
        let Value::Node(at) = self.top()? else { return Err(refused("what is changed is no container")) };
        Ok(&mut self.nodes[at])
    }

    fn remember(&mut self, size: usize) -> Result<()> {
        let key = self.number(size)?;
        self.memo.insert(key, self.top()?);
        Ok(())
    }

    fn recall(&mut self, size: usize) -> Result<()> {
        let key = self.number(size)?;
        let value = self.memo.get(&key).ok_or_else(|| refused("it recalls what it did not remember"))?;
        self.stack.push(*value);
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<()> {
        let known = Name::of(module, name).ok_or_else(|| {
            let fix = if (module, name.starts_with("_rebuild_")) == ("torch._utils", true) {
                "of tensors only plain ones of 16, 32 or 64 bits are; save floats: torch.save({name: t.float() for name, t \
                 in model.state_dict().items()}, \"weights.pt\")"
            } else {
                "only tensors, dicts, lists, tuples, texts and numbers are; save the state dict alone: \
                 torch.save(model.state_dict(), \"weights.pt\")"
            };
            refused(format!("it names `{module}.{name}`, which is not loaded: {fix}"))
        })?;
        self.stack.push(Value::Name(known));
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let (arguments, called) = (self.pop()?, self.pop()?);
        let arguments = self.tuple(arguments).ok_or_else(|| refused("a call in it has no tuple of arguments"))?;
        let made = match (called, arguments) {
            (Value::Name(Name::OrderedDict), []) => Node::Dict { items: vec![], ordered: true },
            (Value::Name(Name::Tensor), [storage, offset, shape, strides, ..]) => {
                Node::Tensor(Box::new(self.tensor(*storage, *offset, *shape, *strides).ok_or_else(odd_tensor)?))
            }
            (Value::Name(Name::Parameter), [Value::Node(at), ..]) if matches!(self.nodes[*at], Node::Tensor(_)) => {
                let at = *at;
                self.stack.push(Value::Node(at));
                return Ok(());
            }
            (Value::Name(Name::Tensor | Name::Parameter), _) => return Err(odd_tensor()),
            _ => return Err(refused("it calls something with arguments that no state dict has")),
        };
        self.node(made);
        Ok(())
    }

    fn tensor(
        &self,
        storage: Value<'a>,
        offset: Value<'a>,
        shape: Value<'a>,
        strides: Value<'a>,
    ) -> Option<Tensor<'a>> {
        let Value::Node(at) = storage else { return None };
        let Node::Storage { numbers, file } = self.nodes[at] else { return None };
        let whole = |value: &Value<'_>| match value {
            Value::Whole(n) => usize::try_from(*n).ok(),
            _ => None,
        };
        let all = |value: Value<'a>| self.tuple(value)?.iter().map(whole).collect::<Option<Vec<usize>>>();
        let (shape, strides) = (all(shape)?, all(strides)?);
        let offset = whole(&offset)?;
        (shape.len() == strides.len()).then_some(Tensor { numbers, file, offset, shape, strides })
    }

    fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        let Value::Node(at) = value else { return None };
        if let Node::Tuple(all) = &self.nodes[at] { Some(all) } else { None }
    }

    /// Attributes of an `OrderedDict`, such as the versions of a state dict's modules: nothing that is needed.
    fn attributes(&mut self) -> Result<()> {
        self.pop()?;
        match self.top_node()? {
            Node::Dict { ordered: true, .. } => Ok(()),
            _ => Err(refused("it sets attributes of something that has none")),
        }
    }

    /// What stands outside of the pickle: `("storage", torch.FloatStorage, "0", "cpu", 1024)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let made = match self.tuple(id) {
            Some([Value::Text("storage"), Value::Name(Name::Storage(numbers)), Value::Text(file), ..]) => {
                Node::Storage { numbers, file }
            }
            _ => return Err(refused("something that it refers to is no storage")),
        };
        self.node(made);
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| refused("a text in it is no UTF-8"))
}

/// What an instruction makes that is refused.
fn said(instruction: u8) -> String {
    let what = match instruction {
        b'B' | b'C' | 0x8e | 0x96..=0x98 => "bytes",
        b'S' | b'T' | b'U' | b'V' => "a text of an old protocol",
        0x8f..=0x91 => "a set",
        b'i' | b'o' | 0x81 | 0x92 => "an object of a class",
        0x82..=0x84 => "a name by a number",
        other => return format!("the instruction {other:#04x}"),
    };
    what.to_owned()
}

fn empty() -> Error {
    refused("it takes something that is not there")
}

fn odd_tensor() -> Error {
    refused("a tensor in it is not made as PyTorch makes them")
}

fn refused(why: impl Into<String>) -> Error {
    Error::Other(format!("its pickle cannot be read: {}", why.into()))
}
