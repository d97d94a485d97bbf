//! The frame of a compressed network's file, and the description in it.
//!
//! | bytes | what they are |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | [`VERSION`] |
//! | 8 | bytes of the whole file |
//! | 8 | bytes of the description |
//! | | the description: [`Header`] as JSON |
//! | | the parameters, one after the other, see [`Form`] |
//! | 32 | SHA-256 of all that comes before |
//!
//! Numbers are little-endian.

use crate::error::{Error, Result};
use crate::network::model_file::{FORMAT, ModelFile};
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every such file begins with.
const MAGIC: [u8; 8] = *b"secateur";
/// The version of this format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes before the description.
const START: usize = 28;
/// Bytes of the checksum.
const CHECKSUM: usize = 32;

/// What stands in the file.
#[derive(Serialize, Deserialize)]
pub struct Header {
    /// What `model.safetensors` says of the network.
    pub about: ModelFile,
    /// Its parameters in the order of their bytes.
    pub params: Vec<Described>,
}

/// One parameter.
#[derive(Serialize, Deserialize)]
pub struct Described {
    pub name: String,
    pub shape: Shape,
    /// Whether it has a mask.
    pub masked: bool,
    pub form: Form,
}

/// How the values of a parameter are told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As they are, f32; after them, where there is a mask, a bit for each, 1 where it is kept.
    Raw,
    /// By the places of shared values.
    Shared {
        /// Bits of a place without Huffman coding; the code has a word for zero (0) and for each value (from 1 on).
        index_bits: u32,
        /// Bits of an offset without Huffman coding; 0 where no weight is pruned, so that all offsets are zero and
        /// none is written.
        offset_bits: u32,
        /// Offsets that the code has a word for: 0 up to here.
        offsets: usize,
        /// Entries of the list: weights and fillers.
        entries: u64,
        /// Shared values; their f32 come first.
        values: usize,
        /// Bytes of the places: the code, and the place of each entry.
        index_bytes: usize,
        /// Bytes of the offsets: the code, and the offset of each entry.
        offset_bytes: usize,
    },
}

/// The error of a file that cannot be read.
pub fn refused(why: impl std::fmt::Display) -> Error {
    Error::Other(format!("this is no whole file of `secateur compress`: {why}"))
}

impl Header {
    /// The file with these parameters.
    ///
    /// # Errors
    /// If the description is no JSON.
    pub fn frame(&self, params: &[u8]) -> Result<Vec<u8>> {
        let about =
            serde_json::to_vec(self).map_err(|e| Error::Other(format!("the network has no description: {e}")))?;
        let total = START + about.len() + params.len() + CHECKSUM;
        let mut file = Vec::with_capacity(total);
        file.extend(MAGIC);
        file.extend(VERSION.to_le_bytes());
        file.extend((total as u64).to_le_bytes());
        file.extend((about.len() as u64).to_le_bytes());
        file.extend(about);
        file.extend(params);
        let checksum = Sha256::digest(&file);
        file.extend(checksum);
        Ok(file)
    }

    /// The description of a file, and the bytes of its parameters.
    ///
    /// # Errors
    /// If it is another file, of another version, cut short or damaged.
    pub fn unframe(file: &[u8]) -> Result<(Self, &[u8])> {
        let Some(rest) = file.strip_prefix(&MAGIC) else {
            return Err(refused("it does not begin as one"));
        };
        let (Some(version), Some(total), Some(length)) = (number(rest, 0, 4), number(rest, 4, 8), number(rest, 12, 8))
        else {
            return Err(refused(format!("it is cut short after {} bytes", file.len())));
        };
        if version != u64::from(VERSION) {
            return Err(refused(format!("the version of its format is {version}; this program reads {VERSION}")));
        }
        let found = file.len() as u64;
        if found < total {
            return Err(refused(format!("it is cut short: {found} of its {total} bytes are there")));
        }
        if found > total {
            return Err(refused(format!("{} bytes follow its end", found - total)));
        }
        let (content, checksum) = file.split_at_checked(file.len().saturating_sub(CHECKSUM)).unwrap_or_default();
        if Sha256::digest(content)[..] != *checksum {
            return Err(refused("it is damaged, for its checksum does not match its content"));
        }
        let about = usize::try_from(length).ok().and_then(|length| content.get(START..)?.split_at_checked(length));
        let (about, params) = about.ok_or_else(|| refused("its description is longer than it is itself"))?;
        let header: Self = serde_json::from_slice(about).map_err(|e| refused(format!("its description: {e}")))?;
        if header.about.format != FORMAT {
            let found = header.about.format;
            return Err(refused(format!("its network has the format {found}; this program writes {FORMAT}")));
        }
        Ok((header, params))
    }
}

/// The little-endian number of so many bytes at a place.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
