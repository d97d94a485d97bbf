//! A drawing as SVG.

use std::fmt::Write as _;

use super::draw::{Anchor, Colour, Drawing, Mark};

/// The drawing as the bytes of a file.
pub fn written(drawing: &Drawing) -> Vec<u8> {
    let Drawing { width, height, marks } = drawing;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.2}pt\" height=\"{height:.2}pt\" viewBox=\"0 0 {width:.2} \
         {height:.2}\" font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for mark in marks {
        // Writing to a text cannot fail.
        _ = match mark {
            Mark::Line { points, colour, width, dashed } => {
                let dash = if *dashed { " stroke-dasharray=\"3 2\"" } else { "" };
                let (path, colour) = (path(points), hex(*colour));
                writeln!(
                    text,
                    "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>"
                )
            }
            Mark::Area { points, colour, outlined } => {
                let edge = if *outlined { " stroke=\"#fff\" stroke-width=\"0.5\"" } else { "" };
                writeln!(text, "<path d=\"{}Z\" fill=\"{}\"{edge}/>", path(points), hex(*colour))
            }
            Mark::Text { at: [x, y], text: words, size, anchor, colour, upwards } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let turn = if *upwards { format!(" transform=\"rotate(-90 {x:.2} {y:.2})\"") } else { String::new() };
                writeln!(
                    text,
                    "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>{}</text>",
                    hex(*colour),
                    escaped(words)
                )
            }
        };
    }
    (text + "</svg>\n").into_bytes()
}

fn path(points: &[[f64; 2]]) -> String {
    let step = |(number, [x, y]): (usize, &[f64; 2])| format!("{}{x:.2} {y:.2}", if number == 0 { 'M' } else { 'L' });
    points.iter().enumerate().map(step).collect()
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// No control character may stand in XML, and these three may not stand in a text as they are.
fn escaped(text: &str) -> String {
    let kept = text.chars().filter(|letter| !letter.is_control()).collect::<String>();
    kept.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
