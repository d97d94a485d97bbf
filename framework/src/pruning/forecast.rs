//! What a schedule will ask of a network, known before the first step: what cannot be given is told then.

use super::budget::{Asked, KeepCount, LayerBudget, allocate, bounded, dense_budget};
use super::config::{Apply, Granularity, PruneConfig, Scope};
use super::grow::GrowConfig;
use super::masks::pattern;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::Layout;
use crate::options::key_in;
use crate::pruning::schedule::{Amount, Position, RunLength, Step};

/// Something a user should know about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The keys concerned, with their sections.
    pub keys: Vec<String>,
    /// One sentence.
    pub text: String,
}

impl Remark {
    /// A remark on these keys.
    pub fn new(keys: &[&str], text: impl Into<String>) -> Self {
        Self { keys: keys.iter().map(|key| (*key).to_owned()).collect(), text: text.into() }
    }
}

/// What is known of a run's pruning before the first step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// What will be other than asked, and which setting does nothing.
    pub remarks: Vec<Remark>,
    /// How many of the last pruning steps ask for what is there already.
    pub idle: usize,
}

/// Follows the pruning steps of a run through a network's counts; `None` is the time before the first step. Where the
/// schedule goes by what will be measured, `up_to` holds: the steps say the most that may be asked.
///
/// # Errors
/// A step that asks for more than the one before left, where nothing returns: under the key that would let it.
pub fn forecast(
    config: &PruneConfig,
    grow: (&GrowConfig, &RunLength),
    layout: &Layout,
    positions: impl Iterator<Item = (Option<Step>, Position)>,
    up_to: bool,
) -> Result<Forecast> {
    if config.has_cost() {
        // How many a cost leaves is known with the scores: see `affordable`.
        return Ok(Forecast::default());
    }
    let names = config.names(layout);
    let dense = names.iter().map(|n| dense_budget(config, layout, n)).collect::<Result<Vec<_>>>()?;
    let joins = config.scope == Scope::Global && !config.granularity.is_pattern();
    // Counts are rounded to multiples as they come: what the schedule asks for goes on from what it asked before.
    let config = &PruneConfig { multiple: 1, ..config.clone() };
    let returns = config.regrow || grow.0.is_on();
    let (mut layers, mut total) = (dense.clone(), None);
    let (mut forecast, mut steps, mut bent) = (Forecast::default(), 0, None);
    let mut amounts = vec![];
    for (step, position) in positions {
        amounts.push(position.amount);
        // What is kept of the dense network is the most there can be where masks are renewed freely.
        let mut bounded = bounded(config, &layers, position.progress);
        if joins {
            bounded = vec![joined(&bounded, total, returns)];
        }
        let asked = allocate(config, &bounded, position);
        if !returns {
            rises(config, &names, &asked, step)?;
        }
        possible(config, names.len(), &bounded, &asked, position.amount, step)?;
        if asked.keep != asked.wanted && config.granularity == Granularity::Unit {
            bent = bent.or(Some((step, asked.target)));
        }
        let rests = asked.keep == asked.now && grow.0.is_over(step, grow.1);
        (steps, forecast.idle) = (steps + 1, if rests { forecast.idle + 1 } else { 0 });
        let counts = asked.keep.counts();
        if joins {
            total = Some(counts.iter().sum());
            continue;
        }
        for ((layer, dense), count) in layers.iter_mut().zip(&dense).zip(counts) {
            layer.current = *count;
            layer.most = if returns { dense.most } else { *count };
        }
    }
    forecast.remarks.extend(pattern_remarks(config, layout, &names, &amounts));
    if let Some((step, target)) = bent {
        let up_to = if up_to { "up to " } else { "" };
        let text = format!(
            "A sparsity of {up_to}{target:.4} {} would leave groups without any unit; each keeps one, so that less is \
             pruned than asked.",
            when(step)
        );
        forecast.remarks.push(Remark::new(&["schedule.name", "prune.granularity"], text));
    }
    if up_to {
        // Which steps will ask for nothing new is not known yet.
        forecast.idle = 0;
    }
    if config.regrow && steps == 1 {
        let text = "There is only one pruning step, so that nothing can return: prune.regrow = true does no more than \
                    train weights that are never used.";
        forecast.remarks.push(Remark::new(&["prune.regrow", "schedule.name"], text));
    }
    Ok(forecast)
}

/// All layers as one: what a ranking over all of them goes by, `kept` of them before it.
fn joined(layers: &[LayerBudget], kept: Option<usize>, returns: bool) -> LayerBudget {
    let sum = |of: fn(&LayerBudget) -> usize| layers.iter().map(of).sum::<usize>();
    let (current, most) = (kept.unwrap_or(sum(|r| r.current)), sum(|r| r.most));
    LayerBudget {
        name: "the network".into(),
        dense: sum(|r| r.dense),
        current,
        axes: vec![],
        least: sum(|r| r.least),
        rate: 1.0,
        most: if returns { most } else { most.min(current) },
        fixed: None,
    }
}

