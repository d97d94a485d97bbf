//! `secateur compare`

mod search;

use std::collections::BTreeSet;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{CompareArgs, IntervalKind};
use crate::experiments::claims::{self, Judged};
use crate::experiments::compare::{self, Cells, Question};
use crate::experiments::figures;
use crate::experiments::index::{Index, Record};
use crate::experiments::kept::{self, Kept};
use crate::experiments::ranks::Ranks;
use crate::experiments::sweep::{Searched, Waves};
use crate::failure::Failure;
use crate::printable::{markdown_line, printable};
use crate::run::write_asked;

pub fn execute(arguments: &CompareArgs) -> Result<(), Failure> {
    let Taken { records, sweeps, notes, searches } = take(&arguments.folders)?;
    let files = [&arguments.html, &arguments.csv, &arguments.latex].into_iter().flatten().count();
    if records.is_empty() && files == 0 && !searches.is_empty() {
        return search::unfinished(&searches, arguments);
    }
    let keep = arguments
        .keep
        .as_ref()
        .map(|path| Ok::<_, Failure>((path, to_keep(path, &arguments.folders, &records, &sweeps)?)));
    let keep = keep.transpose()?;
    let cells = Cells::new(records);
    let question = Question {
        by: arguments.by.clone(),
        metric: arguments.metric.clone().or_else(|| search::metric(&searches)),
        baseline: arguments.baseline.clone(),
        margin: arguments.margin,
        bootstrap: arguments.interval == IntervalKind::Bootstrap,
        choose: arguments.choose.clone(),
    };
    if let Some(margin) = arguments.margin.filter(|margin| !(margin.is_finite() && *margin > 0.0)) {
        let fix = "give what does not matter: 0.5 for half a point of accuracy";
        return Err(Failure::Usage(format!("--margin {margin}: a margin is more than 0\n  fix: {fix}")));
    }
    if question.bootstrap && question.margin.is_some() {
        let fix = "leave out one of them: what is the same within a margin is told by t-tests";
        return Err(Failure::Usage(format!("--interval bootstrap: does not go with --margin\n  fix: {fix}")));
    }
    let mut comparison = cells.compare(&question).map_err(Failure::Usage)?;
    if let Some(baseline) = search::baseline(&searches, &cells, &comparison).filter(|_| question.baseline.is_none()) {
        comparison = cells.compare(&Question { baseline: Some(baseline), ..question }).map_err(Failure::Usage)?;
    }
    comparison.notes.extend(notes);
    for folder in &arguments.folders {
        comparison.notes.extend(looked_at(folder));
    }
    let damaged = arguments.html.as_ref().map(|_| compare::damaged_logs(&cells)).unwrap_or_default();
    comparison.notes.extend(damaged.values().cloned());
    let judged = judged(&sweeps);
    if let Some((path, kept)) = keep {
        write_asked(path, kept::written(kept).as_bytes())?;
    }
    let ranks =
        arguments.ranks.as_ref().map(|key| Ranks::of(&cells, &comparison, key)).transpose().map_err(Failure::Usage)?;
    let (picture, lines) = ranks.as_ref().map_or_else(Default::default, |ranks| (ranks.picture(), ranks.lines()));
    if let Some(path) = &arguments.ranks_svg {
        write(path, &picture)?;
    }
    let mut quiet = false;
    if let Some(path) = &arguments.html {
        let title = arguments.folders.iter().map(|folder| name(folder)).collect::<Vec<_>>().join(", ");
        let picture = ranks.as_ref().map(|_| (picture.as_str(), lines.as_slice()));
        write(path, &compare::page(&title, &comparison, &cells, &claims::table(&judged), picture, &damaged))?;
    }
    for path in &arguments.figure {
        let refused = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
        let figure = figures::figure(&comparison, arguments.plot, path).map_err(refused)?;
        write_asked(path, &figure)?;
    }
    let texts: [(_, &dyn Fn() -> String); 4] = [
        (&arguments.json, &|| {
            let mut all = compare::json(&comparison, &cells);
            all["ranks"] = json!(ranks);
            all["claims"] = claims::json(&judged);
            all["searches"] = search::json(&searches);
            format!("{all:#}\n")
        }),
        (&arguments.csv, &|| compare::csv(&comparison)),
        (&arguments.markdown, &|| {
            let ranked = lines.iter().map(|line| format!("- {}\n", markdown_line(line)));
            let claimed = claims::table(&judged);
            let claimed =
                if judged.is_empty() { String::new() } else { format!("\n### Claims\n\n{}", claimed.markdown()) };
            search::markdown(&searches) + &compare::markdown(&comparison) + &ranked.collect::<String>() + &claimed
        }),
        (&arguments.latex, &|| figures::latex(&comparison)),
    ];
    for (path, text) in texts {
        if let Some(path) = path {
            quiet |= path.as_os_str() == "-";
            write(path, &text())?;
        }
    }
    if !quiet {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // Values of configs were made printable when they were read; the rest of an escape sequence is ours.
        let mut text = search::text(&searches) + &compare::terminal(&comparison, colour);
        lines.iter().for_each(|line| text += &format!("\n{line}"));
        claims::lines(&judged).iter().for_each(|line| text += &format!("\nclaim: {line}"));
        text += if lines.is_empty() && judged.is_empty() { "" } else { "\n" };
        if colour { crate::commands::print_exactly(&text) } else { crate::commands::print(&text) }
    }
    Ok(())
}

