//! Operations of tokens in ONNX.

use secateur::network::graph::Node;

use super::lower::{Lowering, ints};
use super::model::Attribute;

fn axis(axis: i64) -> Vec<(&'static str, Attribute)> {
    vec![("axis", Attribute::Int(axis))]
}

/// Sums or means over one axis, which goes or stays as an axis of one.
fn over(axis: usize, stays: bool) -> Vec<(&'static str, Attribute)> {
    vec![("axes", ints(&[axis])), ("keepdims", Attribute::Int(i64::from(stays)))]
}

impl Lowering<'_> {
    fn transpose(&mut self, x: &str, order: &[usize]) -> String {
        self.node("Transpose", &[x], vec![("perm", ints(order))])
    }

    /// Every `step`th index of an axis from `start` on, before `end`.
    fn slice(&mut self, x: &str, axis: usize, (start, end, step): (usize, usize, usize)) -> String {
        self.since(10);
        let [start, end, axis, step] = [start, end, axis, step].map(|v| self.whole(vec![v as i64]));
        self.node("Slice", &[x, &start, &end, &axis, &step], vec![])
    }

    pub(super) fn attention(&mut self, named: &[&str], [tokens, heads, dim]: [usize; 3], scale: f32) -> String {
        let [t, h, d] = [tokens, heads, dim].map(|v| v as i64);
        let parts = self.reshape(named[0], vec![-1, t, 3, h, d]);
        let parts = self.transpose(&parts, &[2, 0, 3, 1, 4]);
        let [q, k, v] = [0, 1, 2].map(|part| {
            let index = self.index(part);
            self.node("Gather", &[&parts, &index], axis(0))
        });
        let k = self.transpose(&k, &[0, 1, 3, 2]);
        let scale = self.number(scale);
        let q = self.node("Mul", &[&q, &scale], vec![]);
        let mut logits = self.node("MatMul", &[&q, &k], vec![]);
        if let Some(sizes) = named.get(1) {
            let sizes = self.node("Log", &[sizes], vec![]);
            let sizes = self.reshape(&sizes, vec![-1, 1, 1, t]);
            logits = self.node("Add", &[&logits, &sizes], vec![]);
        }
        let shares = self.node("Softmax", &[&logits], axis(3));
        let y = self.node("MatMul", &[&shares, &v], vec![]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        self.reshape(&y, vec![-1, h * d])
    }

    pub(super) fn patches(&mut self, node: &Node, x: &str, side: usize) -> String {
        let &[channels, rows, columns] = &node.inputs[0].extents.rest[..] else { return x.to_owned() };
        let parts = [channels, rows / side, side, columns / side, side].map(|v| v as i64);
        let x = self.reshape(x, [-1].into_iter().chain(parts).collect());
        let x = self.transpose(&x, &[0, 2, 4, 1, 3, 5]);
        self.reshape(&x, vec![-1, (channels * side * side) as i64])
    }

    pub(super) fn embed(&mut self, node: &Node, named: &[&str], class: bool, position: bool) -> String {
        let mut x = named[0].to_owned();
        let dim = node.outputs[0].rest.last().copied().unwrap_or(1) as i64;
        if class {
            let shape = self.node("Shape", &[&x], vec![]);
            let (first, rest) = (self.whole(vec![0]), self.whole(vec![1, dim]));
            let batch = self.node("Gather", &[&shape, &first], axis(0));
            let shape = self.node("Concat", &[&batch, &rest], axis(0));
            let token = self.reshape(named[1], vec![1, 1, dim]);
            let token = self.node("Expand", &[&token, &shape], vec![]);
            x = self.node("Concat", &[&token, &x], axis(1));
        }
        if position {
            let tokens = node.outputs[0].rest.first().copied().unwrap_or(1) as i64;
            let positions = self.reshape(named[1 + usize::from(class)], vec![1, tokens, dim]);
            x = self.node("Add", &[&x, &positions], vec![]);
        }
        x
    }

    pub(super) fn mean_tokens(&mut self, node: &Node, named: &[&str]) -> String {
        let Some(sizes) = named.get(1) else { return self.node("ReduceMean", &[named[0]], over(1, false)) };
        let tokens = node.inputs[0].extents.rest.first().copied().unwrap_or(1) as i64;
        let sizes = self.reshape(sizes, vec![-1, tokens, 1]);
        let weighted = self.node("Mul", &[named[0], &sizes], vec![]);
        let [sum, total] = [weighted, sizes].map(|x| self.node("ReduceSum", &[&x], over(1, false)));
        self.node("Div", &[&sum, &total], vec![])
    }

    pub(super) fn mean_keys(&mut self, node: &Node, qkv: &str, heads: usize, dim: usize) -> String {
        let width = heads * dim;
        let keys = self.slice(qkv, 1, (width, 2 * width, 1));
        let keys = self.reshape(&keys, vec![-1, heads as i64, dim as i64]);
        let mean = self.node("ReduceMean", &[&keys], over(1, false));
        let tokens = node.outputs[0].rest.first().copied().unwrap_or(1) as i64;
        self.reshape(&mean, vec![-1, tokens, dim as i64])
    }

    /// Bipartite soft matching of what tokens are compared by, and the size-weighted means of the tokens `x`.
    ///
    /// Tokens take turns between A and B. Each of A has its most similar one of B; the `r` of A with the highest
    /// similarity join theirs. What is left: protected tokens, the other ones of A, those of B. Sums over the tokens that
    /// go together are products with a matrix of zeros and ones, which has a part for A, that depends on the example, and
    /// one for all others, that does not.
    pub(super) fn merge(&mut self, node: &Node, named: &[&str], r: usize, protected: usize) -> Vec<String> {
        self.since(11);
        let &[tokens, dim] = &node.inputs[1].extents.rest[..] else { return vec![] };
        let (metric, x, sizes) = (named[0], named[1], named[2]);
        let (a_start, b_start) = (2 * protected.div_ceil(2), 2 * (protected / 2) + 1);
        let (a, b) = ((tokens - a_start).div_ceil(2), (tokens - b_start).div_ceil(2));
        let kept = tokens - r;
        let first_b = protected + a - r;

        let square = self.node("Mul", &[metric, metric], vec![]);
        let norm = self.node("ReduceSum", &[&square], over(2, true));
        let norm = self.node("Sqrt", &[&norm], vec![]);
        let least = self.number(f32::MIN_POSITIVE);
        let norm = self.node("Max", &[&norm, &least], vec![]);
        let unit = self.node("Div", &[metric, &norm], vec![]);
        let of_a = self.slice(&unit, 1, (a_start, tokens, 2));
        let of_b = self.slice(&unit, 1, (b_start, tokens, 2));
        let of_b = self.transpose(&of_b, &[0, 2, 1]);
        let scores = self.node("MatMul", &[&of_a, &of_b], vec![]);
        let best = self.node("ReduceMax", &[&scores], over(2, false));
        let partner =
            self.node("ArgMax", &[&scores], vec![("axis", Attribute::Int(2)), ("keepdims", Attribute::Int(0))]);
        let partner = self.node("Cast", &[&partner], vec![("to", Attribute::Int(1))]);

        // The r best, as ones among zeros.
        let count = self.whole(vec![r as i64]);
        let top = self.top(&best, &count);
        let (depth, values) = (self.index(a), self.floats(vec![2], vec![0.0, 1.0]));
        let ones = self.node("OneHot", &[&top, &depth, &values], vec![]);
        let joins = self.node("ReduceSum", &[&ones], over(1, false));
        let one = self.number(1.0);
        let stays = self.node("Sub", &[&one, &joins], vec![]);

        // Where each of A goes.
        let along = self.index(1);
        let place = self.node("CumSum", &[&stays, &along], vec![("exclusive", Attribute::Int(1))]);
        let (front, b_front) = (self.number(protected as f32), self.number(first_b as f32));
        let place = self.node("Add", &[&place, &front], vec![]);
        let place = self.node("Mul", &[&place, &stays], vec![]);
        let joined = self.node("Add", &[&partner, &b_front], vec![]);
        let joined = self.node("Mul", &[&joined, &joins], vec![]);
        let target = self.node("Add", &[&place, &joined], vec![]);
        let target = self.reshape(&target, vec![-1, 1, a as i64]);
        let all = self.floats(vec![1, kept, 1], (0..kept).map(|i| i as f32).collect());
        let goes = self.node("Equal", &[&target, &all], vec![]);
        let goes = self.node("Cast", &[&goes], vec![("to", Attribute::Int(1))]);

        // Where the others go, which is the same for every example.
        let mut fixed = vec![0.0; kept * (protected + b)];
        (0..protected).for_each(|i| fixed[i * (protected + b) + i] = 1.0);
        (0..b).for_each(|j| fixed[(first_b + j) * (protected + b) + protected + j] = 1.0);
        let fixed = self.floats(vec![kept, protected + b], fixed);

        let sizes = self.reshape(sizes, vec![-1, tokens as i64, 1]);
        let weighted = self.node("Mul", &[x, &sizes], vec![]);
        let [sum, total] = [weighted, sizes].map(|value| {
            let of_a = self.slice(&value, 1, (a_start, tokens, 2));
            let mut others = self.slice(&value, 1, (b_start, tokens, 2));
            if protected > 0 {
                let front = self.slice(&value, 1, (0, protected, 1));
                others = self.node("Concat", &[&front, &others], axis(1));
            }
            let of_a = self.node("MatMul", &[&goes, &of_a], vec![]);
            let others = self.node("MatMul", &[&fixed, &others], vec![]);
            self.node("Add", &[&of_a, &others], vec![])
        });
        let mean = self.node("Div", &[&sum, &total], vec![]);
        let mean = self.reshape(&mean, vec![-1, kept as i64, dim as i64]);
        let total = self.reshape(&total, vec![-1, kept as i64]);
        vec![mean, total]
    }

    /// Indices of the largest values of each row; of equal ones the lower index.
    fn top(&mut self, values: &str, count: &str) -> String {
        let name = self.node("TopK", &[values, count], vec![("axis", Attribute::Int(1))]);
        let indices = format!("{name}.indices");
        if let Some(node) = self.nodes.last_mut() {
            node.outputs.push(indices.clone());
        }
        indices
    }
}
