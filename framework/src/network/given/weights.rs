//! A file of weights, whoever wrote it.

use super::state_dict;
use super::tensor::{Bytes, Numbers, TensorInFile};
use super::zip;
use crate::error::{Error, Result};
use crate::network::model_file::ModelFile;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The tensors of a file, by their names there.
#[derive(Debug, Clone)]
pub struct Weights {
    file: Vec<u8>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// In the file's order; masks of ours are not among them.
    pub tensors: Vec<TensorInFile>,
    /// What a `model.safetensors` of ours says of its network.
    pub about: Option<ModelFile>,
    masks: BTreeMap<String, TensorInFile>,
}

/// How a file of `torch.save` began before PyTorch 1.6.
const BEFORE_ZIP: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

impl Weights {
    /// Reads a `model.safetensors` of a run, any safetensors file, or a PyTorch state dict (`.pt`, `.pth`).
    ///
    /// # Errors
    /// It is something else, or damaged; it holds what is not loaded.
    pub fn read(file: Vec<u8>) -> Result<Self> {
        let sha256 = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        if file.starts_with(zip::MAGIC) {
            let tensors = state_dict::tensors(&file)?;
            return Ok(Self { file, sha256, tensors, about: None, masks: BTreeMap::new() });
        }
        if file.starts_with(BEFORE_ZIP) {
            let text = "this is the format of PyTorch before 1.6: load it with today's, and save it again";
            return Err(Error::Other(text.into()));
        }
        Self::safetensors(file, sha256)
    }

    fn safetensors(file: Vec<u8>, sha256: String) -> Result<Self> {
        let refused = |e: safetensors::SafeTensorError| {
            Error::Other(format!(
                "this is neither a whole safetensors file ({e}) nor a state dict of PyTorch in its zip format"
            ))
        };
        SafeTensors::deserialize(&file).map_err(refused)?;
        let (header, metadata) = SafeTensors::read_metadata(&file).map_err(refused)?;
        let about = ModelFile::described(metadata.metadata().as_ref())?;
        let (mut tensors, mut masks, data) = (vec![], BTreeMap::new(), size_of::<u64>() + header);
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let numbers = match info.dtype {
                Dtype::F32 => Numbers::F32,
                Dtype::F64 => Numbers::F64,
                Dtype::F16 => Numbers::F16,
                Dtype::BF16 => Numbers::Bf16,
                other => Numbers::Other(format!("{other:?}").to_lowercase()),
            };
            let inner = |axis: usize| info.shape[axis + 1..].iter().fold(1, |all: usize, n| all.saturating_mul(*n));
            let strides = (0..info.shape.len()).map(inner).collect();
            let at = data + info.data_offsets.0..data + info.data_offsets.1;
            let bytes = Bytes { at, offset: 0, strides, big_endian: false };
            let tensor = TensorInFile::new(&name, numbers, info.shape.clone(), bytes)?;
            match name.strip_suffix(".mask").filter(|_| about.is_some() && info.dtype == Dtype::U8) {
                Some(param) => _ = masks.insert(param.to_owned(), tensor),
                None => tensors.push(tensor),
            }
        }
        Ok(Self { file, sha256, tensors, about, masks })
    }

    /// The numbers of one of the tensors; its shape has been looked at.
    pub(super) fn values(&self, tensor: &TensorInFile) -> Vec<f32> {
        tensor.values(&self.file)
    }

    /// The masks of our own parameters; `true` is kept.
    pub(super) fn masks(&self) -> impl Iterator<Item = (&String, Vec<bool>)> {
        self.masks.iter().map(|(name, mask)| (name, mask.flags(&self.file)))
    }

    /// Whether anything in it is masked.
    pub fn has_masks(&self) -> bool {
        !self.masks.is_empty()
    }
}
