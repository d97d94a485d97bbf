//! A drawing as PDF: one page as large as the figure, in Helvetica, which every reader has.

use pdf_writer::types::LineJoinStyle;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

use super::draw::{Anchor, Colour, Drawing, Mark, width_of};

/// The drawing as the bytes of a file.
pub fn written(drawing: &Drawing) -> Vec<u8> {
    let [catalog, pages, page, font, content] = [1, 2, 3, 4, 5].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    let name = Name(b"F1");
    let mut one = pdf.page(page);
    one.parent(pages).media_box(Rect::new(0.0, 0.0, drawing.width as f32, drawing.height as f32)).contents(content);
    one.resources().fonts().pair(name, font);
    one.finish();
    pdf.type1_font(font).base_font(Name(b"Helvetica")).encoding_predefined(Name(b"WinAnsiEncoding"));
    pdf.stream(content, &marks(drawing, name));
    pdf.finish()
}

fn marks(drawing: &Drawing, font: Name<'_>) -> Vec<u8> {
    let mut content = Content::new();
    // A page's origin is its lower left corner.
    let y = |value: f64| (drawing.height - value) as f32;
    let follow = |content: &mut Content, points: &[[f64; 2]]| {
        for (number, [x, at]) in points.iter().enumerate() {
            _ = if number == 0 { content.move_to(*x as f32, y(*at)) } else { content.line_to(*x as f32, y(*at)) };
        }
    };
    content.set_line_join(LineJoinStyle::RoundJoin);
    for mark in &drawing.marks {
        match mark {
            Mark::Line { points, colour, width, dashed } => {
                let [red, green, blue] = rgb(*colour);
                content.set_stroke_rgb(red, green, blue).set_line_width(*width as f32);
                content.set_dash_pattern(if *dashed { vec![3.0, 2.0] } else { Vec::new() }, 0.0);
                follow(&mut content, points);
                content.stroke();
            }
            Mark::Area { points, colour, outlined } => {
                let [red, green, blue] = rgb(*colour);
                content.set_fill_rgb(red, green, blue);
                follow(&mut content, points);
                content.close_path();
                if *outlined {
                    content.set_stroke_rgb(1.0, 1.0, 1.0).set_line_width(0.5).set_dash_pattern([], 0.0);
                    content.fill_nonzero_and_stroke();
                } else {
                    content.fill_nonzero();
                }
            }
            Mark::Text { at: [x, at], text, size, anchor, colour, upwards } => {
                let back = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => width_of(text, *size) / 2.0,
                    Anchor::End => width_of(text, *size),
                };
                let [red, green, blue] = rgb(*colour);
                content.begin_text().set_font(font, *size as f32).set_fill_rgb(red, green, blue);
                let matrix = if *upwards {
                    [0.0, 1.0, -1.0, 0.0, *x as f32, y(at + back)]
                } else {
                    [1.0, 0.0, 0.0, 1.0, (x - back) as f32, y(*at)]
                };
                content.set_text_matrix(matrix).show(Str(&encoded(text))).end_text();
            }
        }
    }
    content.finish().to_vec()
}

fn rgb(colour: Colour) -> [f32; 3] {
    colour.map(|value| f32::from(value) / 255.0)
}

/// The text in the encoding of the font, which has the letters of western Europe.
fn encoded(text: &str) -> Vec<u8> {
    let byte = |letter: char| match letter {
        '–' => 0x96,
        '−' => b'-',
        '…' => 0x85,
        letter => u8::try_from(u32::from(letter)).ok().filter(|byte| !byte.is_ascii_control()).unwrap_or(b'?'),
    };
    text.chars().map(byte).collect()
}
