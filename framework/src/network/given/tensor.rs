//! A tensor that stands in a file, and how its numbers become f32.

use crate::error::{Error, Result};
use half::{bf16, f16};
use std::fmt;
use std::ops::Range;

/// What the numbers of a tensor are in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Numbers {
    /// 32 bits, as here.
    F32,
    /// 64 bits: rounded.
    F64,
    /// 16 bits, IEEE 754: exact in f32.
    F16,
    /// 16 bits, the upper half of f32: exact in f32.
    Bf16,
    /// Whole numbers, flags and whatever no weight is made of, by its name.
    Other(String),
}

impl Numbers {
    /// Bytes of one number; `None` for those that are not read.
    fn size(&self) -> Option<usize> {
        match self {
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::F16 | Self::Bf16 => Some(2),
            Self::Other(_) => None,
        }
    }

    /// Whether weights can be made of them.
    pub fn are_fractions(&self) -> bool {
        self.size().is_some()
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Other(name) => name,
        })
    }
}

/// Where the numbers of a tensor stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    /// The storage that it is a view of, in the file.
    pub at: Range<usize>,
    /// Its first number, in elements.
    pub offset: usize,
    /// Elements between two neighbours on each axis.
    pub strides: Vec<usize>,
    /// Whether the highest byte of a number comes first.
    pub big_endian: bool,
}

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInFile {
    /// Its name there.
    pub name: String,
    /// What its numbers are there.
    pub numbers: Numbers,
    /// Its axes.
    pub shape: Vec<usize>,
    bytes: Bytes,
}

impl TensorInFile {
    /// # Errors
    /// It reaches beyond its storage.
    pub(super) fn new(name: &str, numbers: Numbers, shape: Vec<usize>, bytes: Bytes) -> Result<Self> {
        let last = |(axis, stride): (&usize, &usize)| (axis - 1).checked_mul(*stride);
        let end = || {
            let mut steps = shape.iter().zip(&bytes.strides).map(last);
            let last = steps.try_fold(bytes.offset, |sum, step| sum.checked_add(step?))?;
            last.checked_add(1)?.checked_mul(numbers.size()?)
        };
        let empty = shape.contains(&0);
        if numbers.are_fractions() && !empty && end().is_none_or(|end| end > bytes.at.len()) {
            return Err(Error::Other(format!(
                "`{name}` {shape:?} reaches beyond its storage of {} bytes: the file is damaged",
                bytes.at.len()
            )));
        }
        Ok(Self { name: name.to_owned(), numbers, shape, bytes })
    }

    /// Number of elements; as many as the file says, which need not be there.
    pub fn count(&self) -> usize {
        self.shape.iter().fold(1, |all, axis| all.saturating_mul(*axis))
    }

    /// The numbers, row by row, from the file that this tensor was found in. They take memory as its shape says, which
    /// is to be looked at first: a view may repeat one number as often as it likes.
    pub(super) fn values(&self, file: &[u8]) -> Vec<f32> {
        let storage = &file[self.bytes.at.clone()];
        match &self.numbers {
            Numbers::F32 => self.read(storage, f32::from_le_bytes),
            Numbers::F64 => self.read(storage, |bytes| f64::from_le_bytes(bytes) as f32),
            Numbers::F16 => self.read(storage, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Numbers::Bf16 => self.read(storage, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Numbers::Other(_) => vec![],
        }
    }

    /// One byte each, as flags.
    pub(super) fn flags(&self, file: &[u8]) -> Vec<bool> {
        file[self.bytes.at.clone()].iter().map(|byte| *byte != 0).collect()
    }

    fn read<const SIZE: usize>(&self, storage: &[u8], value: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
        let (storage, Bytes { strides, offset, big_endian, .. }) = (storage.as_chunks::<SIZE>().0, &self.bytes);
        let at = |i: usize| {
            let mut bytes = storage[i];
            if *big_endian {
                bytes.reverse();
            }
            value(bytes)
        };
        let count = self.count();
        let mut dense = 1usize;
        let contiguous = self.shape.iter().zip(strides).rev().all(|(axis, stride)| {
            let fits = *axis == 1 || *stride == dense;
            dense = dense.saturating_mul(*axis);
            fits
        });
        if contiguous {
            return (*offset..offset + count).map(at).collect();
        }
        let place = |mut index: usize| {
            let axes = self.shape.iter().zip(strides).rev();
            let steps = axes.map(|(axis, stride)| {
                let step = index % axis * stride;
                index /= axis;
                step
            });
            offset + steps.sum::<usize>()
        };
        (0..count).map(|index| at(place(index))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(numbers: Numbers, shape: &[usize], strides: &[usize], offset: usize, file: &[u8]) -> Result<Vec<f32>> {
        let bytes = Bytes { at: 0..file.len(), offset, strides: strides.to_vec(), big_endian: false };
        Ok(TensorInFile::new("w", numbers, shape.to_vec(), bytes)?.values(file))
    }

    #[test]
    fn views_are_read_row_by_row() {
        let file: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let read = |shape: &[usize], strides: &[usize], offset| tensor(Numbers::F32, shape, strides, offset, &file);
        assert_eq!(read(&[2, 3], &[3, 1], 0).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(read(&[3, 2], &[1, 3], 0).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "transposed");
        assert_eq!(read(&[2, 1], &[3, 77], 1).unwrap(), [1.0, 4.0], "an axis of one has no step");
        assert_eq!(read(&[2, 2], &[0, 1], 4).unwrap(), [4.0, 5.0, 4.0, 5.0], "repeated");
        assert_eq!((read(&[], &[], 5).unwrap(), read(&[0, 9], &[9, 1], 0).unwrap()), (vec![5.0], vec![]));
        for (shape, strides, offset) in [(&[2, 3][..], &[3, 1][..], 1), (&[7], &[1], 0), (&[2], &[usize::MAX], 1)] {
            let error = read(shape, strides, offset).unwrap_err().to_string();
            assert!(error.contains("reaches beyond its storage of 24 bytes"), "{error}");
        }
    }

    #[test]
    fn numbers_of_other_kinds_become_f32() {
        let f64s: Vec<u8> = [1.5, -0.1, 3e38].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
        assert_eq!(tensor(Numbers::F64, &[3], &[1], 0, &f64s).unwrap(), [1.5, -0.1, 3e38]);
        // 1, -2, the smallest subnormal and the largest number of f16; 1 and 2^-133, a subnormal, of bf16.
        let f16s: Vec<u8> = [0x3c00, 0xc000, 0x0001, 0x7bff_u16].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(tensor(Numbers::F16, &[4], &[1], 0, &f16s).unwrap(), [1.0, -2.0, 2f32.powi(-24), 65504.0]);
        let bf16s: Vec<u8> = [0x3f80, 0x0001_u16].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(tensor(Numbers::Bf16, &[2], &[1], 0, &bf16s).unwrap(), [1.0, 2f32.powi(-133)]);
        let big = Bytes { at: 0..4, offset: 0, strides: vec![1], big_endian: true };
        let one = TensorInFile::new("w", Numbers::F32, vec![1], big).unwrap();
        assert_eq!(one.values(&1.5f32.to_be_bytes()), [1.5]);
    }
}
