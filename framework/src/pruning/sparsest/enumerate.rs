//! Every wiring of a shape once, by its number of weights.
//!
//! Layer by layer, and of every orbit the least: a layer of units is a sorted list of what each reads, which is least
//! among the lists that the symmetries of the layers before make of it. What the whole layer before may be permuted by
//! is all that the next one has to know of it, so that no wiring is compared with another.

use super::wiring::{Wiring, bits};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Most units of a hidden layer whose permutations are listed: 8! = 40,320.
const WIDEST: usize = 8;

/// Multilayer perceptrons of some inputs, at most so many units in each hidden layer, and one output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    inputs: usize,
    hidden: Vec<usize>,
    /// Whether every unit of every layer is in use.
    full: bool,
}

/// An order of the units of a layer: unit `i` goes to the place `order[i]`.
type Order = Vec<u8>;
/// What is asked with every wiring that is found.
type Visit<'a> = dyn FnMut(&[Vec<u32>]) -> ControlFlow<()> + 'a;

impl Shape {
    /// # Errors
    /// No hidden layer, an empty one, or one that is too wide to be enumerated.
    pub fn new(inputs: usize, hidden: &[usize]) -> Result<Self> {
        let wrong = |found: String, allowed: String| {
            Err(Error::Config(format!("{found}\n  allowed: {allowed}\n  fix: set model.hidden, such as [3, 3]")))
        };
        if hidden.is_empty() {
            return wrong("the network has no hidden layer".into(), "1 or more".into());
        }
        if let Some(width) = hidden.iter().find(|width| !(1..=WIDEST).contains(*width)) {
            return wrong(format!("a hidden layer has {width} units"), format!("1 to {WIDEST}, to be enumerated"));
        }
        if !(1..=WIDEST).contains(&inputs) {
            return wrong(format!("the data has {inputs} inputs"), format!("1 to {WIDEST}, to be enumerated"));
        }
        Ok(Self { inputs, hidden: hidden.to_vec(), full: false })
    }

    /// The same, of wirings that use every unit alone.
    #[must_use]
    pub fn full(self) -> Self {
        Self { full: true, ..self }
    }

    /// Inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Most units of each hidden layer.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Weights of the network without a mask.
    pub fn weights(&self) -> usize {
        let before = std::iter::once(self.inputs).chain(self.hidden.iter().copied());
        before.zip(self.hidden.iter().copied().chain([1])).map(|(before, units)| before * units).sum()
    }

    /// The fewest weights that reach the output.
    pub fn least(&self) -> usize {
        if !self.full {
            return self.hidden.len() + 1;
        }
        let pairs = self.hidden.windows(2).map(|pair| pair[0].max(pair[1]));
        self.hidden[0] + pairs.sum::<usize>() + self.hidden[self.hidden.len() - 1]
    }

    /// The wirings of exactly `nnz` weights, in an order that depends on the shape alone; none where they are more than
    /// `most`.
    pub fn wirings(&self, nnz: usize, most: usize) -> Option<Vec<Wiring>> {
        let mut all = Vec::new();
        let stopped = self.visit(nnz, nnz, &mut |layers| {
            if all.len() == most {
                return ControlFlow::Break(());
            }
            all.push(Wiring::new(self.inputs, layers.to_vec()));
            ControlFlow::Continue(())
        });
        stopped.is_continue().then_some(all)
    }

