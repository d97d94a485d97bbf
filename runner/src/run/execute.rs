//! From a config to the results in a run's folder.

use std::fs;

use serde_json::{Map, Value};

use super::event_log::lines;
use super::folder::{CONFIG, FORK, MODEL, PAUSED, PROVENANCE, REPORT, RunDir, SWEEP};
use super::made::Made;
use super::recorder::Recorder;
use super::resumed::name_of;
use super::saved::Saved;
use super::{Interrupt, provenance};
use crate::config::Resolved;
use crate::engine::{Trained, Workbench, notes_told};
use crate::failure::Failure;
use crate::output::{self, Progress};

/// Writes what a run's folder says before the run begins.
///
/// # Errors
/// It cannot be written.
pub fn begin(config: &Resolved, folder: &RunDir, workbench: &Workbench) -> Result<(), Failure> {
    folder.write(CONFIG, config.to_toml().as_bytes())?;
    folder.write(PROVENANCE, provenance::describe(config, workbench.plugins_of(&config.run)).as_bytes())?;
    Ok(())
}

/// Runs a config in its folder to the end, from a checkpoint on where one is given.
///
/// # Errors
/// Whatever ended the run early; the folder's summary says so too.
pub fn execute(
    config: &Resolved,
    folder: &RunDir,
    from: Option<&Saved>,
    progress: Progress,
    interrupt: &Interrupt,
    workbench: &Workbench,
) -> Result<Map<String, Value>, Failure> {
    let name = Made::here(config).name(&config.identity());
    let stage = interrupt.run();
    let so_far = || {
        let mut told = part_in_sweep(folder);
        told.insert("status".to_owned(), "running".into());
        write_report(config, folder, &told)
    };
    let recorder = Recorder::new(folder, name, &config.run, progress, interrupt.clone(), &stage)?;
    let mut recorder = recorder.reporting(so_far);
    if config.run.output.tensorboard {
        recorder = recorder.for_tensorboard(config.rows());
    }
    let taken = from.map(|saved| name_of(saved, config, folder, workbench)).unwrap_or_default();
    let checkpoint = from.map(|saved| saved.checkpoint(&taken));
    let trained = workbench.train(config, checkpoint, &mut recorder, Recorder::loading);
    recorder.clear_screen();
    let paused = interrupt.epochs().filter(|_| recorder.is_paused());
    if matches!(&trained, Err(failure) if !matches!(failure, Failure::Stopped(_))) {
        recorder.failed();
    }
    drop(recorder);
    let ended = trained.and_then(|trained| finish(config, folder, trained));
    if let (Err(Failure::Stopped(_)), Some(epochs)) = (&ended, paused) {
        let mut told = part_in_sweep(folder);
        folder.pause(epochs, told.clone())?;
        told.insert("status".to_owned(), PAUSED.into());
        _ = write_report(config, folder, &told);
    } else if let Err(failure) = &ended {
        let status = if matches!(failure, Failure::Stopped(_)) { "interrupted" } else { "failed" };
        // The reason why the run ended matters more than a disk that is too full to note it.
        _ = folder.give_up(status, failure.message());
        let ending = [("status".to_owned(), status.into()), ("error".to_owned(), failure.message().into())];
        let mut told = part_in_sweep(folder);
        told.extend(ending);
        _ = write_report(config, folder, &told);
    }
    ended
}

/// Writes what a run leaves, the summary last: only then does it look finished.
fn finish(config: &Resolved, folder: &RunDir, trained: Trained) -> Result<Map<String, Value>, Failure> {
    let mut summary = trained.summary;
    summary.extend(output::validated(lines(folder.path())?));
    summary.extend(part_in_sweep(folder));
    summary.extend(noted(folder, FORK));
    summary.insert("status".to_owned(), "finished".into());
    // Those of the log say who set what.
    summary.insert("notes".to_owned(), notes_told(lines(folder.path())?).into());
    folder.write(MODEL, &trained.model)?;
    // What is drawn of a run that is over can be drawn again; the network cannot be trained again for that.
    if let Err(failure) = write_report(config, folder, &summary) {
        tracing::warn!("{}\n  the run is finished, and its network written", failure.message());
    }
    folder.finish(&summary)?;
    Ok(summary)
}

