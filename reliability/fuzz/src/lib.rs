//! Gives a reader inputs that nobody wrote: none may make it panic, or take memory out of proportion.
//!
//! ```ignore
//! #[global_allocator]
//! static MEMORY: secateur_fuzz::Counting = secateur_fuzz::Counting;
//!
//! let whole = b"a file that is read".to_vec();
//! secateur_fuzz::bears("a reader", &[whole], |bytes| parse(bytes).map_or(0, |decoded| decoded.len()));
//! ```
//!
//! It needs no nightly compiler and no engine: inputs are made from whole files by [`mutated`], the nth one always from
//! the same numbers, so that `cargo test` tries the same ones everywhere and a failure is found again. `FUZZ_INPUTS`
//! says how many (1,000 where it is not set), `FUZZ_FROM` where to begin. What was found once stands in
//! `reliability/corpus` under the reader's name and is tried first, as it is and as a beginning for others.

mod memory;
mod mutate;

pub use memory::Counting;
pub use mutate::{Random, mutated};

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What a reader may take whatever it is given.
const ROOM: usize = 64 << 20;
/// What it may take for each byte of its input, and for each that it says it decoded.
const EACH: usize = 8;
/// Inputs of a reader, unless more are asked for.
const INPUTS: u64 = 1000;

/// Gives a reader the whole files, what was found before, and changed copies of both. `read` says how many bytes it
/// decoded; what it allocates is counted on its own thread, where [`Counting`] is the allocator.
///
/// # Panics
/// The reader panicked, or took too much memory. The input is written to a file, which the message names.
pub fn bears(reader: &str, whole: &[Vec<u8>], read: impl FnMut(&[u8]) -> usize) {
    bears_part(1, reader, whole, read);
}

/// The same for a reader that takes milliseconds: one in so many of the inputs.
///
/// # Panics
/// As [`bears`].
pub fn bears_part(one_in: u64, reader: &str, whole: &[Vec<u8>], mut read: impl FnMut(&[u8]) -> usize) {
    let mut seeds = whole.to_vec();
    seeds.extend(found_before(reader));
    assert!(!seeds.is_empty(), "{reader}: without a file to begin with nothing is tried");
    let inputs = asked("FUZZ_INPUTS").unwrap_or(INPUTS).div_ceil(one_in);
    let from = asked("FUZZ_FROM").unwrap_or(0);
    for seed in &seeds {
        try_one(reader, seed, &mut read);
    }
    for nth in from..from + inputs {
        if nth > 0 && nth.is_multiple_of(1_000_000) {
            eprintln!("{reader}: {nth} inputs");
        }
        try_one(reader, &mutated(&seeds, nth), &mut read);
    }
    eprintln!("{reader}: bore {inputs} inputs made from {} files, from {from} on", seeds.len());
}

fn asked(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} = {text}: a whole number is needed")))
}

fn corpus(reader: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("corpus").join(reader)
}

fn found_before(reader: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus(reader)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

fn try_one(reader: &str, input: &[u8], read: &mut impl FnMut(&[u8]) -> usize) {
    let (decoded, peak) = memory::peak(|| catch_unwind(AssertUnwindSafe(|| read(input))));
    let failed = |why: String| {
        let path = env::temp_dir().join(format!("{reader}-{}.input", std::process::id()));
        let kept = fs::write(&path, input).map_or_else(|error| error.to_string(), |()| path.display().to_string());
        panic!(
            "{reader}: {why}; the input is in {kept}, and belongs into {} once it is borne",
            corpus(reader).display()
        );
    };
    match decoded {
        Err(_) => failed("it panicked".to_owned()),
        Ok(decoded) if peak > ROOM + EACH * (input.len() + decoded) => {
            failed(format!("it took {peak} bytes for an input of {} of which it decoded {decoded}", input.len()));
        }
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static MEMORY: Counting = Counting;

    fn refused(read: impl FnMut(&[u8]) -> usize) -> String {
        let failed = catch_unwind(AssertUnwindSafe(|| bears("planted", &[b"0123456789".to_vec()], read))).unwrap_err();
        failed.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn a_panic_and_memory_out_of_proportion_are_found_and_the_input_is_kept() {
        let text = refused(|bytes| usize::from(bytes[9] == 0));
        assert!(text.contains("planted: it panicked; the input is in "), "{text}");
        let path = text.split("the input is in ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
        assert!(fs::read(path).is_ok_and(|input| input.len() < 10), "{text}");
        let text = refused(|bytes| {
            let said = usize::from(bytes.first().copied().unwrap_or(0) == 255);
            vec![0_u8; said * (65 << 20)].len() / 1000
        });
        assert!(text.contains("it took 681574") && text.contains("it decoded 68157"), "{text}");
    }

    #[test]
    fn a_reader_that_decodes_much_may_take_much() {
        let large = || vec![7_u8; 100 << 20];
        bears("large", &[vec![1]], |bytes| if bytes == [1] { large().len() } else { 0 });
    }
}
