//! IDX files, plain or gzipped: the format of MNIST.
//!
//! Two zero bytes, the element type, the number of dimensions, each dimension as a big-endian u32, then the elements
//! (<http://yann.lecun.com/exdb/mnist/>). Only bytes (type 0x08) are read here.

use flate2::bufread::GzDecoder;
use std::io::{self, Read};

const UNSIGNED_BYTE: u8 = 0x08;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What a header alone may make us reserve; from there on, memory follows what was read.
const BELIEVED: usize = 1 << 20;

/// An array of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Its extents, outermost first.
    pub dims: Vec<usize>,
    /// Its elements, the last dimension running fastest.
    pub data: Vec<u8>,
}

/// What is wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    /// The compressed stream is damaged, or ends early.
    #[error("its gzip stream is corrupt or cut short ({0})")]
    Gzip(io::Error),
    /// The file ends within its header.
    #[error("it ends within its header")]
    Header,
    /// The file does not begin as an IDX file does.
    #[error("it is not an IDX file of bytes: it begins with {found:02x?}, expected [00, 00, 08, number of dimensions]")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The dimensions multiply to more than memory can hold.
    #[error("its header claims impossible dimensions {0:?}")]
    Dimensions(Vec<usize>),
    /// There is not so much memory.
    #[error("it holds {0} bytes and more, for which there is no memory")]
    Memory(usize),
    /// There are fewer elements than the header says.
    #[error("it holds {found} of the {expected} bytes that its header {dims:?} promises: it is cut short")]
    Truncated {
        /// The extents in the header.
        dims: Vec<usize>,
        /// Their product.
        expected: usize,
        /// The bytes that are there.
        found: usize,
    },
    /// There is something after the last element.
    #[error("it holds more than the {expected} bytes that its header {dims:?} promises")]
    Trailing {
        /// The extents in the header.
        dims: Vec<usize>,
        /// Their product.
        expected: usize,
    },
}

/// Reads an array from the bytes of a file; gzip is told by its first bytes, whatever the file's name.
///
/// # Errors
/// [`IdxError`] for anything but a whole, undamaged file.
pub fn parse(bytes: &[u8]) -> Result<Idx, IdxError> {
    if bytes.starts_with(&GZIP) { decode(Members { current: GzDecoder::new(bytes) }) } else { decode(bytes) }
}

/// The members of a gzip file, one after the other. Zeros between them and after the last one are padding (tapes and
/// block devices leave them), as they are for `gzip` and for Python; anything else there is damage.
struct Members<'a> {
    current: GzDecoder<&'a [u8]>,
}

impl Read for Members<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(to)?;
            if count > 0 || to.is_empty() {
                return Ok(count);
            }
            let rest = *self.current.get_ref();
            match rest.iter().position(|byte| *byte != 0) {
                None => return Ok(0),
                Some(padding) => self.current = GzDecoder::new(&rest[padding..]),
            }
        }
    }
}

fn decode(mut from: impl Read) -> Result<Idx, IdxError> {
    let magic = header_word(&mut from)?;
    if magic[..3] != [0, 0, UNSIGNED_BYTE] || magic[3] == 0 {
        return Err(IdxError::Magic { found: magic });
    }
    let dims = (0..magic[3])
        .map(|_| header_word(&mut from).map(|word| u32::from_be_bytes(word) as usize))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(expected) = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).filter(|&n| n < isize::MAX as usize)
    else {
        return Err(IdxError::Dimensions(dims));
    };
    // One byte more than expected: finds trailing bytes, and makes gzip reach and check its checksum.
    let (mut data, mut left) = (Vec::new(), expected + 1);
    while left > 0 {
        // As much again as was there already, so that a header that lies costs little.
        let more = left.min(data.len().max(BELIEVED));
        data.try_reserve_exact(more).map_err(|_| IdxError::Memory(data.len()))?;
        let read = from.by_ref().take(more as u64).read_to_end(&mut data).map_err(IdxError::Gzip)?;
        left -= read;
        if read < more {
            break;
        }
    }
    match data.len() {
        found if found < expected => Err(IdxError::Truncated { dims, expected, found }),
        found if found > expected => Err(IdxError::Trailing { dims, expected }),
        _ => Ok(Idx { dims, data }),
    }
}

