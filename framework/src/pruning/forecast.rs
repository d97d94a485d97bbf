//! What a schedule will ask of a network, known before the first step: what cannot be given is told then.

use super::budget::{Asked, LayerBudget, allocate, dense_budget};
use super::choices::{Apply, Granularity, Scope};
use super::config::PruneConfig;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::Layout;
use crate::options::key_in;
use crate::pruning::schedule::{Position, Step};

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
    layout: &Layout,
    positions: impl Iterator<Item = (Option<Step>, Position)>,
    up_to: bool,
) -> Result<Forecast> {
    let names = config.names(layout);
    let mut layers = names.iter().map(|n| dense_budget(config, layout, n)).collect::<Result<Vec<_>>>()?;
    if config.scope == Scope::Global {
        layers = vec![joined(&layers)];
    }
    let (mut forecast, mut steps, mut bent) = (Forecast::default(), 0, None);
    for (step, position) in positions {
        // What is kept of the dense network is the most there can be where masks are renewed freely.
        let asked = allocate(config, &layers, position);
        if !config.regrow {
            rises(config, &names, &asked, step)?;
        }
        if asked.keep != asked.wanted && config.granularity == Granularity::Unit {
            bent = bent.or(Some((step, asked.target)));
        }
        (steps, forecast.idle) = (steps + 1, if asked.keep == asked.now { forecast.idle + 1 } else { 0 });
        let counts = asked.keep.counts().to_vec();
        for (layer, count) in layers.iter_mut().zip(counts) {
            layer.current = count;
            layer.most = if config.regrow { layer.dense } else { count };
        }
    }
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

/// All layers as one: what a ranking over all of them goes by.
fn joined(layers: &[LayerBudget]) -> LayerBudget {
    let sum = |of: fn(&LayerBudget) -> usize| layers.iter().map(of).sum::<usize>();
    LayerBudget {
        name: "the network".into(),
        dense: sum(|r| r.dense),
        current: sum(|r| r.current),
        axes: vec![],
        least: sum(|r| r.least),
        rate: 1.0,
        most: sum(|r| r.most),
    }
}

/// Refuses a step that asks for weights or units which are gone by then.
fn rises(config: &PruneConfig, names: &[String], asked: &Asked, step: Option<Step>) -> Result<()> {
    let pairs = || asked.wanted.counts().iter().zip(asked.now.counts());
    // Erdős–Rényi shares move between layers a little while the total falls: what counts is the total.
    let more = match config.scope {
        Scope::Erk => pairs().map(|p| p.0).sum::<usize>() > pairs().map(|p| p.1).sum::<usize>(),
        _ => pairs().any(|(wanted, now)| wanted > now),
    };
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

    fn of(config: &PruneConfig, sparsities: &[f64]) -> Result<Forecast> {
        let most = sparsities.iter().copied().fold(0.0, f64::max);
        let position = |(nth, &s): (usize, &f64)| {
            let position = Position { amount: Amount::Sparsity(s), progress: s / most, nth };
            (Some(Step(nth as u64 * 10)), position)
        };
        forecast(config, &layout(), sparsities.iter().enumerate().map(position), false)
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
}
