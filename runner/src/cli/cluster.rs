//! The arguments of `sweep` for many processes, here or on a cluster.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// A share of a plan: every N-th cell, from the I-th on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if number >= 1 && number <= of => Ok(Self { number, of }),
            _ => Err("write I/N, from 1/N to N/N: --task 3/8 is the third of eight shares".to_owned()),
        }
    }
}

impl Share {
    /// The cells of this share, of so many.
    pub fn of_cells(self, cells: usize) -> Vec<usize> {
        (self.number - 1..cells).step_by(self.of).collect()
    }
}

/// What `sweep` does with a plan that many processes run.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Run one of N shares of the plan; processes that share a folder leave each other's cells alone
    #[arg(long, value_name = "I/N", conflicts_with = "dry_run")]
    pub task: Option<Share>,
    /// Take the plan from a file that --freeze or --slurm wrote, in place of CONFIG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["words", "sets", "out", "device"])]
    pub plan: Option<PathBuf>,
    /// Write the plan to a file, with all that its configs say, and run nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task", "plan", "dry_run", "status", "slurm"])]
    pub freeze: Option<PathBuf>,
    /// Say which cells are done, running, waiting, stopped or failed, and how to submit what is missing
    #[arg(long, conflicts_with_all = ["task", "dry_run"])]
    pub status: bool,
    /// Submit what is missing to Slurm, print the jobs, and return; flags for sbatch stand behind `--`
    #[arg(long, conflicts_with_all = ["task", "plan", "dry_run", "status"])]
    pub slurm: bool,
    /// With --slurm: print job.sh, and submit nothing
    #[arg(long, requires = "slurm")]
    pub print: bool,
    /// With --slurm: minutes that a task is worth at least, 10 unless given
    #[arg(long, value_name = "MINUTES", requires = "slurm", value_parser = minutes)]
    pub chunk: Option<f64>,
    /// With --slurm: tasks that run side by side at most
    #[arg(long, value_name = "P", requires = "slurm")]
    pub max_parallel: Option<NonZeroUsize>,
    /// With --task, in a job of Slurm: where SIGUSR1 stops it, put this very task back into the queue; three times without
    /// progress
    #[arg(long, requires_all = ["task", "plan"])]
    pub requeue: bool,
    /// Flags for sbatch: -- --partition=gpu --time=4:00:00
    #[arg(index = 2, last = true, value_name = "SBATCH FLAGS", requires = "slurm")]
    pub flags: Vec<String>,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| minutes.is_finite() && *minutes > 0.0);
    minutes.ok_or_else(|| "a number of minutes above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_a_plan_once() {
        let mut all: Vec<usize> = (1..=3).flat_map(|number| Share { number, of: 3 }.of_cells(8)).collect();
        assert_eq!("3/8".parse(), Ok(Share { number: 3, of: 8 }));
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        assert_eq!(Share { number: 9, of: 9 }.of_cells(8), [0; 0]);
        for wrong in ["0/8", "9/8", "3", "3/0", "/8", "-1/8", "a/b"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
