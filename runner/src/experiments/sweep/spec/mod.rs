//! The `[sweep]` section: axes, and what is done with their product.
//!
//! Longer than 300 lines because one reader tells everything that is wrong with the section at once.

mod search;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::choice::Choice;
use super::control::Control;
use super::growing::Until;
use crate::config::fork::FORK;
use crate::config::key::{self, flat};
use crate::config::{ConfigError, ConfigErrors, Member, SetBy, Stack, nearest};
use crate::experiments::claims::Claim;
use crate::experiments::search::Search;

/// Keys of the section.
const KEYS: [&str; 9] = ["axes", "zip", "when", "exclude", "seeds", "controls", "fork", "claims", "search"];

/// Seeds of a sweep where a number says how many.
const MAX_SEEDS: i64 = 100_000;

/// What the `[sweep]` section says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Every axis: those of all cells first, then those of the `when` rules.
    pub axes: Vec<Axis>,
    /// Axes of all cells, in groups that advance together.
    pub dimensions: Vec<Vec<usize>>,
    /// Axes and values for some cells only.
    pub when: Vec<When>,
    /// Cells that are left out.
    pub exclude: Vec<Condition>,
    /// What each pruned cell is compared with.
    pub controls: Vec<Control>,
    /// Axes that `zip` joins with no other.
    pub alone: Vec<String>,
    /// What its runs are to show.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// How seeds are added, where that goes on until comparisons are settled; a plan that grows is never frozen.
    #[serde(skip)]
    pub until: Option<Until>,
    /// How settings are proposed, where that goes by what earlier ones came to; the axes are then the first ones of its
    /// dimensions, in their order.
    #[serde(skip)]
    pub search: Option<Search>,
}

/// One key, or one section, and the values it takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Axis {
    /// Dotted: `criterion.lambda1`; a section alone for named groups: `criterion`.
    pub key: String,
    /// The values in the order given.
    pub values: Vec<Choice>,
}

/// Axes and values for the cells that a condition holds for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct When {
    /// The cells that it is for.
    pub condition: Condition,
    /// Indices into [`Spec::axes`], each a dimension of its own.
    pub axes: Vec<usize>,
}

/// Values that a cell's config must have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition(pub Vec<(Vec<String>, Value)>);

impl Spec {
    /// Reads the section.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn read(table: Table, origins: &BTreeMap<String, SetBy>, stack: &Stack) -> Result<Self, ConfigErrors> {
        let (errors, axes, alone, twice) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut reader = Reader { origins, stack, errors, axes, alone, twice };
        let spec = reader.read(table);
        if reader.errors.is_empty() { Ok(spec) } else { Err(ConfigErrors(reader.errors)) }
    }
}

struct Reader<'a> {
    origins: &'a BTreeMap<String, SetBy>,
    stack: &'a Stack,
    errors: Vec<ConfigError>,
    axes: Vec<Axis>,
    alone: Vec<String>,
    /// Axes on which a value stands twice, by their place: right where they advance with others.
    twice: Vec<(usize, String, String)>,
}

