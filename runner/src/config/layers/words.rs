//! What the command line says without dashes: configs, `criterion=taylor`, `train.lr=0.1`, `~train.clip_norm`.

use std::path::Path;

use secateur::options::OptionSet;
use toml::Value;

use super::assign;
use super::files;
use super::groups::{self, Member};
use super::layer::Layer;
use crate::config::error::{ConfigError, nearest};
use crate::config::set_by::SetBy;
use crate::config::{Request, TopConfig, key};

/// What the words of a command line come to.
#[derive(Debug, Default)]
pub struct Words {
    /// The configs by path or name: what the run is called after.
    pub names: Vec<String>,
    /// The configs that are chosen from groups: the group, and the config by path or name.
    pub groups: Vec<(String, String)>,
    /// Single values, from flags, `--set` and words.
    pub flags: Layer,
}

impl Words {
    /// Takes the request's words apart. Every word that is neither a config nor what can be done with a key is told.
    pub fn read(request: &Request, errors: &mut Vec<ConfigError>) -> Self {
        let mut reader = Reader { root: &request.root, many: request.many, words: Self::default() };
        reader.words.names.clone_from(&request.configs);
        for flag in &request.flags {
            let path: Vec<String> = flag.key.split('.').map(str::to_owned).collect();
            reader.words.flags.insert(&path, flag.value.clone(), &SetBy::Flag(flag.name.to_owned()));
        }
        for argument in &request.sets {
            errors.extend(reader.set(argument).err().map(|error| *error));
        }
        let mut rest = &request.words[..];
        while let [word, after @ ..] = rest {
            match reader.word(word, after) {
                Ok(taken) => rest = &after[taken..],
                Err((error, taken)) => {
                    errors.push(*error);
                    rest = &after[taken..];
                }
            }
        }
        reader.words
    }

    /// The origin of what a word sets.
    pub fn origin() -> SetBy {
        SetBy::Flag("command line".to_owned())
    }

    /// Every config to load, weakest first.
    pub fn all_configs(&self) -> Vec<String> {
        self.names.iter().chain(self.groups.iter().map(|(_, config)| config)).cloned().collect()
    }
}

struct Reader<'a> {
    root: &'a Path,
    many: bool,
    words: Words,
}

/// An error, and how many of the words that follow belong to what is wrong.
type Wrong = (Box<ConfigError>, usize);

