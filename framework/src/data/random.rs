//! Random streams of the data side, each fixed by the seed and by what it is for.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is used for; streams of different purposes are independent.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Validation = 1,
    TrainLimit = 2,
    TestLimit = 3,
    TestHoldout = 4,
    Shuffle = 5,
    Augment = 6,
    Glyph = 7,
}

/// The stream of `(seed, purpose, a, b)`: the four words are the cipher's key, so that no two streams can coincide.
pub(super) fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
