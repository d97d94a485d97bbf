//! What a section of the config becomes under some choices, found once and remembered: a hundred thousand cells share
//! few sections.
//!
//! Sections are resolved and checked independently of each other, so a cell is one resolved form of each. Within a
//! section, choices that pick plugins or groups are resolved together; plain values are checked one at a time and laid
//! over the result. Whether plain values contradict each other is found when the cell itself is resolved. Where values
//! refer to other keys, or must be given by an axis, no section stands for itself: then every choice is resolved with all
//! others.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use toml::{Table, Value};

use super::choice::Choice;
use super::spec::Spec;
use crate::config::Schema;
use crate::config::{ConfigErrors, Layer, Stack, key};

/// An axis and one of its values.
pub type Pick = (u32, u32);

/// One form of a section.
#[derive(Debug)]
pub struct Form {
    /// The section, complete.
    pub table: Table,
    print: u128,
    /// What is wrong with the section in this form.
    pub errors: Option<ConfigErrors>,
    leaves: HashMap<Pick, Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// As the config has it: whole numbers may have become floats.
    value: Value,
    /// Added to the section's print when it takes the place of the form's own value.
    change: u128,
}

/// The sections of one cell.
pub struct Picked {
    parts: Vec<(Arc<Form>, Vec<Pick>)>,
}

/// All forms met so far.
pub struct Sections<'a> {
    stack: &'a Stack,
    spec: &'a Spec,
    schema: &'a dyn Schema,
    names: Vec<String>,
    /// For each axis and value, the sections it touches.
    touches: Vec<Vec<Vec<usize>>>,
    forms: HashMap<(usize, Vec<Pick>), Arc<Form>>,
    /// Plain values that are refused alone in some form: they may need another value beside them.
    dependent: HashSet<(usize, Vec<Pick>, Pick)>,
    /// Whether sections depend on each other.
    tied: bool,
}

impl<'a> Sections<'a> {
    /// A collection that has met no forms yet.
    pub fn new(stack: &'a Stack, spec: &'a Spec, schema: &'a dyn Schema) -> Self {
        let names: Vec<String> = schema.sections().into_iter().map(|section| section.name).collect();
        let place = |name: &String| names.iter().position(|known| known == name);
        let top = place(&String::new()).unwrap_or(0);
        let choices = spec.axes.iter().flat_map(|axis| &axis.values);
        let tied = stack.is_tied() || choices.flat_map(|choice| &choice.layers).any(Layer::is_tied);
        let sections_of = |choice: &Choice| {
            if tied {
                return (0..names.len()).collect();
            }
            let keys = choice.layers.iter().flat_map(|layer| layer.table.keys());
            let mut all: Vec<usize> = keys.map(|key| place(key).unwrap_or(top)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let touches = spec.axes.iter().map(|axis| axis.values.iter().map(sections_of).collect()).collect();
        Self { stack, spec, schema, names, touches, forms: HashMap::new(), dependent: HashSet::new(), tied }
    }

    /// The sections of a cell.
    pub fn pick(&mut self, picks: &[Pick]) -> Picked {
        let mut parts = Vec::with_capacity(self.names.len());
        for section in 0..self.names.len() {
            let (mut whole, mut plain) = (Vec::new(), Vec::new());
            for pick in picks.iter().filter(|pick| self.touches[pick.0 as usize][pick.1 as usize].contains(&section)) {
                let leaf = self.choice(*pick).leaf.is_some() && !self.tied;
                if leaf { plain.push(*pick) } else { whole.push(*pick) }
            }
            let form = self.form(section, whole, &mut plain);
            parts.push((form, plain));
        }
        Picked { parts }
    }

    fn choice(&self, (axis, value): Pick) -> &'a Choice {
        &self.spec.axes[axis as usize].values[value as usize]
    }

    fn form(&mut self, section: usize, whole: Vec<Pick>, plain: &mut Vec<Pick>) -> Arc<Form> {
        let base = self.found(section, &whole);
        if base.errors.is_some() {
            return base;
        }
        let unseen: Vec<Pick> = plain.iter().filter(|pick| !base.leaves.contains_key(pick)).copied().collect();
        if unseen.is_empty() {
            return base;
        }
        // Some values cannot stand alone here: then they are resolved with everything beside them.
        let learnt = self.learn(section, &whole, &unseen);
        if learnt.errors.is_none() {
            return learnt;
        }
        let all = [whole, std::mem::take(plain)].concat();
        self.found(section, &all)
    }

    /// The form for choices that are resolved together.
    fn found(&mut self, section: usize, whole: &[Pick]) -> Arc<Form> {
        if let Some(form) = self.forms.get(&(section, whole.to_vec())) {
            return form.clone();
        }
        let form = match self.resolved(section, whole) {
            Ok(table) => Form { print: self.print(section, &table), table, errors: None, leaves: HashMap::new() },
            Err(errors) => Form { table: Table::new(), print: 0, errors: Some(errors), leaves: HashMap::new() },
        };
        let form = Arc::new(form);
        self.forms.insert((section, whole.to_vec()), form.clone());
        form
    }

    /// The form with more plain values checked; where one is refused, a form with that error, which is not kept.
    fn learn(&mut self, section: usize, whole: &[Pick], unseen: &[Pick]) -> Arc<Form> {
        let base = self.found(section, whole);
        let mut leaves = Vec::new();
        for pick in unseen {
            let place = (section, whole.to_vec(), *pick);
            let refused = |errors| Form { table: Table::new(), print: 0, errors: Some(errors), leaves: HashMap::new() };
            if self.dependent.contains(&place) {
                return Arc::new(refused(ConfigErrors(Vec::new())));
            }
            match self.resolved(section, &[whole, &[*pick]].concat()) {
                Err(errors) => {
                    self.dependent.insert(place);
                    return Arc::new(refused(errors));
                }
                Ok(table) => {
                    let change = self.print(section, &table).wrapping_sub(base.print);
                    let path = self.choice(*pick).leaf.clone().unwrap_or_default();
                    let value = within(&table, self.inner(section, &path)).cloned();
                    leaves.push((*pick, Leaf { value: value.unwrap_or(Value::Boolean(false)), change }));
                }
            }
        }
        let mut all: HashMap<Pick, Leaf> = base.leaves.iter().map(|(pick, leaf)| (*pick, leaf.copy())).collect();
        all.extend(leaves);
        let form = Arc::new(Form { table: base.table.clone(), print: base.print, errors: None, leaves: all });
        self.forms.insert((section, whole.to_vec()), form.clone());
        form
    }

    fn resolved(&self, section: usize, picks: &[Pick]) -> Result<Table, ConfigErrors> {
        let values = self.stack.complete(&layers(self.spec, picks), self.schema)?.table;
        Ok(match self.names[section].as_str() {
            "" => values.into_iter().filter(|(name, _)| !self.names.contains(name)).collect(),
            name => values.get(name).and_then(Value::as_table).cloned().unwrap_or_default(),
        })
    }

    /// A key's path within its section.
    fn inner<'p>(&self, section: usize, path: &'p [String]) -> &'p [String] {
        if self.names[section].is_empty() { path } else { path.get(1..).unwrap_or_default() }
    }

    fn print(&self, section: usize, table: &Table) -> u128 {
        print(&self.names[section], table)
    }
}

