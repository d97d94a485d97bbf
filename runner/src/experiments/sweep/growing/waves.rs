//! `waves.json` of a sweep whose seeds are added until its comparisons are settled: each wave of runs as it was decided on,
//! and what was seen after it. A wave is a plan that does not change; the next one follows from what was seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::until::{Fixed, Until};
use crate::experiments::compare::{Cells, Comparison, Pair, Question};
use crate::experiments::index::Record;
use crate::experiments::sequential::{Claim, Levels, Look, room};
use crate::experiments::sweep::control::Control;
use crate::experiments::sweep::grid::Cell;
use crate::experiments::sweep::plan::SweepPlan;
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::write_whole;

/// The file's name.
pub const WAVES: &str = "waves.json";

/// Settings, without their seeds, and the kinds of controls that each gets.
type Settings = BTreeMap<String, BTreeSet<String>>;

/// Every wave so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waves {
    rule: Fixed,
    waves: Vec<Wave>,
}

/// Runs that are decided on together.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wave {
    /// Places of its seeds among the seeds of the sweep: from the first to before the last.
    seeds: (usize, usize),
    settings: Settings,
    /// What was seen after it; nothing before its end.
    #[serde(default)]
    seen: Option<Vec<Seen>>,
}

/// One comparison after a wave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The group.
    pub group: String,
    /// What it is compared with.
    pub baseline: String,
    /// The pairs by then; absent where nothing pairs.
    pub look: Option<Look>,
    /// What it came to, then or before.
    pub claim: Option<Claim>,
}

impl Waves {
    /// Those of a sweep's folder, or the first one.
    ///
    /// # Errors
    /// The file is damaged, or of other seeds.
    pub fn open(plan: &SweepPlan, until: &Until) -> Result<Self, Failure> {
        let (rule, path) = (Fixed::from(until), plan.folder.join(WAVES));
        let refused = |problem: &str, fix: &str| Failure::Usage(format!("{}: {problem}\n  fix: {fix}", path.display()));
        let Ok(text) = fs::read(&path) else {
            let kinds: BTreeSet<String> = plan.controls().iter().map(|control| control.name().to_owned()).collect();
            let settings = plan.cells.iter().map(|cell| (plan.setting(cell), kinds.clone())).collect();
            let first = Wave { seeds: (0, rule.looks[0]), settings, seen: None };
            let waves = Self { rule, waves: vec![first] };
            waves.write(&plan.folder)?;
            return Ok(waves);
        };
        let waves: Self = serde_json::from_slice(&text).map_err(|error| {
            refused(&error.to_string(), "remove the file: the runs stay, and the waves follow from them anew")
        })?;
        if waves.rule != rule {
            let told = |fixed: &Fixed| serde_json::to_string(fixed).unwrap_or_default();
            let problem = format!(
                "the seeds of this sweep were begun by another rule\n  there: {}\n  here: {}",
                told(&waves.rule),
                told(&rule)
            );
            let fix = "go on by the rule that was begun with, or give the sweep another name: a rule that is changed after its \
                       results were seen keeps no error";
            return Err(refused(&problem, fix));
        }
        Ok(waves)
    }

