//! State that survives a restart: a plugin's named numbers, and the archive that holds a whole checkpoint (named arrays
//! and a manifest in one safetensors file, with a checksum).
//!
//! Longer than 300 lines because what is written and what is read of each kind of array stand beside each other.

use crate::error::{Error, Result};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

/// Named numbers of a plugin. `f64` holds every `f32` and every count up to 2^53 exactly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State(pub BTreeMap<String, Vec<f64>>);

impl State {
    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, name: &str, values: impl IntoIterator<Item = impl Into<f64>>) -> Self {
        self.0.insert(name.into(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Takes an entry out.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn take(&mut self, name: &str) -> Result<Vec<f64>> {
        self.0.remove(name).ok_or_else(|| {
            Error::Other(format!("the saved state has no `{name}`; it was written by another version or plugin"))
        })
    }
}

/// The metadata entry that holds the [`Header`].
const HEADER: &str = "secateur-checkpoint";

/// Arrays by name; taken out one by one, so that what nobody asked for is noticed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive<'a>(BTreeMap<String, Array<'a>>);

#[derive(Debug, Clone)]
struct Array<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    values: Values<'a>,
}

/// What an array holds. A network's weights stay where they are: a copy would take as much memory as the network.
#[derive(Debug, Clone)]
enum Values<'a> {
    Floats(Cow<'a, [f32]>),
    Bytes(Vec<u8>),
}

impl Values<'_> {
    /// As they stand in a file: little-endian.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Floats(values) => bytemuck::cast_slice(values),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A whole checkpoint that is not yet written: a safetensors file with a manifest and a checksum in its metadata.
#[derive(Debug)]
pub struct Checkpoint<'a> {
    /// The length of the head in eight bytes, and the head, with zeros in place of the checksum.
    head: Vec<u8>,
    manifest: String,
    archive: Archive<'a>,
}

impl Checkpoint<'_> {
    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts().map(|part| part.len() as u64).sum()
    }

    /// Writes the file from its beginning on, piece by piece and without a copy of it in memory. The checksum is
    /// computed meanwhile, and written into its place at last.
    ///
    /// # Errors
    /// If `to` cannot be written to.
    pub fn write(&self, to: &mut (impl Write + Seek + Send)) -> io::Result<()> {
        let all = || self.parts().try_for_each(|part| to.write_all(part));
        let (checksum, written) = rayon::join(|| self.archive.checksum(&self.manifest, true), all);
        written?;
        to.seek(SeekFrom::Start(self.checksum_at() as u64))?;
        to.write_all(checksum.as_bytes())
    }

    /// The whole file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.parts().collect::<Vec<_>>().concat();
        let checksum = self.archive.checksum(&self.manifest, true);
        bytes[self.checksum_at()..][..checksum.len()].copy_from_slice(checksum.as_bytes());
        bytes
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let arrays = self.archive.in_order().map(|(_, array)| array.values.bytes());
        std::iter::once(self.head.as_slice()).chain(arrays)
    }

    /// Where the checksum stands in the head: nothing that a caller chose comes before it.
    fn checksum_at(&self) -> usize {
        let zeros = no_checksum();
        self.head.windows(zeros.len()).position(|part| part == zeros.as_bytes()).unwrap_or_default()
    }
}

/// What stands in place of a checksum that is not known yet.
fn no_checksum() -> String {
    "0".repeat(2 * Sha256::output_size())
}

/// What is read before anything is believed.
#[derive(Serialize, Deserialize)]
struct Header {
    version: String,
    sha256: String,
    /// Whether the checksum is one of the arrays' checksums, and not of their bytes as in earlier versions.
    #[serde(default)]
    of_arrays: bool,
    /// JSON in a string: its bytes enter the checksum.
    manifest: String,
}

