//! What a run's bits come from beside its config: the content of its data, the build of the program, and the vector
//! instructions of the processor. They stand in the provenance, and in the name of every checkpoint.

use secateur::backend::{Bits, Precision, bf16_unit, vector_level};
use serde::Serialize;

use crate::config::Resolved;

/// Stands for the code and the compiler of this program, see `build.rs`.
pub const BUILD: &str = env!("BUILD_DIGEST");

/// What made a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// SHA-256 of the content of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// SHA-256 of the weights that it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// The program's build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The vector instructions, where the bits depend on them: on a processor, not on a GPU; `portable` where
    /// `train.bits` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
}

impl Made {
    /// What this process makes of a config.
    pub fn here(config: &Resolved) -> Self {
        let on_processor = config.run.top.device == "cpu";
        Self {
            data: config.content().data.clone(),
            init: config.content().init.clone(),
            build: Some(BUILD.to_owned()),
            vector: on_processor.then(|| match (config.run.train.bits, config.run.train.precision) {
                (Bits::Portable, _) => Bits::Portable.to_string(),
                (Bits::Fastest, Precision::F32) => vector_level().to_owned(),
                (Bits::Fastest, Precision::Bf16) => format!("{}+{}", vector_level(), bf16_unit()),
            }),
        }
    }

    /// The name of a checkpoint: the run's identity, and what made it.
    pub fn name(&self, identity: &str) -> String {
        let part = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!(" {key}={value}"));
        let parts = [
            part("data", &self.data),
            part("init", &self.init),
            part("build", &self.build),
            part("vector", &self.vector),
        ];
        identity.to_owned() + &parts.into_iter().flatten().collect::<String>()
    }

    /// Takes a name apart: the identity, and what made it; an earlier version said nothing of that.
    pub fn of(name: &str) -> (&str, Self) {
        let mut words = name.split(' ');
        let identity = words.next().unwrap_or_default();
        let mut made = Self::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = Some(value.to_owned());
            match key {
                "data" => made.data = value,
                "init" => made.init = value,
                "build" => made.build = value,
                "vector" => made.vector = value,
                _ => {}
            }
        }
        (identity, made)
    }

    /// What is not here as it was there, in words.
    pub fn changes(&self, there: &Self) -> Vec<String> {
        let said = |value: &Option<String>| {
            value.as_ref().map_or("not known", |value| value.get(..12).unwrap_or(value)).to_owned()
        };
        let changed = |what: &str, there: &Option<String>, here: &Option<String>| {
            (here.is_some() && there != here).then(|| format!("{what}: {} there, {} here", said(there), said(here)))
        };
        let all = [
            changed("the content of the data (SHA-256)", &there.data, &self.data),
            changed("the content of init.from (SHA-256)", &there.init, &self.init),
            changed("the program's build", &there.build, &self.build),
            changed("the processor's vector instructions", &there.vector, &self.vector),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_made_a_checkpoint_and_comes_apart_again() {
        let some = |text: &str| Some(text.to_owned());
        let made = Made { data: some("d1"), init: some("w1"), build: some("b1"), vector: some("avx2") };
        let name = made.name("abc");
        assert_eq!(name, "abc data=d1 init=w1 build=b1 vector=avx2");
        assert_eq!(Made::of(&name), ("abc", made.clone()));
        assert_eq!(Made::of("abc"), ("abc", Made::default()));
        assert_eq!(made.changes(&made), [""; 0]);
        let other = Made { build: some("b2"), vector: some("avx512"), ..made.clone() };
        let expected =
            ["the program's build: b2 there, b1 here", "the processor's vector instructions: avx512 there, avx2 here"];
        assert_eq!(made.changes(&other), expected);
        // Portable bits are the same on every processor that has them.
        let portable = Made { vector: some("portable"), ..made.clone() };
        assert_eq!(portable.changes(&Made::of(&portable.name("abc")).1), [""; 0]);
        assert_eq!(portable.changes(&made), ["the processor's vector instructions: avx2 there, portable here"]);
        // A GPU's bits do not depend on the processor.
        assert_eq!(Made { vector: None, ..made.clone() }.changes(&Made { vector: some("avx2"), ..made }), [""; 0]);
    }
}