impl Reader<'_> {
    fn read(&mut self, mut table: Table) -> Spec {
        for name in table.keys().filter(|name| !KEYS.contains(&name.as_str())).cloned().collect::<Vec<_>>() {
            let near = nearest(&name, KEYS).map(|near| format!("did you mean sweep.{near}?"));
            let fix = near.unwrap_or_else(|| format!("use one of {}", KEYS.join(", ")));
            self.refuse(&name, format!("unknown key; known here: {}", KEYS.join(", ")), &fix);
        }
        if let Some(search) = table.remove("search") {
            return self.search(search, table);
        }
        let mut axes = Table::new();
        match table.remove("axes") {
            None => {}
            Some(Value::Table(found)) => axes = found,
            Some(other) => {
                self.refuse("axes", format!("found {other}"), "write [sweep.axes] and one KEY = [values] a line")
            }
        }
        self.fork(table.remove("fork"));
        self.axes_of(axes, "axes");
        let until = self.seeds(table.remove("seeds"));
        let plain = self.axes.len();
        let dimensions = self.dimensions(table.remove("zip"), plain);
        self.repeated(&dimensions);
        let when = self.rules(table.remove("when"), "when").into_iter().map(|rule| self.when(rule)).collect();
        self.repeated(&[]);
        let exclude = self.rules(table.remove("exclude"), "exclude");
        let exclude = exclude.iter().map(|rule| Condition(flat(rule))).collect();
        let controls = self.controls(table.remove("controls"));
        let claims = self.rules(table.remove("claims"), "claims");
        let claims = claims.into_iter().filter_map(|claim| self.claim(claim, &controls)).collect();
        let (axes, alone) = (std::mem::take(&mut self.axes), std::mem::take(&mut self.alone));
        Spec { axes, dimensions, when, exclude, controls, alone, claims, until, search: None }
    }

    /// Adds an axis for each list in a table, however deep its key.
    fn axes_of(&mut self, table: Table, place: &str) {
        let mut seen = HashSet::new();
        for (path, value) in flat(&table) {
            let dotted = key::dotted(&path);
            if !seen.insert(dotted.clone()) {
                let fix = format!("keep one: {dotted} = [...] and \"{dotted}\" = [...] are the same axis");
                self.refuse(&format!("{place}.{dotted}"), "the axis stands there twice".to_owned(), &fix);
            }
            match value {
                Value::Array(values) if !values.is_empty() => self.axis(&path, values, place),
                other => {
                    let at = format!("{place}.{dotted}");
                    self.refuse(
                        &at,
                        format!("an axis is a list of values, found {other}"),
                        &format!("write {dotted} = [{other}]"),
                    );
                }
            }
        }
    }

    fn axis(&mut self, path: &[String], values: Vec<Value>, place: &str) {
        let dotted = key::dotted(path);
        // Seeds and places of forks are said by a key of their own.
        let at = if ["seeds", "fork"].contains(&place) { place.to_owned() } else { format!("{place}.{dotted}") };
        let origin = self.origin(&at).unwrap_or(SetBy::BuiltIn);
        if let Some(by_hand) = self.stack.set_by_hand(&dotted) {
            let problem = format!("{by_hand} sets it, and it is an axis of the sweep");
            self.refuse(
                &at,
                problem,
                &format!("leave out that value, or give the axis others: {dotted}=A,B, or ~sweep.{at} for none"),
            );
        }
        let mut choices: Vec<Choice> = Vec::new();
        for value in values {
            let choice = match (&value, path) {
                (Value::String(name), [_]) if name.contains('/') || name.ends_with(".toml") => self.group(name, &at),
                (Value::String(name), [group]) => match self.stack.member(group, name) {
                    Some(Ok(Member::Config(config))) => self.group(&config, &at),
                    Some(Ok(Member::Plugin)) => {
                        Some(Choice::plain(&[group.clone(), "name".to_owned()], &value, &origin))
                    }
                    Some(Err(fix)) => {
                        self.refuse(&at, format!("there is no {name} in the group {group}"), &fix);
                        None
                    }
                    None => Some(Choice::plain(path, &value, &origin)),
                },
                _ => Some(Choice::plain(path, &value, &origin)),
            };
            choices.extend(choice);
        }
        let mut labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
        labels.sort_unstable();
        if let Some(twice) = labels.windows(2).find(|pair| pair[0] == pair[1]) {
            self.twice.push((self.axes.len(), at, twice[0].to_owned()));
        }
        self.axes.push(Axis { key: dotted, values: choices });
    }

    fn group(&mut self, name: &str, at: &str) -> Option<Choice> {
        match self.stack.read(name) {
            Ok(layers) => Some(Choice::group(name, layers)),
            Err(ConfigErrors(errors)) => {
                let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                self.refuse(at, text, "an axis over a section takes names of configs, files, or tables");
                None
            }
        }
    }

    fn seeds(&mut self, seeds: Option<Value>) -> Option<Until> {
        let mut until = None;
        let values = match seeds {
            None => return None,
            Some(Value::Table(table)) if table.contains_key("until") => match Until::read(&table) {
                Ok(read) => {
                    let all = (0..read.at_most as i64).map(Value::Integer).collect();
                    until = Some(read);
                    all
                }
                Err(problems) => {
                    let fix =
                        "write seeds = { until = \"decided\", margin = 0.5, error = 0.05, at_least = 5, at_most = 40 }";
                    problems.into_iter().for_each(|problem| self.refuse("seeds", problem, fix));
                    return None;
                }
            },
            Some(Value::Integer(count)) if (1..=MAX_SEEDS).contains(&count) => (0..count).map(Value::Integer).collect(),
            Some(Value::Array(list)) if !list.is_empty() && list.iter().all(Value::is_integer) => list,
            Some(other) => {
                let fix = format!(
                    "write seeds = 5 for the seeds 0 to 4 (at most {MAX_SEEDS}), a list: seeds = [0, 7], or {{ until = \"decided\" }}"
                );
                self.refuse("seeds", format!("found {other}"), &fix);
                return None;
            }
        };
        self.axis(&["seed".to_owned()], values, "seeds");
        until
    }

    /// Where cells leave another run: an axis of the section of that name, of one place or several.
    fn fork(&mut self, fork: Option<Value>) {
        let places = match fork {
            None => return,
            Some(Value::Array(places)) if !places.is_empty() => places,
            Some(one) => vec![one],
        };
        let known = |key: &str| ["at", "from"].contains(&key);
        let is_place = |place: &Value| {
            place.as_table().is_some_and(|place| place.contains_key("at") && place.keys().all(|key| known(key)))
        };
        if let Some(other) = places.iter().find(|place| !is_place(place)) {
            let fix = "write fork = { at = \"prune:3\" }, with from = \"CONFIG or folder of a run\" beside it where the runs that are \
                       left are not those of this config; or a list of such tables";
            return self.refuse("fork", format!("found {other}"), fix);
        }
        self.axis(&[FORK.to_owned()], places, "fork");
    }

    /// Every axis a dimension, except those that `zip` joins.
    fn dimensions(&mut self, zip: Option<Value>, axes: usize) -> Vec<Vec<usize>> {
        let fix = "write zip = [[\"train.lr\", \"train.epochs\"]]: lists of axes that have equally many values";
        let lists: Option<Vec<Vec<String>>> = zip.map_or_else(|| Some(Vec::new()), |zip| zip.try_into().ok());
        let Some(lists) = lists else {
            self.refuse("zip", "it is not a list of lists of keys".to_owned(), fix);
            return Vec::new();
        };
        let mut dimensions = Vec::new();
        let mut joined = vec![false; axes];
        for list in lists {
            let mut group = Vec::new();
            for name in &list {
                match self.axes.iter().position(|axis| axis.key == *name) {
                    Some(index) if !joined[index] => {
                        joined[index] = true;
                        group.push(index);
                    }
                    Some(_) => self.refuse("zip", format!("{name} stands there twice"), fix),
                    None => self.refuse("zip", format!("{name} is not an axis"), fix),
                }
            }
            let lengths: Vec<usize> = group.iter().map(|axis| self.axes[*axis].values.len()).collect();
            if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
                self.refuse("zip", format!("{} have {lengths:?} values", list.join(", ")), fix);
            }
            if let [_] = group[..] {
                self.alone.extend(list);
            }
            dimensions.push(group);
        }
        dimensions.extend((0..axes).filter(|axis| !joined[*axis]).map(|axis| vec![axis]));
        // Seeds vary fastest: the cells of one setting stand together.
        let seeds = |axis: &usize| match self.axes[*axis].key.as_str() {
            "seed" => 2,
            key => usize::from(key.starts_with("seeds.")),
        };
        dimensions.sort_by_key(|group| group.iter().map(seeds).max());
        dimensions
    }

    /// Refuses values that stand twice on an axis, unless the axes that it advances with tell them apart.
    fn repeated(&mut self, dimensions: &[Vec<usize>]) {
        for (axis, at, value) in std::mem::take(&mut self.twice) {
            let labels = |axis: &usize| self.axes[*axis].values.iter().map(|choice| choice.label.as_str());
            let together = dimensions.iter().find(|group| group.contains(&axis) && group.len() > 1);
            let mut seen = HashSet::new();
            let told_apart = together.is_some_and(|group| {
                (0..self.axes[axis].values.len())
                    .all(|place| seen.insert(group.iter().map(|axis| labels(axis).nth(place)).collect::<Vec<_>>()))
            });
            if !told_apart {
                let problem = format!("the value {value} stands there twice");
                self.refuse(&at, problem, "keep one of them: equal cells would be one run");
            }
        }
    }

    fn claim(&mut self, claim: Table, controls: &[Control]) -> Option<Claim> {
        let fix = "write [[sweep.claims]] with claim = \"...\", of = { criterion.name = \"...\" }, is = \"better\", than = { criterion.name = \
                   \"...\" } or { control = \"random\" } or { value = 0.0 }, and margin = 0.5; where, metric and source may stand beside them";
        let read = Claim::read(claim);
        if let Some(kind) = read.as_ref().ok().and_then(Claim::control)
            && controls.iter().all(|control| control.name() != kind)
        {
            let known = controls.iter().map(|control| control.name()).collect::<Vec<_>>().join(", ");
            let problem = format!("{kind} is not among the controls of this sweep: {known}");
            self.refuse("claims", problem, "add it to sweep.controls, or compare with another");
        }
        read.map_err(|problem| self.refuse("claims", problem, fix)).ok()
    }

    fn rules(&mut self, rules: Option<Value>, name: &str) -> Vec<Table> {
        let tables = rules.map_or_else(|| Some(Vec::new()), |rules| rules.try_into().ok());
        tables.unwrap_or_else(|| {
            self.refuse(
                name,
                "it is not a list of tables".to_owned(),
                &format!("write [[sweep.{name}]] and KEY = VALUE lines"),
            );
            Vec::new()
        })
    }

    fn when(&mut self, mut rule: Table) -> When {
        let fix = "write [[sweep.when]] with if = { \"criterion.name\" = \"...\" }, and axes = { KEY = [...] } or set = { KEY = ... }";
        let mut part = |reader: &mut Self, name: &str| match rule.remove(name) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(other) => {
                reader.refuse("when", format!("{name} must be a table, found {other}"), fix);
                Table::new()
            }
        };
        let (condition, axes, set) = (part(self, "if"), part(self, "axes"), part(self, "set"));
        if let Some((unknown, _)) = rule.iter().next() {
            self.refuse("when", format!("unknown key {unknown}"), fix);
        } else if condition.is_empty() || axes.is_empty() && set.is_empty() {
            self.refuse("when", "a rule needs `if`, and `axes` or `set`".to_owned(), fix);
        }
        let first = self.axes.len();
        self.axes_of(axes, "when");
        for (path, value) in flat(&set) {
            self.axis(&path, vec![value], "when");
        }
        When { condition: Condition(flat(&condition)), axes: (first..self.axes.len()).collect() }
    }

    fn controls(&mut self, controls: Option<Value>) -> Vec<Control> {
        let Some(value) = controls else { return Control::ALL.to_vec() };
        let names: Option<Vec<String>> = value.clone().try_into().ok();
        let found: Option<Vec<Control>> = names
            .and_then(|names| names.iter().map(|name| Control::ALL.into_iter().find(|c| c.name() == name)).collect());
        found.unwrap_or_else(|| {
            let known = Control::ALL.map(|control| format!("\"{}\"", control.name())).join(", ");
            self.refuse("controls", format!("found {value}"), &format!("a list of some of {known}; [] for none"));
            Vec::new()
        })
    }

    fn origin(&self, at: &str) -> Option<SetBy> {
        let full = format!("sweep.{at}");
        let quoted = at.split_once('.').map(|(place, rest)| format!("sweep.{place}.{}", key::dotted(&[rest])));
        let exact = self.origins.get(&full).or_else(|| self.origins.get(&quoted?)).cloned();
        let within = format!("{full}.");
        let exact =
            exact.or_else(|| self.origins.iter().find(|(set, _)| set.starts_with(&within)).map(|(_, by)| by.clone()));
        exact.or_else(|| {
            let top = format!("sweep.{}", at.split('.').next().unwrap_or(at));
            self.origins.iter().find(|(set, _)| set.starts_with(&top)).map(|(_, origin)| origin.clone())
        })
    }

    fn refuse(&mut self, at: &str, problem: String, fix: &str) {
        let origin = self.origin(at);
        self.errors.push(ConfigError::Sweep { key: format!("sweep.{at}"), origin, problem, fix: fix.to_owned() });
    }
}
