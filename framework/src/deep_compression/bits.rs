//! Bits one after the other in bytes, the first one highest.

/// Collects bits; the last byte is filled up with zeros.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used in the last byte, 0 where it is full.
    used: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits of `value`, the highest of them first.
    pub fn put(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes bits out again.
#[derive(Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Begins at the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bit, `None` at the end.
    pub fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// The next `count` bits as a number.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// Whether nothing is left but the zeros that fill up the last byte.
    pub fn ends_here(mut self) -> bool {
        self.bytes.len() * 8 - self.at < 8 && std::iter::from_fn(|| self.bit()).all(|bit| bit == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_come_back() {
        let mut writer = BitWriter::default();
        for count in 1..=32 {
            writer.put(0x9e37_79b9, count);
        }
        let bytes = writer.finish();
        assert_eq!(bytes.len(), (1..=32_usize).sum::<usize>() / 8);
        let mut reader = BitReader::new(&bytes);
        for count in 1..=32 {
            assert_eq!(reader.take(count), Some(0x9e37_79b9 & (u32::MAX >> (32 - count))), "{count} bits");
        }
        assert!(reader.bit().is_none());
    }

    #[test]
    fn only_the_zeros_of_the_last_byte_may_be_left() {
        let after = |bytes: &[u8], bits| {
            let mut reader = BitReader::new(bytes);
            reader.take(bits);
            reader.ends_here()
        };
        assert!(after(&[0b1010_0000], 3) && after(&[], 0) && after(&[255], 8));
        assert!(!after(&[0b1010_0001], 3) && !after(&[0b1010_0000, 0], 3) && !after(&[0], 0));
    }
}