impl Reader<'_> {
    /// One `--set`: a comma in its value is part of it.
    fn set(&mut self, argument: &str) -> Result<(), Box<ConfigError>> {
        let origin = assign::by_flag();
        let (path, value) = assign::assigned(argument, &origin)?;
        self.assign(path, value, argument, &origin)
    }

    /// One word, with those after it; returns how many of them it took.
    fn word(&mut self, word: &str, after: &[String]) -> Result<usize, Wrong> {
        let taken = |count| move |error| (error, count);
        if let Some(key) = word.strip_prefix('~').filter(|key| !key.contains('/')) {
            return self.take_back(word, key).map(|()| 0).map_err(taken(0));
        }
        if word == "=" || word.starts_with('=') {
            let fix = "write key=value in one word, for example train.lr=0.05";
            return Err(taken(0)(refused("not a key and a value", word, fix.to_owned())));
        }
        let before = word.split('=').next().unwrap_or(word);
        // A path may have an equals sign in it.
        if word.contains('=') && !before.contains(['/', '\\']) {
            if let Some(plain) = before.starts_with('+').then(|| word.trim_start_matches('+')) {
                let fix = format!("write {plain}: a key that no config sets yet needs no + either");
                return Err(taken(0)(refused("keys and groups stand without +", word, fix)));
            }
            if let Some((group, rest)) = before.split_once('@') {
                let value = word.split_once('=').map_or("", |(_, value)| value);
                let fix = format!("write {group}={value}, or {rest}.name={value} for a plugin within another");
                return Err(taken(0)(refused("a group has one place, its own section", word, fix)));
            }
            if word.ends_with('=')
                && let Some(value) = after.first().filter(|value| !self.is_config(value))
            {
                let fix = format!("write {word}{value}, with no space around `=`");
                return Err(taken(1)(refused("no value", word, fix)));
            }
            return self.assignment(word).map(|()| 0).map_err(taken(0));
        }
        if let Some((before, value)) =
            word.split_once('=').filter(|_| !word.ends_with(".toml") && !self.is_config(word))
            && let Some(path) = key::split(&before.replace('/', "."))
        {
            let fix = format!("write {}={value}", key::dotted(&path));
            return Err(taken(0)(refused("a key has dots between its parts", word, fix)));
        }
        if !self.is_config(word)
            && let Some(wrong) = self.almost_an_assignment(word, after)
        {
            return Err(wrong);
        }
        self.words.names.push(word.to_owned());
        Ok(0)
    }

    fn take_back(&mut self, word: &str, key: &str) -> Result<(), Box<ConfigError>> {
        let (key, value) = key.split_once('=').map_or((key, None), |(key, value)| (key, Some(value)));
        match (key::split(key), value) {
            (Some(path), None) => {
                self.words.flags.remove(&path);
                self.words.flags.taken_back.push((path, Words::origin()));
                Ok(())
            }
            (Some(_), Some(value)) => {
                let fix = format!("write ~{key} to take it back, or {key}={value} to set it");
                Err(refused("what is taken back has no value", word, fix))
            }
            (None, _) => Err(refused("not a key to take back", word, "write ~KEY: ~train.clip_norm".to_owned())),
        }
    }

    fn assignment(&mut self, word: &str) -> Result<(), Box<ConfigError>> {
        let origin = Words::origin();
        let (path, text) = assign::split(word, &origin)?;
        let parts = parts(text);
        if let [_] = parts[..] {
            let (path, value) = assign::assigned(word, &origin)?;
            return self.assign(path, value, word, &origin);
        }
        let key = key::dotted(&path);
        if parts.iter().any(|part| part.is_empty()) {
            let fix = format!("write the values with one comma between two: {key}=1,2,3");
            return Err(refused("a value is missing beside a comma", word, fix));
        }
        let values: Result<Vec<Value>, String> = parts.into_iter().map(assign::value).collect();
        let values = values.map_err(|problem| assign::broken_value(origin.clone(), problem, word))?;
        if !self.many {
            let all = format!("secateur sweep CONFIG {word} runs them all");
            let of_group = path.len() == 1 && !is_top_key(&key) || path[0] == "sweep";
            let one =
                format!("a list is written '{key}={}', text with a comma '{key}=\"{text}\"'", Value::from(values));
            let fix = if of_group { all } else { format!("{all}; {one}") };
            return Err(refused("several values, where one run is asked for", word, fix));
        }
        // What is said of the sweep itself is a list already.
        let axis: Vec<String> = match path[0].as_str() {
            "seed" if path.len() == 1 => vec!["sweep".to_owned(), "seeds".to_owned()],
            "sweep" if path.len() > 1 => path,
            _ => ["sweep", "axes"].into_iter().map(str::to_owned).chain(path).collect(),
        };
        self.words.flags.insert(&axis, Value::Array(values), &origin);
        Ok(())
    }

    /// Sets a key, or chooses from a group.
    fn assign(&mut self, path: Vec<String>, value: Value, said: &str, origin: &SetBy) -> Result<(), Box<ConfigError>> {
        if let ([group], Value::String(name)) = (&path[..], &value)
            && !is_top_key(group)
        {
            let known = groups::groups(self.root);
            if !known.contains(group) {
                let near = nearest(group, known.iter().map(String::as_str));
                let fix = near.map_or_else(
                    || format!("choose from one of {}; a key of a section is {group}.KEY=VALUE", known.join(", ")),
                    |near| format!("did you mean {near}={name}?"),
                );
                return Err(refused_by(origin, &format!("there is no group {group}"), said, fix));
            }
            return match groups::member(group, name, self.root) {
                Ok(Member::Config(config)) if groups::is_section(group) => {
                    self.words.groups.push((group.clone(), config));
                    Ok(())
                }
                Ok(Member::Config(config)) => {
                    self.words.names.push(config);
                    Ok(())
                }
                Ok(Member::Plugin) => {
                    self.words.flags.insert(&[group.clone(), "name".to_owned()], value, origin);
                    Ok(())
                }
                Err(fix) => Err(refused_by(origin, &format!("there is no {name} in the group {group}"), said, fix)),
            };
        }
        self.words.flags.insert(&path, value, origin);
        Ok(())
    }

    /// `criterion:taylor`, `train.lr 0.1`: what would be an assignment with an equals sign.
    fn almost_an_assignment(&self, word: &str, after: &[String]) -> Option<Wrong> {
        let is_key = |text: &str| {
            let group = groups::groups(self.root).iter().any(|group| group == text);
            let dotted = text.contains('.') && !text.ends_with(".toml") && key::split(text).is_some();
            group || dotted || is_top_key(text)
        };
        let value = |text: &str| if text.is_empty() { "VALUE".to_owned() } else { text.to_owned() };
        if let Some((key, text)) = word.split_once(':').filter(|(key, _)| is_key(key)) {
            let next = after.first().filter(|next| text.is_empty() && !self.is_config(next));
            let text = next.map_or(text, |next| next.as_str());
            let fix = format!("write {key}={}", value(text));
            return Some((refused("a key and its value are joined by `=`", word, fix), usize::from(next.is_some())));
        }
        if !is_key(word) {
            return None;
        }
        let words: Vec<&str> = after.iter().map(String::as_str).collect();
        let (text, taken) = match words[..] {
            ["=", text, ..] => (text, 2),
            [text, ..] if text.starts_with('=') => (&text[1..], 1),
            [text, ..] if !text.contains('=') && !text.starts_with('~') && !self.is_config(text) => (text, 1),
            _ => ("", 0),
        };
        let found = [&[word][..], &words[..taken]].concat().join(" ");
        let fix = format!("write {word}={}, in one word", value(text));
        Some((refused("not a config, and a key needs `=` and a value", &found, fix), taken))
    }

    fn is_config(&self, word: &str) -> bool {
        files::exists(word, self.root)
    }
}

fn is_top_key(name: &str) -> bool {
    TopConfig::FIELDS.iter().any(|(key, ..)| *key == name)
}

/// Splits at commas outside of brackets and quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn refused(problem: &str, found: &str, fix: String) -> Box<ConfigError> {
    refused_by(&Words::origin(), problem, found, fix)
}

fn refused_by(origin: &SetBy, problem: &str, found: &str, fix: String) -> Box<ConfigError> {
    let (origin, problem, found) = (origin.clone(), problem.to_owned(), found.to_owned());
    ConfigError::Assignment { origin, problem, found, fix }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_split_values_and_not_what_is_within_them() {
        assert_eq!(parts("0.1, 0.01,1"), ["0.1", "0.01", "1"]);
        assert_eq!(parts("[50,30],[20,10]"), ["[50,30]", "[20,10]"]);
        assert_eq!(parts("\"a,b\",'c,d'"), ["\"a,b\"", "'c,d'"]);
        assert_eq!(parts("{name=\"a\",x=1}"), ["{name=\"a\",x=1}"]);
        assert_eq!(parts("1,"), ["1", ""]);
    }
}
