//! Options that do not exist because other programs have them, or because a key or a group is no option.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to write instead of an option that does not exist; `None` where clap's own words say all. `sections` are the
/// sections and groups of a config, `keys` its keys by their whole names.
pub fn right_form(error: &clap::Error, line: &[String], sections: &[String], keys: &[String]) -> Option<String> {
    let ContextValue::String(option) = error.get(ContextKind::InvalidArg)? else { return None };
    let of_layers = line.iter().find(|word| ["run", "sweep", "config"].contains(&word.as_str()));
    let (ErrorKind::UnknownArgument, Some(command)) = (error.kind(), of_layers) else { return None };
    let option = option.split_whitespace().next()?;
    let name = option.trim_start_matches('-').split('=').next()?;
    let at = line.iter().position(|word| word == option || word.strip_prefix(option).is_some_and(is_value))?;
    let value = match line[at].split_once('=') {
        Some((_, value)) => value.to_owned(),
        None => line.get(at + 1).filter(|next| !next.starts_with('-')).cloned().unwrap_or_else(|| "VALUE".to_owned()),
    };
    let as_key = name.replace('-', "_");
    let word = sections
        .iter()
        .chain(keys)
        .find(|known| **known == name || **known == as_key)
        .or_else(|| keys.iter().find(|key| key.rsplit('.').next() == Some(&as_key)));
    let fix = match (word, name) {
        (Some(word), _) => format!("write {word}={value}, without dashes"),
        (None, "m" | "multirun") => {
            "secateur sweep CONFIG train.lr=0.1,0.01 runs every combination of values".to_owned()
        }
        (None, "cn" | "config-name" | "cp" | "config-path" | "cd" | "config-dir") => {
            format!("name the config itself: secateur {command} {value}")
        }
        (None, "c" | "cfg" | "info") => "secateur config CONFIG shows what a run is told, and who said so".to_owned(),
        (None, dotted) if dotted.contains('.') => format!("write {dotted}={value}, without dashes"),
        _ => return None,
    };
    Some(format!("{option}: not an option of `secateur {command}`\n  fix: {fix}"))
}

fn is_value(rest: &str) -> bool {
    rest.starts_with('=')
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_wrong_option_names_the_right_word() {
        let sections = ["criterion", "train"].map(str::to_owned);
        let keys = ["seed", "train.lr", "train.batch_size"].map(str::to_owned);
        for (line, fix) in [
            (&["run", "x", "--criterion", "taylor"][..], Some("write criterion=taylor, without dashes")),
            (&["run", "x", "--criterion=taylor"], Some("write criterion=taylor, without dashes")),
            (&["sweep", "x", "--train.lr", "0.1"], Some("write train.lr=0.1, without dashes")),
            (&["run", "x", "--lr=0.1"], Some("write train.lr=0.1, without dashes")),
            (&["run", "x", "--batch-size", "64"], Some("write train.batch_size=64, without dashes")),
            (&["run", "x", "--seed"], Some("write seed=VALUE, without dashes")),
            (&["run", "x", "--multirun"], Some("secateur sweep CONFIG train.lr=0.1,0.01 runs every combination")),
            (&["run", "--config-name", "experiment/x"], Some("name the config itself: secateur run experiment/x")),
            (&["run", "x", "--forse"], None),
            (&["compare", "x", "--criterion", "taylor"], None),
        ] {
            let error = Cli::try_parse_from([&["secateur"], line].concat()).unwrap_err();
            let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            let found = right_form(&error, &line, &sections, &keys);
            assert_eq!(found.is_some(), fix.is_some(), "{line:?}: {found:?}");
            let expected = fix.map(|fix| found.as_deref().unwrap_or("").contains(fix));
            assert_ne!(expected, Some(false), "{line:?}: {found:?}");
        }
    }
}
