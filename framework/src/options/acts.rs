//! When an option acts: declared beside it, so that a value that does nothing is never passed over in silence.

use super::{OptionSet, Table, short};
use std::fmt;

/// When an option acts, as `#[acts(...)]` between its doc comment and its name says; an option may have several, which
/// then must all hold.
///
/// ```
/// secateur::options! {
///     /// A decay.
///     pub struct Decay {
///         /// Whether there is any.
///         #[acts(always)]
///         pub on: bool = false,
///         /// Factor per step.
///         #[acts(|decay| decay.on, "on = true")]
///         pub factor: f64 = 0.9,
///         /// Units that are spared.
///         #[acts("prune.granularity", |granularity| granularity == "unit", "prune.granularity = \"unit\"")]
///         pub spare: usize = 0,
///     }
/// }
/// use secateur::options::OptionSet;
/// let decay = Decay { factor: 0.5, ..Decay::default() };
/// let said = decay.idle()[0].under("criterion").to_string();
/// assert_eq!(
///     said,
///     "criterion.factor = 0.5 does nothing here: it acts with criterion.on = true, and criterion.on is false."
/// );
/// ```
pub enum Acts<T> {
    /// Whatever stands beside it: `always`.
    Always,
    /// Where other options of the same set allow it: `|options| ..., "words"`. The words name these options by their
    /// keys.
    With(fn(&T) -> bool, &'static str),
    /// Where keys of other sections have values that allow it: `"section.key", |value| ..., "words"`, or
    /// `["section.key", "other.key"], |value, other| ..., "words"`. Text comes without quotation marks, a key that is
    /// not set as an empty text.
    Beside(&'static [&'static str], fn(&[String]) -> bool, &'static str),
    /// Where the network, the data or the course of the run allow it, which the run finds out: `run, "words"`.
    Run(&'static str),
}

impl<T> Acts<T> {
    /// What the option needs, in words; nothing where it always acts.
    pub fn words(&self) -> Option<&'static str> {
        match self {
            Self::Always => None,
            Self::With(_, words) | Self::Beside(_, _, words) | Self::Run(words) => Some(words),
        }
    }
}

/// A value that is not the default and does nothing where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Idle {
    /// The key, relative to its set until [`Idle::under`] puts the path in front.
    pub key: String,
    /// The value as it is written.
    pub found: String,
    /// When it would act, in words.
    pub needs: String,
    /// The keys that keep it from acting, and what they hold.
    pub because: Vec<(String, String)>,
}

impl Idle {
    /// The same value within the table at `path`. Keys of other sections have their whole path already.
    #[must_use]
    pub fn under(&self, path: &str) -> Self {
        let full = |key: &str| if key.contains('.') { key.to_owned() } else { format!("{path}.{key}") };
        let because = self.because.iter().map(|(key, value)| (full(key), value.clone())).collect();
        let needs = (self.because.iter())
            .filter(|(key, _)| !key.contains('.'))
            .fold(self.needs.clone(), |text, (key, _)| replace_word(&text, key, &full(key)));
        Self { key: format!("{path}.{}", self.key), needs, because, found: self.found.clone() }
    }

    /// Every key that the sentence is about, the idle one first.
    pub fn keys(&self) -> Vec<String> {
        std::iter::once(&self.key).chain(self.because.iter().map(|(key, _)| key)).cloned().collect()
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} does nothing here: it acts with {}", self.key, self.found, self.needs)?;
        for (i, (key, value)) in self.because.iter().enumerate() {
            write!(f, "{}{key} is {value}", if i == 0 { ", and " } else { ", " })?;
        }
        f.write_str(".")
    }
}

/// The values of a set that differ from their defaults and cannot act; `beside` are the sections of the config around
/// it, where they are known.
pub(super) fn idle<T: OptionSet>(set: &T, beside: Option<&Table>) -> Vec<Idle> {
    let (values, changed) = (table(set), changed(set));
    let mut all = vec![];
    for (key, conditions) in T::acts() {
        let Some((_, value)) = changed.iter().find(|(name, _)| *name == key) else { continue };
        let failed = conditions.iter().find_map(|acts| match acts {
            Acts::Always | Acts::Run(_) => None,
            Acts::With(holds, words) => (!holds(set)).then(|| (*words, neighbours::<T>(&values, key, words))),
            Acts::Beside(others, holds, words) => {
                let sections = beside?;
                let found: Vec<_> = others.iter().map(|other| at(sections, other)).collect();
                let bare = |v: &toml::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                let values: Vec<String> = found.iter().map(|v| v.map(bare).unwrap_or_default()).collect();
                let because = || others.iter().zip(found).map(|(key, v)| ((*key).to_owned(), shown(v))).collect();
                (!holds(&values)).then(|| (*words, because()))
            }
        });
        if let Some((needs, because)) = failed {
            all.push(Idle { key: key.to_owned(), found: short(value), needs: needs.to_owned(), because });
        }
    }
    all
}

/// The values that differ from their defaults.
pub(super) fn changed<T: OptionSet>(set: &T) -> Vec<(&'static str, toml::Value)> {
    let (values, defaults) = (table(set), table(&T::default()));
    let keys = T::FIELDS.iter().map(|field| field.0);
    keys.filter_map(|key| Some((key, values.get(key).filter(|value| defaults.get(key) != Some(value))?.clone())))
        .collect()
}