    /// Those of a folder that a comparison looks at; `None` where there are none, or none that can be read.
    pub fn of(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(WAVES)).ok()?).ok()
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text = format!("{:#}\n", serde_json::json!(self));
        Ok(write_whole(&folder.join(WAVES), text.as_bytes())?)
    }

    /// The cells of all waves, or those of the last one alone, and the kinds of controls of each.
    pub fn cells(&self, plan: &SweepPlan, last: bool) -> (Vec<Cell>, Vec<Vec<Control>>) {
        let waves = if last { &self.waves[self.waves.len() - 1..] } else { &self.waves[..] };
        let mut cells = Vec::new();
        for cell in &plan.cells {
            let (setting, seed) = (plan.setting(cell), plan.seed_place(cell));
            let wave = waves.iter().find(|wave| (wave.seeds.0..wave.seeds.1).contains(&seed));
            let Some(kinds) = wave.and_then(|wave| wave.settings.get(&setting)) else { continue };
            let controls: Vec<Control> =
                Control::ALL.into_iter().filter(|control| kinds.contains(control.name())).collect();
            cells.push((cell.clone(), controls));
        }
        cells.into_iter().unzip()
    }

    /// Looks at the runs of the last wave, which have ended, and decides on the next; false where there is none.
    ///
    /// # Errors
    /// The runs cannot be compared; the file cannot be written.
    pub fn look(&mut self, plan: &SweepPlan, until: &Until, records: Vec<Record>) -> Result<bool, Failure> {
        let settings: HashMap<String, String> =
            plan.cells.iter().map(|cell| (plan.label(cell), plan.setting(cell))).collect();
        let cells = Cells::new(records);
        let question =
            Question { metric: until.metric.clone(), baseline: until.baseline.clone(), ..Question::default() };
        let found = cells.compare(&question).map_err(Failure::Usage)?;
        let rule = until.rule(until.margin.map(|margin| found.metric.margin(margin)));
        let mut all: Vec<Seen> =
            found.pairs.iter().chain(&found.control_pairs).map(|pair| seen(pair, &found)).collect();
        let earlier: Vec<&Vec<Seen>> = self.waves.iter().filter_map(|wave| wave.seen.as_ref()).collect();
        // A comparison that is seen no more, because its runs were removed, still has its share of the error.
        for gone in earlier.iter().flat_map(|seen| seen.iter()) {
            if !all.iter().any(|now| now.is(gone)) {
                all.push(Seen { look: None, ..gone.clone() });
            }
        }
        let looks: Vec<Vec<Look>> = (all.iter())
            .map(|now| {
                let before =
                    earlier.iter().flat_map(|seen| seen.iter().find(|seen| seen.is(now))).filter_map(|seen| seen.look);
                let mut looks: Vec<Look> = before.collect();
                // No new pairs, no new look.
                looks.dedup_by_key(|look| look.n);
                looks.extend(now.look.filter(|look| looks.last().is_none_or(|last| last.n < look.n)));
                looks
            })
            .collect();
        let last = earlier.last();
        let claimed = |now: &Seen| last.and_then(|seen| seen.iter().find(|seen| seen.is(now))?.claim);
        let mut claims: Vec<Option<Claim>> = all.iter().map(claimed).collect();
        rule.settle(&looks, &mut claims, &mut Levels::default());
        all.iter_mut().zip(claims).for_each(|(seen, claim)| seen.claim = claim);
        let settings = wanted(&found, &cells, &all, &settings);
        let done = self.rule.looks.iter().position(|look| Some(*look) == self.waves.last().map(|wave| wave.seeds.1));
        let next = done.and_then(|done| Some((self.rule.looks[done], *self.rule.looks.get(done + 1)?)));
        if let Some(wave) = self.waves.last_mut() {
            wave.seen = Some(all);
        }
        let more = next.filter(|_| !settings.is_empty());
        self.waves.extend(more.map(|seeds| Wave { seeds, settings, seen: None }));
        self.write(&plan.folder)?;
        Ok(more.is_some())
    }

    /// What is run now: `5 seeds of at most 40; 1 of 3 comparisons settled`.
    pub fn part(&self) -> String {
        let seeds = self.waves.last().map_or(0, |wave| wave.seeds.1);
        let text = format!("{} of at most {}", counted(seeds, "seed"), self.rule.looks.last().unwrap_or(&seeds));
        let seen = self.waves.iter().rev().find_map(|wave| wave.seen.as_ref());
        let settled = |all: &Vec<Seen>| {
            let settled = all.iter().filter(|seen| seen.claim.is_some()).count();
            format!("; {settled} of {} settled", counted(all.len(), "comparison"))
        };
        text + &seen.map(settled).unwrap_or_default()
    }

    /// After the first look: that `at_most` leaves looks little to save, where it does.
    pub fn note(&self) -> Option<String> {
        let mut looked = self.waves.iter().filter_map(|wave| wave.seen.as_ref());
        let (Some(seen), None) = (looked.next(), looked.next()) else { return None };
        let (room, most) = (room(self.rule.error, seen.len()), *self.rule.looks.last()?);
        let (comparisons, error) = (counted(seen.len(), "comparison"), self.rule.error);
        (most < room).then(|| {
            format!(
                "of a difference of one standard deviation looks take at most three quarters of the seeds of a fixed design of \
                 equal power only where `at_most` is {room} or more, with {comparisons} at an error of {error}; here it is {most}"
            )
        })
    }

    /// Whether the last wave was looked at, so that nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.waves.last().is_some_and(|wave| wave.seen.is_some())
    }

    /// What every comparison came to, in words.
    pub fn told(&self) -> Vec<String> {
        let Some(all) = self.waves.iter().rev().find_map(|wave| wave.seen.as_ref()) else { return Vec::new() };
        all.iter().map(|seen| seen.told(self.rule.margin.is_some())).collect()
    }

    /// The probability of any wrong claim.
    pub fn error(&self) -> f64 {
        self.rule.error
    }
}

