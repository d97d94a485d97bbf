//! The section `[sweep.search]`, read.

use toml::{Table, Value};

use super::{Reader, Spec};
use crate::config::key;
use crate::experiments::search::{Active, Dimension, Drawn, Kind, Replicate, Reward, Search, Settings, Span};

/// What a search has no use for, and why.
const OTHERS: [(&str, &str, &str); 7] = [
    ("axes", "a search proposes its cells itself", "move the axis to [sweep.search.space]: a list there is a choice"),
    ("zip", "a search has no axes that could advance together", "leave it out"),
    (
        "when",
        "a search has conditions of its own",
        "write [[sweep.search.when]] with if = { KEY = VALUE } and space = { KEY = ... }",
    ),
    ("exclude", "a search proposes its cells itself", "leave it out, or make the space smaller"),
    (
        "seeds",
        "trials have the config's one seed",
        "leave it out: replicate = { top = 3, seeds = 5 } says on how many seeds the best are run again",
    ),
    ("fork", "trials are whole runs", "leave it out"),
    (
        "claims",
        "nothing is claimed beforehand of settings that are not known yet",
        "leave it out, and claim it of a sweep of its own",
    ),
];

/// The section's keys with tables of their own.
const SPACE: &str = "write [sweep.search.space] and lines such as train.lr = { low = 1e-3, high = 0.3, log = true }, \
                     model.layers = { low = 1, high = 4, integer = true } or criterion.name = [\"magnitude\", \"taylor\"]";