/// Refuses a step whose sparsity the layers' own least and largest ones do not allow, more than rounding in each of
/// `names` layers would make of it.
fn possible(
    config: &PruneConfig,
    names: usize,
    layers: &[LayerBudget],
    asked: &Asked,
    amount: Amount,
    step: Option<Step>,
) -> Result<()> {
    if !config.is_bounded() || !config.shares() || config.granularity.is_pattern() {
        return Ok(());
    }
    let sum = |of: fn(&LayerBudget) -> usize| layers.iter().map(of).sum::<usize>();
    let (dense, least, most) = (sum(|r| r.dense).max(1), sum(|r| r.least), sum(|r| r.most));
    let wanted: usize = asked.wanted.counts().iter().sum();
    let total = match (&asked.wanted, amount) {
        // Shares are cut to what the layers can hold: the sparsity itself says what was asked.
        (KeepCount::Each(_), Amount::Sparsity(s)) => config.rounding.keep(dense, s),
        (KeepCount::Each(_), Amount::OfRemaining(f)) => config.rounding.keep(sum(|r| r.current), f),
        (KeepCount::Total(_) | KeepCount::Cost(_), _) => wanted,
    };
    let sparsity = |kept: usize| 1.0 - kept as f64 / dense as f64;
    let refuse = |key: &str, bound: usize, word: &str, fix: &str| {
        let text = format!(
            "{} the schedule asks for a sparsity of {:.4} of all that may be pruned, and the layers' own bounds allow \
             {word} {:.4}: {fix}",
            when(step),
            sparsity(total),
            sparsity(bound),
        );
        let set = if key == "max_sparsity" { &config.max_sparsity } else { &config.min_sparsity };
        let found = set.keyed(key).map(|(_, s)| s.to_string()).collect::<Vec<_>>().join(", ");
        Err(OptionError::new(key, found, text).into())
    };
    if total + names < least && !config.max_sparsity.is_empty() {
        return refuse("max_sparsity", least, "at most", "raise prune.max_sparsity, or let the schedule prune less");
    }
    if total > most + names && !config.min_sparsity.is_empty() {
        return refuse(
            "min_sparsity",
            most,
            "no less than",
            "lower prune.min_sparsity, or let the schedule prune more",
        );
    }
    Ok(())
}

/// What a fixed pattern makes of a schedule's sparsity, and of layers that it does not divide.
fn pattern_remarks(config: &PruneConfig, layout: &Layout, names: &[String], amounts: &[Amount]) -> Vec<Remark> {
    let Granularity::NOfM { n, m } = config.granularity else { return vec![] };
    let mut remarks = vec![];
    let own = 1.0 - n as f64 / m as f64;
    if amounts.iter().any(|amount| !matches!(amount, Amount::Sparsity(s) if (s - own).abs() < 1e-9)) {
        let text = format!(
            "prune.granularity = \"{n}:{m}\" makes a sparsity of {own:.4} at every pruning step: the schedule says only \
             when, and its own sparsity does nothing here."
        );
        remarks.push(Remark::new(&["schedule.name", "prune.granularity"], text));
    }
    let specs = names.iter().filter_map(|name| layout.spec(name));
    let inputs = specs.map(|spec| (spec, spec.shape[pattern::input_axis(layout, spec)]));
    let uneven: Vec<String> = inputs
        .filter(|(_, inputs)| inputs % m != 0)
        .map(|(spec, inputs)| {
            let kept = pattern::kept(&spec.shape, pattern::input_axis(layout, spec), n, m);
            let sparsity = 1.0 - kept as f64 / spec.shape.count().max(1) as f64;
            format!("{} ({inputs} inputs, sparsity {sparsity:.4})", spec.name)
        })
        .collect();
    if !uneven.is_empty() {
        let text = format!(
            "The inputs of some layers are no multiple of {m}: {}. The last group of each row is smaller and keeps its \
             share, rounded up.",
            uneven.join(", ")
        );
        remarks.push(Remark::new(&["prune.granularity", "model.name"], text));
    }
    remarks
}

/// Refuses a step that asks for weights or units which are gone by then.
fn rises(config: &PruneConfig, names: &[String], asked: &Asked, step: Option<Step>) -> Result<()> {
    let pairs = || asked.wanted.counts().iter().zip(asked.now.counts());
    // Shares move between layers a little while the total falls: what counts is the total.
    let more = match config.scope {
        Scope::Erk | Scope::Layer if config.scope == Scope::Erk || config.is_bounded() => {
            pairs().map(|p| p.0).sum::<usize>() > pairs().map(|p| p.1).sum::<usize>()
        }
        _ => pairs().any(|(wanted, now)| wanted > now),
    };
    // A pattern asks for the same at every step.
    let more = more && !config.granularity.is_pattern();
    let Some(layer) = pairs().position(|(wanted, now)| wanted > now).filter(|_| more) else { return Ok(()) };
    let (wanted, now) = (asked.wanted.counts()[layer], asked.now.counts()[layer]);
    let whose = if config.scope == Scope::Global { "the network" } else { names[layer].as_str() };
    let fix = match config.apply {
        Apply::Mask => "set prune.regrow = true, or let the sparsity only grow",
        Apply::Shrink => "set prune.apply = \"mask\" and prune.regrow = true, or let the sparsity only grow",
    };
    let text = format!(
        "{} the schedule asks for {wanted} in {whose}, but only {now} are left by then, and nothing returns: {fix}",
        when(step)
    );
    if config.scope == Scope::Counts {
        return Err(OptionError::new(key_in("counts", whose), wanted, text).into());
    }
    Err(Error::from(OptionError::new("regrow", false, text)))
}

