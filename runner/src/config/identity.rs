//! What makes a run the run that it is: the keys that can change its results and have not their default. A key that a
//! later version adds is not among them in a run that leaves it alone, so that the run keeps its name.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::run_config::SEEDS;
use super::schema::{KeyDoc, PluginDoc, Schema};
use super::{fork, key};

/// Keys that cannot change a result: what the run is called, where it is written, how many threads compute it.
const WITHOUT_EFFECT: [&str; 3] = ["name", "output", "threads"];

/// The part of a complete config that identifies the run: the names of plugins, and every key that has not its default.
///
/// The default is the one documented for the chosen plugin, or for the section. A key that nobody documents counts. An
/// option that is itself a plugin counts as a whole, where it is not the plugin that stands there by default.
pub fn covered(config: &Table, schema: &dyn Schema) -> Table {
    let sections = schema.sections();
    let (mut covered, mut top) = (Table::new(), Table::new());
    for (name, value) in effective(config) {
        match (value, sections.iter().find(|section| !section.name.is_empty() && section.name == name)) {
            (Value::Table(values), Some(section)) => {
                let keys: Vec<KeyDoc> = section.keys.iter().map(|doc| doc.bare(&section.name)).collect();
                let inner = match &section.plugin_kind {
                    Some(kind) => plugin(kind, &values, keys, schema),
                    None if name == SEEDS => apart(&values, config.get("seed")),
                    None if name == fork::FORK => fork::covered(&values, |before| self::covered(before, schema)),
                    None => changed(&values, &keys, schema),
                };
                if !inner.is_empty() {
                    covered.insert(name, inner.into());
                }
            }
            (value, _) => _ = top.insert(name, value),
        }
    }
    let keys = sections.iter().find(|section| section.name.is_empty()).map_or(&[][..], |section| &section.keys);
    covered.extend(changed(&top, keys, schema));
    covered
}

