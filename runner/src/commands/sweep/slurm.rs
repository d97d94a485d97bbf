//! `secateur sweep --slurm`

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::status::Survey;
use crate::cli::{ClusterArgs, SweepArgs};
use crate::commands::{print, print_exactly};
use crate::engine::Workbench;
use crate::experiments::cluster::{Array, Limits, Packing, Script, Submission, quoted};
use crate::experiments::sweep::{Cell, SweepPlan};
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::{BUILD, write_whole};

/// Minutes that a task is worth, where nobody says.
const CHUNK: f64 = 10.0;

/// Submits the cells of a plan that are missing, `jobs` of them at a time in a task, with so many threads each.
pub fn submit(
    arguments: &SweepArgs,
    mut plan: SweepPlan,
    (jobs, threads): (Option<usize>, usize),
    workbench: &Workbench,
) -> Result<(), Failure> {
    let cluster = &arguments.cluster;
    if !cluster.print {
        sbatch_is_here()?;
    }
    let survey = Survey::of(&plan, workbench)?;
    if let Some(why) = &survey.silent {
        let fix = "try again later: what is in the queue would be submitted twice";
        return Err(Failure::Failed(format!("{why}\n  fix: {fix}")));
    }
    let missing = survey.missing(arguments.how.retry_failed);
    if missing.is_empty() && !cluster.print {
        print(&survey.text(&plan, ("submit", &command(arguments))));
        return Ok(());
    }
    let missing = if missing.is_empty() {
        eprintln!("No cell is missing: this is the script for all of them.");
        (0..plan.cells.len()).collect()
    } else {
        missing
    };
    super::check(&plan, &missing, workbench)?;
    freeze(&mut plan, &missing, &survey);
    let at_a_time = jobs.unwrap_or(1);
    let limits = Limits::of_site();
    if limits.room == 0 && !cluster.print {
        let fix = "wait until some of them are over, then give the same command";
        return Err(Failure::Failed(format!(
            "the site takes no more tasks now: as many as it allows are in its queue\n  fix: {fix}"
        )));
    }
    let packing = Packing {
        cells: missing.len(),
        seconds: survey.seconds(),
        at_a_time,
        chunk: cluster.chunk.unwrap_or(CHUNK),
        parallel: cluster.max_parallel.map(usize::from),
        room: limits.room,
    };
    let tasks = packing.tasks();
    let sweep = absolute(&plan.folder)?;
    let program = Submission::all_in(&sweep).join(format!("secateur-{BUILD}"));
    let number = Submission::next_number(&sweep).to_string();
    let planned = Submission::all_in(&sweep).join(number);
    let folder = if cluster.print { planned } else { Submission::new_folder(&sweep)? };
    let root = absolute(plan.root())?;
    let mut options: Vec<String> = jobs.iter().flat_map(|jobs| ["--jobs".to_owned(), jobs.to_string()]).collect();
    options.extend(arguments.how.retry_failed.then(|| "--retry-failed".to_owned()));
    options.extend(arguments.how.accept_changed.then(|| "--accept-changed".to_owned()));
    let script = Script {
        name: &plan.name,
        cells: missing.len(),
        tasks,
        root: &root,
        folder: &folder,
        program: &program,
        cores: at_a_time * threads,
        options: &options,
        flags: &cluster.flags,
    };
    let text = script.text().map_err(Failure::Usage)?;
    if cluster.print {
        print_exactly(&text);
        return Ok(());
    }
    copy_program(&program)?;
    write_whole(&folder.join("plan.toml"), plan.freeze()?.as_bytes())?;
    let job = folder.join("job.sh");
    write_whole(&job, text.as_bytes())?;
    let cells = plan.cells.iter().filter_map(|cell| cell.folder.clone()).collect();
    let mut submission =
        Submission { command: command(arguments), tasks, cells, arrays: Vec::new(), folder: folder.clone() };
    submission.note()?;
    let about = match packing.seconds {
        Some(seconds) => format!("a cell takes {seconds:.1} s"),
        None => "no cell has run yet, so that nobody knows how long one takes".to_owned(),
    };
    let each = match missing.len().div_ceil(tasks) {
        1 => "one cell each".to_owned(),
        each => format!("{each} cells each"),
    };
    let (cells, tasks) = (super::cells(missing.len()), counted(tasks, "task"));
    print(&format!("{}\n  {cells} in {tasks}, {each}: {about}\n", job.display()));
    while let Some(array) = next_array(&submission, limits, cluster, &job)? {
        print(&format!("  submitted {}: {}\n", array.id, counted(array.tasks, "task")));
        submission.arrays.push(array);
        submission.note()?;
    }
    print(&format!("  {}\n", status_command()));
    Ok(())
}

