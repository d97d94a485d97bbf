//! Who writes in a run's folder: what tells a person where that process is, and another process whether it still lives.

use std::collections::hash_map::RandomState;
use std::env;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Where schedulers say which job a process belongs to, each with the variable that says which task of an array it is.
const JOBS: [(&str, &str); 5] = [
    ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    ("SLURM_JOB_ID", ""),
    ("PBS_JOBID", ""),
    ("LSB_JOBID", "LSB_JOBINDEX"),
    ("JOB_ID", "SGE_TASK_ID"),
];

/// A process that writes, or wrote, in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// No other process has it, on whatever machine, and this one only once.
    pub token: String,
    /// The machine's name.
    pub host: String,
    /// What process ids are counted in, a boot of a machine and a container in it; empty where the system does not
    /// tell.
    machine: String,
    /// Its process id.
    pub pid: u32,
    /// When it began, as the system counts that: process ids come again.
    began: String,
    /// The scheduler's job, such as `12_3` for the third task of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// How often the scheduler started that job again.
    #[serde(default)]
    restarts: u64,
}

impl Owner {
    /// This process, with a token of its own.
    pub fn here() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        static HERE: OnceLock<Owner> = OnceLock::new();
        let here = HERE.get_or_init(|| Self {
            token: String::new(),
            host: host(),
            machine: machine(),
            pid: process::id(),
            began: began(process::id()).unwrap_or_default(),
            job: job(),
            restarts: number("SLURM_RESTART_COUNT").unwrap_or(0),
        });
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { token: format!("{}-{count}", process_token()), ..here.clone() }
    }

    /// Whether it is this process.
    pub fn is_this_process(&self) -> bool {
        self.token.rsplit_once('-').is_some_and(|(process, _)| process == process_token())
    }

    /// Whether the scheduler has started its job again as this process: then it is over, or will be ended soon.
    pub fn is_succeeded_by(&self, later: &Self) -> bool {
        self.job.is_some() && self.job == later.job && self.restarts < later.restarts
    }

    /// Whether it lives; `None` where that cannot be seen from here.
    pub fn lives(&self) -> Option<bool> {
        let here = !self.machine.is_empty() && self.machine == machine();
        here.then(|| began(self.pid).is_some_and(|began| began == self.began))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = self.job.as_ref().map(|job| format!(", job {job}")).unwrap_or_default();
        write!(f, "process {} on {}{job}", self.pid, self.host)
    }
}

/// Text that no other process has, on whatever machine.
pub fn process_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        // Seeded by the system for each; machines and processes are among it, should the system's seed be poor.
        let mut hash = RandomState::new().build_hasher();
        hash.write(host().as_bytes());
        hash.write_u32(process::id());
        format!("{:016x}", hash.finish())
    })
}

fn host() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    let told = told.ok().or_else(|| env::var("HOSTNAME").ok()).or_else(|| env::var("COMPUTERNAME").ok());
    told.filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(target_os = "linux")]
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let counted_in = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), counted_in.display())
}

/// Where nobody tells which processes live, silence alone says that one is dead.
#[cfg(not(target_os = "linux"))]
fn machine() -> String {
    String::new()
}

/// When a process began; `None` where it does not run.
#[cfg(target_os = "linux")]
fn began(pid: u32) -> Option<String> {
    /// Fields of `/proc/PID/stat` from the state on, which stands behind the program's name in parentheses.
    const STATE: usize = 0;
    const BEGAN: usize = 19;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // A process that nobody has asked about is a name, and writes nothing.
    let over = matches!(*fields.get(STATE)?, "Z" | "X");
    (!over).then(|| fields.get(BEGAN).map(|ticks| (*ticks).to_owned()))?
}

#[cfg(not(target_os = "linux"))]
fn began(_: u32) -> Option<String> {
    None
}

fn job() -> Option<String> {
    JOBS.iter().find_map(|(job, task)| {
        let job = env::var(job).ok().filter(|job| !job.is_empty())?;
        let task = env::var(task).ok().filter(|task| task.parse::<u64>().is_ok());
        Some(task.map_or_else(|| job.clone(), |task| format!("{job}_{task}")))
    })
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let here = Owner::here();
        assert_ne!(here.token, Owner::here().token);
        assert!(here.is_this_process());
        if cfg!(target_os = "linux") {
            assert_eq!(here.lives(), Some(true));
            assert_eq!(Owner { began: "1".to_owned(), ..here.clone() }.lives(), Some(false), "the number came again");
            assert_eq!(Owner { machine: "another boot".to_owned(), ..here.clone() }.lives(), None);
            let mut child = process::Command::new("true").spawn().unwrap();
            let of_child = Owner { pid: child.id(), began: began(child.id()).unwrap_or_default(), ..here.clone() };
            child.wait().unwrap();
            assert_eq!(of_child.lives(), Some(false));
        }
        let of = |job: Option<&str>, restarts| Owner { job: job.map(str::to_owned), restarts, ..here.clone() };
        let first = of(Some("12_3"), 0);
        assert!(first.is_succeeded_by(&of(Some("12_3"), 1)) && !first.is_succeeded_by(&of(Some("12_4"), 1)));
        assert!(!first.is_succeeded_by(&first) && !of(None, 0).is_succeeded_by(&of(None, 1)));
    }
}