/// What there is to compare.
#[derive(Default)]
struct Taken {
    records: Vec<Record>,
    sweeps: Vec<Stated>,
    notes: Vec<String>,
    searches: Vec<Searched>,
}

/// A sweep that stated claims, with its runs.
struct Stated {
    name: String,
    kept: Kept,
}

/// Reads folders, and tables that were kept.
fn take(places: &[PathBuf]) -> Result<Taken, Failure> {
    let mut taken = Taken::default();
    for place in places {
        let refused = |why: &str| {
            let fix = "name folders of runs or sweeps, such as runs/mnist-criteria, or tables that `compare --keep FILE.jsonl` wrote";
            Failure::Usage(format!("{}: {why}\n  fix: {fix}", place.display()))
        };
        if place.is_dir() {
            let records = search::seen(Index::open(place)?.records(place)?, &mut taken.searches);
            let sweeps: BTreeSet<&Path> = records.iter().filter_map(|record| record.folder.parent()).collect();
            for sweep in sweeps {
                match claims::noted(sweep) {
                    Ok(claims) if claims.is_empty() => {}
                    Ok(claims) => {
                        let own =
                            records.iter().filter(|record| record.folder.parent() == Some(sweep)).cloned().collect();
                        let looked = Waves::of(sweep).is_some();
                        taken.state(sweep, Kept { records: own, claims, looked, ..Kept::default() });
                    }
                    Err(why) => taken.notes.extend(why.lines().next().map(str::to_owned)),
                }
            }
            taken.records.extend(records);
        } else if is_table(place) && place.exists() {
            let kept = kept::read(place).map_err(|why| refused(&why))?;
            let name = printable(&place.display().to_string()).into_owned();
            taken.notes.push(format!("{name}: a table that was kept, not verified against the folders of its runs"));
            taken.notes.extend(kept.notes.iter().map(|note| printable(note).into_owned()));
            taken.records.extend(kept.records.clone());
            taken.state(place, kept);
        } else {
            return Err(refused("there is no such folder"));
        }
    }
    taken.notes.extend(taken.searches.iter().flat_map(Searched::notes).collect::<Vec<_>>());
    taken.records.sort_by(|a, b| a.folder.cmp(&b.folder));
    taken.records.dedup_by(|a, b| a.folder == b.folder);
    Ok(taken)
}

impl Taken {
    fn state(&mut self, place: &Path, kept: Kept) {
        let name = place.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !kept.claims.is_empty() {
            self.sweeps.push(Stated { name, kept });
        }
    }
}

/// What the runs of each sweep say of its claims; of several sweeps with their names.
fn judged(sweeps: &[Stated]) -> Vec<Judged> {
    let of = |Stated { name, kept }: &Stated| {
        let mut judged = claims::judge(&Cells::new(kept.records.clone()), &kept.claims, kept.looked);
        if sweeps.len() > 1 {
            judged
                .iter_mut()
                .for_each(|judged| judged.noted.claim.claim = format!("{name}: {}", judged.noted.claim.claim));
        }
        judged
    };
    sweeps.iter().flat_map(of).collect()
}

/// What a folder is called, `.` and `..` too.
fn name(folder: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = || named(&folder.canonicalize().ok()?);
    named(folder).or_else(whole).unwrap_or_else(|| folder.display().to_string())
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == kept::EXTENSION)
}

/// What of one sweep is kept.
fn to_keep(path: &Path, places: &[PathBuf], records: &[Record], sweeps: &[Stated]) -> Result<Kept, Failure> {
    let refused = |why: &str, fix: &str| Err(Failure::Usage(format!("--keep {}: {why}\n  fix: {fix}", path.display())));
    if !is_table(path) {
        return refused("the name of a table of runs ends in .jsonl", "name it so: --keep results.jsonl");
    }
    if places.len() > 1 || sweeps.len() > 1 {
        return refused("a table holds the runs of one sweep", "name one folder, and keep each sweep for itself");
    }
    let (ended, others): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| ["finished", "failed"].contains(&record.status.as_str()));
    if ended.is_empty() {
        return refused("no run has ended", "keep them when they have");
    }
    let mut notes: Vec<String> = places.iter().filter_map(|place| looked_at(place)).collect();
    if !others.is_empty() {
        notes.push(match others.len() {
            1 => "1 run that had not ended, or is damaged, was left out of the table".to_owned(),
            others => format!("{others} runs that had not ended, or are damaged, were left out of the table"),
        });
    }
    let claims = sweeps.iter().flat_map(|sweep| sweep.kept.claims.clone()).collect();
    let looked = sweeps.iter().any(|sweep| sweep.kept.looked);
    Ok(Kept { records: ended.into_iter().cloned().collect(), claims, notes, looked })
}

/// What a sweep found whose seeds were added until its comparisons were settled: numbers of a design without looks are too
/// sure there.
fn looked_at(folder: &Path) -> Option<String> {
    let waves = Waves::of(folder)?;
    let told: Vec<String> = waves.told().iter().map(|line| printable(line).into_owned()).collect();
    Some(format!(
        "{}: seeds were added until comparisons were settled, so that intervals and p above, which know of no looks, are too sure; \
         settled with an error of {} for all of them and all looks together: {}",
        folder.display(),
        waves.error(),
        told.join("; ")
    ))
}

/// To a file, or to standard output where it is `-`.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        crate::commands::print_exactly(text);
        return Ok(());
    }
    Ok(write_asked(path, text.as_bytes())?)
}
