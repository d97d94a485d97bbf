//! Typed options: one documented struct per plugin or config section.
//!
//! [`options!`](crate::options!) writes the struct, its defaults, serde in both directions with unknown keys refused,
//! and the documentation that `secateur plugins show` prints. An option without a doc comment does not compile. A set
//! says itself which values it refuses ([`OptionSet::check`]), and is asked whenever its section is read; each option
//! can say when it acts ([`Acts`]).

mod acts;
mod checks;
mod one_or_list;
mod one_or_more;
mod one_or_table;
mod pattern;
mod plugin_spec;

pub use acts::{Acts, Idle};
pub use checks::{Checks, Number, key_in};
pub use one_or_list::OneOrList;
pub use one_or_table::OneOrTable;
pub use pattern::{captures, entry_for, fits, keys_for};
pub use plugin_spec::PluginSpec;

use crate::error::OptionError;
use serde::{Serialize, de::DeserializeOwned};

/// Untyped options, as they stand in a config.
pub type Table = toml::Table;

/// What a user needs to know about one option.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionDoc {
    /// Key within its section.
    pub name: &'static str,
    /// The doc comment.
    pub doc: String,
    /// Rust type, as written.
    pub ty: String,
    /// Value when nothing is set; `None` for an option that is off by default.
    pub default: Option<toml::Value>,
    /// What it needs to act, in words; `None` where it always acts, or does not say.
    pub acts: Option<String>,
}

/// A set of documented, typed options; implemented by [`options!`](crate::options!).
pub trait OptionSet: Default + Serialize + DeserializeOwned {
    /// Name, doc comment and type of every option, in order.
    const FIELDS: &'static [(&'static str, &'static [&'static str], &'static str)];

    /// Refuses values out of range, and combinations that contradict each other; keys are relative to this set.
    fn check(&self, _checks: &mut Checks) {}

    /// When every option acts, see [`Acts`]; options that say nothing are not in it.
    fn acts() -> Vec<(&'static str, Vec<Acts<Self>>)> {
        vec![]
    }

    /// The options that do not say when they act.
    fn undeclared() -> Vec<&'static str> {
        let said: Vec<&str> = Self::acts().into_iter().filter(|(_, all)| !all.is_empty()).map(|(key, _)| key).collect();
        Self::FIELDS.iter().map(|field| field.0).filter(|key| !said.contains(key)).collect()
    }

    /// The values that differ from their defaults, as they are written, by key.
    fn changed(&self) -> Vec<(&'static str, String)> {
        acts::changed(self).into_iter().map(|(key, value)| (key, short(&value))).collect()
    }

    /// The values that differ from their defaults and cannot act beside the others of this set; keys are relative to
    /// it.
    fn idle(&self) -> Vec<Idle> {
        acts::idle(self, None)
    }

    /// The values that differ from their defaults and cannot act beside the others of this set, or beside the other
    /// sections of a config.
    fn idle_beside(&self, sections: &Table) -> Vec<Idle> {
        acts::idle(self, Some(sections))
    }

    /// Everything that [`OptionSet::check`] refuses.
    fn errors(&self) -> Vec<OptionError> {
        Checks::of(self, &Table::new())
    }

    /// Documentation with defaults.
    fn docs() -> Vec<OptionDoc> {
        let defaults = toml::Table::try_from(Self::default()).unwrap_or_default();
        let acts = Self::acts();
        let words = |name: &str| {
            let all = acts.iter().filter(|(key, _)| *key == name).flat_map(|(_, all)| all).filter_map(Acts::words);
            all.map(str::to_owned).reduce(|first, next| format!("{first}, and with {next}"))
        };
        let doc = |&(name, doc, ty): &(&'static str, &[&str], &str)| OptionDoc {
            name,
            doc: doc.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" "),
            ty: ty.replace(' ', ""),
            default: defaults.get(name).cloned(),
            acts: words(name),
        };
        Self::FIELDS.iter().map(doc).collect()
    }
}

/// Reads typed options from a table.
///
/// # Errors
/// All of them together: every unknown key with the nearest known one, every value of a wrong type, every value that
/// [`OptionSet::check`] refuses. Keys are relative to the table: the caller knows its path and puts it in front.
pub fn parse<T: OptionSet>(table: &Table) -> Result<T, Vec<OptionError>> {
    let known: Vec<&str> = T::FIELDS.iter().map(|f| f.0).collect();
    let (mut errors, mut sound) = (vec![], Table::new());
    for (key, value) in table {
        if !known.contains(&key.as_str()) {
            errors.push(OptionError::new(key, short(value), unknown("option", key, &known)));
            continue;
        }
        // Each key alone, the others at their defaults: the error then belongs to this key for certain.
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        match T::deserialize(toml::Value::Table(alone)) {
            Ok(_) => _ = sound.insert(key.clone(), value.clone()),
            Err(e) => errors.push(OptionError::new(key, short(value), e.message().trim().replace('\n', " "))),
        }
    }
    let options = T::deserialize(toml::Value::Table(sound.clone()))
        .map_err(|e| vec![OptionError::new("options", short(&toml::Value::Table(sound.clone())), e.message())])?;
    errors.extend(Checks::of(&options, &sound));
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

/// "unknown option; did you mean `x`? known: ..."
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(d, k)| *d <= 2.max(k.len() / 3))
        .min_by_key(|(d, _)| *d);
    let hint = near.map(|(_, k)| format!("did you mean `{k}`? ")).unwrap_or_default();
    if known.is_empty() {
        format!("unknown {what}; there are none")
    } else {
        format!("unknown {what}; {hint}known: {}", known.join(", "))
    }
}

