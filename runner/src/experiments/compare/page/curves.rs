//! Curves of several runs in one chart, and what is chosen there; `curves.js` draws them.

use maud::{Markup, html};

/// The card, empty until its script has run.
pub fn section() -> Markup {
    html! {
        section.card.wide #curves {
            h2 { "Curves" }
            p {
                "Means of the runs of each group over training, with the 95 % interval of the mean as a band. Click a name to take its "
                "line away or bring it back; drag to zoom."
            }
            div.controls {
                label { "Show " select #what {} }
                label { "Groups " input type="search" #which placeholder="all, or words of their names"; }
                label { input type="checkbox" #single; " single runs" }
                label { input type="checkbox" #log; " log scale" }
                label title="A running mean of each run; the number is the weight of what was before" {
                    "Smooth " input type="range" #smooth min="0" max="0.95" step="0.05" value="0"; " " output { "off" }
                }
            }
            div.legend {}
            div.chart {}
            p.note {}
        }
    }
}
