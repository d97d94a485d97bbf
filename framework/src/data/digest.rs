//! One hash for everything that a run can learn from.

use super::dataset::DataOrigin;
use super::examples::{Examples, Pool, TestExamples};
use crate::backend::Values;
use sha2::{Digest as _, Sha256};

impl Examples {
    /// SHA-256 in hexadecimal over the content: shape, names of classes, and every example with its class, wherever the
    /// files lie and however they are packed. Of a folder of images it is over relative paths and the files' bytes,
    /// from which size and colours make the examples.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.class_names.iter().for_each(|name| part(name.as_bytes()));
        self.shape.iter().for_each(|axis| part(&(*axis as u64).to_le_bytes()));
        if let DataOrigin::Folder { sha256, .. } = &self.origin {
            part(sha256.as_bytes());
        } else {
            pool(&self.train, &mut part);
            self.validation.iter().for_each(|own| pool(own, &mut part));
            if let TestExamples::Own(own) = &self.test {
                pool(own, &mut part);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Numbers whose bytes are put in order at a time: a data set need not be in memory twice.
const PIECE: usize = 1 << 16;

fn pool(pool: &Pool, part: &mut impl FnMut(&[u8])) {
    // Lowest byte first, so that every machine gives the same hash.
    match &pool.values {
        Values::U8(values) => part(values),
        Values::F32(values) => {
            let bytes = |piece: &[f32]| piece.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            values.chunks(PIECE).for_each(|piece| part(&bytes(piece)));
        }
    }
    let bytes = |piece: &[u32]| piece.iter().flat_map(|class| class.to_le_bytes()).collect::<Vec<u8>>();
    pool.targets.chunks(PIECE).for_each(|piece| part(&bytes(piece)));
    if let Some(responses) = &pool.responses {
        responses.values.iter().for_each(|value| part(&value.to_le_bytes()));
        if let Some(noise) = &responses.noise {
            part(b"noise");
            noise.iter().for_each(|value| part(&value.to_le_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(values: Vec<u8>, classes: Vec<u32>, names: &[&str]) -> String {
        let (train, test) = (Pool::bytes(values, classes), Pool::bytes(vec![9], vec![0]));
        Examples::in_memory("points", &[1], names, train, test).unwrap().digest()
    }

    #[test]
    fn every_value_every_class_and_every_name_counts_and_nothing_else_does() {
        let names = ["a", "b"];
        let one = digest(vec![1, 2], vec![0, 1], &names);
        assert_eq!(one, digest(vec![1, 2], vec![0, 1], &names));
        let others = [
            digest(vec![1, 3], vec![0, 1], &names),
            digest(vec![1, 2], vec![1, 0], &names),
            digest(vec![1, 2], vec![0, 1], &["a", "c"]),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
        let floats = || (Pool::floats(vec![1.0, 2.0], vec![0, 1]), Pool::floats(vec![9.0], vec![0]));
        let (train, test) = floats();
        assert_ne!(Examples::in_memory("points", &[1], &names, train, test).unwrap().digest(), one);
    }

    #[test]
    fn where_the_files_lie_does_not_count() {
        let at = |path: &str| {
            let origin = DataOrigin::Folder { path: path.into(), files: 1, bytes: 2, sha256: "ab".into() };
            let (train, test) = (Pool::bytes(vec![1], vec![0]), Pool::bytes(vec![2], vec![0]));
            Examples { origin, ..Examples::in_memory("x", &[1], &["a"], train, test).unwrap() }.digest()
        };
        assert_eq!(at("/here"), at("/there"));
    }
}
