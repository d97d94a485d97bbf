//! `job.sh`: what Slurm runs for each task, written to be read, and to be submitted again by hand.

use std::fmt::Write as _;
use std::path::Path;

use crate::printable::counted;

/// What stands in it.
pub struct Script<'a> {
    /// The sweep's name.
    pub name: &'a str,
    /// Cells that are to run.
    pub cells: usize,
    /// Tasks that they are split over.
    pub tasks: usize,
    /// The folder from which everything is found.
    pub root: &'a Path,
    /// The folder of this submission: the plan, this script and the logs.
    pub folder: &'a Path,
    /// The program.
    pub program: &'a Path,
    /// Cores for each task, where `flags` do not say so.
    pub cores: usize,
    /// Options of the program for each task.
    pub options: &'a [String],
    /// Flags for `sbatch`, as they were given.
    pub flags: &'a [String],
}

/// The flags that say how many cores a task gets.
const CORES: [&str; 2] = ["-c", "--cpus-per-task"];

impl Script<'_> {
    /// The text.
    ///
    /// # Errors
    /// A path or flag has a character that no line of it can hold.
    pub fn text(&self) -> Result<String, String> {
        let paths = [self.root, self.folder, self.program].map(|path| path.to_string_lossy().into_owned());
        let broken = |word: &&String| word.contains(|letter: char| letter.is_control());
        if let Some(word) = paths.iter().chain(self.flags).find(broken) {
            let fix = "choose another folder, or leave out that flag";
            return Err(format!(
                "{word:?}: a job script cannot hold a line break or another control character\n  fix: {fix}"
            ));
        }
        let Self { name, cells, tasks, .. } = self;
        let (cells, packed) = (counted(*cells, "cell"), counted(*tasks, "task"));
        let (script, last) = (self.folder.join("job.sh"), tasks.min(&3));
        let mut text = format!(
            "#!/bin/sh\n# The sweep {name}: {cells} in {packed}, by secateur {}. Task {last} once more, by hand:\n#   sbatch --array={last} {}\n",
            env!("CARGO_PKG_VERSION"),
            quoted(&script.to_string_lossy())
        );
        let log = self.folder.to_string_lossy().replace('%', "%%") + "/logs/%A_%a.log";
        let mut flags = vec![
            format!("--job-name={}", option(name)),
            format!("--chdir={}", option(&self.root.to_string_lossy())),
            format!("--output={}", option(&log)),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            "--signal=B:USR1@120".to_owned(),
        ];
        if !self.flags.iter().any(|flag| CORES.iter().any(|cores| flag.starts_with(cores))) {
            flags.push(format!("--cpus-per-task={}", self.cores));
        }
        // Later lines win over earlier ones.
        for flag in self.flags {
            match flags.last_mut() {
                Some(last) if !flag.starts_with('-') => *last += &format!(" {}", option(flag)),
                _ => flags.push(option(flag)),
            }
        }
        flags.iter().for_each(|flag| _ = writeln!(text, "#SBATCH {flag}"));
        let options: String = self.options.iter().map(|option| format!(" {}", quoted(option))).collect();
        _ = write!(
            text,
            "\n# The plan is frozen: neither variables nor files of configs change it any more. The first argument counts the tasks of\n\
             # arrays before this one. With `exec`, signals reach the program, which leaves checkpoints and requeues its own task.\n\
             exec {} sweep --plan {} \\\n  --task \"$((${{1:-0}} + SLURM_ARRAY_TASK_ID))/{tasks}\" --requeue{options}\n",
            quoted(&self.program.to_string_lossy()),
            quoted(&self.folder.join("plan.toml").to_string_lossy()),
        );
        Ok(text)
    }
}

/// Whether a word means itself wherever it stands.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+:=,@%".contains(letter))
}

/// A word for a shell.
pub fn quoted(word: &str) -> String {
    if is_plain(word) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// A word in a line of options, as `sbatch` reads those.
fn option(word: &str) -> String {
    let lines = word.replace(['\n', '\r'], " ");
    if is_plain(&lines) { lines } else { format!("\"{}\"", lines.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_themselves() {
        assert_eq!(quoted("/runs/a-1.toml"), "/runs/a-1.toml");
        assert_eq!(quoted("my runs; rm -r 'x'"), "'my runs; rm -r '\\''x'\\'''");
        assert_eq!(option("a \"b\"\n#SBATCH --uid=0"), "\"a \\\"b\\\" #SBATCH --uid=0\"");
    }

    #[test]
    fn flags_come_last_and_a_flag_for_cores_takes_the_place_of_ours() {
        let flags = ["-p", "gpu", "--time=1:00:00", "-c4"].map(str::to_owned);
        let path = Path::new("/x");
        let script = Script {
            name: "s",
            cells: 2,
            tasks: 2,
            root: path,
            folder: path,
            program: path,
            cores: 1,
            options: &["--jobs".to_owned(), "4".to_owned()],
            flags: &flags,
        };
        let text = script.text().unwrap();
        assert!(text.contains("@120\n#SBATCH -p gpu\n#SBATCH --time=1:00:00\n#SBATCH -c4\n"), "{text}");
        assert!(text.ends_with(" --requeue --jobs 4\n"), "{text}");
        let broken = Path::new("/x\nrm -r y");
        for script in [Script { folder: broken, ..script }, Script { program: broken, ..script }] {
            let error = script.text().unwrap_err();
            assert!(error.starts_with("\"/x\\nrm -r y\": a job script cannot hold"), "{error}");
        }
    }
}