/// Leaves in a plan the cells that are to run, each with the run that it is.
fn freeze(plan: &mut SweepPlan, missing: &[usize], survey: &Survey) {
    let cells = std::mem::take(&mut plan.cells);
    let named = |(number, mut cell): (usize, Cell)| {
        cell.folder = Some(survey.entries[number].run.clone());
        missing.binary_search(&number).is_ok().then_some(cell)
    };
    plan.cells = cells.into_iter().enumerate().filter_map(named).collect();
}

/// Submits the next array of tasks, where some are left.
fn next_array(of: &Submission, limits: Limits, cluster: &ClusterArgs, job: &Path) -> Result<Option<Array>, Failure> {
    let after = of.arrays.last().map_or(0, |array| array.after + array.tasks);
    let tasks = (of.tasks - after).min(limits.largest_index);
    if tasks == 0 {
        return Ok(None);
    }
    let most = cluster.max_parallel.map(|most| format!("%{most}")).unwrap_or_default();
    let mut arguments = vec!["--parsable".to_owned(), format!("--array=1-{tasks}{most}")];
    // The bound holds within an array: one waits for the other.
    if let (Some(before), Some(_)) = (of.arrays.last(), cluster.max_parallel) {
        arguments.push(format!("--dependency=afterany:{}", before.id));
    }
    arguments.extend([job.to_string_lossy().into_owned(), after.to_string()]);
    let failed = |why: String| {
        let done =
            if of.arrays.is_empty() { "nothing was submitted" } else { "what was submitted before is in the queue" };
        Failure::Failed(format!(
            "sbatch {}\n  {why}\n  {done}\n  fix: give sbatch what it asks for behind `--`, then the same command",
            arguments.join(" ")
        ))
    };
    let output = Command::new("sbatch").args(&arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "\n  ");
    // With several clusters, the id is followed by the cluster's name.
    let id = said(&output.stdout).split(';').next().unwrap_or_default().trim().to_owned();
    if !output.status.success() || id.is_empty() {
        return Err(failed(said(&output.stderr)));
    }
    Ok(Some(Array { id, after, tasks }))
}

fn sbatch_is_here() -> Result<(), Failure> {
    let here = Command::new("sbatch").arg("--version").stdin(Stdio::null()).output();
    here.map(|_| ()).map_err(|error| {
        let fix = "give this command on a machine that submits jobs, or see what it would submit with --print; without Slurm, any \
                   scheduler can run the shares: secateur sweep CONFIG --task I/N";
        Failure::Failed(format!("sbatch: {error}\n  fix: {fix}"))
    })
}

/// Jobs that wait keep the program that planned them, whatever is built meanwhile.
fn copy_program(to: &Path) -> Result<(), Failure> {
    if to.exists() {
        return Ok(());
    }
    let copy = || -> io::Result<()> {
        let unfinished = to.with_extension(format!("{}.unfinished", std::process::id()));
        fs::copy(env::current_exe()?, &unfinished)?;
        fs::rename(&unfinished, to)
    };
    copy().map_err(|error| Failure::Failed(format!("{}: cannot copy the program: {error}", to.display())))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// The command that submits a sweep's missing cells, as it was given.
pub fn command(arguments: &SweepArgs) -> String {
    let mut words = given(&["--slurm", "--status", "--print"], &[]);
    words.push("--slurm".to_owned());
    if !arguments.cluster.flags.is_empty() {
        words.push("--".to_owned());
        words.extend(arguments.cluster.flags.iter().map(|flag| quoted(flag)));
    }
    words.join(" ")
}

/// The command that runs a sweep's missing cells here.
pub fn plain_command() -> String {
    given(&["--slurm", "--status", "--print"], &["--chunk", "--max-parallel"]).join(" ")
}

/// The command that looks after a sweep, whose cells were submitted with this one.
fn status_command() -> String {
    let mut words = given(&["--slurm"], &["--chunk", "--max-parallel"]);
    words.push("--status".to_owned());
    words.join(" ")
}

/// The words of this command for a shell, without some flags, and some that have a value.
fn given(flags: &[&str], with_value: &[&str]) -> Vec<String> {
    let mut words = vec!["secateur".to_owned()];
    let mut given = env::args().skip(1).take_while(|word| word != "--");
    while let Some(word) = given.next() {
        if with_value.contains(&word.as_str()) {
            _ = given.next();
        } else if !flags.contains(&word.as_str())
            && !with_value.iter().any(|flag| word.starts_with(&format!("{flag}=")))
        {
            words.push(quoted(&word));
        }
    }
    words
}
