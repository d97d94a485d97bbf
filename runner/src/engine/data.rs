//! The `[data]` section: which data set, the keys that all of them share, and in a table of its name a data set's own
//! options.

use secateur::data::{self, DataConfig, DataOrigin, Dataset, Examples, Folders, LoadProgress, SplitName};
use secateur::error::OptionError;
use secateur::options::{self, Table};
use secateur::plugins::registry::{Kind, Registry};
use secateur::seed::Seed;
use secateur::{Error, Result};
use toml::Value;

use crate::config::DataChoice;

/// What the examples are read or made from: choices with the same source share them, whatever is drawn from them.
/// `seed` is that of the data, which not every set follows.
pub fn source(data: &DataChoice, registry: &Registry, seed: Seed) -> String {
    let follows = registry.data(&data.name, &data.options).is_ok_and(|source| source.follows_seed());
    let seed = if follows { format!(" {}", seed.0) } else { String::new() };
    format!("{} {:?} {}{seed}", data.name, data.common.dir, data.options)
}

/// Finds and reads the examples, or makes them.
///
/// # Errors
/// What the data set reports.
pub fn open(
    data: &DataChoice,
    registry: &Registry,
    seed: Seed,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Examples> {
    let mut source = registry.data(&data.name, &data.options)?;
    source.seeded(seed);
    data::check_dir(source.as_ref(), &data.common).map_err(|error| error.under("data"))?;
    source.open(&Folders::from_env(data.common.dir.clone()), progress)
}

/// A section, taken apart.
struct Parts {
    name: String,
    /// The keys that all data sets share.
    common: Table,
    /// The options of data sets, by name; those of the other sets may stand there too.
    own: Table,
}

impl Parts {
    fn of(section: &Table, registry: &Registry) -> Self {
        let mut common = section.clone();
        let name = common.remove("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let own = registry.of_kind(Kind::Data).filter_map(|(set, _)| common.remove_entry(set)).collect();
        Self { name, common, own }
    }
}

/// Everything that is wrong with a section; keys are relative to it.
pub fn check(section: &Table, registry: &Registry) -> Vec<OptionError> {
    let Parts { name, common, own } = Parts::of(section, registry);
    let mut errors = vec![];
    let config = options::parse::<DataConfig>(&common).map_err(|refused| errors.extend(refused));
    for (set, options) in &own {
        match (registry.get(Kind::Data, set), options) {
            (Ok(item), Value::Table(options)) => {
                let refused = item.check(options).err().unwrap_or_default();
                errors.extend(refused.into_iter().map(|error| error.under(set)));
            }
            _ => errors.push(OptionError::new(set, options, "a table: { KEY = VALUE, ... }")),
        }
    }
    // Whether a set needs its folder does not depend on its options.
    if let (Ok(config), Ok(source)) = (config, registry.data(&name, &Table::new()))
        && let Err(Error::Option(error)) = data::check_dir(source.as_ref(), &config)
    {
        errors.push(error);
    }
    errors
}

/// What a person wants to know of a data set.
///
/// # Errors
/// Examples that do not fit their shape.
pub fn describe(examples: &Examples, set: &Dataset) -> Result<String> {
    let regression = set.train.is_regression();
    let targets = if regression { "real-valued targets".to_owned() } else { format!("{} classes", set.classes()) };
    let mut text = format!("{}: {:?}, {targets}\n", set.name, set.shape);
    for dir in &examples.searched {
        text.push_str(&format!("  looked in {dir}\n"));
    }
    for name in SplitName::ALL {
        let split = set.split(name);
        let classes = split.class_counts(set.classes());
        text.push_str(&format!("  {name:<10} {:>7} examples", split.len()));
        if let (Some(least), Some(most), false) = (classes.iter().min(), classes.iter().max(), split.is_empty()) {
            text.push_str(&format!(", {least} to {most} of each class"));
        }
        if regression && !split.is_empty() {
            let (targets, n) = (split.responses(), split.len() as f64);
            let mean = targets.iter().map(|y| f64::from(*y)).sum::<f64>() / n;
            let deviation = (targets.iter().map(|y| (f64::from(*y) - mean).powi(2)).sum::<f64>() / n).sqrt();
            text.push_str(&format!(", targets of mean {mean:.4} and standard deviation {deviation:.4}"));
        }
        text.push('\n');
    }
    let statistics = examples.statistics()?;
    for (mean, std) in statistics.mean.iter().zip(&statistics.std) {
        text.push_str(&format!("  mean {mean:.4}, standard deviation {std:.4}\n"));
    }
    if let DataOrigin::Files(files) = &set.origin {
        for file in files {
            text.push_str(&format!("  {} sha256 {}\n", file.path.display(), file.sha256));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(section: &str) -> Vec<String> {
        let registry = secateur_bundle::registry().unwrap();
        check(&section.parse().unwrap(), &registry).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_wrong_key_is_named_wherever_it_stands() {
        let errors = refused("name = 'mnist'\nvalidaton = 1\ntrain_limit = 'x'\nglyphs = { nois = 1, train = 0 }");
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors[0].starts_with("`train_limit` = \"x\": invalid type"), "{errors:?}");
        assert!(errors[1].contains("did you mean `validation`?"), "{errors:?}");
        assert!(errors[2].starts_with("`glyphs.nois`") && errors[2].contains("did you mean `noise`?"), "{errors:?}");
        assert!(errors[3].starts_with("`glyphs.train` = 0: 1 to"), "{errors:?}");
        let errors = refused("name = 'glyphs'\nglyphs = { train = 0, noise = 2 }\nimage-folder = 7");
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].starts_with("`glyphs.train` = 0: 1 to"), "{errors:?}");
        assert!(errors[2].contains("`image-folder` = 7: a table"), "{errors:?}");
    }

    #[test]
    fn a_set_without_a_usual_place_needs_its_folder() {
        assert!(refused("name = 'image-folder'")[0].starts_with("`dir` = (not set)"));
        assert_eq!(refused("name = 'image-folder'\ndir = 'images'"), [""; 0]);
    }

    #[test]
    fn choices_share_examples_whatever_is_drawn_from_them() {
        let registry = secateur_bundle::registry().unwrap();
        let seeded =
            |section: &str, seed| source(&DataChoice::read(&section.parse().unwrap()).unwrap(), &registry, Seed(seed));
        let source = |section: &str| seeded(section, 0);
        let glyphs = source("name = 'glyphs'\nglyphs.noise = 0.2");
        assert_eq!(glyphs, source("name = 'glyphs'\nglyphs.noise = 0.2\nvalidation = 0.1\nnormalize = 'none'"));
        assert_ne!(glyphs, source("name = 'glyphs'"));
        assert_ne!(source("name = 'mnist'\ndir = 'a'"), source("name = 'mnist'\ndir = 'b'"));
        assert_eq!(glyphs, seeded("name = 'glyphs'\nglyphs.noise = 0.2", 1), "glyphs have a seed of their own");
        assert_ne!(source("name = 'index-model'"), seeded("name = 'index-model'", 1));
    }
}
