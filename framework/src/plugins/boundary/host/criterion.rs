//! A loaded criterion as a [`Criterion`].

use super::super::abi::{self, Report, Signal, Sink, Status, Str};
use super::super::export::Published;
use super::super::failure::guard;
use super::super::parameters::{Loan, layout_text};
use super::super::trace::Lent;
use super::super::view::{self, Data, Item, Lender, Receiver, copied};
use super::Loaded;
use super::object::{Object, absent};
use super::signals::signals;
use crate::backend::{Backend, Reduce};
use crate::error::Result;
use crate::network::forward::Needs;
use crate::network::layout::Layout;
use crate::options::Table;
use crate::pruning::criterion::{Criterion, Cut, Observation, Probe, Refit, Scores, Setup, Target, Window};
use crate::pruning::{KeepMask, Normalizer};
use crate::state::State;
use crate::tensor::Tensor;
use std::ffi::c_void;

/// A criterion that lives in a plugin.
pub(super) struct Adapter {
    object: Object<abi::CriterionTable>,
    needs: Needs,
    window: Window,
    reduce: Reduce,
    normalizer: Option<Normalizer>,
    layout: Option<Layout>,
    /// Every plugin of the program, for a criterion that wraps another one.
    plugins: Published,
}

impl Adapter {
    pub fn new(loaded: &Loaded, options: &Table, plugins: Published) -> Result<Self> {
        let object = Object::new(loaded, options)?;
        let (needs, window, reduce) = (Needs::WEIGHTS, Window::SincePrune, Reduce::L1);
        let mut new = Self { object, needs, window, reduce, normalizer: None, layout: None, plugins };
        new.ask_info()?;
        Ok(new)
    }

    fn ask_info(&mut self) -> Result<()> {
        let Some(info) = self.object.functions.info else { return Ok(()) };
        let mut found = abi::Info::default_values();
        // SAFETY: the object and its function belong together; `found` lives for the call.
        self.object.call(|this, report| unsafe { info(this, &mut found, report) })?;
        self.needs = Needs::from_bits(found.needs);
        self.window = found.window().map_err(|e| self.object.error(e.to_string()))?;
        self.reduce = found.reduce().map_err(|e| self.object.error(e.to_string()))?;
        self.normalizer = found.normalizer().map_err(|e| self.object.error(e.to_string()))?;
        Ok(())
    }

    /// Tells the plugin the network's layout, where it is another than before.
    fn before(&mut self, layout: &Layout) -> Result<()> {
        if self.layout.as_ref() == Some(layout) {
            return Ok(());
        }
        if let Some(set) = self.object.functions.layout {
            let json = layout_text(layout)?;
            // SAFETY: the object and its function belong together; the text lives for the call.
            self.object.call(|this, report| unsafe { set(this, Str::of(&json), report) })?;
        }
        self.layout = Some(layout.clone());
        Ok(())
    }

    fn scores<B: Backend>(&self, items: Vec<Item>, target: &Target<'_, B>) -> Result<Scores<B>> {
        let n = items.len();
        let [item] = <[Item; 1]>::try_from(items)
            .map_err(|_| self.object.error(format!("it gave {n} lists of scores for `{}`, not one", target.name())))?;
        match (item.what, item.data) {
            (abi::WEIGHT_SCORES, Data::F32(scores)) => {
                let weight = target.weight()?;
                // The engine reports a wrong count; the shape alone may differ.
                let shape = if scores.len() == weight.count() { weight.shape() } else { [scores.len()].into() };
                Ok(Scores::Weights(Tensor::from_vec(weight.device(), scores, shape)?))
            }
            (abi::UNIT_SCORES, Data::F32(scores)) => Ok(Scores::Units(scores)),
            (abi::KEEP, Data::U8(keep)) => Ok(Scores::Keep(keep.into_iter().map(|k| k != 0).collect())),
            (what, _) => Err(self.object.error(format!("its scores are of kind {what}, or not of that kind's type"))),
        }
    }
}

impl<B: Backend> Criterion<B> for Adapter {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn window(&self) -> Window {
        self.window
    }

    fn reduce(&self) -> Reduce {
        self.reduce
    }

