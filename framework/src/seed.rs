//! Every random number comes from a stream named by what it is for.
//!
//! A stream depends on the run's seed and its name alone, never on what was drawn before: adding a layer, resuming a run or
//! changing the number of threads leaves every other stream as it was.

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

    /// A seed of its own for one purpose.
    pub fn derive(self, purpose: &str, names: &[&str]) -> Seed {
        use rand_chacha::rand_core::Rng as _;
        Seed(self.stream(purpose, names).next_u64())
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
}
