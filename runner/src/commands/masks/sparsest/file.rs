//! The file of a search: what is searched, and how far it has come.

use std::fs;
use std::path::Path;

use secateur::pruning::sparsest::{Mode, Search, State, Training};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::run::write_asked;

/// The version of the file that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// What is searched. A search goes on from a file only where all of it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The data set.
    pub data: String,
    /// Its examples, normalised: how many, how many values each has, and the hash of values and labels.
    pub examples: usize,
    pub inputs: usize,
    pub sha256: String,
    /// Most units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Which networks are tried, and how each is trained.
    pub mode: Mode,
    pub from: usize,
    pub training: Training,
    /// How sure it is.
    pub note: String,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    format: u32,
    pub about: About,
    /// The fewest weights with which a network separated the classes.
    pub minimum: Option<usize>,
    pub state: State,
}

impl About {
    pub fn of(search: &Search, data: &str) -> Self {
        let task = &search.task;
        let mut hash = Sha256::new();
        task.examples().for_each(|(values, second)| {
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
            hash.update([u8::from(second)]);
        });
        let note = match search.mode {
            Mode::Every if search.from <= search.shape.least() => {
                "the minimum over all networks with fewer weights, as sure as their trainings: one that separates the \
                 classes from no seed that was tried is missed"
            }
            Mode::Every => "the minimum over networks with at least `from` weights",
            Mode::Structures | Mode::Beam(_) => "an upper bound of the minimum: not all networks were tried",
        };
        Self {
            data: data.to_owned(),
            examples: task.len(),
            inputs: task.inputs(),
            sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            hidden: search.shape.hidden().to_vec(),
            mode: search.mode,
            from: search.from,
            training: search.training,
            note: note.to_owned(),
        }
    }

    /// The first thing that another search has otherwise.
    fn differs(&self, other: &Self) -> Option<&'static str> {
        let same = [
            ("the examples are others", self.sha256 == other.sha256 && self.inputs == other.inputs),
            ("model.hidden is another", self.hidden == other.hidden),
            (
                "other networks are tried (--structures, --beam, --from)",
                (self.mode, self.from) == (other.mode, other.from),
            ),
            ("the training is another", self.training == other.training),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

impl File {
    /// What a search of this kind has found before: nothing, where there is no file or it is to begin anew.
    ///
    /// # Errors
    /// The file is of another search, or of none.
    pub fn begun(path: &Path, about: About, force: bool) -> Result<Self, Failure> {
        let new = Self { format: FORMAT, about, minimum: None, state: State::default() };
        if force || !path.exists() {
            return Ok(new);
        }
        let found = Self::read(path)?;
        match new.about.differs(&found.about) {
            None => Ok(Self { state: found.state, minimum: found.minimum, ..new }),
            Some(what) => Err(Failure::Usage(format!(
                "{}: this is the state of another search: {what}\n  fix: name another file with --state, or replace it \
                 with --force",
                path.display()
            ))),
        }
    }

    /// # Errors
    /// There is no such file, or it is not one of a search.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            let fix = "name what `secateur sparsest search --state FILE` wrote";
            Failure::Usage(format!("{}: no state of a search: {why}\n  fix: {fix}", path.display()))
        };
        let bytes = fs::read(path).map_err(|error| wrong(&error))?;
        let found = Self::of(&bytes).map_err(|error| wrong(&error))?;
        if found.format != FORMAT {
            return Err(wrong(&format!("its format is {}, and this program reads {FORMAT}", found.format)));
        }
        Ok(found)
    }

    fn of(bytes: &[u8]) -> Result<Self, String> {
        let found: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if found.state.sound(found.about.inputs, &found.about.hidden) {
            Ok(found)
        } else {
            Err("its networks do not fit its widths".to_owned())
        }
    }

    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, path: &Path, state: &State) -> Result<(), Failure> {
        self.state.clone_from(state);
        self.minimum = state.minimum().map(|level| level.nnz);
        let text = serde_json::to_string(self).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(write_asked(path, format!("{text}\n").as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::pruning::sparsest::{Shape, Task};
    use std::ops::ControlFlow;

    fn search() -> Search {
        let task = Task::new(1, vec![-1.0, 1.0], &[false, true]).unwrap();
        let training = Training { steps: 60, seeds: 2, ..Training::default() };
        let shape = Shape::new(1, &[1]).unwrap();
        Search { shape, task, training, mode: Mode::Every, most: 10, beyond: 0, from: 0 }
    }

    #[test]
    fn a_search_goes_on_from_its_own_file_alone() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.json");
        let mut file = File::begun(&path, About::of(&search(), "two"), false).unwrap();
        let mut state = State::default();
        search().go_on(&mut state, &mut |_| ControlFlow::Continue(())).unwrap();
        file.write(&path, &state).unwrap();
        let again = File::begun(&path, About::of(&search(), "two"), false).unwrap();
        assert_eq!((&again.state, again.minimum), (&state, Some(2)));
        let other = Search { training: Training { lr: 0.5, ..search().training }, ..search() };
        let text = File::begun(&path, About::of(&other, "two"), false).unwrap_err();
        assert!(text.message().contains("another search: the training is another"), "{}", text.message());
        assert_eq!(File::begun(&path, About::of(&other, "two"), true).unwrap().state, State::default());
    }

    #[test]
    fn a_reader_bears_states_that_nobody_wrote() {
        let mut state = State::default();
        search().go_on(&mut state, &mut |_| ControlFlow::Continue(())).unwrap();
        let file = File { format: FORMAT, about: About::of(&search(), "two"), minimum: Some(2), state };
        let bytes = serde_json::to_vec(&file).unwrap();
        secateur_fuzz::bears("sparsest-state", &[bytes], |bytes| {
            let Ok(found) = File::of(bytes) else { return 0 };
            assert!(!super::super::text::table(&found, &|text| text.to_owned()).is_empty());
            bytes.len()
        });
    }
}
