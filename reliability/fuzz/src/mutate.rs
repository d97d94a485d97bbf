//! Makes inputs from whole files: bytes that are changed, moved, repeated and left out, and numbers that programs
//! stumble over, in binary and in words.

/// Numbers at which something ends.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// The same in text, and what is no number.
const WORDS: [&str; 20] = [
    "0",
    "-1",
    "1e400",
    "-1e-400",
    "nan",
    "inf",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "65536",
    "1073741824",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0.1",
    "\\u0000",
    "\u{1b}[2J",
];

/// The longest input, unless a whole file is longer.
const LONGEST: usize = 16 << 10;

/// SplitMix64 (Steele, Lea & Flood 2014): good enough to choose by, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A part of so many bytes, mostly a short one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        if length == 0 {
            return 0..0;
        }
        let most = *self.of(&[1, 2, 4, 8, 64, length]);
        let start = self.below(length);
        start..(start + 1 + self.below(most)).min(length)
    }
}

/// The nth input that is made from these whole files: one of them with up to eight changes.
pub fn mutated(whole: &[Vec<u8>], nth: u64) -> Vec<u8> {
    let mut random = Random::new(nth.wrapping_mul(0xd134_2543_de82_ef95));
    let mut input = random.of(whole).clone();
    let longest = LONGEST.max(2 * input.len());
    for _ in 0..=random.below(8).min(random.below(8)) {
        change(&mut input, whole, &mut random);
        input.truncate(longest);
    }
    input
}

fn change(input: &mut Vec<u8>, whole: &[Vec<u8>], random: &mut Random) {
    let part = random.part(input.len());
    match random.below(12) {
        0 | 1 if !input.is_empty() => input[part.start] ^= 1 << random.below(8),
        2 if !input.is_empty() => input[part.start] = random.draw() as u8,
        3 | 4 => {
            let number = *random.of(&NUMBERS);
            let width = *random.of(&[1, 2, 4, 8]);
            let mut bytes = number.to_le_bytes()[..width].to_vec();
            if random.below(2) == 0 {
                bytes.reverse();
            }
            input.iter_mut().skip(part.start).zip(bytes).for_each(|(to, byte)| *to = byte);
        }
        5 => drop(input.drain(part)),
        6 => input.truncate(part.start),
        7 => {
            // Nested and repeated: a stack or a list that has no end.
            let (piece, times) = (input[part.clone()].to_vec(), *random.of(&[1, 2, 3, 100, 5000]));
            let times = times.min(LONGEST / piece.len().max(1));
            drop(input.splice(part.start..part.start, piece.repeat(times)));
        }
        8 => {
            let other = random.of(whole);
            let piece = other[random.part(other.len())].to_vec();
            drop(input.splice(part, piece));
        }
        9 | 10 => number_in_words(input, random),
        _ => {
            let word = random.of(&WORDS).bytes();
            drop(input.splice(part.start..part.start, word));
        }
    }
}

/// Replaces a number that stands there in words.
fn number_in_words(input: &mut Vec<u8>, random: &mut Random) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-+".contains(byte);
    let starts: Vec<usize> =
        (0..input.len()).filter(|&at| input[at].is_ascii_digit() && (at == 0 || !is_part(&input[at - 1]))).collect();
    if starts.is_empty() {
        return;
    }
    let start = *random.of(&starts);
    let end = start + input[start..].iter().take_while(|byte| is_part(byte)).count();
    drop(input.splice(start..end, random.of(&WORDS).bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_input_is_always_the_same_and_the_next_one_another() {
        let whole = [b"{\"a\": 12, \"b\": [1, 2]}".to_vec(), vec![0; 64]];
        let all: Vec<_> = (0..500).map(|nth| mutated(&whole, nth)).collect();
        assert_eq!(all, (0..500).map(|nth| mutated(&whole, nth)).collect::<Vec<_>>());
        let mut different = all.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 400, "{}", different.len());
        assert!(all.iter().all(|input| input.len() <= LONGEST));
    }

    #[test]
    fn an_empty_file_is_borne_too() {
        (0..500).for_each(|nth| assert!(mutated(&[vec![]], nth).len() <= LONGEST));
    }
}
