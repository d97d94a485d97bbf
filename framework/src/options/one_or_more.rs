//! Reading an option that is one number, or several of them in another form.
//!
//! Written out because serde's `untagged` would lose what is wrong with the number.

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// One number, or several: in a list or in a table, whichever it takes.
pub(super) trait OneOrMore<'de>: Sized {
    /// A number.
    type Number: Deserialize<'de>;
    /// What may stand there, in words.
    const EXPECTED: &'static str;

    /// From a number.
    fn one(number: Self::Number) -> Self;

    /// From a list.
    fn list<A: SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(Unexpected::Seq, &Self::EXPECTED))
    }

    /// From a table.
    fn table<A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(Unexpected::Map, &Self::EXPECTED))
    }
}

/// Reads either.
pub(super) fn read<'de, D: Deserializer<'de>, O: OneOrMore<'de>>(deserializer: D) -> Result<O, D::Error> {
    deserializer.deserialize_any(Either(PhantomData))
}

struct Either<O>(PhantomData<O>);

impl<'de, O: OneOrMore<'de>> Visitor<'de> for Either<O> {
    type Value = O;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(O::EXPECTED)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<O, E> {
        O::Number::deserialize(number.into_deserializer()).map(O::one)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<O, E> {
        O::Number::deserialize(number.into_deserializer()).map(O::one)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<O, E> {
        O::Number::deserialize(number.into_deserializer()).map(O::one)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<O, A::Error> {
        O::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<O, A::Error> {
        O::table(table)
    }
}