fn header_word(from: &mut impl Read) -> Result<[u8; 4], IdxError> {
    let mut word = [0; 4];
    match from.read_exact(&mut word) {
        Ok(()) => Ok(word),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(IdxError::Header),
        Err(error) => Err(IdxError::Gzip(error)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    /// The bytes of an IDX file.
    pub fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn plain_and_gzipped_give_the_same_array() {
        let bytes = idx(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let expected = Idx { dims: vec![2, 3], data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(parse(&bytes).unwrap(), expected);
        assert_eq!(parse(&gzip(&bytes)).unwrap(), expected);
    }

    #[test]
    fn empty_array_is_an_array() {
        assert_eq!(parse(&idx(&[0, 28, 28], &[])).unwrap().dims, [0, 28, 28]);
    }

    #[test]
    fn damage_is_named() {
        let good = idx(&[2, 2], &[1, 2, 3, 4]);
        assert!(refused(&good[..11]).contains("within its header"));
        assert!(refused(&good[..15]).contains("3 of the 4 bytes"));
        assert!(refused(&[&good[..], &[9]].concat()).contains("more than the 4 bytes"));
        assert!(refused(&[0, 0, 9, 1, 0, 0, 0, 0]).contains("not an IDX file of bytes"));
        assert!(refused(b"<html>").contains("not an IDX file"));
        assert!(refused(&idx(&[u32::MAX; 5], &[])).contains("impossible dimensions"));
        assert!(refused(&idx(&[u32::MAX, 28, 28], &[1])).contains("cut short"));
        assert!(refused(&[]).contains("within its header"));
    }

    #[test]
    fn zeros_after_a_gzip_member_are_padding() {
        let bytes = idx(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let expected = parse(&bytes).unwrap();
        let (head, tail) = bytes.split_at(7);
        for padding in [1, 7, 512, 10_000] {
            let zeros = vec![0; padding];
            assert_eq!(parse(&[&gzip(&bytes)[..], &zeros].concat()).unwrap(), expected, "{padding}");
            let members = [&gzip(head)[..], &zeros, &gzip(tail), &zeros].concat();
            assert_eq!(parse(&members).unwrap(), expected, "between two members, {padding}");
        }
        assert!(refused(&[&gzip(&bytes)[..], &[0, 0, 5]].concat()).contains("gzip"), "that is no padding");
    }

    #[test]
    fn a_header_is_not_believed_beyond_what_is_there() {
        // Sixteen terabytes and more, in a file of a few bytes.
        let lie = idx(&[u32::MAX, 4096], &[1, 2, 3]);
        assert!(refused(&lie).contains("3 of the 17592186040320 bytes"), "{}", refused(&lie));
        assert!(refused(&gzip(&lie)).contains("3 of the 17592186040320 bytes"));
        let large = vec![7; BELIEVED + 5];
        assert_eq!(parse(&idx(&[large.len() as u32], &large)).unwrap().data.len(), large.len());
    }

    #[test]
    fn damaged_gzip_is_named() {
        let data: Vec<u8> = (0..5000_u32).map(|i| (i * i % 241) as u8).collect();
        let good = gzip(&idx(&[50, 100], &data));
        assert!(refused(&good[..good.len() / 2]).contains("gzip"));
        // Without its last byte the checksum is incomplete, though every pixel is there.
        assert!(refused(&good[..good.len() - 1]).contains("gzip"));
        let mut flipped = good.clone();
        let checksum = good.len() - 6;
        flipped[checksum] ^= 1;
        assert!(refused(&flipped).contains("gzip"));
    }

    #[test]
    fn a_reader_bears_files_that_nobody_wrote() {
        let images: Vec<u8> = (0..600_u32).map(|i| (i * i % 241) as u8).collect();
        let whole = [idx(&[6, 10, 10], &images), idx(&[2, 3], &[1, 2, 3, 4, 5, 6]), idx(&[7], &[0, 1, 2, 3, 4, 5, 6])];
        let read = |bytes: &[u8]| parse(bytes).map_or(0, |idx| idx.data.len());
        secateur_fuzz::bears("idx", &whole, read);
        // Packed anew, so that the damage lies in what was packed.
        secateur_fuzz::bears("idx-gzip-content", &whole, |bytes| read(&gzip(bytes)));
        let padded = [&gzip(&whole[1])[..], &[0; 30]].concat();
        let mut packed = whole.map(|bytes| gzip(&bytes)).to_vec();
        packed.push(padded);
        secateur_fuzz::bears("idx-gzip", &packed, read);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[&GZIP[..], &[8, 0], &bytes].concat());
            let _ = parse(&gzip(&bytes));
            let _ = parse(&[&[0, 0, 8, 2][..], &bytes].concat());
        }

        #[test]
        fn what_is_written_is_read(dims in prop::collection::vec(0_u32..6, 1..4), fill in any::<u8>()) {
            let data = vec![fill; dims.iter().product::<u32>() as usize];
            let read = parse(&idx(&dims, &data)).unwrap();
            prop_assert_eq!(read.data, data);
            prop_assert_eq!(read.dims, dims.iter().map(|&d| d as usize).collect::<Vec<_>>());
        }
    }
}
