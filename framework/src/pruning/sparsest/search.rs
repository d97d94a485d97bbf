//! The search itself, level by level of the number of weights, from wherever it stopped.

use super::enumerate::Shape;
use super::state::{Found, Level, State, insert};
use super::task::{Outcome, Task, Training};
use super::wiring::Wiring;
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Wirings that are trained between two chances to stop, for each thread.
const AT_ONCE: usize = 8;

/// Which wirings are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// All of them, fewest weights first: the first level on which one separates the classes is the minimum.
    Every,
    /// The paper's two phases: networks without a mask by their widths, then the wirings that use every unit of the
    /// narrowest ones that separate the classes. An upper bound of the minimum.
    Structures,
    /// One weight less at a time, going on from so many wirings of each level. An upper bound of the minimum.
    Beam(usize),
}

/// A search, apart from how far it has come.
#[derive(Debug)]
pub struct Search {
    /// The networks that are searched.
    pub shape: Shape,
    /// What they are to separate.
    pub task: Task,
    /// How they are trained.
    pub training: Training,
    /// Which of them are tried.
    pub mode: Mode,
    /// The most wirings of a level: one that has more is refused.
    pub most: usize,
    /// Levels that are searched after the first on which a wiring separates the classes.
    pub beyond: usize,
    /// The number of weights of the first level; below the shape's least, that.
    pub from: usize,
}

impl Search {
    /// Goes on until the search ends, or `tell` breaks it off: it is asked whenever some more wirings were trained.
    ///
    /// # Errors
    /// Settings out of range; a level with too many wirings, which leaves the state as it was before that level.
    pub fn go_on(&self, state: &mut State, tell: &mut dyn FnMut(&State) -> ControlFlow<()>) -> Result<()> {
        self.training.check(&self.task)?;
        if self.task.inputs() != self.shape.inputs() {
            let (found, needed) = (self.task.inputs(), self.shape.inputs());
            return Err(Error::Config(format!("the examples have {found} values, and the networks {needed} inputs")));
        }
        if self.mode == Mode::Structures && self.structures(state, tell).is_break() {
            return Ok(());
        }
        while let Some(nnz) = self.next_level(state) {
            let all = self.wirings(state, nnz)?;
            if state.levels.last().is_none_or(|level| level.nnz != nnz) {
                let (wirings, best) = (all.len(), Vec::new());
                state.parents.clear();
                state.levels.push(Level { nnz, wirings, done: 0, separating: 0, best, nearest: None });
            }
            if self.level(state, &all, tell).is_break() {
                return Ok(());
            }
        }
        state.finished = true;
        _ = tell(state);
        Ok(())
    }

    /// The number of weights to go on with; none where the search is at its end.
    fn next_level(&self, state: &State) -> Option<usize> {
        let Some(last) = state.levels.last() else {
            return Some(match self.mode {
                Mode::Beam(_) => self.shape.weights(),
                Mode::Every => self.from.max(self.shape.least()),
                Mode::Structures => self.narrowest(state).iter().map(Shape::least).min()?.max(self.from),
            });
        };
        if last.done < last.wirings {
            return Some(last.nnz);
        }
        if let Mode::Beam(_) = self.mode {
            // A level is empty where every wiring before it lost more than one weight at once.
            let (next, goes_on) = (last.nnz - 1, last.separating > 0 || last.wirings == 0);
            return (goes_on && next >= self.shape.least()).then_some(next);
        }
        let end = match state.minimum() {
            Some(level) => level.nnz + self.beyond,
            None => self.shape.weights(),
        };
        (last.nnz < end.min(self.shape.weights())).then_some(last.nnz + 1)
    }

    /// The wirings of a level, always in the same order.
    fn wirings(&self, state: &mut State, nnz: usize) -> Result<Vec<Wiring>> {
        let shapes = match self.mode {
            Mode::Every => vec![self.shape.clone()],
            Mode::Structures => self.narrowest(state),
            Mode::Beam(_) => return Ok(self.children(state, nnz)),
        };
        let mut all = Vec::new();
        for shape in shapes {
            let some = shape.wirings(nnz, self.most - all.len());
            all.extend(some.ok_or_else(|| self.too_many(state, nnz))?);
        }
        Ok(all)
    }