/// A hash of what [`covered`] found, in hexadecimal: SHA-256 of its canonical TOML, keys sorted.
pub fn hash(covered: &Table) -> String {
    Sha256::digest(covered.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a complete config whose data has not been read.
pub fn identity_of(config: &Table, schema: &dyn Schema) -> String {
    hash(&covered(config, schema))
}

/// SHA-256 of what a run reads from files, where it does and they have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Of the data.
    pub data: Option<String>,
    /// Of the file of the weights that it begins with.
    pub init: Option<String>,
}

/// What [`covered`] found, with the content of files in place of where they lie.
pub fn with_content(covered: &Table, content: &Content) -> Table {
    let mut covered = covered.clone();
    for (section, place, content) in [("data", "dir", &content.data), ("init", "from", &content.init)] {
        if let (Some(section), Some(content)) = (covered.get_mut(section).and_then(Value::as_table_mut), content) {
            section.remove(place);
            section.insert("content".to_owned(), content.as_str().into());
        }
    }
    covered
}

/// Whether a key says where files lie whose content is compared instead; `one` and `other` say whether each has it.
pub fn is_place(key: &str, one: bool, other: bool) -> bool {
    key == "data.dir" || key == "init.from" && one && other
}

/// The hash under which earlier versions took their checkpoints: that of the whole config, defaults among it.
pub fn earlier_identity(config: &Table) -> String {
    hash(&effective(config))
}

/// The keys that make two complete configs two runs, each with both values: `train.lr: 0.1 there, 0.2 here`. Where the
/// data and given weights lie is not among them: their content is compared, not their place.
pub fn differences(there: &Table, here: &Table, schema: &dyn Schema) -> Vec<String> {
    let values = |config: &Table| (leaves(&covered(config, schema)), leaves(config));
    let (there, here) = (values(there), values(here));
    let value = |(covered, all): &(BTreeMap<String, String>, BTreeMap<String, String>), key: &String| {
        covered.get(key).or_else(|| all.get(key)).map_or("not set".to_owned(), String::clone)
    };
    let mut keys: Vec<&String> =
        there.0.keys().chain(here.0.keys()).filter(|key| there.0.get(*key) != here.0.get(*key)).collect();
    keys.retain(|key| !is_place(key, there.0.contains_key(*key), here.0.contains_key(*key)));
    keys.sort();
    keys.dedup();
    // An option that is a plugin counts as a whole: what is the same on both sides is no difference.
    let both = keys.into_iter().map(|key| (key, value(&there, key), value(&here, key))).filter(|(_, a, b)| a != b);
    both.map(|(key, there, here)| format!("{key}: {there} there, {here} here")).collect()
}

/// Seeds that are not the one which they follow where they are not set.
pub(super) fn apart(seeds: &Table, run: Option<&Value>) -> Table {
    let followed = run.cloned().unwrap_or(Value::Integer(0));
    seeds.iter().filter(|(_, seed)| **seed != followed).map(|(key, seed)| (key.clone(), seed.clone())).collect()
}

/// The values that are not those of their documentation.
fn changed(values: &Table, docs: &[KeyDoc], schema: &dyn Schema) -> Table {
    let mut changed = Table::new();
    for (key, value) in values {
        let doc = docs.iter().find(|doc| doc.key == *key);
        let default = doc.and_then(|doc| doc.default.as_ref());
        let (value, default) = match (value, doc.and_then(|doc| doc.plugin_kind.as_deref())) {
            (Value::Table(inner), Some(kind)) => {
                let whole = |table: &Table| Value::Table(plugin(kind, table, Vec::new(), schema));
                (whole(inner), default.and_then(Value::as_table).map(whole))
            }
            (value, _) => (value.clone(), default.cloned()),
        };
        if default.is_none_or(|default| !same(&value, &default)) {
            changed.insert(key.clone(), value);
        }
    }
    changed
}

/// What [`changed`] finds among a plugin's options and the keys of its section, and the plugin's name.
fn plugin(kind: &str, values: &Table, mut docs: Vec<KeyDoc>, schema: &dyn Schema) -> Table {
    let mut options = values.clone();
    let name = options.remove("name");
    let known = name.as_ref().and_then(Value::as_str).and_then(|name| schema.plugin(kind, name));
    docs.extend(known.into_iter().flat_map(PluginDoc::section_options));
    let mut all = changed(&options, &docs, schema);
    for (key, value) in &options {
        // Options in a table of their own.
        if let Value::Table(inner) = value
            && let Some(PluginDoc { options, table_of_its_own: true, .. }) = schema.plugin(kind, key)
        {
            match changed(inner, &options, schema) {
                none if none.is_empty() => _ = all.remove(key),
                some => _ = all.insert(key.clone(), some.into()),
            }
        }
    }
    all.extend(name.map(|name| ("name".to_owned(), name)));
    all
}

/// Whether two values are equal; 1 and 1.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    a == b || (a.is_float() || b.is_float()) && number(a).is_some() && number(a) == number(b)
}

fn effective(config: &Table) -> Table {
    let mut effective = config.clone();
    effective.retain(|key, _| !WITHOUT_EFFECT.contains(&key));
    // What a library holds can change a result, where it lies cannot.
    if let Some(Value::Array(plugins)) = effective.get_mut("plugins") {
        plugins.iter_mut().filter_map(Value::as_table_mut).for_each(|plugin| _ = plugin.remove("path"));
        plugins.sort_by_key(Value::to_string);
    }
    effective
}