    fn normalizer(&self) -> Option<Normalizer> {
        self.normalizer
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        if let Some(setup) = self.object.functions.setup {
            let (json, table) = (layout_text(run.layout)?, self.plugins.table());
            self.object.call(|this, report| {
                // SAFETY: the object and its function belong together; text and table live for the call.
                unsafe { setup(this, Str::of(&json), run.seed.0, &table, report) }
            })?;
            self.layout = Some(run.layout.clone());
        }
        self.ask_info()
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        let Some(observe) = self.object.functions.observe else { return Ok(()) };
        self.before(seen.params.layout())?;
        let (loan, mut lender) = (Loan::new(seen.params)?, Lender::default());
        let signals = signals(seen, self.needs, &mut lender);
        let lent = self.needs.has(Needs::TRACE).then(|| seen.trace().map(Lent::new)).transpose()?;
        let trace = lent.as_ref().map(Lent::table);
        let seen = abi::Observation {
            step: seen.step.0,
            epoch: seen.epoch,
            examples: seen.examples,
            params: loan.table(),
            signals: signals.as_ptr(),
            signal_count: signals.len(),
            trace: trace.as_ref().map_or(std::ptr::null(), |trace| &raw const *trace),
        };
        // SAFETY: the object and its function belong together; what is lent lives for the call.
        self.object.call(|this, report| unsafe { observe(this, &seen, report) })
    }

    fn prepare(&mut self, probe: &mut dyn Probe<B>) -> Result<()> {
        let Some(prepare) = self.object.functions.prepare else { return Ok(()) };
        self.before(probe.params().layout())?;
        let loan = Loan::new(probe.params())?;
        let params = loan.table();
        let mut asked = Asked { probe };
        let user = (&raw mut asked).cast();
        let probe = abi::Probe { user, gradients: gradients::<B>, hessian_vector: hessian_vector::<B>, params };
        // SAFETY: the object and its function belong together; what is lent lives for the call.
        self.object.call(|this, report| unsafe { prepare(this, &probe, report) })
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let score = self.object.functions.score.ok_or_else(|| absent("score"))?;
        self.before(target.params().layout())?;
        let (loan, mut lender, mut receiver) = (Loan::new(target.params())?, Lender::default(), Receiver::new());
        let member = target.group().and_then(|g| g.members.iter().find(|m| m.param == target.name()));
        let view = abi::Target {
            name: Str::of(target.name()),
            weight: lender.tensor(&target.weight()?),
            mask: lender.optional(target.param().mask().map(|m| m.tensor())),
            grad: lender.optional(target.grad().ok().as_ref()),
            group: target.group().map_or(Str::EMPTY, |g| Str::of(&g.name)),
            units: target.group().map_or(0, |g| g.units),
            axis: member.map_or(0, |m| m.axis),
            step: target.step().0,
            seed: target.seed.0,
            to_go: target.to_go().unwrap_or(usize::MAX),
            params: loan.table(),
        };
        let sink = receiver.sink();
        // SAFETY: the object and its function belong together; what is lent, and the receiver, live for the call.
        self.object.call(|this, report| unsafe { score(this, &view, sink, report) })?;
        self.scores(receiver.finish()?, target)
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        let Some(penalty) = self.object.functions.penalty else { return Ok(None) };
        let (mut lender, mut receiver, mut value) = (Lender::default(), Receiver::new(), 0.0);
        let (lent, sink) = (lender.tensor(weight), receiver.sink());
        self.object.call(|this, report| {
            // SAFETY: the object and its function belong together; what is lent, and the receiver, live for the call.
            unsafe { penalty(this, Str::of(name), lent, &mut value, sink, report) }
        })?;
        let gradient = receiver.finish()?.pop();
        gradient.map(|g| Ok((value, g.tensor(weight.device())?.reshape(weight.shape())?))).transpose()
    }

