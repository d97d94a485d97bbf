//! The pictures of a run, as part of its page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use secateur::event::EvalAt;

use super::History;
use crate::picture::{Kind, Shown};

/// Reads a file of the run's folder, where it is there.
pub type Files<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// One card for each kind of picture: first and last beside each other, then one row for each pruning step.
pub fn cards(history: &History, files: Files<'_>) -> Markup {
    let kinds = [
        (Kind::Reconstruction, "Reconstructions", "Held-out images, and below them what the network makes of them."),
        (
            Kind::Tokens,
            "Merged tokens",
            "Held-out images, and below them the tokens that reach the end of the network. Patches that were merged have their common \
             mean colour; patches of one token have outlines of one colour, also where they lie apart. Patches that were not merged are \
             as they were.",
        ),
    ];
    html! {
        @for (kind, title, explained) in kinds {
            @let shown: Vec<_> = history.pictures.iter().filter(|p| p.kind == kind).filter_map(|p| figure(p, history, files)).collect();
            @if !shown.is_empty() {
                section.card.wide {
                    h2 { (title) }
                    p { (explained) }
                    div.pictures.large[kind == Kind::Tokens] {
                        @for whole_run in [true, false] {
                            @for (at, figure) in &shown {
                                @if matches!(at, EvalAt::Start | EvalAt::End) == whole_run { (figure) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(shown: &Shown, history: &History, files: Files<'_>) -> Option<(EvalAt, Markup)> {
    let data = STANDARD.encode(files(&shown.file)?);
    let caption = caption(shown, history);
    let markup = html! {
        figure {
            img alt=(caption) src=(format!("data:image/png;base64,{data}"));
            figcaption { (caption) }
        }
    };
    Some((shown.at, markup))
}

fn caption(shown: &Shown, history: &History) -> String {
    let whole = (shown.step + 1).is_multiple_of(history.steps_per_epoch.max(1));
    let place = if whole { format!("epoch {}", shown.epoch + 1) } else { format!("step {}", shown.step) };
    let gone = || {
        let prune = history.prunes.iter().find(|prune| prune.event.step == shown.step)?;
        Some(format!(", {:.1} % gone", prune.event.achieved * 100.0))
    };
    match shown.at {
        EvalAt::Start => "before the first step".to_owned(),
        EvalAt::Epoch => place,
        EvalAt::BeforePrune => format!("{place}, before pruning"),
        EvalAt::AfterPrune => format!("{place}, after pruning{}", gone().unwrap_or_default()),
        EvalAt::End => "at the end".to_owned(),
    }
}