    /// How many wirings have exactly `nnz` weights; none where they are more than `most`.
    pub fn count(&self, nnz: usize, most: usize) -> Option<usize> {
        let mut all = 0;
        let stopped = self.visit(nnz, nnz, &mut |_| {
            all += 1;
            if all > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        stopped.is_continue().then_some(all)
    }

    /// Every wiring of `least` to `most` weights, each once.
    fn visit(&self, least: usize, most: usize, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let mut walk = Walk { shape: self, least, most, layers: Vec::new(), visit };
        walk.layer(self.inputs, &[(0..self.inputs as u8).collect()], 0)
    }
}

/// The way down: layers that are decided, and what is looked for.
struct Walk<'a, 'v> {
    shape: &'a Shape,
    least: usize,
    most: usize,
    layers: Vec<Vec<u32>>,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    /// Decides the next layer, after `before` units that may be put into each of these orders; `used` weights so far.
    fn layer(&mut self, before: usize, orders: &[Order], used: usize) -> ControlFlow<()> {
        let at = self.layers.len();
        if at == self.shape.hidden.len() {
            let all = used + before;
            if !(self.least..=self.most).contains(&all) {
                return ControlFlow::Continue(());
            }
            self.layers.push(vec![(1 << before) - 1]);
            let go_on = (self.visit)(&self.layers);
            self.layers.pop();
            return go_on;
        }
        let widest = self.shape.hidden[at];
        for units in if self.shape.full { widest } else { 1 }..=widest {
            self.rows(Rows { before, units, orders, used, from: 1, rows: Vec::new(), read: 0, weights: 0 })?;
        }
        ControlFlow::Continue(())
    }

    /// The fewest weights after a layer of so many units, the last layer of hidden ones or not.
    fn after(&self, units: usize) -> usize {
        let further = self.shape.hidden.len() - 1 - self.layers.len();
        // Each unit is read; every later layer has a weight.
        units + further
    }

    /// Decides the next unit of a layer, which reads no less than the one before (as a number).
    fn rows(&mut self, so_far: Rows<'_>) -> ControlFlow<()> {
        let Rows { before, units, orders, used, from, ref rows, read, weights } = so_far;
        // Hidden units are read by somebody; inputs need not be.
        let needed: u32 = if self.layers.is_empty() { 0 } else { (1 << before) - 1 };
        if rows.len() == units {
            let wanted = self.least.saturating_sub(used + weights);
            let last = self.layers.len() + 1 == self.shape.hidden.len();
            if read & needed != needed || (last && wanted > units) || !least_of_orbit(rows, orders) {
                return ControlFlow::Continue(());
            }
            let next = if last { Vec::new() } else { symmetries(rows, orders) };
            self.layers.push(so_far.rows);
            let go_on = self.layer(units, &next, used + weights);
            self.layers.pop();
            return go_on;
        }
        let left = units - rows.len() - 1;
        let budget = self.most.saturating_sub(used + weights + left + self.after(units));
        for row in from..1 << before {
            let more = row.count_ones() as usize;
            // Units that nobody reads yet need a weight each in what is left.
            let open = (needed & !(read | row)).count_ones() as usize;
            if more > budget || (left == 0 && open > 0) || more + open.saturating_sub(left) > budget {
                continue;
            }
            let mut longer = rows.clone();
            longer.push(row);
            let (read, weights) = (read | row, weights + more);
            self.rows(Rows { before, units, orders, used, from: row, rows: longer, read, weights })?;
        }
        ControlFlow::Continue(())
    }
}

/// A layer whose first units are decided.
struct Rows<'a> {
    /// Units of the layer before, and the orders they may be put into.
    before: usize,
    orders: &'a [Order],
    /// Units that the layer is to have.
    units: usize,
    /// Weights of the layers before.
    used: usize,
    /// The least that the next unit reads.
    from: u32,
    /// What each unit reads, all of them together, and how many weights that is.
    rows: Vec<u32>,
    read: u32,
    weights: usize,
}

/// What a unit reads after the layer before was put into an order.
fn moved(row: u32, order: &Order) -> u32 {
    bits(row).fold(0, |all, from| all | 1 << order[from])
}

/// Whether no order of the layer before makes a lesser list of these rows.
fn least_of_orbit(rows: &[u32], orders: &[Order]) -> bool {
    let mut other = vec![0; rows.len()];
    orders.iter().all(|order| {
        other.iter_mut().zip(rows).for_each(|(other, row)| *other = moved(*row, order));
        other.sort_unstable();
        other[..] >= *rows
    })
}

/// The orders of these units that an order of the layer before takes back: nobody can tell them apart.
fn symmetries(rows: &[u32], orders: &[Order]) -> Vec<Order> {
    let mut all = HashSet::new();
    for order in orders {
        let other: Vec<u32> = rows.iter().map(|row| moved(*row, order)).collect();
        let mut sorted = other.clone();
        sorted.sort_unstable();
        if sorted == rows {
            matchings(rows, &other, &mut Vec::new(), &mut all);
        }
    }
    let mut all: Vec<Order> = all.into_iter().collect();
    all.sort_unstable();
    all
}

/// Every way to send each unit to one that reads what it reads itself after the layer before was moved.
fn matchings(rows: &[u32], moved: &[u32], so_far: &mut Order, all: &mut HashSet<Order>) {
    if so_far.len() == rows.len() {
        all.insert(so_far.clone());
        return;
    }
    for (place, row) in rows.iter().enumerate() {
        if *row == moved[so_far.len()] && !so_far.contains(&(place as u8)) {
            so_far.push(place as u8);
            matchings(rows, moved, so_far, all);
            so_far.pop();
        }
    }
}