    fn too_many(&self, state: &State, nnz: usize) -> Error {
        let lower = match self.mode {
            Mode::Every if self.from <= self.shape.least() => "none with fewer separates the classes",
            _ => "none that was tried with fewer separates the classes",
        };
        let known = match state.minimum() {
            Some(level) => format!("one with {} separates the classes", level.nnz),
            None => lower.to_owned(),
        };
        Error::Config(format!(
            "there are more than {} wirings with {nnz} weights, which is too many to train; {known}\n  allowed: levels \
             of at most {} wirings\n  fix: narrower layers, a higher limit (--most), or a search that does not try all \
             (--beam 8, or --structures)",
            self.most, self.most
        ))
    }

    /// Trains what is left of a level.
    fn level(
        &self,
        state: &mut State,
        all: &[Wiring],
        tell: &mut dyn FnMut(&State) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let at_once = AT_ONCE * rayon::current_num_threads();
        loop {
            let Some(level) = state.levels.last_mut() else { return ControlFlow::Continue(()) };
            let next = &all[level.done..all.len().min(level.done + at_once)];
            if next.is_empty() {
                return ControlFlow::Continue(());
            }
            let outcomes: Vec<Outcome> =
                next.par_iter().map(|wiring| self.training.train(wiring, &self.task)).collect();
            for (wiring, outcome) in next.iter().zip(outcomes) {
                let Outcome { separated, right, loss, numbers } = outcome;
                let found = Found { wiring: wiring.clone(), separated, right, loss, numbers };
                if let Mode::Beam(width) = self.mode {
                    insert(&mut state.parents, found.clone(), width);
                }
                level.add(found);
            }
            tell(state)?;
        }
    }

    /// Widths of networks, those with fewer weights first.
    fn widths(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new()];
        for width in self.shape.hidden() {
            all = all.iter().flat_map(|some| (1..=*width).map(|units| [&some[..], &[units]].concat())).collect();
        }
        all.sort_by_key(|widths: &Vec<usize>| (self.whole(widths).nnz(), widths.clone()));
        all
    }

    /// The network of these widths without a mask.
    fn whole(&self, widths: &[usize]) -> Wiring {
        let before = std::iter::once(self.shape.inputs()).chain(widths.iter().copied());
        let layers =
            before.zip(widths.iter().copied().chain([1])).map(|(before, units)| vec![(1 << before) - 1; units]);
        Wiring::new(self.shape.inputs(), layers.collect())
    }

    /// The first phase: which widths separate the classes. Wider ones than some that do are not asked.
    fn structures(&self, state: &mut State, tell: &mut dyn FnMut(&State) -> ControlFlow<()>) -> ControlFlow<()> {
        for widths in self.widths().into_iter().skip(state.structures.len()) {
            let known = state.structures.iter().any(|(other, separates)| *separates && within(other, &widths));
            // Wider networks than one that is found are no narrowest ones: they count as not separating here.
            let separates = !known && !self.training.train(&self.whole(&widths), &self.task).separated.is_empty();
            state.structures.push((widths, separates));
            tell(state)?;
        }
        ControlFlow::Continue(())
    }

    /// The narrowest structures that separate the classes.
    fn narrowest(&self, state: &State) -> Vec<Shape> {
        let separating = state.structures.iter().filter(|(_, separates)| *separates);
        separating.filter_map(|(widths, _)| Shape::new(self.shape.inputs(), widths).ok()).map(Shape::full).collect()
    }

    /// The wirings of `nnz` weights that the last level leads to.
    fn children(&self, state: &mut State, nnz: usize) -> Vec<Wiring> {
        match state.levels.last() {
            None => state.open = vec![self.whole(self.shape.hidden()).sorted()],
            Some(level) if level.nnz == nnz => {}
            Some(level) => {
                let last = level.nnz;
                let mut known: HashSet<Wiring> = state.open.iter().cloned().collect();
                for parent in &state.parents {
                    for child in less(&parent.wiring) {
                        if known.insert(child.clone()) {
                            state.open.push(child);
                        }
                    }
                }
                state.open.retain(|wiring| wiring.nnz() < last);
            }
        }
        state.open.iter().filter(|wiring| wiring.nnz() == nnz).cloned().collect()
    }
}

/// A wiring without each of its weights.
fn less(wiring: &Wiring) -> Vec<Wiring> {
    let mut all = Vec::new();
    for (layer, rows) in wiring.layers().iter().enumerate() {
        for (unit, row) in rows.iter().enumerate() {
            for from in super::wiring::bits(*row) {
                all.extend(wiring.without(layer, unit, from).map(Wiring::sorted));
            }
        }
    }
    all
}

/// Whether the first widths are no larger than the second ones anywhere.
fn within(first: &[usize], second: &[usize]) -> bool {
    first.iter().zip(second).all(|(first, second)| first <= second)
}
