//! `survival.safetensors`: how many pruning steps each weight survived.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use secateur::training::KeptWeights;

use super::error::{RunDirError, failed};
use super::folder::{RunDir, SURVIVAL};

/// The entry of the file's metadata that says how many pruning steps there were.
const STEPS: &str = "pruning_steps";

/// The last pruning step, from 1, that left each weight, and 0 for those that the first one took. Where nothing returns
/// that is the number of pruning steps that a weight survived.
///
/// It needs no more than the masks of one step at a time, and what is recorded twice, because a run went on from a
/// checkpoint before it, stays the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survival {
    /// Pruning steps so far.
    pub steps: usize,
    /// By parameter: its shape, and a number for each weight in row-major order.
    pub weights: BTreeMap<String, (Vec<usize>, Vec<u16>)>,
}

impl Survival {
    /// Writes down in a run's folder what its `nth` pruning step, from 0, left.
    ///
    /// # Errors
    /// The file cannot be written; it is damaged, or what the steps before left is not in it.
    pub fn record(
        folder: &RunDir,
        nth: usize,
        kept: &mut dyn Iterator<Item = KeptWeights<'_>>,
    ) -> Result<(), RunDirError> {
        let mut all = if nth == 0 { Self::default() } else { Self::read(folder.path())? };
        if all.steps < nth {
            return Err(refused(folder.path(), "what earlier pruning steps of this run left is not known"));
        }
        all.add(nth, kept);
        folder.write(SURVIVAL, &all.to_bytes(folder.path())?)
    }

    fn add(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) {
        self.steps = nth + 1;
        let number = |steps: usize| u16::try_from(steps).unwrap_or(u16::MAX);
        for KeptWeights { name, shape, keep } in kept {
            // Without a mask before, nothing of it was gone.
            let new = || (shape.to_vec(), vec![number(nth); keep.len()]);
            let (_, last) = self.weights.entry(name.to_owned()).or_insert_with(new);
            last.iter_mut().zip(keep).filter(|(_, keep)| **keep).for_each(|(last, _)| *last = number(nth + 1));
        }
    }

    /// Reads what a run left in its folder.
    ///
    /// # Errors
    /// There is no such file, or it is damaged.
    pub fn read(folder: &Path) -> Result<Self, RunDirError> {
        let path = folder.join(SURVIVAL);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => refused(folder, "this run has not recorded how long its weights survived"),
            _ => failed(&path, "read it")(error),
        })?;
        let damaged = || refused(&path, "it is damaged");
        let (_, about) = SafeTensors::read_metadata(&bytes).map_err(|_| damaged())?;
        let steps = about.metadata().as_ref().and_then(|about| about.get(STEPS)?.parse().ok()).ok_or_else(damaged)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|_| damaged())?;
        let mut weights = BTreeMap::new();
        for (name, tensor) in tensors.tensors() {
            if tensor.dtype() != Dtype::U16 {
                return Err(damaged());
            }
            let numbers = tensor.data().as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
            weights.insert(name, (tensor.shape().to_vec(), numbers));
        }
        Ok(Self { steps, weights })
    }

    fn to_bytes(&self, folder: &Path) -> Result<Vec<u8>, RunDirError> {
        let bytes = |last: &Vec<u16>| last.iter().flat_map(|last| last.to_le_bytes()).collect::<Vec<u8>>();
        let all: Vec<_> = self.weights.iter().map(|(name, (shape, last))| (name, shape, bytes(last))).collect();
        let views: Result<Vec<_>, SafeTensorError> = all
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::U16, shape.to_vec(), bytes)?)))
            .collect();
        let about = HashMap::from([(STEPS.to_owned(), self.steps.to_string())]);
        let written = views.and_then(|views| safetensors::serialize(views, Some(about)));
        written.map_err(|error| failed(&folder.join(SURVIVAL), "write it")(io::Error::other(error)))
    }
}

fn refused(path: &Path, problem: &'static str) -> RunDirError {
    let fix = "run it again with --set output.survival=true --force";
    RunDirError::NotResumable { path: path.to_owned(), problem, fix }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Opened;

    fn record(folder: &RunDir, nth: usize, keep: [bool; 4]) -> Result<(), RunDirError> {
        let one = KeptWeights { name: "fc.weight", shape: [2, 2].into(), keep: &keep };
        Survival::record(folder, nth, &mut std::iter::once(one))
    }

    #[test]
    fn a_step_that_is_recorded_again_changes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let Opened::Ready(folder) = RunDir::open(out.path(), "r-1", false).unwrap() else { panic!("it is taken") };
        let text = record(&folder, 1, [true; 4]).unwrap_err().to_string();
        assert!(text.contains("has not recorded") && text.contains("output.survival=true"), "{text}");
        let masks = [[true, true, true, false], [true, false, true, false], [true, false, false, false]];
        (0..3).for_each(|nth| record(&folder, nth, masks[nth]).unwrap());
        let whole = Survival::read(folder.path()).unwrap();
        assert_eq!((whole.steps, &whole.weights["fc.weight"]), (3, &(vec![2, 2], vec![3, 1, 2, 0])));
        (1..3).for_each(|nth| record(&folder, nth, masks[nth]).unwrap());
        assert_eq!(Survival::read(folder.path()).unwrap(), whole);
        let text = record(&folder, 4, masks[2]).unwrap_err().to_string();
        assert!(text.contains("is not known"), "{text}");

        for damage in [&b"no safetensors"[..], &safetensors::serialize([("a", &whole_view())], None).unwrap()] {
            folder.write(SURVIVAL, damage).unwrap();
            let text = Survival::read(folder.path()).unwrap_err().to_string();
            assert!(text.contains("survival.safetensors: it is damaged"), "{text}");
        }
    }

    fn whole_view() -> TensorView<'static> {
        TensorView::new(Dtype::U8, vec![1], &[0]).unwrap()
    }

    #[test]
    fn what_has_no_mask_yet_is_whole() {
        let mut all = Survival::default();
        all.add(0, &mut std::iter::empty());
        let keep = [true, false];
        all.add(1, &mut std::iter::once(KeptWeights { name: "w", shape: [2].into(), keep: &keep }));
        assert_eq!(all.weights["w"].1, [2, 1]);
    }

    #[test]
    fn a_reader_bears_files_that_nobody_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Survival::default();
        let keep = [true, false, true, true];
        all.add(2, &mut std::iter::once(KeptWeights { name: "w", shape: [2, 2].into(), keep: &keep }));
        secateur_fuzz::bears("survival", &[all.to_bytes(folder.path()).unwrap()], |bytes| {
            fs::write(folder.path().join(SURVIVAL), bytes).unwrap();
            let Ok(mut found) = Survival::read(folder.path()) else { return 0 };
            found.add(3, &mut std::iter::once(KeptWeights { name: "w", shape: [2, 2].into(), keep: &keep }));
            found.weights.values().map(|(_, last)| last.len()).sum()
        });
    }
}
