//! The same for a terminal.

use super::runs::Watched;
use super::view::{label, of_interest, reason, summary};
use crate::experiments::cluster::State;
use crate::experiments::sweep::time;
use crate::output::percent;

/// Letters of a label, and of a bar.
const LABEL: usize = 44;
const BAR: usize = 16;

/// What there is to see, in so many lines at most.
pub fn text(watched: &Watched, lines: usize) -> String {
    let mut all = vec![format!("{}: {}", watched.folder.display(), summary(watched))];
    let runs = of_interest(watched);
    let shown = lines.saturating_sub(2).max(1);
    for (_, run) in runs.iter().take(shown) {
        let bar = run.steps().map_or_else(|| " ".repeat(BAR), |(step, steps)| bar(step, steps));
        let accuracy = run.accuracy().map(|(accuracy, of)| format!("{} {of}", percent(accuracy))).unwrap_or_default();
        let sparsity = run.tail.sparsity.newest().map(|sparsity| format!("{} pruned", percent(sparsity)));
        let left = run.seconds_left().map(|left| format!("{} left", time(left)));
        let more = match run.state {
            State::Running(_) => left.unwrap_or_default(),
            _ => reason(run),
        };
        let name = run.state.name();
        let sparsity = sparsity.unwrap_or_default();
        let line = format!("{name:8} {bar} {:LABEL$} {accuracy:16} {sparsity:15} {more}", shortened(&label(run)));
        all.push(line.trim_end().to_owned());
    }
    if runs.len() > shown {
        all.push(format!("and {} more", runs.len() - shown));
    }
    all.join("\n") + "\n"
}

fn bar(step: u64, steps: u64) -> String {
    let full = (step.min(steps) as f64 / steps as f64 * BAR as f64) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// The end of a label says more than its beginning.
fn shortened(label: &str) -> String {
    let count = label.chars().count();
    if count <= LABEL {
        label.to_owned()
    } else {
        format!("…{}", label.chars().skip(count - LABEL + 1).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_labels_have_one_width() {
        for (step, full) in [(0, 0), (50, 8), (100, BAR), (130, BAR)] {
            let bar = bar(step, 100);
            assert_eq!((bar.chars().count(), bar.chars().filter(|c| *c == '█').count()), (BAR, full));
        }
        assert_eq!(shortened("seed=1"), "seed=1");
        let long = "criterion.name=contribution-rank model.hidden=[512,256] seed=17";
        assert!(shortened(long).chars().count() == LABEL && shortened(long).ends_with("seed=17"));
    }
}