fn table<T: OptionSet>(set: &T) -> Table {
    Table::try_from(set).unwrap_or_default()
}

/// The options of the set that words name, with their values.
fn neighbours<T: OptionSet>(values: &Table, own: &str, words: &str) -> Vec<(String, String)> {
    let named = |key: &&str| *key != own && replace_word(words, key, "") != words;
    let all = T::FIELDS.iter().map(|field| field.0).filter(named);
    all.map(|key| (key.to_owned(), shown(values.get(key)))).collect()
}

fn shown(value: Option<&toml::Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), short)
}

/// The value under a dotted key of plain words.
fn at<'a>(table: &'a Table, key: &str) -> Option<&'a toml::Value> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let value = table.get(first)?;
    rest.map_or(Some(value), |rest| at(value.as_table()?, rest))
}

/// The text with a key replaced wherever it stands as a word of its own, quoted values apart.
fn replace_word(text: &str, key: &str, by: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let in_plain = |part: &str| {
        let mut out = String::new();
        let mut rest = part;
        while let Some(start) = rest.find(word) {
            let length = rest[start..].find(|c| !word(c)).unwrap_or(rest.len() - start);
            let found = &rest[start..start + length];
            out += &rest[..start];
            out += if found == key { by } else { found };
            rest = &rest[start + length..];
        }
        out + rest
    };
    let parts = text.split('"').enumerate();
    let parts: Vec<String> = parts.map(|(i, part)| if i % 2 == 0 { in_plain(part) } else { part.to_owned() }).collect();
    parts.join("\"")
}

/// One condition of an option, as it is written in `#[acts(...)]`.
#[doc(hidden)]
#[macro_export]
macro_rules! acts {
    (always) => {
        $crate::options::Acts::Always
    };
    (run, $words:literal) => {
        $crate::options::Acts::Run($words)
    };
    ($key:literal, |$value:ident| $holds:expr, $words:literal) => {
        $crate::acts!([$key], |$value| $holds, $words)
    };
    ([$($key:literal),+], |$($value:ident),+| $holds:expr, $words:literal) => {
        $crate::options::Acts::Beside(
            &[$($key),+],
            |values| {
                let [$($value),+] = values else { return true };
                $holds
            },
            $words,
        )
    };
    (|$set:ident| $holds:expr, $words:literal) => {
        $crate::options::Acts::With(|$set: &Self| $holds, $words)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::options! {
        /// Example.
        struct Example {
            /// A kind.
            #[acts(always)]
            kind: String = "a".into(),
            /// A rate.
            #[acts(|e| e.kind == "b", "kind = \"b\"")]
            rate: f64 = 0.5,
            /// A limit.
            #[acts(|e| e.limit.is_none() || e.rate > 0.0, "rate above 0")]
            #[acts("train.optimizer", |optimizer| optimizer == "sgd", "train.optimizer = \"sgd\"")]
            limit: Option<u32> = None,
            /// It says nothing.
            silent: bool = false,
        }
    }

    fn said(example: &Example, beside: &str) -> Vec<String> {
        let beside = beside.parse().unwrap();
        example.idle_beside(&beside).iter().map(|idle| idle.under("of.it").to_string()).collect()
    }

    #[test]
    fn a_value_that_cannot_act_names_what_keeps_it() {
        let sgd = "train.optimizer = 'sgd'";
        assert!(said(&Example::default(), sgd).is_empty(), "defaults say nothing");
        let rate = Example { rate: 1.0, silent: true, ..Example::default() };
        let expected = "of.it.rate = 1 does nothing here: it acts with of.it.kind = \"b\", and of.it.kind is \"a\".";
        assert_eq!(said(&rate, sgd), [expected]);
        assert!(said(&Example { kind: "b".into(), ..rate.clone() }, sgd).is_empty());
        assert_eq!(rate.idle()[0].under("it").keys(), ["it.rate", "it.kind"]);
    }

    #[test]
    fn conditions_beside_a_set_are_looked_up_and_all_must_hold() {
        let limit = Example { limit: Some(3), ..Example::default() };
        assert!(said(&limit, "train.optimizer = 'sgd'").is_empty());
        assert!(limit.idle().is_empty(), "nothing is known of what stands beside it");
        let expected =
            "of.it.limit = 3 does nothing here: it acts with train.optimizer = \"sgd\", and train.optimizer is";
        assert_eq!(said(&limit, "train.optimizer = 'adam'"), [format!("{expected} \"adam\".")]);
        assert_eq!(said(&limit, ""), [format!("{expected} not set.")]);
        let zero = Example { kind: "b".into(), rate: 0.0, limit: Some(3), ..Example::default() };
        let first = "of.it.limit = 3 does nothing here: it acts with of.it.rate above 0, and of.it.rate is 0.";
        assert_eq!(said(&zero, ""), [first]);
    }

    #[test]
    fn words_are_part_of_the_documentation() {
        let docs = Example::docs();
        let acts: Vec<Option<&str>> = docs.iter().map(|doc| doc.acts.as_deref()).collect();
        let both = "rate above 0, and with train.optimizer = \"sgd\"";
        assert_eq!(acts, [None, Some("kind = \"b\""), Some(both), None]);
        assert_eq!(Example::undeclared(), ["silent"]);
    }
}