impl Leaf {
    fn copy(&self) -> Self {
        Self { value: self.value.clone(), change: self.change }
    }
}

impl Picked {
    /// What is wrong with the cell's sections.
    pub fn errors(&self) -> impl Iterator<Item = &ConfigErrors> {
        self.parts.iter().filter_map(|(form, _)| form.errors.as_ref())
    }

    /// Equal for equal configs, and for no others.
    pub fn print(&self) -> u128 {
        let of = |(form, plain): &(Arc<Form>, Vec<Pick>)| {
            let changes = plain.iter().filter_map(|pick| form.leaves.get(pick));
            changes.fold(form.print, |print, leaf| print.wrapping_add(leaf.change))
        };
        self.parts.iter().map(of).fold(0, u128::wrapping_add)
    }

    /// Whether the config has these values; where it is refused, whether its choices do.
    pub fn has(&self, condition: &[(Vec<String>, Value)], picks: &[Pick], sections: &Sections<'_>) -> bool {
        condition.iter().all(|(path, wanted)| {
            let section = path.first().and_then(|first| sections.names.iter().position(|name| name == first));
            let section = section.or_else(|| sections.names.iter().position(String::is_empty)).unwrap_or(0);
            let (form, plain) = &self.parts[section];
            let laid = plain.iter().find(|pick| sections.choice(**pick).leaf.as_ref() == Some(path));
            let value = match laid.and_then(|pick| form.leaves.get(pick)) {
                Some(leaf) => Some(&leaf.value),
                None if form.errors.is_some() => {
                    layers(sections.spec, picks).into_iter().rev().find_map(|layer| within(&layer.table, path))
                }
                None => within(&form.table, sections.inner(section, path)),
            };
            value.is_some_and(|value| same(value, wanted))
        })
    }
}

/// The layers that choices set, weakest first.
pub fn layers<'a>(spec: &'a Spec, picks: &[Pick]) -> Vec<&'a Layer> {
    // A whole group is weaker than single values, wherever it stands among the axes.
    let choice = |pick: &Pick| &spec.axes[pick.0 as usize].values[pick.1 as usize];
    let (plain, whole): (Vec<&Choice>, Vec<&Choice>) =
        picks.iter().map(choice).partition(|choice| choice.leaf.is_some());
    whole.into_iter().chain(plain).flat_map(|choice| &choice.layers).collect()
}

/// The fingerprint of a whole config, as that of a cell.
pub fn print_of(config: &Table, schema: &dyn Schema) -> u128 {
    let (inner, top): (Table, Table) = {
        let names: Vec<String> = schema.sections().into_iter().map(|section| section.name).collect();
        config.clone().into_iter().partition(|(name, _)| names.contains(name))
    };
    let sections = inner.iter().filter_map(|(name, value)| Some(print(name, value.as_table()?)));
    sections.fold(print("", &top), u128::wrapping_add)
}

/// A sum over the leaves, so that it can be corrected for one of them; keys without effect do not count.
fn print(section: &str, table: &Table) -> u128 {
    fn leaves(path: &mut Vec<String>, table: &Table, sum: &mut u128) {
        for (name, value) in table {
            path.push(name.clone());
            match value {
                Value::Table(inner) if !inner.is_empty() => leaves(path, inner, sum),
                value => *sum = sum.wrapping_add(hash(&key::dotted(path), &value.to_string())),
            }
            path.pop();
        }
    }
    let mut sum = 0;
    match section {
        "output" => {}
        "" => {
            let mut effective = table.clone();
            effective.retain(|key, _| !["name", "threads"].contains(&key));
            leaves(&mut Vec::new(), &effective, &mut sum);
        }
        section => leaves(&mut vec![section.to_owned()], table, &mut sum),
    }
    sum
}

fn hash(key: &str, value: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, key, value).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

fn within<'v>(table: &'v Table, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(first)?, |value, part| value.get(part))
}

/// Whether two values are equal to people: 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

impl std::fmt::Debug for Sections<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sections").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}
