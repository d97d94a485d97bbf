//! What a criterion must hold.

use super::scene::{Scene, UNITS};
use super::{CheckRow, ensure};
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::Registry;
use crate::pruning::Granularity;
use crate::pruning::criterion::{Criterion, Scores};
use std::collections::BTreeMap;

type All = BTreeMap<String, Scores<Cpu>>;
type Bits = BTreeMap<String, Vec<u32>>;

const STEPS: usize = 3;

/// Builds and drives one criterion.
struct Case<'a> {
    registry: &'a Registry,
    name: &'a str,
    options: &'a Table,
    granularity: Granularity,
    /// Whether the network has batch normalisation.
    normed: bool,
}

pub(super) fn check(registry: &Registry, name: &str, options: &Table) -> Vec<CheckRow> {
    // A criterion may score weights, units, or both, and units perhaps by their normalisation alone.
    let ways = [(Granularity::Weight, false), (Granularity::Unit, false), (Granularity::Unit, true)];
    let cases = ways.map(|(granularity, normed)| Case { registry, name, options, granularity, normed });
    let case = cases.iter().find(|case| case.run(false).is_ok()).unwrap_or(&cases[0]);
    vec![
        CheckRow::of("scores have the right shape and are finite", || case.shapes()),
        CheckRow::of("higher is kept: strong weights or units score above weak ones", || case.planted()),
        CheckRow::of("scores do not depend on the order in which they are asked for", || {
            same(&case.run(false)?, &case.run(true)?, "in reverse order")
        }),
        CheckRow::of("the same run gives the same bits, on any number of threads", || case.deterministic()),
        CheckRow::of("saved and loaded, it goes on as if nothing had happened", || case.resumed()),
        CheckRow::of("after a reset nothing of the past is left", || case.reset()),
    ]
}