impl Seen {
    fn is(&self, other: &Self) -> bool {
        (&self.group, &self.baseline) == (&other.group, &other.baseline)
    }

    fn told(&self, margin: bool) -> String {
        let (pair, seeds) = (format!("{} – {}", self.group, self.baseline), self.look.map_or(0, |look| look.n));
        let verdict = match self.claim {
            Some(Claim::Above) => "above",
            Some(Claim::Below) => "below",
            Some(Claim::Same) => "the same within the margin",
            None if margin => "undecided",
            None => "no difference shown",
        };
        format!("{pair}: {verdict} after {}", counted(seeds, "seed"))
    }
}

fn seen(pair: &Pair, found: &Comparison) -> Seen {
    let (group, baseline) = (&found.groups[pair.group], &found.groups[pair.baseline]);
    // A control's label names the groups that share it, which changes as some of them are settled.
    let baseline = baseline.control.as_ref().map_or_else(|| baseline.label.clone(), |kind| format!("control: {kind}"));
    let look = pair.found.map(|found| Look { n: found.n, mean: found.mean, std: found.std.unwrap_or(0.0) });
    Seen { group: group.label.clone(), baseline, look, claim: None }
}

/// The settings that need more seeds, with the kinds of controls that do: those of comparisons that go on.
fn wanted(found: &Comparison, cells: &Cells, all: &[Seen], known: &HashMap<String, String>) -> Settings {
    let mut settings = Settings::new();
    let of = |group: usize| {
        let runs = found.groups[group].cells.iter().map(|run| &cells.records[*run].summary);
        let labels = runs.filter_map(|summary| summary.get("cell")?.as_str());
        labels.filter_map(|label| known.get(label).cloned()).collect::<BTreeSet<String>>()
    };
    for (pair, control) in
        found.pairs.iter().map(|pair| (pair, false)).chain(found.control_pairs.iter().map(|pair| (pair, true)))
    {
        let now = seen(pair, found);
        // Where nothing pairs, more seeds would not either: its runs fail, or are unlike.
        let open = all.iter().any(|seen| seen.is(&now) && seen.claim.is_none()) && now.look.is_some();
        if !open {
            continue;
        }
        for setting in of(pair.group) {
            let kinds = settings.entry(setting).or_default();
            kinds.extend(found.groups[pair.baseline].control.clone().filter(|_| control));
        }
        if !control {
            of(pair.baseline).into_iter().for_each(|setting| _ = settings.entry(setting).or_default());
        }
    }
    settings
}
