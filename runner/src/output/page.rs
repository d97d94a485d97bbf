//! The frame of every page: one file that fetches nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// Charts are read under the pointer and with the arrow keys.
const READING: &str = include_str!("reading.js");

/// A whole page, with a style of its own after the common one.
pub fn page(title: &str, style: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Secateur" }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) script { (PreEscaped(READING)) } }
        }
    };
    page.into_string()
}