impl Case<'_> {
    fn build(&self) -> Result<Box<dyn Criterion<Cpu>>> {
        self.registry.criterion(self.name, self.options)
    }

    fn scene(&self) -> Result<Scene> {
        Scene::new(self.granularity, self.normed)
    }

    fn start(&self) -> Result<(Scene, Box<dyn Criterion<Cpu>>)> {
        let (scene, mut criterion) = (self.scene()?, self.build()?);
        scene.setup(criterion.as_mut(), self.registry)?;
        Ok((scene, criterion))
    }

    fn run(&self, reversed: bool) -> Result<All> {
        let (mut scene, mut criterion) = self.start()?;
        (0..STEPS).try_for_each(|_| scene.train(criterion.as_mut()))?;
        scene.scores(criterion.as_mut(), reversed)
    }

    fn shapes(&self) -> Result<String> {
        let (mut weights, mut units, mut decisions) = (0, 0, 0);
        let scene = self.scene()?;
        for (name, scores) in self.run(false)? {
            let expected = scene.store.get(&name)?.value().shape();
            let (n, finite, wanted) = match &scores {
                Scores::Weights(t) => {
                    ensure(t.shape() == expected, || format!("scores of `{name}` {expected} are {}", t.shape()))?;
                    weights += 1;
                    (t.count(), t.host().iter().all(|v| v.is_finite()), expected.count())
                }
                Scores::Units(s) => {
                    units += 1;
                    (s.len(), s.iter().all(|v| v.is_finite()), UNITS)
                }
                Scores::Keep(keep) => {
                    decisions += 1;
                    (keep.len(), true, expected.count())
                }
            };
            ensure(n == wanted, || format!("`{name}` has {n} scores, not {wanted}"))?;
            ensure(finite, || format!("`{name}` has a score that is not finite"))?;
        }
        let parts = [(weights, "of weights"), (units, "of units"), (decisions, "decided by itself")];
        let parts: Vec<String> =
            parts.iter().filter(|p| p.0 > 0).map(|(n, what)| format!("{n} lists {what}")).collect();
        Ok(parts.join(", "))
    }

    /// How often a strong element is above a weak one, over all pairs of one target; ties count half. Scores that say in
    /// which direction something works have both signs, and those of weak elements are the smaller ones.
    fn planted(&self) -> Result<String> {
        let (mut above, mut larger, mut pairs, mut signs) = (0.0, 0.0, 0.0, [false; 2]);
        let wins = |strong: f32, weak: f32| {
            if strong > weak {
                1.0
            } else if strong == weak {
                0.5
            } else {
                0.0
            }
        };
        for (name, scores) in self.run(false)? {
            let (values, columns) = match scores {
                Scores::Weights(t) => (t.to_vec(), t.shape()[1]),
                Scores::Units(s) => (s, 1),
                Scores::Keep(keep) => (keep.iter().map(|&k| f32::from(u8::from(k))).collect(), 0),
            };
            let columns = if columns == 0 { self.scene()?.store.get(&name)?.value().shape()[1] } else { columns };
            let weak = |i: usize| if values.len() == UNITS { i % 2 == 1 } else { Scene::weak(&name, columns, i) };
            let (weak, strong): (Vec<_>, Vec<_>) = (0..values.len()).partition(|&i| weak(i));
            let pair = |s: &usize| weak.iter().map(|w| (values[*s], values[*w])).collect::<Vec<_>>();
            for (s, w) in strong.iter().flat_map(pair) {
                above += wins(s, w);
                larger += wins(s.abs(), w.abs());
                pairs += 1.0;
            }
            signs = [signs[0] || values.iter().any(|v| *v < 0.0), signs[1] || values.iter().any(|v| *v > 0.0)];
        }
        let [above, larger]: [f64; 2] = [above, larger].map(|count| count / f64::max(pairs, 1.0));
        if above <= 0.6 && signs == [true; 2] && larger > 0.6 {
            return Ok(format!("scores have both signs; by size in {:.0} % of all pairs", larger * 100.0));
        }
        ensure(above > 0.6, || {
            format!("a strong one is above a weak one in {:.0} % of all pairs; is the sign turned?", above * 100.0)
        })?;
        Ok(format!("in {:.0} % of all pairs", above * 100.0))
    }

    fn deterministic(&self) -> Result<String> {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map_err(|e| Error::Other(e.to_string()))?.install(|| self.run(false).map(|s| bits(&s)))
        };
        let first = on(1)?;
        let second = on(3)?;
        ensure(first == second, || "1 and 3 threads give different scores".into())?;
        same(&self.run(false)?, &self.run(false)?, "a second time")
    }

    fn resumed(&self) -> Result<String> {
        let (mut scene, mut criterion) = self.start()?;
        scene.train(criterion.as_mut())?;
        scene.train(criterion.as_mut())?;
        let state = criterion.save()?;
        let (entries, mut again) = (state.0.len(), self.build()?);
        scene.setup(again.as_mut(), self.registry)?;
        again.load(state.clone(), scene.store.device())?;
        ensure(again.save()? == state, || "what is saved after loading differs from what was loaded".into())?;
        let mut other = self.scene()?;
        let mut ignored = self.build()?;
        other.setup(ignored.as_mut(), self.registry)?;
        other.train(ignored.as_mut())?;
        other.train(ignored.as_mut())?;
        scene.train(criterion.as_mut())?;
        other.train(again.as_mut())?;
        same(&scene.scores(criterion.as_mut(), false)?, &other.scores(again.as_mut(), false)?, "resumed")?;
        Ok(format!("{entries} entries of state"))
    }

    fn reset(&self) -> Result<String> {
        let (mut scene, mut criterion) = self.start()?;
        let fresh = criterion.save()?;
        scene.train(criterion.as_mut())?;
        criterion.reset()?;
        criterion.reset()?;
        let left: Vec<String> = criterion.save()?.0.into_keys().filter(|k| !fresh.0.contains_key(k)).collect();
        // State beyond a pruning step is a criterion's right (hysteresis, thresholds of the first step); it must be
        // saved.
        Ok(if left.is_empty() { "nothing is left".into() } else { format!("it keeps {} on purpose", left.join(", ")) })
    }
}

fn bits(all: &All) -> Bits {
    let of = |s: &Scores<Cpu>| match s {
        Scores::Weights(t) => t.host().iter().map(|v| v.to_bits()).collect(),
        Scores::Units(s) => s.iter().map(|v| v.to_bits()).collect(),
        Scores::Keep(keep) => keep.iter().map(|&k| u32::from(k)).collect(),
    };
    all.iter().map(|(n, s)| (n.clone(), of(s))).collect()
}

fn same(first: &All, second: &All, how: &str) -> Result<String> {
    let (first, second) = (bits(first), bits(second));
    match first.iter().find(|(name, scores)| second.get(*name) != Some(scores)) {
        Some((name, _)) => Err(Error::Other(format!("asked {how}, `{name}` has other scores"))),
        None => Ok(format!("{} targets agree", first.len())),
    }
}
