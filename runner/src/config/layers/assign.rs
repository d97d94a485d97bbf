//! Values given one at a time: `key=value`, with `--set` or without, and `SECATEUR_*` variables.

use toml::{Table, Value};

use super::layer::{Layer, without_dates};
use crate::config::error::ConfigError;
use crate::config::key;
use crate::config::set_by::SetBy;

const PREFIX: &str = "SECATEUR_";

/// Variables that mean something else: where data and caches lie, and what runs scripts.
const RESERVED: [&str; 3] = ["SECATEUR_DATA", "SECATEUR_CACHE", "SECATEUR_PYTHON"];

/// The layer of environment variables: `SECATEUR_TRAIN__LR=0.1` sets `train.lr`.
///
/// Variables without the prefix are passed over, and so are the reserved ones.
pub fn from_env(variables: &[(String, String)], errors: &mut Vec<ConfigError>) -> Layer {
    let mut layer = Layer::default();
    for (variable, text) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        if RESERVED.contains(&variable.as_str()) {
            continue;
        }
        let origin = SetBy::Env(variable.clone());
        let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        if path.iter().any(String::is_empty) {
            errors.push(ConfigError::Assignment {
                problem: "not the name of a config key".to_owned(),
                found: format!("{variable}={text}"),
                fix: "put `__` between section and key: SECATEUR_TRAIN__LR".to_owned(),
                origin,
            });
            continue;
        }
        match value(text) {
            Ok(value) => layer.insert(&path, value, &origin),
            Err(problem) => errors.push(broken_value(origin, problem, text)),
        }
    }
    layer
}

/// Reads `key=value`.
///
/// # Errors
/// It is no key and value, or has a value that cannot be one.
pub fn assigned(argument: &str, origin: &SetBy) -> Result<(Vec<String>, Value), Box<ConfigError>> {
    let (path, text) = split(argument, origin)?;
    value(text).map(|value| (path, value)).map_err(|problem| broken_value(origin.clone(), problem, argument).into())
}

/// Splits `key=value` into the parts of the key and the text of the value.
///
/// # Errors
/// It is no key and value, or the value is written as other programs have it.
pub fn split<'a>(argument: &'a str, origin: &SetBy) -> Result<(Vec<String>, &'a str), Box<ConfigError>> {
    let flag = if *origin == by_flag() { "--set " } else { "" };
    let refused = |problem: &str, fix: String| {
        let (problem, found) = (problem.to_owned(), argument.to_owned());
        Box::new(ConfigError::Assignment { origin: origin.clone(), problem, found, fix })
    };
    let Some((path, text)) = split_assignment(argument) else {
        let fix = format!("write {flag}key=value, for example {flag}train.lr=0.05");
        return Err(refused("not a key and a value", fix));
    };
    let key = key::dotted(&path);
    match text {
        "" => {
            let fix = format!("write {flag}{key}=VALUE, with no space around `=`; '{key}=\"\"' is empty text");
            Err(refused("no value", fix))
        }
        "null" | "None" | "none()" => {
            let fix = format!("~{key} takes back what configs say about it, so that its default holds");
            Err(refused("there is no null", fix))
        }
        _ if FUNCTIONS.iter().any(|name| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('('))) => {
            let fix = format!("write the values out, with `secateur sweep`: {key}=1,2,3");
            Err(refused("there are no functions of values", fix))
        }
        _ => Ok((path, text)),
    }
}

/// What other programs write for several values.
const FUNCTIONS: [&str; 8] = ["range", "choice", "interval", "glob", "sort", "shuffle", "tag", "extend_list"];

/// The origin of what `--set` sets.
pub fn by_flag() -> SetBy {
    SetBy::Flag("--set".to_owned())
}

/// Splits at the first `=` that leaves a whole key, so that a quoted part of the key may hold one.
fn split_assignment(argument: &str) -> Option<(Vec<String>, &str)> {
    argument
        .match_indices('=')
        .find_map(|(at, _)| Some((key::split(argument[..at].trim())?, argument[at + 1..].trim())))
}

/// Reads TOML; what is no TOML and does not try to be is text.
pub fn value(text: &str) -> Result<Value, String> {
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {text}"));
    match parsed {
        Ok(table) if table.len() == 1 => without_dates(table).remove("value").ok_or_else(|| "not a value".to_owned()),
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => Err(error.message().to_owned()),
        _ => Ok(Value::from(text)),
    }
}