fn when(step: Option<Step>) -> String {
    step.map_or("before the first step".into(), |step| format!("after step {}", step.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use crate::pruning::schedule::Amount;

    fn layout() -> Layout {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let (a, b) = (layout.units("a", 10), layout.units("b", 6));
        layout.linear("a", &8.into(), &a, false);
        layout.linear("b", &a, &b, false);
        layout.linear("out", &b, &3.into(), false);
        layout.output("out");
        layout.build().unwrap()
    }

    const RUN: RunLength = RunLength { steps: 101, steps_per_epoch: 10 };

    fn positions(sparsities: &[f64]) -> Vec<(Option<Step>, Position)> {
        let most = sparsities.iter().copied().fold(0.0, f64::max);
        let position = |(nth, &s): (usize, &f64)| {
            let position = Position { amount: Amount::Sparsity(s), progress: s / most, nth };
            (Some(Step(nth as u64 * 10)), position)
        };
        sparsities.iter().enumerate().map(position).collect()
    }

    fn of(config: &PruneConfig, sparsities: &[f64]) -> Result<Forecast> {
        forecast(config, (&GrowConfig::default(), &RUN), &layout(), positions(sparsities).into_iter(), false)
    }

    #[test]
    fn a_sparsity_that_falls_is_refused_by_the_key_that_would_allow_it() {
        let held = PruneConfig::default();
        let Error::Option(error) = of(&held, &[0.3, 0.21]).unwrap_err() else { panic!("it names a key") };
        assert_eq!((error.key.as_str(), error.found.as_str()), ("regrow", "false"));
        assert!(error.allowed.contains("after step 10") && error.allowed.contains("prune.regrow = true"), "{error}");
        assert!(of(&PruneConfig { regrow: true, ..held }, &[0.3, 0.21]).is_ok());
        let units = PruneConfig { granularity: Granularity::Unit, apply: Apply::Shrink, ..PruneConfig::default() };
        assert!(of(&units, &[0.5, 0.2]).unwrap_err().to_string().contains("prune.apply = \"mask\""));
        for scope in [Scope::Layer, Scope::Erk] {
            assert!(of(&PruneConfig { scope, ..PruneConfig::default() }, &[0.5, 0.2]).is_err(), "{scope:?}");
            assert!(of(&PruneConfig { scope, ..PruneConfig::default() }, &[0.2, 0.5, 0.9]).is_ok(), "{scope:?}");
        }
        let counts = [("a.weight".to_owned(), vec![40, 45])].into();
        let counts = PruneConfig { scope: Scope::Counts, counts, ..PruneConfig::default() };
        assert!(of(&counts, &[0.1, 0.2]).unwrap_err().to_string().contains("counts.\"a.weight\""));
    }

    #[test]
    fn groups_that_keep_their_last_unit_are_told_beforehand() {
        let units = PruneConfig { granularity: Granularity::Unit, ..PruneConfig::default() };
        assert_eq!(of(&units, &[0.5]).unwrap(), Forecast::default());
        let found = of(&units, &[0.95]).unwrap().remarks;
        assert!(found.len() == 1 && found[0].text.contains("each keeps one"), "{found:?}");
    }

    #[test]
    fn steps_that_ask_for_nothing_new_are_counted_at_the_end() {
        assert_eq!(of(&PruneConfig::default(), &[0.0, 0.5, 0.9, 0.9, 0.9]).unwrap().idle, 2);
        assert_eq!(of(&PruneConfig::default(), &[0.0, 0.5, 0.9]).unwrap().idle, 0);
    }

    #[test]
    fn with_growth_a_sparsity_may_fall_and_a_step_at_the_same_one_is_not_idle_before_growth_ends() {
        let grow = GrowConfig { fraction: 0.3, until: 0.25, ..GrowConfig::default() };
        let of = |sparsities: &[f64]| {
            forecast(&PruneConfig::default(), (&grow, &RUN), &layout(), positions(sparsities).into_iter(), false)
                .unwrap()
        };
        assert_eq!(of(&[0.9, 0.9, 0.5]).idle, 0);
        assert_eq!(of(&[0.5; 6]).idle, 3, "steps 30, 40 and 50 come after step 25");
    }
}
