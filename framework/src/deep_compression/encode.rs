//! From a network with shared weights to its file, and what each part of that takes.

use super::SharedWeights;
use super::bits::BitWriter;
use super::entries::{Entry, entries};
use super::file::{Described, Form, Header};
use super::huffman::Code;
use super::shared::SharedLayer;
use crate::backend::Backend;
use crate::error::Result;
use crate::network::model_file::{ModelFile, Stored};
use crate::network::params::ParamStore;
use serde::Serialize;

/// What the weights of a layer take at each stage, in the columns of tables 2 to 5 of Han et al. 2015.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSize {
    /// The parameter.
    pub name: String,
    /// Weights that there is room for.
    pub weights: usize,
    /// Weights that are left.
    pub kept: usize,
    /// Zeros that stand in the list of weights because an offset could not tell the way to the next one.
    pub fillers: usize,
    /// Values that the weights share.
    pub shared_values: usize,
    /// Bits of a cluster's index.
    pub index_bits: u32,
    /// Bits of an offset; 0 where no weight is pruned.
    pub offset_bits: u32,
    /// Mean bits of a cluster's index with Huffman coding.
    pub index_bits_huffman: f64,
    /// Mean bits of an offset with Huffman coding.
    pub offset_bits_huffman: f64,
    /// Bytes after pruning: f32 and offset of each entry.
    pub bytes_pruned: usize,
    /// Bytes after quantisation: index and offset of each entry, and the shared values.
    pub bytes_quantised: usize,
    /// Bytes after Huffman coding, as they stand in the file: the shared values, the codes, and the words.
    pub bytes_huffman: usize,
}

/// A compressed network.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The file.
    pub file: Vec<u8>,
    /// Layers whose weights are shared, in the model's order.
    pub layers: Vec<LayerSize>,
    /// Bytes of the parameters that stand in the file as they are: biases, norms, positions.
    pub bytes_raw: usize,
}

/// Writes a network whose weights are shared; `about` says of it what its `model.safetensors` does.
///
/// # Errors
/// If a value cannot be read back from the device.
pub fn encode<B: Backend>(about: &ModelFile, params: &ParamStore<B>, shared: &SharedWeights) -> Result<Encoded> {
    let (mut described, mut bytes, mut layers) = (vec![], vec![], vec![]);
    let mut bytes_raw = 0;
    for p in params.iter() {
        let (name, shape, masked) = (p.spec().name.clone(), p.spec().shape, p.mask().is_some());
        let form = if let Some(layer) = shared.layers.iter().find(|layer| layer.name == name) {
            let (form, size) = share(layer, &mut bytes);
            layers.push(size);
            form
        } else {
            let before = bytes.len();
            raw(&Stored::of(p)?, &mut bytes);
            bytes_raw += bytes.len() - before;
            Form::Raw
        };
        described.push(Described { name, shape, masked, form });
    }
    let header = Header { about: about.clone(), params: described };
    Ok(Encoded { file: header.frame(&bytes)?, layers, bytes_raw })
}

fn raw(stored: &Stored, bytes: &mut Vec<u8>) {
    bytes.extend(stored.values.iter().flat_map(|value| value.to_le_bytes()));
    if let Some(mask) = &stored.mask {
        let mut bits = BitWriter::default();
        mask.iter().for_each(|keep| bits.put(u32::from(*keep), 1));
        bytes.extend(bits.finish());
    }
}

pub(super) fn share(layer: &SharedLayer, bytes: &mut Vec<u8>) -> (Form, LayerSize) {
    let before = bytes.len();
    let kept = layer.labels.iter().filter(|label| **label > 0).count();
    let dense = kept == layer.labels.len();
    let list = if dense {
        layer.labels.iter().map(|label| Entry { offset: 0, label: *label }).collect()
    } else {
        entries(&layer.labels, layer.bits.offset)
    };
    let offset_bits = if dense { 0 } else { layer.bits.offset };
    let offsets = if dense { 0 } else { list.iter().map(|e| usize::from(e.offset) + 1).max().unwrap_or(0) };
    let (count, values) = (list.len(), &layer.values);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let (index, index_huffman) = text(values.len() + 1, list.iter().map(|e| e.label));
    let (offset, offset_huffman) = if dense { (vec![], 0) } else { text(offsets, list.iter().map(|e| e.offset)) };
    let form = Form::Shared {
        index_bits: layer.bits.index,
        offset_bits,
        offsets,
        entries: count as u64,
        values: values.len(),
        index_bytes: index.len(),
        offset_bytes: offset.len(),
    };
    bytes.extend(index);
    bytes.extend(offset);
    let mean = |bits: u64| bits as f64 / count.max(1) as f64;
    let whole = |bits: u32| (count * bits as usize).div_ceil(8);
    let size = LayerSize {
        name: layer.name.clone(),
        weights: layer.labels.len(),
        kept,
        fillers: count - kept,
        shared_values: values.len(),
        index_bits: layer.bits.index,
        offset_bits,
        index_bits_huffman: mean(index_huffman),
        offset_bits_huffman: mean(offset_huffman),
        bytes_pruned: whole(32 + offset_bits),
        bytes_quantised: whole(layer.bits.index + offset_bits) + 4 * values.len(),
        bytes_huffman: bytes.len() - before,
    };
    (form, size)
}

/// A code for symbols below `symbols`, followed by these symbols in it; and how many bits the symbols take.
fn text(symbols: usize, text: impl Iterator<Item = u16> + Clone) -> (Vec<u8>, u64) {
    let mut counts = vec![0; symbols];
    text.clone().for_each(|symbol| counts[usize::from(symbol)] += 1);
    let (code, mut writer) = (Code::of_counts(&counts), BitWriter::default());
    code.write(&mut writer);
    code.encode(text, &mut writer);
    (writer.finish(), code.bits(&counts))
}
