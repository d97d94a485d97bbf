//! The pictures of a run, as part of its page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use secateur::training::event::EvalAt;

use super::History;
use crate::output::pictures::{Kind, Shown};
use crate::output::share::percent;

/// With more pruning steps than this, those shown are spread over the run.
const PRUNES: usize = 12;

/// Reads a file of the run's folder, where it is there.
pub type Files<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// One card for each kind of picture: first and last beside each other, then a row for each pruning step.
pub fn cards(history: &History, files: Files<'_>) -> Markup {
    let kinds = [
        (
            Kind::Reconstruction,
            PRUNES,
            "Reconstructions",
            "Held-out images, and below them what the network makes of them.",
        ),
        (
            Kind::Tokens,
            // A pruning step changes little about which patches are alike.
            0,
            "Merged tokens",
            "Held-out images, and below them the tokens that reach the end of the network. Patches that were merged have their common \
             mean colour; patches of one token have outlines of one colour, also where they lie apart. Patches that were not merged are \
             as they were.",
        ),
        (
            Kind::Mask,
            PRUNES,
            "Mask of the first layer",
            "The weights that pruning steps left of the layer that reads the images: the darker, the more of a pixel's weights are \
             kept.",
        ),
    ];
    html! {
        @for (kind, prunes, title, explained) in kinds {
            @let all: Vec<&Shown> = history.pictures.iter().filter(|picture| picture.kind == kind).collect();
            @let chosen = chosen(&all, prunes);
            @if !chosen.is_empty() {
                section.card.wide {
                    h2 { (title) }
                    p { (explained) }
                    div.pictures.small[kind == Kind::Mask] { @for picture in &chosen { (figure(picture, history, files)) } }
                    @if chosen.len() < all.len() {
                        p.note { (all.len() - chosen.len()) " more pictures, around the other pruning steps, are in the run's folder." }
                    }
                }
            }
        }
    }
}

/// The first and the last picture, then those around at most `prunes` pruning steps, in order.
fn chosen<'a>(all: &[&'a Shown], prunes: usize) -> Vec<&'a Shown> {
    let whole = |picture: &&&Shown| matches!(picture.at, EvalAt::Start | EvalAt::End);
    let mut steps: Vec<u64> = all.iter().filter(|picture| !whole(picture)).map(|picture| picture.step).collect();
    steps.dedup();
    let (count, few) = (steps.len(), steps.len().min(prunes));
    // The first and the last of them too, where there is room for two.
    let kept: Vec<u64> = (0..few).map(|i| steps[i * (count - 1) / (few - 1).max(1)]).collect();
    let around = all.iter().filter(|picture| !whole(picture) && kept.contains(&picture.step));
    all.iter().filter(whole).chain(around).copied().collect()
}

fn figure(shown: &Shown, history: &History, files: Files<'_>) -> Markup {
    let caption = caption(shown, history);
    html! {
        figure {
            @if let Some(png) = files(&shown.file) {
                img alt=(caption) src=(format!("data:image/png;base64,{}", STANDARD.encode(png)));
            } @else {
                p.empty { (shown.file) " is not there." }
            }
            figcaption { (caption) @if !shown.about.is_empty() { br; (shown.about) } }
        }
    }
}

fn caption(shown: &Shown, history: &History) -> String {
    let (done, per_epoch) = (shown.step + 1, history.steps_per_epoch.max(1));
    let whole = done.is_multiple_of(per_epoch);
    let place = if whole { format!("epoch {}", done / per_epoch) } else { format!("step {}", shown.step) };
    let gone = || {
        let prune = history.prunes.iter().find(|prune| prune.step == shown.step)?;
        let (achieved, what) = (percent(prune.achieved), history.of_what());
        Some(format!(", {achieved} of the {what} are gone"))
    };
    match shown.at {
        EvalAt::Start => "before the first step".to_owned(),
        EvalAt::Epoch => place,
        EvalAt::BeforePrune => format!("{place}, before pruning"),
        EvalAt::AfterPrune => format!("{place}, after pruning{}", gone().unwrap_or_default()),
        EvalAt::End => "at the end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_come_before_pruning_steps_spread_over_the_run() {
        let shown = |step, at| Shown {
            step,
            epoch: 0,
            kind: Kind::Reconstruction,
            at,
            file: String::new(),
            about: String::new(),
        };
        let around = (1..=30).flat_map(|i| [shown(i, EvalAt::BeforePrune), shown(i, EvalAt::AfterPrune)]);
        let all: Vec<Shown> =
            [shown(0, EvalAt::Start)].into_iter().chain(around).chain([shown(30, EvalAt::End)]).collect();
        let all: Vec<&Shown> = all.iter().collect();
        let steps = |prunes| -> Vec<u64> { chosen(&all, prunes).iter().map(|picture| picture.step).collect() };
        assert_eq!(steps(0), [0, 30]);
        assert_eq!(steps(1), [0, 30, 1, 1]);
        assert_eq!(steps(3), [0, 30, 1, 1, 15, 15, 30, 30]);
        assert_eq!(steps(100).len(), 62);
        assert!(chosen(&[], 3).is_empty());
    }
}