pub fn broken_value(origin: SetBy, problem: String, found: &str) -> ConfigError {
    ConfigError::Assignment {
        origin,
        problem: format!("the value is not valid TOML: {problem}"),
        found: found.to_owned(),
        fix: "write a list as [50, 30], a table as {name = \"random\"}, text bare or in quotes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(argument: &str) -> Result<Layer, Box<ConfigError>> {
        let (path, value) = assigned(argument, &by_flag())?;
        let mut layer = Layer::default();
        layer.insert(&path, value, &by_flag());
        Ok(layer)
    }

    #[test]
    fn values_are_toml_and_bare_words_are_text() {
        for (argument, expected) in [
            ("k=1", Value::from(1)),
            ("k=1e-3", Value::from(1e-3)),
            ("k=true", Value::from(true)),
            ("k=random", Value::from("random")),
            ("k=/data/mnist", Value::from("/data/mnist")),
            ("k=\"7\"", Value::from("7")),
            ("k=[50, 30]", Value::from(vec![50, 30])),
            ("k=a=b", Value::from("a=b")),
            ("k=2024-01-01", Value::from("2024-01-01")),
        ] {
            assert_eq!(set(argument).unwrap().table["k"], expected, "{argument}");
        }
    }

    #[test]
    fn dotted_and_quoted_keys_reach_their_place() {
        let layer = set(r#"prune.table."blocks.0=x"=0.5"#).unwrap();
        assert_eq!(layer.table["prune"]["table"]["blocks.0=x"], Value::from(0.5));
        assert!(layer.origins.contains_key(r#"prune.table."blocks.0=x""#));
    }

    #[test]
    fn broken_lists_and_missing_equals_signs_are_errors() {
        let (not_toml, list) = ("the value is not valid TOML: ", "write a list as [50, 30]");
        let (no_key, write) = ("not a key and a value", "write --set key=value, for example --set train.lr=0.05");
        for (bad, what, how) in [
            ("k=[1, 2", not_toml, list),
            ("k={a", not_toml, list),
            ("k=\"open", not_toml, list),
            ("train.lr", no_key, write),
            ("=5", no_key, write),
            ("train.lr=", "no value", "write --set train.lr=VALUE, with no space around `=`"),
            ("train.lr=null", "there is no null", "~train.lr takes back what configs say"),
            ("seed=range(0,5)", "there are no functions", "write the values out, with `secateur sweep`: seed=1,2,3"),
        ] {
            let error = set(bad).unwrap_err();
            let ConfigError::Assignment { origin, problem, found, fix } = &*error else { panic!("{error:?}") };
            assert_eq!((origin.to_string().as_str(), found.as_str()), ("--set", bad));
            assert!(problem.starts_with(what) && fix.starts_with(how), "{bad}: {problem}, {fix}");
        }
    }

    #[test]
    fn variables_set_lower_case_keys_and_reserved_ones_do_not() {
        let variables = [
            ("SECATEUR_TRAIN__BATCH_SIZE", "64"),
            ("SECATEUR_DATA", "/data"),
            ("SECATEUR_CACHE", "/cache"),
            ("SECATEUR_PYTHON", "/usr/bin/python3"),
            ("SECATEUR_DATA__NAME", "mnist"),
            ("PATH", "/bin"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut errors = Vec::new();
        let layer = from_env(&variables, &mut errors);
        assert!(errors.is_empty());
        let expected: Table = toml::from_str("train.batch_size = 64\ndata.name = 'mnist'").unwrap();
        assert_eq!(layer.table, expected);
        assert_eq!(layer.origins["train.batch_size"].to_string(), "env SECATEUR_TRAIN__BATCH_SIZE");
        from_env(&[("SECATEUR_TRAIN____LR".to_owned(), "1".to_owned())], &mut errors);
        let [ConfigError::Assignment { origin, problem, found, fix }] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!(origin.to_string(), "env SECATEUR_TRAIN____LR");
        assert_eq!((problem.as_str(), found.as_str()), ("not the name of a config key", "SECATEUR_TRAIN____LR=1"));
        assert_eq!(fix, "put `__` between section and key: SECATEUR_TRAIN__LR");
    }
}
