//! What a figure is made of, in points of a page, from its upper left corner.

/// A figure: marks in the order in which they are laid over each other.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// Width in points.
    pub width: f64,
    /// Height in points.
    pub height: f64,
    /// What is drawn.
    pub marks: Vec<Mark>,
}

/// A colour by its red, green and blue, 0 to 255.
pub type Colour = [u8; 3];

/// Where a text stands, seen from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It is centred on it.
    Middle,
    /// It ends there.
    End,
}

/// One mark.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points.
    Line {
        /// The points.
        points: Vec<[f64; 2]>,
        /// Its colour.
        colour: Colour,
        /// Its width in points.
        width: f64,
        /// Whether it is dashed.
        dashed: bool,
    },
    /// A filled area.
    Area {
        /// Its corners.
        points: Vec<[f64; 2]>,
        /// Its colour; with a pale one it lies under what comes later.
        colour: Colour,
        /// Whether it is outlined in white, as a mark among others.
        outlined: bool,
    },
    /// A line of text.
    Text {
        /// Where it stands.
        at: [f64; 2],
        /// The text.
        text: String,
        /// Its size in points.
        size: f64,
        /// Where the point is in it.
        anchor: Anchor,
        /// Its colour.
        colour: Colour,
        /// Whether it runs upwards.
        upwards: bool,
    },
}

/// The colours of lines: those of the pages on white paper.
pub const COLOURS: [Colour; 8] = [
    [0x2a, 0x78, 0xd6],
    [0x0f, 0x9d, 0x6c],
    [0xd9, 0x8a, 0x00],
    [0xd8, 0x43, 0x3f],
    [0x6a, 0x4f, 0xd0],
    [0xd5, 0x5a, 0x9a],
    [0x0e, 0x8f, 0xa3],
    [0x8a, 0x6d, 0x3b],
];

/// The ink of texts and axes, of what is said beside, and of grids.
pub const INK: Colour = [0x22, 0x22, 0x22];
/// What is said beside.
pub const SOFT: Colour = [0x66, 0x66, 0x66];
/// Grids.
pub const RULE: Colour = [0xdd, 0xdd, 0xdd];

/// A colour thinned with white: 0 is white, 1 the colour.
pub fn pale(colour: Colour, part: f64) -> Colour {
    colour.map(|value| (255.0 - (255.0 - f64::from(value)) * part).round() as u8)
}

/// The outline of the mark of a number: six shapes, so that 24 lines in a row have 24 looks.
pub fn shape(number: usize, [x, y]: [f64; 2], size: f64) -> Vec<[f64; 2]> {
    let ring = |count: usize, turn: f64, radius: &dyn Fn(usize) -> f64| -> Vec<[f64; 2]> {
        (0..count)
            .map(|at| {
                let angle = turn + at as f64 / count as f64 * std::f64::consts::TAU;
                [x + radius(at) * size * angle.cos(), y + radius(at) * size * angle.sin()]
            })
            .collect()
    };
    let quarter = std::f64::consts::FRAC_PI_2;
    match (number + number / 24) % 6 {
        0 => ring(24, 0.0, &|_| 1.0),
        1 => ring(4, quarter / 2.0, &|_| 1.2),
        2 => ring(3, -quarter, &|_| 1.3),
        3 => ring(4, quarter, &|_| 1.25),
        4 => ring(3, quarter, &|_| 1.3),
        _ => ring(10, -quarter, &|at| if at % 2 == 0 { 1.4 } else { 0.65 }),
    }
}

/// Widths of the letters from the space to the tilde in Helvetica, in thousandths of the size (Adobe's metrics).
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];

/// How wide a text is set in Helvetica, in points; letters beyond ASCII count as a figure's width.
pub fn width_of(text: &str, size: f64) -> f64 {
    let width = |letter: char| {
        let at = (letter as usize).checked_sub(32).and_then(|at| WIDTHS.get(at));
        f64::from(*at.unwrap_or(&556))
    };
    text.chars().map(width).sum::<f64>() * size / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        assert_eq!(width_of("AV~", 1000.0), 667.0 + 667.0 + 584.0);
        assert_eq!(width_of("0.5 %", 10.0), (556.0 + 278.0 + 556.0 + 278.0 + 889.0) / 100.0);
    }

    #[test]
    fn twenty_four_lines_have_as_many_looks() {
        let look =
            |number: usize| format!("{:?} {:?}", shape(number, [0.0, 0.0], 1.0), COLOURS[number % COLOURS.len()]);
        let looks: std::collections::BTreeSet<String> = (0..24).map(look).collect();
        assert_eq!(looks.len(), 24);
    }
}
