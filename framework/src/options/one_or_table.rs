//! An option that is one number, or a table of them by name.

use super::one_or_more::{OneOrMore, read};
use super::{entry_for, key_in};
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// One number for all, or a table of numbers by name, where `*` stands for any run of characters: `0.9`, or
/// `{ "conv*" = 0.5, "*" = 0.9 }` in a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrTable<T> {
    /// The same for all.
    One(T),
    /// By name, or by a pattern of names; an empty table says nothing.
    Table(BTreeMap<String, T>),
}

impl<T> Default for OneOrTable<T> {
    fn default() -> Self {
        Self::Table(BTreeMap::new())
    }
}

impl<T> OneOrTable<T> {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Table(table) if table.is_empty())
    }

    /// What it says of `name`.
    pub fn of(&self, name: &str) -> Option<&T> {
        match self {
            Self::One(number) => Some(number),
            Self::Table(table) => entry_for(table, name),
        }
    }

    /// The table, empty where one number stands for all.
    pub fn table(&self) -> impl Iterator<Item = (&String, &T)> {
        let table = if let Self::Table(table) = self { Some(table) } else { None };
        table.into_iter().flatten()
    }

    /// Every number, under the key that holds it; `key` is the option's own.
    pub fn keyed<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (String, &'a T)> {
        let one = if let Self::One(number) = self { Some((key.to_owned(), number)) } else { None };
        one.into_iter().chain(self.table().map(move |(name, number)| (key_in(key, name), number)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrTable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> OneOrMore<'de> for OneOrTable<T> {
    type Number = T;
    const EXPECTED: &'static str = "a number, or a table of numbers by name";

    fn one(number: T) -> Self {
        Self::One(number)
    }

    fn table<A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(table)).map(Self::Table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::parse;

    crate::options! {
        /// Example.
        struct Example {
            /// How much.
            most: OneOrTable<f64> = OneOrTable::default(),
        }
    }

    #[test]
    fn a_number_and_a_table_are_read_and_written_alike() {
        let table = OneOrTable::Table([("*".to_owned(), 0.5), ("fc1".to_owned(), 0.25)].into());
        for (text, expected) in
            [("most = 0.5\n", OneOrTable::One(0.5)), ("[most]\n\"*\" = 0.5\nfc1 = 0.25\n", table.clone())]
        {
            let read = parse::<Example>(&text.parse().unwrap()).unwrap();
            assert_eq!((toml::to_string(&read).unwrap().as_str(), read.most), (text, expected));
        }
        assert_eq!((table.of("fc1"), table.of("fc2"), OneOrTable::One(1).of("x")), (Some(&0.25), Some(&0.5), Some(&1)));
        let keys: Vec<String> = table.keyed("most").map(|(key, _)| key).collect();
        assert_eq!(keys, ["most.\"*\"", "most.fc1"]);
        assert!(OneOrTable::<f64>::default().is_empty() && !table.is_empty());
        for (bad, expected) in [
            ("\"much\"", "expected a number, or a table of numbers by name"),
            ("[0.5]", "invalid type: sequence, expected a number, or a table of numbers by name"),
            ("{ fc1 = \"much\" }", "invalid type: string \"much\", expected f64"),
        ] {
            let error = parse::<Example>(&format!("most = {bad}").parse().unwrap()).unwrap_err()[0].to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
