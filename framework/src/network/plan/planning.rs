//! From the nodes of a graph to the steps of a plan.

use super::{Compute, Read, Step};
use crate::autograd::Operation;
use crate::backend::{
    Act, Backend, BatchNorm, ChannelStats, Conv2d, Heads, Linear, Pool, Precision, ReadyConv2d, ReadyLinear, Weight,
};
use crate::error::Result;
use crate::network::graph::{Graph, Node, Operand, Source};
use crate::tensor::Tensor;
use std::collections::HashMap;

/// What a step reads, and how it computes.
type Planned<B> = (Vec<Read<B>>, Compute<B>);

/// A plan while it is made.
pub(super) struct Planning<'a, B: Backend> {
    graph: &'a Graph,
    constants: Vec<Tensor<B>>,
    /// Nodes that read each value; the output counts as one past all.
    readers: HashMap<Source, Vec<usize>>,
    /// Where the values are that steps make.
    made: HashMap<Source, usize>,
    pub places: usize,
    /// The node with which each node is computed, where that is another one.
    with: HashMap<usize, usize>,
    pub steps: Vec<Step<B>>,
}

/// A convolution or a linear layer with what follows it.
struct Fused {
    norm: Option<usize>,
    added: Option<Operand>,
    act: Act,
    pool: bool,
    /// The last of its nodes.
    last: usize,
    /// The linear layer before it, where it alone reads what that gives.
    behind: Option<(usize, Box<Self>)>,
}

/// A layer among those that are to be computed, each under the last node that it takes along.
fn among(layers: &mut HashMap<usize, (usize, Fused)>, layer: usize) -> Option<&mut Fused> {
    layers.values_mut().find(|(at, _)| *at == layer).map(|(_, fused)| fused)
}

