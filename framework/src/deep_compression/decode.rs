//! From the file of a compressed network back to the network.
//!
//! Nothing is believed: whatever a file says, what is allocated grows with the bits that were read.

use super::bits::BitReader;
use super::file::{Described, Form, Header, refused};
use super::huffman::Code;
use super::shared::Bits;
use crate::error::Result;
use crate::network::model_file::{ModelFile, Stored};
use std::collections::HashSet;

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Decoded {
    about: ModelFile,
    params: Vec<Stored>,
}

impl Decoded {
    /// Reads what [`encode`](super::encode()) wrote.
    ///
    /// # Errors
    /// If it is another file, of another version, cut short or damaged; what it says of itself and does not hold.
    pub fn read(file: &[u8]) -> Result<Self> {
        let (header, mut bytes) = Header::unframe(file)?;
        let (mut params, mut names) = (vec![], HashSet::new());
        for described in header.params {
            let mask = described.masked.then(|| format!("{}.mask", described.name));
            if let Some(twice) = [Some(described.name.clone()), mask].into_iter().flatten().find(|n| names.contains(n))
            {
                return Err(refused(format!("it holds `{twice}` twice")));
            }
            names.insert(described.name.clone());
            names.extend(described.masked.then(|| format!("{}.mask", described.name)));
            let stored = parameter(&described, &mut bytes).map_err(|why| {
                let name = &described.name;
                refused(format!("`{name}`: {why}"))
            })?;
            params.push(stored);
        }
        if !bytes.is_empty() {
            return Err(refused(format!("{} bytes of it belong to no parameter", bytes.len())));
        }
        Ok(Self { about: header.about, params })
    }

    /// What the file says of the network.
    pub fn about(&self) -> &ModelFile {
        &self.about
    }

    /// Its `model.safetensors`, the same bytes that the network wrote whose file this is.
    ///
    /// # Errors
    /// If safetensors cannot hold it.
    pub fn model(&self) -> Result<Vec<u8>> {
        self.about.write_stored(&self.params)
    }
}

/// Takes one parameter from the front of the bytes.
pub(super) fn parameter(described: &Described, bytes: &mut &[u8]) -> Result<Stored, String> {
    let shape = described.shape;
    let count = shape.iter().try_fold(1_usize, |count, extent| count.checked_mul(*extent));
    let count = count.ok_or_else(|| format!("a shape of {shape} has no end"))?;
    let (values, kept) = match &described.form {
        Form::Raw => {
            let values = floats(take(bytes, count.checked_mul(4), "its values")?);
            let mask = if described.masked { take(bytes, Some(count.div_ceil(8)), "its mask")? } else { &[] };
            let mut bits = BitReader::new(mask);
            (values, std::iter::from_fn(|| bits.bit()).take(count).map(|bit| bit == 1).collect())
        }
        form @ Form::Shared { .. } => shared(form, count, bytes)?,
    };
    Ok(Stored { name: described.name.clone(), shape: shape.to_vec(), values, mask: described.masked.then_some(kept) })
}

/// Weights and whether each is kept.
fn shared(form: &Form, count: usize, bytes: &mut &[u8]) -> Result<(Vec<f32>, Vec<bool>), String> {
    let &Form::Shared { index_bits, offset_bits, offsets, entries, values, index_bytes, offset_bytes } = form else {
        return Err("its values are not shared".into());
    };
    let most = |bits: u32| 1_usize.checked_shl(bits).filter(|_| bits <= Bits::MOST).unwrap_or(0);
    if values >= most(index_bits) || offsets > most(offset_bits) {
        return Err(format!(
            "{values} values and {offsets} offsets are too many for {index_bits} and {offset_bits} bits"
        ));
    }
    let values = floats(take(bytes, Some(4 * values), "its shared values")?);
    let mut index = BitReader::new(take(bytes, Some(index_bytes), "its indices")?);
    let mut offset = BitReader::new(take(bytes, Some(offset_bytes), "its offsets")?);
    let index_code = Code::read(values.len() + 1, &mut index).map_err(|why| format!("its indices: {why}"))?;
    let sparse = offset_bits > 0;
    let offset_code = Code::read(if sparse { offsets } else { 0 }, &mut offset);
    let offset_code = offset_code.map_err(|why| format!("its offsets: {why}"))?;
    let (mut weights, mut kept): (Vec<f32>, Vec<bool>) = (vec![], vec![]);
    for _ in 0..entries {
        let before = if sparse { offset_code.decode(&mut offset) } else { Some(0) };
        let label = index_code.decode(&mut index);
        let (Some(before), Some(label)) = (before.map(usize::from), label.map(usize::from)) else {
            return Err(format!("the code words of its {entries} entries end early"));
        };
        if weights.len() + before >= count {
            return Err(format!("it has more weights than the {count} of its shape"));
        }
        weights.resize(weights.len() + before, 0.0);
        kept.resize(weights.len(), false);
        weights.push(if label == 0 { 0.0 } else { values[label - 1] });
        kept.push(label > 0);
    }
    if weights.len() < count {
        return Err(format!("it has {} weights, and its shape {count}", weights.len()));
    }
    if !index.ends_here() || !offset.ends_here() {
        return Err(format!("bits follow its {entries} entries"));
    }
    Ok((weights, kept))
}

/// Takes so many bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], length: Option<usize>, what: &str) -> Result<&'a [u8], String> {
    let found = length.and_then(|length| bytes.split_at_checked(length));
    let (taken, rest) = found.ok_or_else(|| format!("the file has not enough bytes for {what}"))?;
    *bytes = rest;
    Ok(taken)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}
