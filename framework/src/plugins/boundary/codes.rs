//! Enums as numbers.

use super::abi;
use crate::backend::Reduce;
use crate::error::{Error, Result};
use crate::network::compressor::Stage;
use crate::network::forward::Needs;
use crate::plugins::registry::Kind;
use crate::pruning::criterion::{Objective, ProbeInput, Window};
use crate::pruning::schedule::Amount;

const WINDOWS: [Window; 3] = [Window::LastStep, Window::Epoch, Window::SincePrune];
const REDUCTIONS: [Reduce; 5] = [Reduce::Sum, Reduce::L1, Reduce::L2, Reduce::Mean, Reduce::Max];
const OBJECTIVES: [Objective; 2] = [Objective::Loss, Objective::OutputSum];

fn number<T: PartialEq>(all: &[T], value: &T) -> u32 {
    all.iter().position(|v| v == value).map_or(u32::MAX, |i| i as u32)
}

fn value<T: Copy>(all: &[T], number: u32, what: &str) -> Result<T> {
    let found = all.get(number as usize).copied();
    found.ok_or_else(|| Error::Other(format!("{number} is no {what}; the largest is {}", all.len() - 1)))
}

/// The number of an objective.
pub(super) fn of_objective(objective: Objective) -> u32 {
    number(&OBJECTIVES, &objective)
}

/// The objective of a number.
pub(super) fn objective(code: u32) -> Result<Objective> {
    value(&OBJECTIVES, code, "objective")
}

/// Kind and number of a probe's input.
pub(super) fn of_probe_input(input: ProbeInput) -> (u32, u64) {
    match input {
        ProbeInput::Batch(n) => (0, n),
        ProbeInput::Ones => (1, 0),
    }
}

/// A probe's input.
pub(super) fn probe_input(kind: u32, n: u64) -> Result<ProbeInput> {
    value(&[ProbeInput::Batch(n), ProbeInput::Ones], kind, "input of a probe")
}

impl abi::Info {
    /// What is assumed of a criterion that does not say.
    pub(super) fn default_values() -> Self {
        Self::of(Needs::WEIGHTS, Window::SincePrune, Reduce::L1)
    }

    pub(super) fn of(needs: Needs, window: Window, reduce: Reduce) -> Self {
        Self { needs: needs.bits(), window: number(&WINDOWS, &window), reduce: number(&REDUCTIONS, &reduce) }
    }

    pub(super) fn window(&self) -> Result<Window> {
        value(&WINDOWS, self.window, "window")
    }

    pub(super) fn reduce(&self) -> Result<Reduce> {
        value(&REDUCTIONS, self.reduce, "reduction")
    }
}

impl abi::Amount {
    pub(super) fn of(amount: Option<Amount>) -> Self {
        match amount {
            None => Self { kind: abi::NO_AMOUNT, fraction: 0.0 },
            Some(Amount::Sparsity(fraction)) => Self { kind: abi::SPARSITY, fraction },
            Some(Amount::OfRemaining(fraction)) => Self { kind: abi::OF_REMAINING, fraction },
        }
    }

    pub(super) fn value(&self) -> Result<Option<Amount>> {
        let all = [None, Some(Amount::Sparsity(self.fraction)), Some(Amount::OfRemaining(self.fraction))];
        value(&all, self.kind, "kind of amount")
    }
}

impl abi::Stage {
    pub(super) fn of(stage: Stage) -> Self {
        match stage {
            Stage::BeforeEncoder => Self { kind: 0, index: 0, of: 0 },
            Stage::Block { index, of } => Self { kind: 1, index, of },
        }
    }

    pub(super) fn value(&self) -> Result<Stage> {
        value(&[Stage::BeforeEncoder, Stage::Block { index: self.index, of: self.of }], self.kind, "stage")
    }
}

/// The number of a kind of plugin.
pub(super) fn of_kind(kind: Kind) -> u32 {
    match kind {
        Kind::Criterion => abi::CRITERION,
        Kind::Schedule => abi::SCHEDULE,
        Kind::Compressor => abi::COMPRESSOR,
        Kind::Model => abi::MODEL,
        Kind::Data => abi::DATA,
    }
}

/// The kind of plugin of a number.
pub(super) fn kind(code: u32) -> Option<Kind> {
    Kind::ALL.into_iter().find(|k| of_kind(*k) == code)
}
