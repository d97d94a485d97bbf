//! Canonical Huffman codes: the lengths of the code words alone say what the words are.

use super::bits::{BitReader, BitWriter};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The longest code word: its length must fit [`LENGTH_BITS`]. Only alphabets with counts like Fibonacci's numbers, and
/// millions of symbols in all, would want longer ones.
const LONGEST: u32 = 31;
/// Bits in which the length of a code word is written.
const LENGTH_BITS: u32 = 5;

/// A code for the symbols 0, 1, ..., n - 1.
///
/// A symbol that does not occur has no word. Where only one occurs its word is one bit, so that no text is free: what a
/// reader makes of a file stays in proportion to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Bits of each symbol's word, 0 for a symbol without.
    lengths: Vec<u32>,
    /// Symbols that have a word, by its length and then by symbol.
    sorted: Vec<u16>,
    /// Words of each length.
    of_length: [u32; LONGEST as usize + 1],
}

impl Code {
    /// The best code for symbols that occur this often (Huffman 1952).
    pub fn of_counts(counts: &[u64]) -> Self {
        let mut counts = counts.to_vec();
        loop {
            let lengths = lengths(&counts);
            if lengths.iter().all(|length| *length <= LONGEST) {
                return Self::of_lengths(lengths);
            }
            // Flatter counts give shorter words, at a cost too small to matter.
            counts.iter_mut().for_each(|count| *count = count.div_ceil(2));
        }
    }

    fn of_lengths(lengths: Vec<u32>) -> Self {
        let mut sorted: Vec<u16> = (0..lengths.len()).filter(|s| lengths[*s] > 0).map(|s| s as u16).collect();
        sorted.sort_by_key(|symbol| (lengths[usize::from(*symbol)], *symbol));
        let mut of_length = [0; LONGEST as usize + 1];
        lengths.iter().filter(|length| **length > 0).for_each(|length| of_length[*length as usize] += 1);
        Self { lengths, sorted, of_length }
    }

    /// Writes the lengths.
    pub fn write(&self, to: &mut BitWriter) {
        self.lengths.iter().for_each(|length| to.put(*length, LENGTH_BITS));
    }

    /// Reads the code of so many symbols.
    ///
    /// # Errors
    /// What is wrong with it: it ends early, or no Huffman code has these lengths.
    pub fn read(symbols: usize, from: &mut BitReader<'_>) -> Result<Self, &'static str> {
        let lengths: Option<Vec<u32>> = (0..symbols).map(|_| from.take(LENGTH_BITS)).collect();
        let code = Self::of_lengths(lengths.ok_or("the lengths of its code words end early")?);
        let used: u64 = (1..=LONGEST).map(|n| u64::from(code.of_length[n as usize]) << (LONGEST - n)).sum();
        let whole = used == 1 << LONGEST || (code.sorted.len() == 1 && code.of_length[1] == 1);
        if whole || code.sorted.is_empty() { Ok(code) } else { Err("no Huffman code has code words of these lengths") }
    }

    /// Bits of a text in which the symbols occur this often.
    pub fn bits(&self, counts: &[u64]) -> u64 {
        self.lengths.iter().zip(counts).map(|(length, count)| u64::from(*length) * count).sum()
    }

    /// Writes a text.
    pub fn encode(&self, text: impl IntoIterator<Item = u16>, to: &mut BitWriter) {
        let mut words = vec![0; self.lengths.len()];
        let (mut word, mut length) = (0_u32, 0);
        for symbol in &self.sorted {
            let own = self.lengths[usize::from(*symbol)];
            word <<= own - length;
            length = own;
            words[usize::from(*symbol)] = word;
            word = word.wrapping_add(1);
        }
        for symbol in text {
            to.put(words[usize::from(symbol)], self.lengths[usize::from(symbol)]);
        }
    }

    /// Reads one symbol; `None` where the bits end within its word, or are no word.
    pub fn decode(&self, from: &mut BitReader<'_>) -> Option<u16> {
        let (mut word, mut first, mut before) = (0_u64, 0_u64, 0);
        for count in &self.of_length[1..] {
            word = word << 1 | u64::from(from.bit()?);
            first <<= 1;
            // Words of one length follow each other.
            if word < first + u64::from(*count) {
                return self.sorted.get(before + (word - first) as usize).copied();
            }
            first += u64::from(*count);
            before += *count as usize;
        }
        None
    }
}

/// Lengths of the words of a Huffman code, however long they come out.
fn lengths(counts: &[u64]) -> Vec<u32> {
    let mut lengths = vec![0; counts.len()];
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> =
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(s, count)| Reverse((*count, s))).collect();
    if let (1, Some(Reverse((_, only)))) = (heap.len(), heap.peek()) {
        lengths[*only] = 1;
        return lengths;
    }
    // The nodes of the tree: the symbols, then a node for each pair that was joined.
    let mut parents = vec![0; counts.len()];
    while let (Some(Reverse((a, left))), Some(Reverse((b, right)))) = (heap.pop(), heap.pop()) {
        let node = parents.len();
        (parents[left], parents[right]) = (node, node);
        parents.push(0);
        heap.push(Reverse((a + b, node)));
    }
    // Parents stand behind their children, and the root is the last node.
    let mut depths = vec![0; parents.len()];
    for node in (0..parents.len().saturating_sub(1)).rev().filter(|node| parents[*node] > 0) {
        depths[node] = depths[parents[node]] + 1;
    }
    lengths.copy_from_slice(&depths[..counts.len()]);
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(text: &[u16], symbols: usize) -> Vec<u64> {
        let mut counts = vec![0; symbols];
        text.iter().for_each(|symbol| counts[usize::from(*symbol)] += 1);
        counts
    }