impl<'a> Archive<'a> {
    /// The file: these arrays, described by `manifest`.
    ///
    /// # Errors
    /// If the manifest is no JSON.
    pub fn into_checkpoint(self, manifest: &impl Serialize) -> Result<Checkpoint<'a>> {
        let refused = |e: &dyn std::fmt::Display| Error::Checkpoint(format!("cannot be written: {e}"));
        let manifest = serde_json::to_string(manifest).map_err(|e| refused(&e))?;
        let version = env!("CARGO_PKG_VERSION").to_string();
        let header = Header { version, sha256: no_checksum(), of_arrays: true, manifest };
        let text = serde_json::to_string(&header).map_err(|e| refused(&e))?;
        let mut end = 0;
        let infos = self.in_order().map(|(name, array)| {
            let data_offsets = (end, end + array.values.bytes().len());
            end = data_offsets.1;
            (name.clone(), TensorInfo { dtype: array.dtype, shape: array.shape.clone(), data_offsets })
        });
        let infos = infos.collect();
        let metadata = Metadata::new(Some([(HEADER.to_string(), text)].into()), infos).map_err(|e| refused(&e))?;
        let mut text = serde_json::to_vec(&metadata).map_err(|e| refused(&e))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let head = [&(text.len() as u64).to_le_bytes(), text.as_slice()].concat();
        Ok(Checkpoint { head, manifest: header.manifest, archive: self })
    }

    /// The arrays as they follow each other in the file: wider types first, as the crate safetensors writes them, so
    /// that every array is aligned.
    fn in_order(&self) -> impl Iterator<Item = (&String, &Array<'a>)> {
        let mut arrays: Vec<_> = self.0.iter().collect();
        arrays.sort_by_key(|(_, array)| Reverse(array.dtype));
        arrays.into_iter()
    }

    /// The same, whatever becomes of the network.
    pub fn into_owned(self) -> Archive<'static> {
        let owned = |array: Array<'_>| {
            let values = match array.values {
                Values::Floats(values) => Values::Floats(values.into_owned().into()),
                Values::Bytes(bytes) => Values::Bytes(bytes),
            };
            Array { dtype: array.dtype, shape: array.shape, values }
        };
        Archive(self.0.into_iter().map(|(name, array)| (name, owned(array))).collect())
    }

    /// Reads what [`Archive::into_checkpoint`] made.
    ///
    /// # Errors
    /// If it is something else, or was written by another version, or any of it changed since.
    pub fn from_bytes<M: DeserializeOwned>(bytes: &[u8]) -> Result<(M, Self)> {
        let damaged = |why: &dyn std::fmt::Display| Error::Checkpoint(format!("is damaged or cut short: {why}"));
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let header = metadata.metadata().as_ref().and_then(|all| all.get(HEADER));
        let header = header.ok_or_else(|| Error::Checkpoint("is another kind of safetensors file".into()))?;
        let header: Header = serde_json::from_str(header).map_err(|e| damaged(&e))?;
        let version = env!("CARGO_PKG_VERSION");
        if header.version != version {
            let found = header.version;
            return Err(Error::Checkpoint(format!(
                "was written by version {found}, and this is version {version}, which need not compute the same bits"
            )));
        }
        let array = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (
                name,
                Array {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    values: Values::Bytes(view.data().to_vec()),
                },
            )
        };
        let archive = Self(tensors.tensors().into_iter().map(array).collect());
        if archive.checksum(&header.manifest, header.of_arrays) != header.sha256 {
            return Err(damaged(&"its checksum does not match its content"));
        }
        Ok((serde_json::from_str(&header.manifest).map_err(|e| damaged(&e))?, archive))
    }

    /// Adds weights.
    pub fn put(&mut self, name: String, shape: &[usize], values: Cow<'a, [f32]>) {
        let values = match cfg!(target_endian = "little") {
            true => Values::Floats(values),
            false => Values::Bytes(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        self.0.insert(name, Array { dtype: Dtype::F32, shape: shape.to_vec(), values });
    }

    /// Adds flags.
    pub fn put_flags(&mut self, name: String, flags: &[bool]) {
        self.put_bits(name, flags.iter().map(|&f| u8::from(f)).collect());
    }

    /// Adds flags that are bits already, the lowest of a byte first.
    pub fn put_bits(&mut self, name: String, bits: Vec<u8>) {
        self.0.insert(name, Array { dtype: Dtype::U8, shape: vec![bits.len()], values: Values::Bytes(bits) });
    }

    /// Adds a plugin's state under `prefix/`.
    pub fn put_state(&mut self, prefix: &str, state: State) {
        for (name, values) in state.0 {
            let shape = vec![values.len()];
            let values = Values::Bytes(values.iter().flat_map(|v| v.to_le_bytes()).collect());
            self.0.insert(format!("{prefix}/{name}"), Array { dtype: Dtype::F64, shape, values });
        }
    }

    /// Takes weights out, if there are any of that name.
    pub fn take(&mut self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let array = self.take_array(name, Dtype::F32)?;
        let values = array.values.bytes().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Some((array.shape, values))
    }

    /// Takes flags out, if there are any of that name.
    pub fn take_flags(&mut self, name: &str) -> Option<Vec<bool>> {
        Some(self.take_array(name, Dtype::U8)?.values.bytes().iter().map(|&b| b != 0).collect())
    }

    /// Takes so many flags out that were added as bits, if there are any of that name and as many.
    pub fn take_bits(&mut self, name: &str, count: usize) -> Option<Vec<bool>> {
        self.0.get(name).filter(|array| array.shape == [count.div_ceil(8)])?;
        let array = self.take_array(name, Dtype::U8)?;
        let bits = array.values.bytes();
        Some((0..count).map(|at| bits[at / 8] >> (at % 8) & 1 == 1).collect())
    }

    /// Takes out a plugin's state.
    pub fn take_state(&mut self, prefix: &str) -> State {
        let numbers =
            |array: Array<'_>| array.values.bytes().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let names = self.names(prefix).into_iter();
        let take = |name: String| {
            let array = self.take_array(&format!("{prefix}/{name}"), Dtype::F64)?;
            Some((name, numbers(array)))
        };
        State(names.filter_map(take).collect())
    }

    /// What follows `prefix/` in the names of the arrays that are left.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let rest = |name: &String| Some(name.strip_prefix(prefix)?.strip_prefix('/')?.to_string());
        self.0.keys().filter_map(rest).collect()
    }

    /// The name of an array that nobody took.
    pub fn untaken(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    fn take_array(&mut self, name: &str, dtype: Dtype) -> Option<Array<'a>> {
        if self.0.get(name)?.dtype == dtype { self.0.remove(name) } else { None }
    }

    /// SHA-256 of everything; `of_arrays` hashes each array by itself, on all cores.
    fn checksum(&self, manifest: &str, of_arrays: bool) -> String {
        let each: Vec<_> = self.0.values().collect();
        let digests: Vec<_> = match of_arrays {
            true => each.par_iter().map(|array| Sha256::digest(array.values.bytes()).to_vec()).collect(),
            false => vec![],
        };
        let mut hash = Sha256::new();
        hash.update(manifest);
        for (nth, (name, array)) in self.0.iter().enumerate() {
            hash.update(format!("{name} {:?} {:?}", array.dtype, array.shape));
            hash.update(digests.get(nth).map_or(array.values.bytes(), Vec::as_slice));
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn example() -> Archive<'static> {
        let mut archive = Archive::default();
        archive.put("value/w".into(), &[2, 2], vec![1.0, f32::MIN_POSITIVE, -0.0, 3.5].into());
        archive.put_flags("mask/w".into(), &[true, false, true, true]);
        archive.put_bits("bits/w".into(), vec![0b0000_1101, 1]);
        archive.put_state("criterion", State::default().with("max", [f64::NEG_INFINITY, 0.1]));
        archive
    }

    fn written(archive: Archive<'_>, manifest: &impl Serialize) -> Vec<u8> {
        archive.into_checkpoint(manifest).unwrap().to_bytes()
    }

    /// The same file by the crate safetensors.
    fn by_safetensors<'a>(archive: &'a Archive<'_>, header: Option<String>) -> Vec<u8> {
        let view =
            |array: &'a Array<'_>| TensorView::new(array.dtype, array.shape.clone(), array.values.bytes()).unwrap();
        let views = archive.0.iter().map(|(name, array)| (name, view(array)));
        safetensors::serialize(views, header.map(|header| [(HEADER.to_string(), header)].into())).unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        Archive::from_bytes::<String>(bytes).unwrap_err().to_string()
    }

    #[test]
    fn everything_comes_back_and_nothing_twice() {
        let bytes = written(example(), &"about");
        let (manifest, mut archive) = Archive::from_bytes::<String>(&bytes).unwrap();
        assert_eq!(manifest, "about");
        let (shape, values) = archive.take("value/w").unwrap();
        assert_eq!(shape, [2, 2]);
        assert_eq!(
            values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [0x3f80_0000, 0x0080_0000, 1 << 31, 0x4060_0000]
        );
        assert_eq!(archive.take_flags("mask/w").unwrap(), [true, false, true, true]);
        assert_eq!((archive.take_bits("bits/w", 17), archive.take_bits("bits/w", 8)), (None, None));
        let flags = archive.take_bits("bits/w", 9).unwrap();
        assert_eq!(flags, [true, false, true, true, false, false, false, false, true]);
        assert_eq!(archive.names("criterion"), ["max"]);
        assert_eq!(archive.take_state("criterion").0["max"], [f64::NEG_INFINITY, 0.1]);
        assert!(archive.untaken().is_none() && archive.take("value/w").is_none());
    }

    #[test]
    fn it_is_the_file_that_the_crate_safetensors_writes() {
        let checkpoint = example().into_checkpoint(&"about").unwrap();
        let bytes = checkpoint.to_bytes();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let header = metadata.metadata().as_ref().unwrap()[HEADER].clone();
        assert_eq!(bytes, by_safetensors(&example(), Some(header)));
        let mut file = io::Cursor::new(vec![]);
        checkpoint.write(&mut file).unwrap();
        let file = file.into_inner();
        assert_eq!((file.len() as u64, &file), (checkpoint.size(), &bytes));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = written(example(), &"about");
        for end in 0..bytes.len() {
            assert!(refused(&bytes[..end]).contains("damaged or cut short"), "cut to {end}");
        }
        for i in 8..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            // Blanks between the header and the data carry nothing.
            assert!(bytes[i] == b' ' || Archive::from_bytes::<String>(&changed).is_err(), "byte {i}");
        }
    }

    #[test]
    fn checkpoints_of_earlier_versions_are_read_and_checked() {
        let archive = example();
        let (version, sha256) = (env!("CARGO_PKG_VERSION"), archive.checksum("\"about\"", false));
        let header = serde_json::json!({"version": version, "sha256": sha256, "manifest": "\"about\""}).to_string();
        let mut bytes = by_safetensors(&archive, Some(header));
        assert_eq!(Archive::from_bytes::<String>(&bytes).unwrap().0, "about");
        *bytes.last_mut().unwrap() ^= 1;
        assert!(refused(&bytes).contains("its checksum does not match"));
    }

    #[test]
    fn other_files_and_other_versions_are_told_apart() {
        let other = by_safetensors(&example(), None);
        assert!(refused(&other).contains("another kind of safetensors file"));
        let text = String::from_utf8_lossy(&written(example(), &"about")).into_owned();
        assert!(text.contains(env!("CARGO_PKG_VERSION")));
        let mut bytes = written(example(), &"about");
        let at = bytes.windows(7).position(|w| w == b"version").unwrap() + 12;
        bytes[at] = b'9';
        assert!(refused(&bytes).contains("was written by version 9"), "{}", refused(&bytes));
    }

    /// Takes out whatever is there, and says how many bytes that was.
    fn emptied(mut archive: Archive<'_>) -> usize {
        let size = |name: &String, archive: &mut Archive<'_>| {
            let values = archive.take(name).map_or(0, |(_, values)| 4 * values.len());
            values + archive.take_flags(name).map_or(0, |flags| flags.len())
        };
        let state: usize = archive.take_state("criterion").0.values().map(|values| 8 * values.len()).sum();
        let names: Vec<String> = archive.0.keys().cloned().collect();
        state + names.iter().map(|name| size(name, &mut archive)).sum::<usize>()
    }

    #[test]
    fn a_reader_bears_checkpoints_that_nobody_wrote() {
        let read =
            |bytes: &[u8]| Archive::from_bytes::<serde_json::Value>(bytes).map_or(0, |(_, archive)| emptied(archive));
        let whole = written(example(), &serde_json::json!({"next": 3, "units": {"fc1": 40}}));
        secateur_fuzz::bears("checkpoint", &[whole], read);
        // The same behind a checksum that fits: whatever a checkpoint holds, and whatever its manifest says.
        let seeds = [br#"{"next": 3, "units": {"fc1": 40}}"#.to_vec(), vec![1; 40]];
        secateur_fuzz::bears("checkpoint-content", &seeds, |bytes| {
            let mut archive = example();
            for (nth, piece) in bytes.chunks(29).enumerate() {
                let (dtype, each) = [(Dtype::F32, 4), (Dtype::U8, 1), (Dtype::F64, 8), (Dtype::BF16, 2)][nth % 4];
                let count = piece.len() / each;
                let (name, bytes) = (String::from_utf8_lossy(piece), piece[..count * each].to_vec());
                archive.0.insert(
                    format!("criterion/{name}"),
                    Array { dtype, shape: vec![count], values: Values::Bytes(bytes) },
                );
            }
            let written = written(archive, &String::from_utf8_lossy(bytes));
            let (_, read) = Archive::from_bytes::<serde_json::Value>(&written).unwrap();
            emptied(read)
        });
    }
}
