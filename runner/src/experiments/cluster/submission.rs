//! What was submitted of a sweep, noted in `OUT/NAME/slurm/K`: the plan, the script, the logs, and the ids that Slurm
//! gave. Every submission has a folder of its own, so that tasks of an earlier one find what they were submitted with.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::restarts::Restarts;
use crate::failure::Failure;
use crate::run::write_whole;

/// The folder of all submissions in a sweep's folder.
const SLURM: &str = "slurm";
/// What is noted of one.
const NOTED: &str = "submission.json";

/// An array of tasks that Slurm took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Array {
    /// The job's id.
    pub id: String,
    /// Tasks of the arrays before it: its first task is the one after these.
    pub after: usize,
    /// Its tasks.
    pub tasks: usize,
}

/// One submission.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Submission {
    /// The command that made it, for a shell.
    pub command: String,
    /// Tasks in all.
    pub tasks: usize,
    /// The folders of its cells, in the order of its plan: cell i belongs to task i % tasks + 1.
    pub cells: Vec<String>,
    /// The arrays that Slurm took.
    pub arrays: Vec<Array>,
    /// Where all this is.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Submission {
    /// The folder of all submissions of a sweep.
    pub fn all_in(sweep: &Path) -> PathBuf {
        sweep.join(SLURM)
    }

    /// The submissions of a sweep, the latest last; those that nothing came of are left out.
    pub fn of_sweep(sweep: &Path) -> Vec<Self> {
        let read = |folder: PathBuf| {
            let noted: Self = serde_json::from_slice(&fs::read(folder.join(NOTED)).ok()?).ok()?;
            Some(Self { folder, ..noted })
        };
        numbered(sweep).into_iter().filter_map(|(_, folder)| read(folder)).collect()
    }

    /// Makes the folder of a new submission: the number after the last. Of several that do so at once, each gets its
    /// own.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new_folder(sweep: &Path) -> Result<PathBuf, Failure> {
        let all = Self::all_in(sweep);
        let failed = |path: &Path, error| Failure::Failed(format!("{}: cannot create it: {error}", path.display()));
        fs::create_dir_all(&all).map_err(|error| failed(&all, error))?;
        let mut next = Self::next_number(sweep);
        loop {
            let folder = all.join(next.to_string());
            match fs::create_dir(&folder) {
                // A task whose log has no folder fails without a word.
                Ok(()) => match fs::create_dir(folder.join("logs")) {
                    Ok(()) => return Ok(folder),
                    Err(error) => return Err(failed(&folder, error)),
                },
                Err(error) if error.kind() == ErrorKind::AlreadyExists => next += 1,
                Err(error) => return Err(failed(&folder, error)),
            }
        }
    }

    /// The number that the next submission gets.
    pub fn next_number(sweep: &Path) -> u64 {
        numbered(sweep).last().map_or(1, |(number, _)| number + 1)
    }

    /// Notes it in its folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&self) -> Result<(), Failure> {
        Ok(write_whole(&self.folder.join(NOTED), format!("{:#}\n", serde_json::json!(self)).as_bytes())?)
    }

    /// The task of a cell, by the name of its folder.
    pub fn task_of(&self, cell: &str) -> Option<usize> {
        self.cells.iter().position(|known| known == cell).map(|place| place % self.tasks.max(1) + 1)
    }

    /// A task as Slurm calls it: `12_3`.
    pub fn job_of(&self, task: usize) -> Option<String> {
        let array = self.arrays.iter().find(|array| task > array.after && task <= array.after + array.tasks)?;
        Some(format!("{}_{}", array.id, task - array.after))
    }

    /// The log of a job, where it is there.
    pub fn log_of(&self, job: &str) -> Option<PathBuf> {
        Some(self.folder.join("logs").join(format!("{job}.log"))).filter(|log| log.is_file())
    }

    /// Whether a task was given up because it made no progress.
    pub fn given_up(&self, task: usize) -> bool {
        Restarts::read(&self.folder.join("plan.toml"), task).given_up
    }
}

/// The folders of a sweep's submissions by number, sorted.
fn numbered(sweep: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(Submission::all_in(sweep)).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()));
    let mut all: Vec<(u64, PathBuf)> = entries.filter_map(number).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_split_arrays_are_found_by_their_cell() {
        let sweep = tempfile::tempdir().unwrap();
        let folder = Submission::new_folder(sweep.path()).unwrap();
        let array = |id: &str, after, tasks| Array { id: id.to_owned(), after, tasks };
        let cells = (0..7).map(|cell| format!("s-{cell}")).collect();
        let arrays = vec![array("12", 0, 2), array("13", 2, 1)];
        let submission = Submission { command: "x".to_owned(), tasks: 3, cells, arrays, folder };
        submission.note().unwrap();
        assert!(Submission::new_folder(sweep.path()).unwrap().ends_with("2"));
        let all = Submission::of_sweep(sweep.path());
        assert_eq!(all.len(), 1, "the second came to nothing");
        let job = |cell: &str| all[0].job_of(all[0].task_of(cell).unwrap()).unwrap();
        assert_eq!(["s-0", "s-1", "s-2", "s-3", "s-5"].map(job), ["12_1", "12_2", "13_1", "12_1", "13_1"]);
        assert_eq!(all[0].task_of("s-9"), None);
    }
}