fn short(value: &toml::Value) -> String {
    // A whole number that a key takes as a fraction is shown as people write it, without a point.
    let text = if let toml::Value::Float(x) = value { x.to_string() } else { value.to_string() };
    if text.chars().count() > 60 { format!("{}...", text.chars().take(57).collect::<String>()) } else { text }
}

/// Declares a documented set of options, when each acts, and what they refuse: see [`Acts`] and [`Checks`] for the ways
/// to say so.
///
/// ```
/// secateur::options! {
///     /// How strongly to decay.
///     pub struct Decay {
///         /// Factor per step, between 0 and 1.
///         pub factor: f64 = 0.9,
///         /// First step it applies to; never where absent.
///         pub from: Option<u64> = None,
///     }
///
///     fn check(&self, checks: &mut Checks) {
///         checks.range("factor", self.factor, 0.0..=1.0);
///     }
/// }
/// let read = |text: &str| secateur::options::parse::<Decay>(&text.parse().unwrap());
/// let decay = read("factor = 0.5").unwrap();
/// assert_eq!((decay.factor, decay.from), (0.5, None));
/// assert_eq!(read("factor = 2.0").unwrap_err()[0].to_string(), "`factor` = 2: must lie between 0 and 1");
/// ```
#[macro_export]
macro_rules! options {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $(
            $(#[doc = $doc:literal])+
            $(#[acts($($acts:tt)+)])*
            $fvis:vis $field:ident : $ty:ty = $default:expr
        ),* $(,)?
    }
    $(fn check(&$this:ident, $checks:ident : &mut Checks) $check:block)?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "secateur::serde", deny_unknown_fields, default)]
        $vis struct $name { $($(#[doc = $doc])+ $fvis $field: $ty),* }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
        impl $crate::options::OptionSet for $name {
            const FIELDS: &'static [(&'static str, &'static [&'static str], &'static str)] =
                &[$((stringify!($field), &[$($doc),+], stringify!($ty))),*];
            fn acts() -> Vec<(&'static str, Vec<$crate::options::Acts<Self>>)> {
                vec![$((stringify!($field), vec![$($crate::acts!($($acts)+)),*])),*]
            }
            $(fn check(&$this, $checks: &mut $crate::options::Checks) $check)?
        }
    };
}

/// Declares an option with a fixed set of values, each with the word that configs use.
///
/// ```
/// secateur::choices! {
///     /// A norm.
///     pub enum Norm {
///         /// Sum of magnitudes.
///         L1 = "l1",
///         /// Root of the sum of squares.
///         L2 = "l2",
///     }
/// }
/// assert_eq!(Norm::L2.to_string(), "l2");
/// ```
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "secateur::serde")]
        $vis enum $name { $($(#[doc = $doc])+ #[serde(rename = $word)] $variant),+ }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    options! {
        /// Example.
        struct Example {
            /// A number.
            alpha: f64 = 0.5,
            /// A word.
            kind: String = "a".into(),
            /// Nothing by default.
            limit: Option<u32> = None,
        }
    }

    #[test]
    fn defaults_fill_what_is_not_set() {
        let e: Example = parse(&"alpha = 2".parse().unwrap()).unwrap();
        assert_eq!(e, Example { alpha: 2.0, ..Example::default() });
    }

    #[test]
    fn every_error_is_reported_at_once_with_its_key() {
        let errors = parse::<Example>(&"alfa = 1\nkind = 3\nlimit = -1".parse().unwrap()).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{text:?}");
        assert!(text[0].contains("did you mean `alpha`?"), "{text:?}");
        assert!(text[1].starts_with("`kind` = 3: invalid type: integer `3`, expected a string"), "{text:?}");
        assert!(text[2].starts_with("`limit` = -1"), "{text:?}");
    }

    #[test]
    fn docs_carry_types_and_defaults() {
        let docs = Example::docs();
        assert_eq!((docs[0].name, docs[0].doc.as_str(), docs[0].ty.as_str()), ("alpha", "A number.", "f64"));
        assert_eq!(docs[0].default, Some(toml::Value::Float(0.5)));
        assert_eq!(docs[2].default, None);
    }
}