    fn there_and_back(text: &[u16], symbols: usize) -> Vec<u16> {
        let code = Code::of_counts(&counts(text, symbols));
        let mut writer = BitWriter::default();
        code.write(&mut writer);
        code.encode(text.iter().copied(), &mut writer);
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        assert_eq!(Code::read(symbols, &mut reader).unwrap(), code);
        let found = text.iter().map(|_| code.decode(&mut reader).unwrap()).collect();
        assert!(reader.ends_here());
        found
    }

    #[test]
    fn lengths_are_those_of_the_textbook() {
        // Cormen et al., Introduction to Algorithms, figure 16.5: a to f occur 45, 13, 12, 16, 9, 5 times.
        let code = Code::of_counts(&[45, 13, 12, 16, 9, 5]);
        assert_eq!(code.lengths, [1, 3, 3, 3, 4, 4]);
        assert_eq!(code.bits(&[45, 13, 12, 16, 9, 5]), 224);
        let mut writer = BitWriter::default();
        code.encode([0, 1, 2, 3, 4, 5], &mut writer);
        // 0, 100, 101, 110, 1110, 1111 by the canonical rule.
        assert_eq!(writer.finish(), [0b0100_1011, 0b1011_1011, 0b1100_0000]);
    }

    #[test]
    fn words_stay_within_their_limit() {
        let fibonacci = std::iter::successors(Some((1_u64, 1)), |(a, b)| Some((*b, a + b))).map(|(a, _)| a);
        let counts: Vec<u64> = fibonacci.take(60).collect();
        assert_eq!(lengths(&counts).iter().max(), Some(&59));
        let code = Code::of_counts(&counts);
        assert!(code.lengths.iter().all(|length| (1..=LONGEST).contains(length)), "{:?}", code.lengths);
        let mut writer = BitWriter::default();
        code.encode(0..60, &mut writer);
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        assert!((0..60).all(|symbol| code.decode(&mut reader) == Some(symbol)));
    }

    #[test]
    fn lengths_of_no_huffman_code_are_refused() {
        let read = |lengths: &[u32]| {
            let mut writer = BitWriter::default();
            lengths.iter().for_each(|length| writer.put(*length, LENGTH_BITS));
            Code::read(lengths.len(), &mut BitReader::new(&writer.finish())).map(|_| ())
        };
        assert_eq!((read(&[1, 2, 2]), read(&[1, 0]), read(&[0, 0])), (Ok(()), Ok(()), Ok(())));
        for lengths in [&[1, 1, 1][..], &[1, 2], &[2, 0], &[31; 3]] {
            assert_eq!(read(lengths), Err("no Huffman code has code words of these lengths"), "{lengths:?}");
        }
        let early = Code::read(9, &mut BitReader::new(&[0; 5])).unwrap_err();
        assert_eq!(early, "the lengths of its code words end early");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(
            (symbols, text) in (1_usize..300).prop_flat_map(|n| (Just(n), prop::collection::vec(0..n as u16, 0..400)))
        ) {
            prop_assert_eq!(there_and_back(&text, symbols), text);
        }

        #[test]
        fn texts_of_few_symbols_come_back(text in prop::collection::vec(prop::sample::select(vec![3_u16, 200]), 0..40)) {
            prop_assert_eq!(there_and_back(&text, 256), text);
        }

        #[test]
        fn no_prefix_of_the_best_code_is_longer_than_fixed_bits(text in prop::collection::vec(0_u16..32, 1..500)) {
            let counts = counts(&text, 32);
            prop_assert!(Code::of_counts(&counts).bits(&counts) <= 5 * text.len() as u64);
        }
    }
}