impl Reader<'_> {
    /// Reads the section; `others` is what stands beside it.
    pub(super) fn search(&mut self, search: Value, mut others: Table) -> Spec {
        let controls = others.remove("controls").map_or_else(Vec::new, |controls| self.controls(Some(controls)));
        let search = match search {
            Value::Table(table) => self.read_search(table, &mut others),
            other => {
                self.refuse("search", format!("found {other}"), SPACE);
                None
            }
        };
        for (name, why, fix) in OTHERS.iter().filter(|(name, ..)| others.contains_key(*name)) {
            self.refuse(name, format!("it does not go with sweep.search: {why}"), fix);
        }
        let axes = std::mem::take(&mut self.axes);
        let dimensions = (0..axes.len()).map(|axis| vec![axis]).collect();
        let (when, exclude, alone, claims) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Spec { axes, dimensions, when, exclude, controls, alone, claims, until: None, search }
    }

    fn read_search(&mut self, mut table: Table, others: &mut Table) -> Option<Search> {
        let mut space = Vec::new();
        match table.remove("space") {
            Some(Value::Table(given)) if !given.is_empty() => self.space(&given, None, &mut space),
            None => self.refuse("search.space", "it is missing: there is nothing to search".to_owned(), SPACE),
            Some(other) => self.refuse("search.space", format!("found {other}"), SPACE),
        }
        for rule in self.rules(table.remove("when"), "search.when") {
            self.condition(rule, &mut space);
        }
        self.repeated(&[]);
        self.both(others, &space);
        let fix = "see `secateur sweep --help`, or the page on searches in the guide";
        let refuse = |reader: &mut Self, problems: Vec<String>| {
            problems.into_iter().for_each(|problem| reader.refuse("search", problem, fix));
        };
        let settings = Settings::read(&table).map_err(|problems| refuse(self, problems)).ok()?;
        let halving = settings.halving().map_err(|problems| refuse(self, problems));
        let replicate: Result<Replicate, ()> = settings.replicate().map_err(|problems| refuse(self, problems));
        let reward = Reward::read(&settings.metric).map_err(|problem| {
            let fix = "write metric = \"validation_accuracy\", or an expression such as \"accuracy_change + 0.1 * macs_saved\"";
            self.refuse("search.metric", problem, fix);
        });
        let search =
            Search { halving: halving.ok()?, replicate: replicate.ok()?, reward: reward.ok()?, settings, space };
        let key = search.space.iter().find(|dimension| ["seed", "train.epochs"].contains(&dimension.key.as_str()));
        match key.map(|dimension| dimension.key.as_str()) {
            Some("seed") => {
                let fix = "leave it out: replicate says on how many seeds the best are run again";
                self.refuse("search.space.seed", "a seed that chance likes is no setting".to_owned(), fix);
            }
            Some(_) if search.halving.is_some() => {
                let fix = "leave it out, or halving: a trial gets a share of its epochs there";
                self.refuse("search.space.train.epochs", "halving compares runs of one length".to_owned(), fix);
            }
            _ => {}
        }
        Some(search)
    }

    /// Adds a dimension for each list and each range in a table, however deep its key.
    fn space(&mut self, table: &Table, when: Option<&Active>, space: &mut Vec<Dimension>) {
        for (path, value) in leaves(table, &[]) {
            let key = key::dotted(&path);
            let at = format!("search.{}.{key}", if when.is_some() { "when" } else { "space" });
            if space.iter().any(|dimension| dimension.key == key) {
                self.refuse(&at, "the key stands there twice".to_owned(), "keep one of them");
                continue;
            }
            let values = match &value {
                Value::Array(values) if values.len() > 1 => values.clone(),
                Value::Array(values) => {
                    let problem = format!("a choice needs two values or more, found {}", values.len());
                    self.refuse(&at, problem, "add some, or set the key above [sweep]");
                    continue;
                }
                Value::Table(range) => match Span::read(range) {
                    Ok(span) => {
                        let kind = Kind::Span(span.clone());
                        let ends = span.extremes().into_iter().filter_map(Drawn::value).collect();
                        self.axis(&path, ends, &place(&at, &key));
                        space.push(Dimension { key, path, kind, when: when.cloned() });
                        continue;
                    }
                    Err(problem) => {
                        self.refuse(&at, problem, SPACE);
                        continue;
                    }
                },
                other => {
                    self.refuse(&at, format!("found {other}, which is neither a range nor a choice"), SPACE);
                    continue;
                }
            };
            let before = self.axes.len();
            self.axis(&path, values, &place(&at, &key));
            let labels = self
                .axes
                .get(before)
                .map_or_else(Vec::new, |axis| axis.values.iter().map(|choice| choice.label.clone()).collect());
            if !labels.is_empty() {
                space.push(Dimension { key, path, kind: Kind::Choice(labels), when: when.cloned() });
            }
        }
    }

    /// A rule with dimensions that hold where another one has some choices.
    fn condition(&mut self, mut rule: Table, space: &mut Vec<Dimension>) {
        let fix = "write [[sweep.search.when]] with if = { criterion.name = \"taylor\" } and space = { criterion.form = [...] }";
        let (Some(Value::Table(condition)), Some(Value::Table(own)), true) =
            (rule.remove("if"), rule.remove("space"), rule.is_empty())
        else {
            return self.refuse("search.when", "a rule is made of `if` and `space`".to_owned(), fix);
        };
        let condition = key::flat(&condition);
        let [(path, wanted)] = condition.as_slice() else {
            return self.refuse("search.when", "`if` names one key".to_owned(), fix);
        };
        let key = key::dotted(path);
        let Some((dimension, labels)) = space.iter().enumerate().find_map(|(at, dimension)| match &dimension.kind {
            Kind::Choice(labels) if dimension.key == key && dimension.when.is_none() => Some((at, labels)),
            _ => None,
        }) else {
            let choices: Vec<&str> = (space.iter().filter(|dimension| matches!(dimension.kind, Kind::Choice(_))))
                .map(|dimension| dimension.key.as_str())
                .collect();
            let problem = format!("{key} is no choice of the space; choices there: {}", choices.join(", "));
            return self.refuse("search.when", problem, fix);
        };
        let wanted: Vec<Value> = if let Value::Array(all) = wanted { all.clone() } else { vec![wanted.clone()] };
        let name = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let place = |value: &Value| labels.iter().position(|label| *label == name(value));
        let choices: Option<Vec<usize>> = wanted.iter().map(place).collect();
        let Some(choices) = choices.filter(|choices| !choices.is_empty()) else {
            let all = wanted.iter().map(name).collect::<Vec<_>>().join(", ");
            let problem = format!("{key} has no choice {all}; it has {}", labels.join(", "));
            return self.refuse("search.when", problem, fix);
        };
        self.space(&own, Some(&Active { dimension, choices }), space);
    }

    /// Says it where a key of the space is an axis too.
    fn both(&mut self, others: &mut Table, space: &[Dimension]) {
        let Some(Value::Table(axes)) = others.get_mut("axes") else { return };
        for (path, _) in key::flat(axes) {
            let key = key::dotted(&path);
            if space.iter().any(|dimension| dimension.key == key) {
                let fix = "keep it in one place: values of an axis become a choice of the space";
                self.refuse(&format!("axes.{key}"), "it is a key of sweep.search.space too".to_owned(), fix);
                others.remove("axes");
                return;
            }
        }
    }
}

/// Where an axis stands, without its key.
fn place(at: &str, key: &str) -> String {
    at.strip_suffix(key).and_then(|place| place.strip_suffix('.')).unwrap_or(at).to_owned()
}

/// The lists and ranges of a table, each with the parts of its key.
fn leaves(table: &Table, before: &[String]) -> Vec<(Vec<String>, Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        let path = [before, &key::split(name).unwrap_or_else(|| vec![name.clone()])].concat();
        match value {
            Value::Table(inner) if !inner.is_empty() && ["low", "high"].iter().all(|end| !inner.contains_key(*end)) => {
                all.extend(leaves(inner, &path));
            }
            other => all.push((path, other.clone())),
        }
    }
    all
}