/// What a sweep noted in the folder: which sweep it is, and what the run is a control of.
fn part_in_sweep(folder: &RunDir) -> Map<String, Value> {
    noted(folder, SWEEP)
}

/// What stands in a file of the folder.
fn noted(folder: &RunDir, file: &str) -> Map<String, Value> {
    let text = fs::read(folder.path().join(file)).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write_report(config: &Resolved, folder: &RunDir, summary: &Map<String, Value>) -> Result<(), Failure> {
    let files = |name: &str| fs::read(folder.path().join(name)).ok();
    Ok(folder.write(REPORT, output::report(config, lines(folder.path())?, summary, &files).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secateur::training::event::{EvalAt, Event};

    use super::*;
    use crate::config::{Request, earlier_identity, resolve};
    use crate::run::folder::BEST;
    use crate::run::{Opened, is_finished, same_or_accepted};

    const SMALL: [&str; 5] = [
        "data.glyphs={train=300,test=60}",
        "train.epochs=6",
        "train.batch_size=60",
        "schedule.first=2",
        "output.pictures=0",
    ];

    fn config(out: &Path, workbench: &Workbench) -> Resolved {
        with(&[], out, workbench)
    }

    fn with(more: &[&str], out: &Path, workbench: &Workbench) -> Resolved {
        let mut sets: Vec<String> = SMALL.iter().chain(more).map(|set| (*set).to_owned()).collect();
        sets.push(format!("output.dir=\"{}\"", out.display()));
        let configs = vec!["experiment/quickstart".to_owned()];
        resolve(&Request { configs, sets, root: out.to_owned(), ..Request::default() }, workbench).unwrap()
    }

    fn ready(config: &Resolved, out: &Path, workbench: &Workbench) -> RunDir {
        let Opened::Ready(folder) = RunDir::open(out, &config.folder_name(), true).unwrap() else {
            panic!("it is taken")
        };
        begin(config, &folder, workbench).unwrap();
        folder
    }

    /// Begins the run of a folder, and stops it after its fourth epoch with a checkpoint of that name.
    fn interrupted(name: &str, config: &Resolved, folder: &RunDir, workbench: &Workbench) {
        let interrupt = Interrupt::default();
        let asked = interrupt.clone();
        let progress = Progress::told(move |event| {
            if let Event::Epoch { epoch: 4, .. } = event {
                asked.ask();
            }
        });
        let stage = interrupt.run();
        let mut recorder = Recorder::new(folder, name.to_owned(), &config.run, progress, interrupt, &stage).unwrap();
        let ended = workbench.train(config, None, &mut recorder, Recorder::loading);
        assert!(matches!(ended, Err(Failure::Stopped(_))), "{ended:?}");
    }

    fn resumed(config: &Resolved, folder: RunDir, workbench: &Workbench) -> Result<Vec<u8>, Failure> {
        let path = folder.path().to_owned();
        drop(folder);
        let (folder, saved) = RunDir::reopen(&path)?;
        let interrupt = Interrupt::default();
        execute(config, &folder, Some(&saved), Progress::new(true), &interrupt, workbench)?;
        Ok(fs::read(path.join(MODEL)).unwrap())
    }

    #[test]
    fn a_run_that_an_earlier_version_began_goes_on() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = config(out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        execute(&config, &folder, None, Progress::new(true), &Interrupt::default(), &workbench).unwrap();
        let expected = fs::read(folder.path().join(MODEL)).unwrap();
        drop(folder);

        // The earlier version did not know one of today's keys, and its checkpoint has the hash of all that it knew.
        let folder = ready(&config, out.path(), &workbench);
        let mut known = folder.config().unwrap();
        assert!(known["train"].as_table_mut().unwrap().remove("eval_prunes").is_some());
        folder.write(CONFIG, known.to_string().as_bytes()).unwrap();
        let name = earlier_identity(&known);
        assert_ne!(name, config.identity());
        interrupted(&name, &config, &folder, &workbench);
        assert!(resumed(&config, folder, &workbench).unwrap() == expected, "the weights differ");
    }

    #[test]
    fn a_run_has_its_report_from_the_first_epoch() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = config(out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        let report = folder.path().join(REPORT);
        let (seen, path) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), report.clone());
        let noted = seen.clone();
        let progress = Progress::told(move |event| {
            if let Event::Epoch { epoch, .. } = event {
                noted.lock().unwrap().push((*epoch, fs::read_to_string(&path).ok()));
            }
        });
        execute(&config, &folder, None, progress, &Interrupt::default(), &workbench).unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0], (1, None));
        let (epoch, first) = &seen[1];
        let first = first.as_ref().unwrap();
        assert!(*epoch == 2 && first.contains(">running<") && first.contains("<svg"), "{first}");
        assert!(fs::read_to_string(report).unwrap().contains(">finished<"));
    }

    #[test]
    fn an_event_file_for_tensorboard_is_there_after_a_stop_and_goes_on_with_its_run() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = with(&["output.tensorboard=true"], out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        let (interrupt, name) = (Interrupt::default(), Made::here(&config).name(&config.identity()));
        let asked = interrupt.clone();
        let progress = Progress::told(move |event| {
            if let Event::Epoch { epoch: 4, .. } = event {
                asked.ask();
            }
        });
        let stopped = execute(&config, &folder, None, progress, &interrupt, &workbench);
        assert!(matches!(stopped, Err(Failure::Stopped(_))), "{name}: {stopped:?}");
        let file = folder.path().join(crate::run::folder::TENSORBOARD);
        let before = fs::read(&file).unwrap();
        let tags = |bytes: &[u8], tag: &str| bytes.windows(tag.len()).filter(|part| *part == tag.as_bytes()).count();
        assert_eq!((tags(&before, "train/loss"), tags(&before, "_hparams_/session_end_info")), (4, 0));
        resumed(&config, folder, &workbench).unwrap();
        let after = fs::read(&file).unwrap();
        assert!(after.starts_with(&before), "each value keeps its time");
        assert_eq!((tags(&after, "train/loss"), tags(&after, "_hparams_/session_end_info")), (6, 1));
    }

    #[test]
    fn notes_are_said_once_in_a_run_that_is_resumed() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let mut sets: Vec<String> = SMALL.map(str::to_owned).to_vec();
        // One that the framework finds, one that the program does.
        sets.extend(["train.beta1=0.5", "output.checkpoint_every=6"].map(str::to_owned));
        let request = Request { configs: vec!["experiment/quickstart".to_owned()], sets, ..Request::default() };
        let config = resolve(&Request { root: out.path().to_owned(), ..request }, &workbench).unwrap();
        let folder = ready(&config, out.path(), &workbench);
        interrupted(&config.identity(), &config, &folder, &workbench);
        let path = folder.path().to_owned();
        resumed(&config, folder, &workbench).unwrap();
        let summary: Value = serde_json::from_slice(&fs::read(path.join("summary.json")).unwrap()).unwrap();
        let notes: Vec<&str> = summary["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let starts = ["train.beta1 = 0.5 does nothing", "output.checkpoint_every = 6 does nothing"];
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(starts.iter().all(|start| notes.iter().any(|note| note.starts_with(start))), "{notes:?}");
        assert_eq!(crate::engine::notes_told(lines(&path).unwrap()), notes);
    }

    #[test]
    fn a_run_that_began_with_given_weights_goes_on_and_not_with_others() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let plain = |seed: &str| {
            let config = with(&[seed], out.path(), &workbench);
            let folder = ready(&config, out.path(), &workbench);
            execute(&config, &folder, None, Progress::new(true), &Interrupt::default(), &workbench).unwrap();
            fs::read(folder.path().join(MODEL)).unwrap()
        };
        let (given, others) = (plain("seed=4"), plain("seed=5"));
        let file = out.path().join("given.safetensors");
        fs::write(&file, &given).unwrap();
        let from = format!("init.from=\"{}\"", file.display());
        let begun =
            |workbench: &Workbench| workbench.identified(with(&[&from], out.path(), workbench), &mut |_| ()).unwrap();
        let config = begun(&workbench);
        let folder = ready(&config, out.path(), &workbench);
        execute(&config, &folder, None, Progress::new(true), &Interrupt::default(), &workbench).unwrap();
        let expected = fs::read(folder.path().join(MODEL)).unwrap();
        assert!(expected != plain("seed=0"), "it began with them");
        drop(folder);

        let folder = ready(&config, out.path(), &workbench);
        interrupted(&Made::here(&config).name(&config.identity()), &config, &folder, &workbench);
        let path = folder.path().to_owned();
        drop(folder);
        fs::write(&file, &others).unwrap();
        let later = Workbench::new(&[]).unwrap();
        let other = begun(&later);
        assert_ne!(other.identity(), config.identity());
        let (folder, saved) = RunDir::reopen(&path).unwrap();
        let refused = same_or_accepted(&other, &folder, &saved, false).unwrap_err();
        assert!(refused.message().contains("the content of init.from (SHA-256): "), "{refused:?}");
        assert!(resumed(&config, folder, &workbench).unwrap() == expected, "the weights differ");
    }

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = config(out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        let mut other = folder.config().unwrap();
        other.insert("seed".to_owned(), 7.into());
        interrupted(&earlier_identity(&other), &config, &folder, &workbench);
        // Not even where the config in the folder is that of the checkpoint: it is not this one.
        folder.write(CONFIG, other.to_string().as_bytes()).unwrap();
        let error = resumed(&config, folder, &workbench).unwrap_err();
        assert!(error.message().contains("belongs to the run") && error.message().contains("--force"), "{error:?}");
    }

    #[test]
    fn a_checkpoint_of_another_build_waits_until_that_is_accepted() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = config(out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        let made = Made { build: Some("another".to_owned()), ..Made::here(&config) };
        interrupted(&made.name(&config.identity()), &config, &folder, &workbench);
        let path = folder.path().to_owned();
        drop(folder);
        let (folder, saved) = RunDir::reopen(&path).unwrap();
        let refused = same_or_accepted(&config, &folder, &saved, false).unwrap_err();
        let told = ["the program's build: another there", "--accept-changed"];
        assert!(matches!(&refused, Failure::Usage(text) if told.iter().all(|part| text.contains(part))), "{refused:?}");
        assert!(saved.path.exists());
        same_or_accepted(&config, &folder, &saved, true).unwrap();
        let noted = fs::read_to_string(path.join(PROVENANCE)).unwrap();
        assert!(noted.contains("[[accepted]]") && noted.contains("another there"), "{noted}");
        resumed(&config, folder, &workbench).unwrap();
        assert!(is_finished(&path));
    }

    #[test]
    fn a_report_that_cannot_be_written_fails_no_run_whose_network_is() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let config = config(out.path(), &workbench);
        let folder = ready(&config, out.path(), &workbench);
        fs::create_dir_all(folder.path().join(REPORT).join("in the way")).unwrap();
        execute(&config, &folder, None, Progress::new(true), &Interrupt::default(), &workbench).unwrap();
        assert!(is_finished(folder.path()) && folder.path().join(MODEL).exists());
        assert!(folder.path().join(REPORT).is_dir());
    }

    #[test]
    fn the_network_of_the_best_validation_is_kept_where_that_is_asked_for() {
        let (out, workbench) = (tempfile::tempdir().unwrap(), Workbench::new(&[]).unwrap());
        let run = |more: &[&str]| {
            let config = with(&[&["data.validation=100"], more].concat(), out.path(), &workbench);
            let folder = ready(&config, out.path(), &workbench);
            execute(&config, &folder, None, Progress::new(true), &Interrupt::default(), &workbench).unwrap();
            folder
        };
        let folder = run(&["output.best=true"]);
        let mut best = (0, f64::NEG_INFINITY);
        for line in lines(folder.path()).unwrap() {
            if let Ok(Event::Eval { at: EvalAt::Epoch, epoch, accuracy: Some(accuracy), .. }) =
                serde_json::from_str(&line)
                && accuracy > best.1
            {
                best = (epoch, accuracy);
            }
        }
        let kept = fs::read(folder.path().join(BEST)).unwrap();
        drop(folder);
        // A run that ends with that epoch ends with that network.
        let epochs = format!("train.epochs={}", best.0);
        assert!(fs::read(run(&[&epochs]).path().join(MODEL)).unwrap() == kept, "{best:?}");
        assert!(!run(&["seed=1"]).path().join(BEST).exists());
    }
}