/// Every value, by its dotted key.
pub(super) fn leaves(table: &Table) -> BTreeMap<String, String> {
    fn visit<'a>(table: &'a Table, path: &mut Vec<&'a str>, leaves: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            path.push(name);
            match value {
                Value::Table(inner) => visit(inner, path, leaves),
                other => _ = leaves.insert(key::dotted(path), other.to_string()),
            }
            path.pop();
        }
    }
    let mut leaves = BTreeMap::new();
    visit(table, &mut Vec::new(), &mut leaves);
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::Fixture;
    use crate::config::schema::{KeyError, SectionDoc};

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    fn id(text: &str) -> String {
        hash(&covered(&table(text), &Fixture))
    }

    /// A complete config of the fixture: every key at its default.
    const WHOLE: &str = "name = 'a'\nseed = 0\nthreads = 4\ndevice = 'cpu'\n[data]\nname = 'glyphs'\nvalidation = 0.1\nnoise = 0.1\n\
        [criterion]\nname = 'worst'\nof = { name = 'magnitude', norm = 'l1', power = 1.0 }\n[prune]\nscope = 'global'\n[prune.table]\n\
        [train]\nlr = 0.1\nepochs = 10\nbatch_size = 128\n[output]\ndir = 'runs'";

    #[test]
    fn names_of_plugins_and_values_that_are_not_defaults_identify_a_run() {
        let expected = table("data.name = 'glyphs'\ncriterion.name = 'worst'");
        assert_eq!(covered(&table(WHOLE), &Fixture), expected);
        let changed = WHOLE.replace("lr = 0.1", "lr = 0.2").replace("norm = 'l1'", "norm = 'l2'");
        let expected =
            table("data.name = 'glyphs'\ntrain.lr = 0.2\n[criterion]\nname = 'worst'\nof = { name = 'magnitude' }");
        assert_eq!(covered(&table(&changed), &Fixture), expected, "l2 is magnitude's own default, and not worst's");
    }

    /// The fixture, one version later: new keys in a section, in a plugin, and a new option that is a plugin.
    struct Later;

    impl Schema for Later {
        fn sections(&self) -> Vec<SectionDoc> {
            let mut sections = Fixture.sections();
            for section in &mut sections {
                let prefix = if section.name.is_empty() { String::new() } else { format!("{}.", section.name) };
                section.keys.push(added(&format!("{prefix}added"), "7", None));
            }
            sections
        }

        fn plugin(&self, kind: &str, name: &str) -> Option<PluginDoc> {
            let mut plugin = Fixture.plugin(kind, name)?;
            plugin.options.push(added("more", "{ name = 'random' }", Some("criterion".to_owned())));
            plugin.options.push(added("soft", "false", None));
            Some(plugin)
        }

        fn plugin_names(&self, kind: &str) -> Vec<String> {
            Fixture.plugin_names(kind)
        }

        fn check_section(&self, section: &str, values: &Table) -> Vec<KeyError> {
            Fixture.check_section(section, values)
        }
    }

    fn added(key: &str, default: &str, plugin_kind: Option<String>) -> KeyDoc {
        let default = Some(table(&format!("v = {default}"))["v"].clone());
        KeyDoc { key: key.to_owned(), default, plugin_kind, ..KeyDoc::default() }
    }

    #[test]
    fn a_key_that_a_later_version_adds_changes_nothing_at_its_default() {
        let mut later = table(WHOLE);
        let random = || Value::Table(table("name = 'random'\nsoft = false"));
        later.insert("added".to_owned(), 7.into());
        for section in ["data", "criterion", "prune", "train"] {
            let values = later[section].as_table_mut().unwrap();
            values.insert("added".to_owned(), 7.into());
            if values.contains_key("name") {
                values.extend([("more".to_owned(), random()), ("soft".to_owned(), false.into())]);
            }
        }
        let of = later["criterion"].as_table_mut().unwrap()["of"].as_table_mut().unwrap();
        of.extend([("more".to_owned(), random()), ("soft".to_owned(), false.into())]);
        assert_eq!(hash(&covered(&later, &Later)), id(WHOLE));
        assert_eq!(differences(&table(WHOLE), &later, &Later), Vec::<String>::new());

        for (path, value) in [
            (&["added"][..], Value::from(8)),
            (&["train", "added"], 8.into()),
            (&["criterion", "soft"], true.into()),
            (&["criterion", "of", "soft"], true.into()),
            (&["criterion", "more", "name"], "magnitude".into()),
            (&["criterion", "more", "soft"], true.into()),
        ] {
            let mut other = later.clone();
            let (last, parents) = path.split_last().unwrap();
            let inner = parents.iter().fold(&mut other, |table, part| table[*part].as_table_mut().unwrap());
            inner.insert((*last).to_owned(), value);
            assert_ne!(hash(&covered(&other, &Later)), id(WHOLE), "{path:?}");
            let told = differences(&table(WHOLE), &other, &Later);
            let line = |text: &String| text.starts_with(&format!("{}: ", path.join(".")));
            assert_eq!(told.iter().filter(|text| line(text)).count(), 1, "{path:?}: {told:?}");
        }
    }

    #[test]
    fn every_key_that_is_set_to_another_value_makes_another_run() {
        let whole = table(WHOLE);
        let other = |value: &Value| match value {
            Value::Integer(n) => Value::from(n + 1),
            Value::Float(x) => Value::from(x + 0.5),
            Value::Table(_) => Value::Table(table("fc1 = 0.5")),
            other => Value::from(format!("{}-", other.as_str().unwrap())),
        };
        let mut seen = 0;
        let mut check = |changed: Table, key: &str| {
            let same = ["name", "threads", "output.dir"].contains(&key);
            assert_eq!(hash(&covered(&changed, &Fixture)) == id(WHOLE), same, "{key}");
            seen += 1;
        };
        for (name, value) in &whole {
            let Value::Table(values) = value else {
                check(whole.clone().into_iter().chain([(name.clone(), other(value))]).collect(), name);
                continue;
            };
            for (key, value) in values {
                let mut changed = whole.clone();
                changed[name].as_table_mut().unwrap().insert(key.clone(), other(value));
                check(changed, &format!("{name}.{key}"));
            }
        }
        assert_eq!(seen, 15);
    }

    #[test]
    fn differences_name_keys_and_both_values() {
        let (there, here) = (
            "seed = 1\n[train]\nlr = 0.1\nepochs = 3\nbatch_size = 128",
            "seed = 1\nname = 'b'\n[train]\nlr = 0.2\nmomentum = 0.9",
        );
        let found = differences(&table(there), &table(here), &Fixture);
        let expected = [
            "train.epochs: 3 there, not set here",
            "train.lr: 0.1 there, 0.2 here",
            "train.momentum: not set there, 0.9 here",
        ];
        assert_eq!(found, expected, "a batch of 128 is the default, set or not");
    }

    #[test]
    fn the_content_of_the_data_counts_and_not_where_it_lies() {
        let of = |dir: &str, content: &str| {
            let content = Content { data: Some(content.to_owned()), init: None };
            let config = table(&WHOLE.replace("name = 'glyphs'", &format!("name = 'glyphs'\ndir = '{dir}'")));
            hash(&with_content(&covered(&config, &Fixture), &content))
        };
        assert_eq!(of("/here", "a"), of("/there", "a"));
        assert_ne!(of("/here", "a"), of("/here", "b"));
        let (there, here) =
            (table("data.name = 'a'\ndata.dir = '/there'"), table("data.name = 'a'\ndata.dir = '/here'"));
        assert_eq!(differences(&there, &here, &Fixture), Vec::<String>::new());
    }

    #[test]
    fn order_name_output_and_threads_do_not_count() {
        let one = "name = 'a'\nseed = 1\nthreads = 4\n[train]\nlr = 0.1\nepochs = 3\n[output]\nreport = true";
        let (same, other) = ("seed = 1\n[train]\nepochs = 3\nlr = 0.1", "seed = 2\n[train]\nepochs = 3\nlr = 0.1");
        let plugin = |path, hash| format!("plugins = [{{ path = '{path}', sha256 = '{hash}' }}]");
        let both: [fn(&str) -> String; 2] = [id, |text| earlier_identity(&table(text))];
        for of in both {
            assert_eq!(of(one), of(same));
            assert_ne!(of(one), of(other));
            assert_eq!(of(&plugin("a.so", "1")), of(&plugin("b.so", "1")));
            assert_ne!(of(&plugin("a.so", "1")), of(&plugin("a.so", "2")));
        }
    }

    #[test]
    fn earlier_folders_are_recognised() {
        let config = table("name = 'a'\nthreads = 2\nseed = 1\n[train]\nlr = 0.1\nepochs = 3\n[output]\ndir = 'runs'");
        // `printf 'seed = 1\n\n[train]\nepochs = 3\nlr = 0.1\n' | sha256sum`
        let expected = "5613e9c8942b96175540c2177b8ba634689edf599e4aa8161b3a002588c115ad";
        assert_eq!(earlier_identity(&config), expected);
    }
}
