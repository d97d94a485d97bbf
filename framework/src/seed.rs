//! Every random number comes from a stream named by what it is for.
//!
//! A stream depends on the run's seed and its name alone, never on what was drawn before: adding a layer, resuming a
//! run or changing the number of threads leaves every other stream as it was.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A seed, from which named streams are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The generator for one purpose: `seed.stream("init", &["fc1.weight"])`.
    pub fn stream(self, purpose: &str, names: &[&str]) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        for part in std::iter::once(&purpose).chain(names) {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        ChaCha8Rng::from_seed(hash.finalize().into())
    }

    /// The generator for one of very many streams of a purpose, each named by two numbers: an image in an epoch. The
    /// four words are the cipher's key, so that no two of these streams can coincide; no hash is computed.
    pub fn numbered(self, purpose: u64, a: u64, b: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (part, word) in key.chunks_exact_mut(8).zip([self.0, purpose, a, b]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }

    /// A seed of its own for one purpose.
    pub fn derive(self, purpose: &str, names: &[&str]) -> Seed {
        use rand_chacha::rand_core::Rng as _;
        Seed(self.stream(purpose, names).next_u64())
    }
}

/// The seeds of a run, one for each thing that is drawn: an initialisation can be held while the data is drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// The run's own, which the others are where nobody sets them.
    pub run: Seed,
    /// Of the weights that a network begins with.
    pub init: Seed,
    /// Of what is held out: the validation split, a test split that is drawn, the test examples that a limit keeps.
    pub split: Seed,
    /// Of what changes from step to step: the order of the examples, their random changes, dropout and samples.
    pub order: Seed,
    /// Of what criteria draw: their scores, and the examples that they ask for.
    pub pruner: Seed,
    /// Of the data: generated examples, the training examples that a limit keeps, and noise on inputs.
    pub data: Seed,
}

impl From<Seed> for Seeds {
    fn from(run: Seed) -> Self {
        Self { run, init: run, split: run, order: run, pruner: run, data: run }
    }
}

impl From<u64> for Seeds {
    fn from(run: u64) -> Self {
        Seed(run).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_name_and_repeat() {
        let of = |s, p, n: &[&str]| Seed(s).derive(p, n);
        assert_eq!(of(1, "init", &["a"]), of(1, "init", &["a"]));
        let all = [
            of(1, "init", &["a"]),
            of(2, "init", &["a"]),
            of(1, "shuffle", &["a"]),
            of(1, "init", &["b"]),
            of(1, "ini", &["ta"]),
        ];
        assert_eq!(all.iter().map(|s| s.0).collect::<std::collections::HashSet<_>>().len(), all.len());
    }

    #[test]
    fn numbered_streams_differ_by_each_number_and_repeat() {
        use rand_chacha::rand_core::Rng as _;
        let first = |seed: u64, purpose, a, b| Seed(seed).numbered(purpose, a, b).next_u64();
        assert_eq!(first(1, 2, 3, 4), first(1, 2, 3, 4));
        for other in [first(0, 2, 3, 4), first(1, 0, 3, 4), first(1, 2, 0, 4), first(1, 2, 3, 0)] {
            assert_ne!(other, first(1, 2, 3, 4));
        }
    }
}
