//! What a scheduler's task does beside its share of a sweep: it takes the cores that it was given, and where it was
//! warned of its end it goes back into the queue.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use super::{begin, report, workers};
use crate::cli::{ClusterArgs, Share, SweepArgs};
use crate::engine::Workbench;
use crate::experiments::cluster::{Restarted, Restarts};
use crate::experiments::sweep::{SweepPlan, Workers, Written};
use crate::failure::{Failure, asked_to_end};
use crate::run::{Interrupt, Owner};

/// Where schedulers say how many cores a job has on this machine: Slurm, Grid Engine, PBS, LSF. Not all of them hold a
/// program to that, so that the system may count more.
const CORES: [&str; 5] = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "NSLOTS", "NCPUS", "LSB_DJOB_NUMPROC"];

/// The cores that this process may use.
pub fn cores() -> usize {
    let told = CORES.iter().filter_map(|name| env::var(name).ok()?.parse::<usize>().ok().filter(|cores| *cores > 0));
    let seen = thread::available_parallelism().map_or(1, usize::from);
    told.fold(seen, usize::min)
}

/// Runs one share of a plan.
pub(super) fn carry_out(
    plan: &SweepPlan,
    share: Share,
    arguments: &SweepArgs,
    quiet: bool,
    interrupt: Interrupt,
    workbench: &Workbench,
) -> Result<(), Failure> {
    let (cluster, how) = (&arguments.cluster, &arguments.how);
    let (jobs, threads) = workers(how, plan, workbench)?;
    let cells = share.of_cells(plan.cells.len());
    begin(plan, &cells, quiet, workbench)?;
    // Tasks of two submissions may run at the same time.
    let submission = cluster.plan.as_deref().and_then(|file| file.parent()?.file_name());
    let submission = submission.map(|name| format!("{}-", name.to_string_lossy())).unwrap_or_default();
    let written = Written::OfTask(format!("{submission}task-{}-of-{}", share.number, share.of));
    let requeue = requeue(cluster).map(|requeue| Arc::new(requeue.looks_after(plan, &cells)));
    if let Some(requeue) = requeue.clone() {
        interrupt.at_end(move || requeue.where_warned());
    }
    let (retry_failed, accept) = (how.retry_failed, how.accept_changed);
    let workers = Workers { plan, cells, workbench, jobs, threads, retry_failed, interrupt, accept, written };
    let tally = workers.run(quiet)?;
    let ended = report(plan, &tally, &[], quiet);
    if let Some(requeue) = requeue.filter(|_| tally.left > 0) {
        requeue.where_warned();
    }
    ended
}

/// A task that goes back into the queue.
pub struct Requeue {
    plan: PathBuf,
    task: usize,
    /// The sweep's folder.
    sweep: PathBuf,
    /// The folders of its cells there.
    cells: Vec<String>,
}

/// Where a task was asked to go back into the queue. It does not know its cells yet: it has come no further, then.
pub(super) fn requeue(arguments: &ClusterArgs) -> Option<Requeue> {
    let (plan, share) = arguments.plan.clone().zip(arguments.task).filter(|_| arguments.requeue)?;
    Some(Requeue { plan, task: share.number, sweep: PathBuf::new(), cells: Vec::new() })
}

impl Requeue {
    /// The same, with the cells of the plan whose progress is the task's.
    fn looks_after(self, plan: &SweepPlan, cells: &[usize]) -> Self {
        let names = cells.iter().filter_map(|cell| plan.cells[*cell].folder.clone()).collect();
        Self { sweep: plan.folder.clone(), cells: names, ..self }
    }

    /// Puts the task back into the queue where it was warned of its end, and says what became of that. Whoever cancels a
    /// job sends another signal, and a job that makes place for others is put back by Slurm.
    pub fn where_warned(&self) {
        if asked_to_end() != Some(WARNING) {
            return;
        }
        let Some(job) = Owner::here().job else {
            return eprintln!("not requeued: there is no job of Slurm here");
        };
        match Restarts::stopped(&self.plan, self.task, &self.sweep, &self.cells) {
            Ok(Restarted::GivenUp(restarts)) => eprintln!(
                "not requeued: {restarts} restarts of this task in a row made no step; see what stands in its way, then submit it \
                 again"
            ),
            noted => {
                if let Err(failure) = noted {
                    eprintln!("{}", failure.message());
                }
                // The job's id alone would requeue every task of the array.
                match Command::new("scontrol").args(["requeue", &job]).status() {
                    Ok(status) if status.success() => eprintln!("requeued as {job}"),
                    Ok(status) => eprintln!("not requeued: scontrol requeue {job}: {status}"),
                    Err(error) => eprintln!("not requeued: scontrol requeue {job}: {error}"),
                }
            }
        }
    }
}

#[cfg(unix)]
const WARNING: i32 = signal_hook::consts::SIGUSR1;
#[cfg(not(unix))]
const WARNING: i32 = 10;