    fn refit(&mut self, plan: &Refit<'_, B>) -> Result<Vec<(String, Tensor<B>)>> {
        let Some(refit) = self.object.functions.refit else { return Ok(vec![]) };
        self.before(plan.params.layout())?;
        let (loan, mut lender, mut receiver) = (Loan::new(plan.params)?, Lender::default(), Receiver::new());
        let units: Vec<Vec<u8>> = (plan.keep.iter())
            .map(|(_, keep)| match keep {
                KeepMask::Units(k) | KeepMask::Blocks(k) => k.iter().map(|&k| u8::from(k)).collect(),
                KeepMask::Weights(_) => vec![],
            })
            .collect();
        let mut stays = |((name, keep), units): (&(String, KeepMask<B>), &Vec<u8>)| {
            let value = match keep {
                KeepMask::Units(_) | KeepMask::Blocks(_) => lender.plain(units, abi::U8),
                KeepMask::Weights(marks) => lender.tensor(marks),
            };
            Signal { what: abi::KEEP, name: Str::of(name), value }
        };
        let keep: Vec<Signal> = plan.keep.iter().zip(&units).map(&mut stays).collect();
        let (params, sink) = (loan.table(), receiver.sink());
        self.object.call(|this, report| {
            // SAFETY: the object and its function belong together; what is lent, and the receiver, live for the call.
            unsafe { refit(this, &params, keep.as_ptr(), keep.len(), sink, report) }
        })?;
        let device = plan.params.device();
        receiver.finish()?.into_iter().map(|item| Ok((item.name.clone(), item.tensor(device)?))).collect()
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        let Some(function) = self.object.functions.cut else { return Ok(()) };
        self.before(cut.layout)?;
        let (name, kept) = (Str::of(&cut.group.name), cut.kept);
        // SAFETY: the object and its function belong together; name and list live for the call.
        self.object.call(|this, report| unsafe { function(this, name, kept.as_ptr(), kept.len(), report) })
    }

    fn reset(&mut self) -> Result<()> {
        let Some(reset) = self.object.functions.reset else { return Ok(()) };
        // SAFETY: the object and its function belong together.
        self.object.call(|this, report| unsafe { reset(this, report) })
    }

    fn save(&self) -> Result<State> {
        let Some(save) = self.object.functions.save else { return Ok(State::default()) };
        let mut receiver = Receiver::new();
        let sink = receiver.sink();
        // SAFETY: the object and its function belong together; the receiver lives for the call.
        self.object.call(|this, report| unsafe { save(this, sink, report) })?;
        view::state_of(receiver.finish()?)
    }

    fn load(&mut self, state: State, _device: &B) -> Result<()> {
        let mut lender = Lender::default();
        let entries = lender.state(&state);
        match self.object.functions.load {
            Some(load) => {
                // SAFETY: the object and its function belong together; the entries live for the call.
                self.object.call(|this, report| unsafe { load(this, entries.as_ptr(), entries.len(), report) })?;
                self.ask_info()
            }
            None if entries.is_empty() => Ok(()),
            None => Err(self.object.error("it keeps no state, but some was saved")),
        }
    }
}

/// The probe that a plugin may ask.
struct Asked<'a, B: Backend> {
    probe: &'a mut dyn Probe<B>,
}

impl<B: Backend> Asked<'_, B> {
    /// Puts the answer to a question, with the vector where there is one.
    ///
    /// # Safety
    /// The arguments must be the ABI's.
    unsafe fn answer(&mut self, question: *const abi::Question, vector: Option<&[Signal]>, out: Sink) -> Result<()> {
        let device = self.probe.params().device().clone();
        // SAFETY: promised by the caller.
        unsafe {
            let read = |s: &Signal| Ok((s.name.text(), copied(&s.value, &device)?));
            let replaced = abi::slice((*question).replaced, (*question).replaced_count);
            let replaced = replaced.iter().map(read).collect::<Result<Vec<_>>>()?;
            let question = (*question).value(&replaced)?;
            let found = match vector {
                None => self.probe.gradients(&question)?,
                Some(vector) => {
                    self.probe.hessian_vector(&question, &vector.iter().map(read).collect::<Result<_>>()?)?
                }
            };
            found.iter().for_each(|(name, gradient)| out.tensor(abi::GRADIENT, name, gradient));
        }
        Ok(())
    }
}

unsafe extern "C" fn gradients<B: Backend>(
    user: *mut c_void,
    question: *const abi::Question,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: `user` is the `Asked` of the `prepare` under way; the rest is the ABI's.
    guard(report, || unsafe { (*user.cast::<Asked<'_, B>>()).answer(question, None, out) })
}

unsafe extern "C" fn hessian_vector<B: Backend>(
    user: *mut c_void,
    question: *const abi::Question,
    vector: *const Signal,
    count: usize,
    out: Sink,
    report: Report,
) -> Status {
    // SAFETY: as in `gradients`.
    guard(report, || unsafe { (*user.cast::<Asked<'_, B>>()).answer(question, Some(abi::slice(vector, count)), out) })
}