impl<'a, B: Backend> Planning<'a, B> {
    pub fn of(device: &B, graph: &'a Graph) -> Result<Self> {
        let constants = graph.constants.iter();
        let constants = constants.map(|c| Tensor::from_vec(device, c.values.clone(), &c.shape[..]));
        let mut readers: HashMap<Source, Vec<usize>> = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| readers.entry(input.source).or_default().push(at));
        }
        readers.entry(graph.output.source).or_default().push(graph.nodes.len());
        Ok(Self {
            graph,
            constants: constants.collect::<Result<_>>()?,
            readers,
            made: HashMap::from([(Source::Input, 0)]),
            places: 1,
            with: HashMap::new(),
            steps: vec![],
        })
    }

    /// Plans all nodes; `None` where one has no plan.
    pub fn all(&mut self) -> Result<Option<()>> {
        // A layer is computed where the last node stands that it takes along: what is added is there by then.
        let mut layers: HashMap<usize, (usize, Fused)> = HashMap::new();
        for (at, node) in self.graph.nodes.iter().enumerate() {
            if matches!(node.operation, Operation::Conv2d { .. } | Operation::Linear) {
                let fused = self.fused(at);
                layers.insert(fused.last, (at, fused));
            }
        }
        for (at, node) in self.graph.nodes.iter().enumerate() {
            let step = match layers.remove(&at) {
                Some((layer, fused)) => match self.leads_to(layer, &fused).and_then(|next| among(&mut layers, next)) {
                    // Computed with the layer that reads it.
                    Some(next) => {
                        next.behind = Some((layer, Box::new(fused)));
                        continue;
                    }
                    None => self.layer(&self.graph.nodes[layer], &fused)?,
                },
                None if self.with.contains_key(&at) => continue,
                None => self.single(node),
            };
            let Some((inputs, compute)) = step else { return Ok(None) };
            let place = self.places;
            self.places += 1;
            self.made.insert(Source::Node(at, 0), place);
            self.steps.push(Step { inputs, compute, place, done: vec![] });
        }
        Ok(Some(()))
    }

    /// The only node that reads what node `at` makes, as it was made.
    fn follower(&self, at: usize) -> Option<(usize, &'a Node)> {
        let [reader] = self.readers.get(&Source::Node(at, 0))?[..] else { return None };
        let node = self.graph.nodes.get(reader).filter(|_| !self.with.contains_key(&reader))?;
        let made = &self.graph.nodes[at].outputs[0];
        let whole = |input: &&Operand| input.source == Source::Node(at, 0) && input.extents == *made;
        (node.inputs.iter().filter(whole).count() == 1).then_some((reader, node))
    }

    /// The linear layer that alone reads what a linear layer gives, to which nothing is added.
    fn leads_to(&self, layer: usize, fused: &Fused) -> Option<usize> {
        let linear = |node: &Node| matches!(node.operation, Operation::Linear);
        if !linear(&self.graph.nodes[layer]) || fused.added.is_some() {
            return None;
        }
        let [reader] = self.readers.get(&Source::Node(fused.last, 0))?[..] else { return None };
        let (next, made) = (self.graph.nodes.get(reader)?, &self.graph.nodes[fused.last].outputs[0]);
        let x = next.inputs.first()?;
        (linear(next) && x.source == Source::Node(fused.last, 0) && x.extents == *made).then_some(reader)
    }

    /// What a layer takes along.
    fn fused(&mut self, layer: usize) -> Fused {
        let conv = matches!(self.graph.nodes[layer].operation, Operation::Conv2d { .. });
        let mut fused = Fused { norm: None, added: None, act: Act::None, pool: false, last: layer, behind: None };
        while let Some((at, node)) = self.follower(fused.last) {
            let first = fused.act == Act::None && fused.added.is_none() && !fused.pool;
            match node.operation {
                Operation::BatchNorm { .. } if conv && first && fused.norm.is_none() => fused.norm = Some(at),
                // A convolution adds before its activation, a linear layer behind it.
                Operation::Act(act) if fused.act == Act::None && !fused.pool && !(conv && act.needs_pre(false)) => {
                    if !conv && fused.added.is_some() {
                        break;
                    }
                    fused.act = act;
                }
                Operation::Add if fused.added.is_none() && !fused.pool && !(conv && fused.act != Act::None) => {
                    let own = Source::Node(fused.last, 0);
                    let Some(other) = node.inputs.iter().find(|input| input.source != own) else { break };
                    if other.extents != node.outputs[0] || matches!(other.source, Source::Constant(_)) {
                        break;
                    }
                    fused.added = Some(other.clone());
                }
                Operation::Pool(pool) if conv && pool == Pool::HALVING && fused.added.is_none() && !fused.pool => {
                    fused.pool = true;
                }
                _ => break,
            }
            self.with.insert(at, layer);
            fused.last = at;
        }
        if fused.last != layer {
            self.with.insert(layer, layer);
        }
        fused
    }

    pub fn read(&self, operand: &Operand) -> Option<Read<B>> {
        Some(match operand.source {
            Source::Constant(at) => Read::Held(self.constants[at].reshape(&operand.extents.rest[..]).ok()?),
            source => Read::Made { place: *self.made.get(&source)?, extents: operand.extents.clone() },
        })
    }

    fn held(&self, operand: &Operand) -> Option<Tensor<B>> {
        if let Read::Held(value) = self.read(operand)? { Some(value) } else { None }
    }

    /// A convolution or a linear layer, with what it takes along.
    fn layer(&self, node: &Node, fused: &Fused) -> Result<Option<Planned<B>>> {
        let Operation::Conv2d { stride, padding, groups } = node.operation else { return self.linear(node, fused) };
        let [x, w, b @ ..] = &node.inputs[..] else { return Ok(None) };
        let inputs: Option<Vec<_>> = std::iter::once(x).chain(&fused.added).map(|one| self.read(one)).collect();
        let bias = b.first().map(|b| self.held(b));
        let (Some(inputs), Some(w)) = (inputs, self.held(w)) else { return Ok(None) };
        if matches!(bias, Some(None)) {
            return Ok(None);
        }
        let (b, act) = (bias.flatten(), fused.act);
        let (w, b) = match fused.norm {
            None => (w, b),
            Some(at) => match self.folded(&self.graph.nodes[at], &w, b.as_ref())? {
                Some((w, b)) => (w, Some(b)),
                None => return Ok(None),
            },
        };
        let x = Tensor::zeros(w.device(), &x.extents.at(1)[..])?;
        let op = Conv2d { x, w: Weight::plain(w), b, stride, padding, groups, act, pool: fused.pool };
        let ready: ReadyConv2d<B> = match B::ready_conv2d(&op)? {
            Some(ready) => ready,
            None => Box::new(move |x, added| {
                let act = if added.is_some() { Act::None } else { op.act };
                let y = B::conv2d(&Conv2d { x: x.clone(), act, ..op.clone() }, false)?.0;
                let Some(added) = added else { return Ok(y) };
                let y = y.add(added)?;
                if op.act == Act::None { Ok(y) } else { B::activation(op.act, &y) }
            }),
        };
        Ok(Some((inputs, Box::new(move |inputs, _| ready(&inputs[0], inputs.get(1))))))
    }

    /// A linear layer, behind others where each alone reads what the one before it gives.
    fn linear(&self, node: &Node, fused: &Fused) -> Result<Option<Planned<B>>> {
        let (mut ops, mut at) = (vec![], Some((node, fused)));
        let mut first = None;
        while let Some((node, fused)) = at {
            let [x, w, b @ ..] = &node.inputs[..] else { return Ok(None) };
            let (Some(w), b) = (self.held(w), b.first().map(|b| self.held(b))) else { return Ok(None) };
            if matches!(b, Some(None)) {
                return Ok(None);
            }
            first = Some(x);
            let x = Tensor::zeros(w.device(), &x.extents.at(1)[..])?;
            ops.push(Linear { x, w: Weight::plain(w), b: b.flatten(), residual: None, act: fused.act });
            at = fused.behind.as_ref().map(|(layer, fused)| (&self.graph.nodes[*layer], &**fused));
        }
        ops.reverse();
        let inputs: Option<Vec<_>> = first.into_iter().chain(&fused.added).map(|one| self.read(one)).collect();
        let Some(inputs) = inputs else { return Ok(None) };
        let ready: ReadyLinear<B> = match B::ready_linear(&ops) {
            Some(ready) => ready,
            None => Box::new(move |x, residual| {
                let (mut x, last) = (x.clone(), ops.len() - 1);
                for (i, op) in ops.iter().enumerate() {
                    let residual = residual.filter(|_| i == last).cloned();
                    x = B::linear(&Linear { x, residual, ..op.clone() }, false)?.0;
                }
                Ok(x)
            }),
        };
        Ok(Some((inputs, Box::new(move |inputs, _| ready(&inputs[0], inputs.get(1))))))
    }

    /// Weight and bias of a convolution that computes the batch normalisation behind it too: with s = gamma / sqrt(variance
    /// + eps) of each channel, w s and (b - mean) s + beta.
    fn folded(&self, norm: &Node, w: &Tensor<B>, b: Option<&Tensor<B>>) -> Result<Option<(Tensor<B>, Tensor<B>)>> {
        let Operation::BatchNorm { eps } = norm.operation else { return Ok(None) };
        let held: Option<Vec<_>> = norm.inputs[1..].iter().map(|one| self.held(one)).collect();
        let Some([gamma, beta, mean, variance]) = held.as_deref() else { return Ok(None) };
        let (filters, mut values) = (gamma.count(), w.to_vec());
        let (gamma, beta, mean, variance) = (gamma.host(), beta.host(), mean.host(), variance.host());
        let bias = b.map(|b| b.to_vec()).unwrap_or_else(|| vec![0.0; filters]);
        let scale = |f: usize| f64::from(gamma[f]) / (f64::from(variance[f]) + f64::from(eps)).sqrt();
        let each = values.len() / filters.max(1);
        for (f, filter) in values.chunks_mut(each.max(1)).enumerate() {
            filter.iter_mut().for_each(|w| *w = (f64::from(*w) * scale(f)) as f32);
        }
        let shifted = |f: usize| (f64::from(bias[f]) - f64::from(mean[f])) * scale(f) + f64::from(beta[f]);
        let bias = (0..filters).map(|f| shifted(f) as f32).collect();
        let (w, device) = (Tensor::from_vec(w.device(), values, w.shape())?, w.device());
        Ok(Some((w, Tensor::from_vec(device, bias, [filters])?)))
    }

    /// An operation by itself; `None` where a plan does not know it.
    fn single(&self, node: &Node) -> Option<Planned<B>> {
        let inputs: Vec<Read<B>> = node.inputs.iter().map(|one| self.read(one)).collect::<Option<_>>()?;
        let like_output =
            |input: &Operand| input.extents == node.outputs[0] && !matches!(input.source, Source::Constant(_));
        let compute: Compute<B> = match node.operation {
            Operation::BatchNorm { eps } => Box::new(move |v, _| {
                let stats = ChannelStats { mean: v[3].clone(), variance: v[4].clone() };
                let (x, gamma, beta) = (v[0].clone(), v[1].clone(), v[2].clone());
                B::batch_norm(&BatchNorm { x, gamma, beta, stats, of_batch: false, eps })
            }),
            Operation::LayerNorm { eps } => Box::new(move |v, _| Ok(B::layer_norm(&v[0], &v[1], &v[2], eps)?.0)),
            Operation::Act(act) => Box::new(move |v, _| B::activation(act, &v[0])),
            Operation::Pool(pool) => Box::new(move |v, _| Ok(B::pool(&v[0], pool)?.0)),
            Operation::Add if node.inputs.iter().all(like_output) => Box::new(|v, _| v[0].add(&v[1])),
            Operation::Mul if node.inputs.iter().all(like_output) => Box::new(|v, _| v[0].mul(&v[1])),
            Operation::Attention { tokens, heads, head_dim, scale } => Box::new(move |v, batch| {
                let shape = Heads { batch, tokens, heads, head_dim, scale };
                Ok(B::attention(shape, &v[0], v.get(1), Precision::F32, false)?.0)
            }),
            Operation::Patches { side } => Box::new(move |v, _| B::patches(&v[0], side)),
            Operation::Embed { class, position } => Box::new(move |v, _| {
                let class = class.then(|| &v[1]);
                let position = position.then(|| &v[1 + usize::from(class.is_some())]);
                B::embed(&v[0], class, position)
            }),
            Operation::MeanTokens => Box::new(|v, _| B::mean_tokens(&v[0], v.get(1))),
            Operation::TakeToken { index } => Box::new(move |v, _| B::take_token(&v[0], index)),
            _ => return None,
        };
        Some((inputs, compute))
    }
}
