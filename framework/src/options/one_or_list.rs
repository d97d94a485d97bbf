//! An option that is one number, or a list of them.

use super::one_or_more::{OneOrMore, read};
use serde::de::SeqAccess;
use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

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
        read(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> OneOrMore<'de> for OneOrList<T> {
    type Number = T;
    const EXPECTED: &'static str = "a number, or a list of numbers";

    fn one(number: T) -> Self {
        Self::One(number)
    }

    fn list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Self::List)
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
            ("{ a = 3 }", "invalid type: map, expected a number, or a list of numbers"),
        ] {
            let error = parse::<Example>(&format!("r = {bad}").parse().unwrap()).unwrap_err()[0].to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
