//! An option that is one number, or a list of them.

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// One number for all, or a list with a number for each; `8` or `[8, 4, 2]` in a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrList<T> {
    /// The same for all.
    One(T),
    /// One for each.
    List(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Written out because serde's `untagged` would lose what is wrong with the number.
struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = OneOrList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list of numbers")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(number.into_deserializer()).map(OneOrList::One)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        T::deserialize(number.into_deserializer()).map(OneOrList::One)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        T::deserialize(number.into_deserializer()).map(OneOrList::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrList::List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::parse;

    crate::options! {
        /// Example.
        struct Example {
            /// How many.
            r: OneOrList<usize> = OneOrList::One(8),
        }
    }

    #[test]
    fn a_number_and_a_list_are_read_and_written_alike() {
        for (text, expected) in [("r = 3\n", OneOrList::One(3)), ("r = [3, 0]\n", OneOrList::List(vec![3, 0]))] {
            let read = parse::<Example>(&text.parse().unwrap()).unwrap();
            assert_eq!((toml::to_string(&read).unwrap().as_str(), read.r), (text, expected));
        }
        for (bad, expected) in [
            ("-1", "invalid value: integer `-1`, expected usize"),
            ("0.5", "invalid type: floating point `0.5`, expected usize"),
            ("[3, -1]", "invalid value: integer `-1`, expected usize"),
            ("\"much\"", "expected a number, or a list of numbers"),
        ] {
            let error = parse::<Example>(&format!("r = {bad}").parse().unwrap()).unwrap_err()[0].to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
