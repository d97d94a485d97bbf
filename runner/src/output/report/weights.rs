//! How large the weights were before and after pruning steps, as small charts of one kind.

use maud::{Markup, html};
use secateur::pruning::measure::Histogram;

use super::history::{History, PruneStep};

/// Charts that are shown; of more pruning steps, some that are evenly spread.
const SHOWN: usize = 12;
const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 96.0;
/// Room for the numbers below.
const BELOW: f64 = 16.0;

/// One card with a chart for each of some pruning steps, or nothing where the log has no histograms.
pub fn card(history: &History) -> Markup {
    let all: Vec<(&PruneStep, &Histogram)> =
        history.prunes.iter().filter_map(|prune| Some((prune, prune.weights.as_ref()?))).collect();
    let few = all.len().min(SHOWN);
    let chosen: Vec<_> = (0..few).map(|i| all[i * (all.len() - 1) / (few - 1).max(1)]).collect();
    html! {
        @if !chosen.is_empty() {
            section.card.wide {
                h2 { "Weights around pruning steps" }
                p {
                    "The prunable weights that are kept, by their value. Each chart is as high as its fullest bar and reaches four "
                    "root mean squares to both sides; the outermost bars hold what lies beyond."
                }
                div.legend { span { i.bars.before {} "before the step" } span { i.bars.after {} "after it" } }
                div.multiples { @for (prune, weights) in &chosen { (chart(prune, weights)) } }
                @if (chosen.len() as u64) < history.pruned_times {
                    p.note { (chosen.len()) " of " (history.pruned_times) " pruning steps, evenly spread." }
                }
            }
        }
    }
}

fn chart(prune: &PruneStep, Histogram { limit, before, after }: &Histogram) -> Markup {
    let most = before.iter().chain(after).copied().max().unwrap_or(0).max(1) as f64;
    let count = |bars: &[usize]| bars.iter().sum::<usize>();
    let (step, epoch) = (prune.step, prune.epoch);
    let title = format!("step {step}: {} weights before, {} after", count(before), count(after));
    let floor = HEIGHT - BELOW;
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                title { (title) }
                path.bars.before d=(outline(before, most)) {}
                path.bars.after d=(outline(after, most)) {}
                line.base x1="0" x2=(WIDTH) y1=(floor) y2=(floor) {}
                text.tick x="0" y=(HEIGHT - 3.0) { "−" (short(*limit)) }
                text.tick x=(WIDTH / 2.0) y=(HEIGHT - 3.0) text-anchor="middle" { "0" }
                text.tick x=(WIDTH) y=(HEIGHT - 3.0) text-anchor="end" { (short(*limit)) }
            }
            figcaption { "epoch " (epoch) ", step " (step) }
        }
    }
}

/// The bars as one area.
fn outline(bars: &[usize], most: f64) -> String {
    let (floor, width) = (HEIGHT - BELOW, WIDTH / bars.len().max(1) as f64);
    let px = |value: f64| (value * 10.0).round() / 10.0;
    let mut path = format!("M0 {floor}");
    for (at, count) in bars.iter().enumerate() {
        let top = px(floor - (floor - 4.0) * (*count as f64 / most));
        path += &format!("V{top}H{}", px(width * (at + 1) as f64));
    }
    path + &format!("V{floor}Z")
}

/// Three digits that count.
fn short(value: f64) -> String {
    let decimals = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_to_the_scale_of_the_fullest() {
        assert_eq!(outline(&[2, 0, 4, 1], 4.0), "M0 80V42H55V80H110V4H165V61H220V80Z");
        assert_eq!(outline(&[], 1.0), "M0 80V80Z");
        assert_eq!([0.123_45, 12.0, 0.001_204, 0.5].map(short), ["0.123", "12", "0.0012", "0.5"]);
    }

    #[test]
    fn steps_are_spread_over_the_run_and_logs_without_histograms_have_no_card() {
        let line = |step: u64, weights: &str| {
            format!(
                r#"{{"event":"prune","step":{step},"epoch":1,"target":0.1,"achieved":0.1,"units":{{}},"weights_kept":3,"weights_total":4,"pruned":1,"regrown":0{weights},"seconds":0.1}}"#
            )
        };
        let of =
            |count: u64, weights: &str| card(&History::of((0..count).map(|step| line(step, weights)))).into_string();
        assert_eq!(of(3, ""), "");
        let page = of(100, r#","weights":{"limit":0.5,"before":[1,2],"after":[1,1]}"#);
        assert_eq!(page.matches("<svg").count(), SHOWN);
        assert!(
            page.contains("step 0<") && page.contains("step 99<") && page.contains("12 of 100 pruning steps"),
            "{page}"
        );
        assert!(page.contains("step 99: 3 weights before, 2 after"), "{page}");
        assert!(!of(1, r#","weights":{"limit":1e999,"before":[],"after":[]}"#).contains("NaN"));
    }
}
