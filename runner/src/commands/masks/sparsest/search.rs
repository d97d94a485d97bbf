//! `secateur sparsest search`

use std::io::{IsTerminal as _, stderr, stdout};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use secateur::pruning::sparsest::{Search, Shape, State, Training};

use super::file::{About, File};
use super::text;
use crate::cli::{Cli, SearchArgs};
use crate::engine::{Separable, Workbench};
use crate::failure::Failure;
use crate::run::write_asked;

/// The state is written no more often than this, and at the end of every level.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);
/// Networks that a count gives up after.
const COUNTED: usize = 20_000_000;

pub fn execute(arguments: &SearchArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let config = crate::commands::resolve_layers(&arguments.layers(), cli, workbench)?;
    let Separable { task, hidden } = workbench.separable(&config)?;
    let (which, how) = (&arguments.which, &arguments.training);
    let training = Training {
        optimizer: how.optimizer,
        lr: how.lr,
        steps: how.steps.get(),
        batch: how.batch.map(|batch| batch.get()),
        seeds: how.seeds.get(),
        accuracy: how.accuracy,
    };
    let shape = Shape::new(task.inputs(), &hidden)?;
    if arguments.dry_run {
        crate::commands::print(&counts(&shape, which.most.get()));
        return Ok(());
    }
    let (mode, most, beyond, from) = (which.mode(), which.most.get(), which.beyond, which.from);
    let search = Search { shape, task, training, mode, most, beyond, from };
    search.training.check(&search.task)?;
    let about = About::of(&search, &config.run.data.name);
    let mut file = File::begun(&arguments.state, about, arguments.force)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(config.run.top.threads).build();
    let threads = threads.map_err(|error| Failure::Failed(format!("threads: {error}")))?;

    let mut state = file.state.clone();
    let mut shown = Shown::new(cli.quiet || !stderr().is_terminal());
    let (mut written, mut failed) = (Instant::now(), None);
    let ended = threads.install(|| {
        search.go_on(&mut state, &mut |state| {
            shown.show(state);
            let level_ends = state.levels.last().is_none_or(|level| level.done == level.wirings);
            if (level_ends || written.elapsed() > WRITTEN_EVERY || state.finished)
                && let Err(error) = file.write(&arguments.state, state)
            {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            if level_ends || written.elapsed() > WRITTEN_EVERY {
                written = Instant::now();
            }
            ControlFlow::Continue(())
        })
    });
    shown.bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    file.write(&arguments.state, &state)?;
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    // Names of data sets are those of plugins.
    crate::commands::print_exactly(&text::table(&file, &bold));
    if let Some(path) = &arguments.network
        && let Some(found) = state.minimum().and_then(|level| level.best.first())
    {
        let network = workbench.network_of(&config, &found.wiring, &found.numbers)?;
        write_asked(path, &network)?;
        crate::commands::print(&format!("\n{}: {} weights\n", path.display(), found.wiring.nnz()));
    }
    Ok(ended?)
}

/// How many networks there are by weights, up to the first number that is refused.
fn counts(shape: &Shape, most: usize) -> String {
    let (mut text, mut all) = ("weights  networks\n".to_owned(), 0_usize);
    let (counts, stopped) = (shape.least()..=shape.weights())
        .try_fold((Vec::new(), false), |(mut counts, _), nnz| match shape.count(nnz, COUNTED) {
            Some(count) => {
                counts.push((nnz, count));
                if count > most { Err((counts, true)) } else { Ok((counts, false)) }
            }
            None => Err((counts, true)),
        })
        .unwrap_or_else(|stopped| stopped);
    for (nnz, count) in &counts {
        all += count;
        let refused =
            if *count > most { format!("  more than --most {most}: the search ends there") } else { "".into() };
        text += &format!("{nnz:>7}  {count:>8}{refused}\n");
    }
    text += &format!("{all} networks of {:?} hidden units at most\n", shape.hidden());
    if stopped {
        text += "those with more weights were not counted\n";
    }
    text
}

/// What is seen of a search while it goes on.
struct Shown {
    bar: ProgressBar,
    hidden: bool,
    level: Option<usize>,
    since: Instant,
    before: usize,
}

impl Shown {
    fn new(hidden: bool) -> Self {
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self { bar, hidden, level: None, since: Instant::now(), before: 0 }
    }

    fn show(&mut self, state: &State) {
        if self.hidden {
            return;
        }
        let Some(level) = state.levels.last() else {
            self.bar.set_message(format!("{} widths", state.structures.len()));
            return self.bar.tick();
        };
        if self.level != Some(level.nnz) {
            (self.level, self.since, self.before) = (Some(level.nnz), Instant::now(), level.done);
        }
        let done = (level.done - self.before).max(1) as f64;
        let left = self.since.elapsed().mul_f64((level.wirings - level.done) as f64 / done);
        self.bar.set_length(level.wirings as u64);
        self.bar.set_position(level.done as u64);
        let left = HumanDuration(left);
        self.bar.set_message(format!("{} weights: {} separate, {left} left", level.nnz, level.separating));
    }
}
