//! Enums as numbers.

use super::abi;
use crate::autograd::{KinkMode, Part};
use crate::backend::{Backend, Reduce};
use crate::error::{Error, Result};
use crate::network::compressor::Stage;
use crate::network::forward::Needs;
use crate::plugins::registry::Kind;
use crate::pruning::Normalizer;
use crate::pruning::criterion::{Objective, ProbeInput, ProbeMode, Question, Window};
use crate::pruning::schedule::Amount;
use crate::tensor::Tensor;

const WINDOWS: [Window; 3] = [Window::LastStep, Window::Epoch, Window::SincePrune];
const REDUCTIONS: [Reduce; 5] = [Reduce::Sum, Reduce::L1, Reduce::L2, Reduce::Mean, Reduce::Max];
const NORMALIZERS: [Option<Normalizer>; 6] = [
    None,
    Some(Normalizer::None),
    Some(Normalizer::Mean),
    Some(Normalizer::Size),
    Some(Normalizer::L2),
    Some(Normalizer::ZScore),
];
const MODES: [ProbeMode; 2] = [ProbeMode::Training, ProbeMode::Evaluation];
const PARTS: [Part; 4] = [Part::All, Part::Positive, Part::Negative, Part::Constant];
const KINKS: [KinkMode; 3] = [KinkMode::Free, KinkMode::Noted, KinkMode::Kept];

fn number<T: PartialEq>(all: &[T], value: &T) -> u32 {
    all.iter().position(|v| v == value).map_or(u32::MAX, |i| i as u32)
}

fn value<T: Copy>(all: &[T], number: u32, what: &str) -> Result<T> {
    let found = all.get(number as usize).copied();
    found.ok_or_else(|| Error::Other(format!("{number} is no {what}; the largest is {}", all.len() - 1)))
}

/// The number of what a tape does about kinks.
pub(super) fn of_kinks(mode: KinkMode) -> u32 {
    number(&KINKS, &mode)
}

/// What a tape does about kinks.
pub(super) fn kinks(code: u32) -> Result<KinkMode> {
    value(&KINKS, code, "way with kinks")
}

/// The number of a part of a map.
pub(super) fn of_part(part: Part) -> u32 {
    number(&PARTS, &part)
}

/// A part of a map.
pub(super) fn part(code: u32) -> Result<Part> {
    value(&PARTS, code, "part of a map")
}

impl abi::Question {
    pub(super) fn of<B: Backend>(question: &Question<'_, B>, replaced: &[abi::Signal]) -> Self {
        let (input, nth, per_class) = match question.input {
            ProbeInput::Batch(n) => (0, n, 0),
            ProbeInput::Ones => (1, 0, 0),
            ProbeInput::Balanced { per_class, nth } => (2, nth as u64, per_class),
            ProbeInput::Example(n) => (3, n, 0),
        };
        let (objective, temperature) = match question.objective {
            Objective::Loss { temperature } => (0, temperature),
            Objective::OutputSum => (1, 1.0),
        };
        Self {
            input,
            mode: number(&MODES, &question.mode),
            number: nth,
            per_class,
            objective,
            temperature,
            replaced: replaced.as_ptr(),
            replaced_count: replaced.len(),
        }
    }

    pub(super) fn value<'a, B: Backend>(&self, replaced: &'a [(String, Tensor<B>)]) -> Result<Question<'a, B>> {
        let balanced = ProbeInput::Balanced { per_class: self.per_class, nth: self.number as usize };
        let inputs = [ProbeInput::Batch(self.number), ProbeInput::Ones, balanced, ProbeInput::Example(self.number)];
        let objectives = [Objective::Loss { temperature: self.temperature }, Objective::OutputSum];
        let question = Question::new(
            value(&inputs, self.input, "input of a probe")?,
            value(&objectives, self.objective, "objective")?,
        );
        Ok(question.in_mode(value(&MODES, self.mode, "mode of a probe")?).replacing(replaced))
    }
}

impl abi::Info {
    /// What is assumed of a criterion that does not say.
    pub(super) fn default_values() -> Self {
        Self::of(Needs::WEIGHTS, Window::SincePrune, Reduce::L1, None)
    }

    pub(super) fn of(needs: Needs, window: Window, reduce: Reduce, normalizer: Option<Normalizer>) -> Self {
        Self {
            needs: needs.bits(),
            window: number(&WINDOWS, &window),
            reduce: number(&REDUCTIONS, &reduce),
            normalize: number(&NORMALIZERS, &normalizer),
        }
    }

    pub(super) fn normalizer(&self) -> Result<Option<Normalizer>> {
        value(&NORMALIZERS, self.normalize, "normalizer")
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
