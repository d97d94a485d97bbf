//! The critical-difference picture: mean ranks on a line, with a bar over settings that cannot be told apart.

use std::fmt::Write as _;

use super::Ranks;

/// Widths and heights in pixels.
const WIDTH: f64 = 720.0;
const SIDE: f64 = 190.0;
const TOP: f64 = 64.0;
const ROW: f64 = 20.0;
const BAR: f64 = 9.0;

/// Draws it as SVG, in the colours of the page around it, or black.
pub fn draw(ranks: &Ranks) -> String {
    let count = ranks.settings.len();
    let x = |rank: f64| SIDE + (WIDTH - 2.0 * SIDE) * (rank - 1.0) / (count as f64 - 1.0);
    let bars = TOP + 12.0;
    let names = bars + BAR * ranks.alike.len() as f64 + 14.0;
    let (left, height) = (count.div_ceil(2), names + ROW * count.div_ceil(2) as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ranks\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"currentColor\" stroke=\"none\" role=\"img\" aria-label=\"Critical-difference picture\">"
    );
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64, width: f64| {
        _ = write!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"currentColor\" stroke-width=\"{width}\"/>"
        );
    };
    line(x(1.0), TOP, x(count as f64), TOP, 1.0);
    (1..=count).for_each(|rank| line(x(rank as f64), TOP - 6.0, x(rank as f64), TOP, 1.0));
    // The critical difference to the scale of the ranks.
    let reach = x(1.0 + ranks.critical_difference).min(WIDTH - 4.0);
    line(x(1.0), 26.0, reach, 26.0, 2.0);
    [x(1.0), reach].into_iter().for_each(|end| line(end, 22.0, end, 30.0, 2.0));
    for (number, (first, last)) in ranks.alike.iter().enumerate() {
        let y = bars + BAR * number as f64;
        line(x(ranks.settings[*first].1) - 4.0, y, x(ranks.settings[*last].1) + 4.0, y, 4.0);
    }
    // The better half stands on the left, from the top down; the others on the right, from the bottom up.
    let place = |number: usize| {
        let row = if number < left { number } else { count - 1 - number };
        (names + ROW * row as f64, number < left)
    };
    for (number, (_, rank)) in ranks.settings.iter().enumerate() {
        let (y, on_left) = place(number);
        line(x(*rank), TOP, x(*rank), y, 1.0);
        line(x(*rank), y, if on_left { SIDE - 8.0 } else { WIDTH - SIDE + 8.0 }, y, 1.0);
    }
    for rank in 1..=count {
        _ = write!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{rank}</text>", x(rank as f64), TOP - 10.0);
    }
    let said = format!("critical difference {:.2}", ranks.critical_difference);
    _ = write!(svg, "<text x=\"{:.1}\" y=\"16\">{said}</text>", x(1.0));
    for (number, (setting, rank)) in ranks.settings.iter().enumerate() {
        let (y, on_left) = place(number);
        let (at, anchor) = if on_left { (SIDE - 12.0, "end") } else { (WIDTH - SIDE + 12.0, "start") };
        _ = write!(
            svg,
            "<text x=\"{at}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{} ({rank:.2})</text>",
            y + 4.0,
            escaped(setting)
        );
    }
    svg + "</svg>"
}

/// Text in SVG; long names are cut where their column ends.
fn escaped(text: &str) -> String {
    let short: String =
        if text.chars().count() > 24 { text.chars().take(23).chain(['…']).collect() } else { text.to_owned() };
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
