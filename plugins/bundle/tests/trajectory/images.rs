//! The 200 small images that every run learns from, and 100 more to judge it by.

use crate::common;
use secateur::data::{DataConfig, Dataset, Examples, Normalize, Pool, Split, Values};

/// Side of a generated image.
const FROM: usize = 28;
/// Side of what is made of it: halved, with a border of one pixel.
const SIDE: usize = 16;

/// The images of a kind: `grey`; `unit`, grey with values in [0, 1]; `two-classes`, grey, digits below 5 and the rest;
/// `numbers`, grey, with the digit as a real-valued target; `colour`, with the image upside down and its negative as further
/// channels.
pub fn images(kind: &str) -> Dataset {
    let glyphs = common::glyphs(200, 100, DataConfig::default());
    let pool = |split: &Split| {
        let Values::U8(bytes) = split.values() else { panic!("images are bytes") };
        let images = bytes.chunks(FROM * FROM).map(halved).flat_map(|grey| match kind {
            "colour" => coloured(grey),
            _ => grey,
        });
        let class = |digit| if kind == "two-classes" { u32::from(digit >= 5) } else { digit };
        let pool = Pool::bytes(images.collect(), split.targets().map(class).collect());
        let number = |digit| (digit as f32 - 4.5) / 3.0;
        let numbers = || Pool::measured(vec![], split.targets().map(number).collect(), None);
        if kind == "numbers" { Pool { values: pool.values, ..numbers() } } else { pool }
    };
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let classes = match kind {
        "two-classes" => &["low", "high"][..],
        "numbers" => &[],
        _ => &digits,
    };
    let shape = [if kind == "colour" { 3 } else { 1 }, SIDE, SIDE];
    let examples = Examples::in_memory(kind, &shape, classes, pool(&glyphs.train), pool(&glyphs.test)).unwrap();
    let normalize = if kind == "unit" { Normalize::Unit } else { Normalize::Standard };
    examples.dataset(&DataConfig { normalize, ..DataConfig::default() }, 0).unwrap()
}

/// Means of 2x2 pixels, with a border of zeros.
fn halved(image: &[u8]) -> Vec<u8> {
    let mut small = vec![0; SIDE * SIDE];
    for (y, x) in (0..FROM / 2).flat_map(|y| (0..FROM / 2).map(move |x| (y, x))) {
        let at = |dy, dx| u32::from(image[(2 * y + dy) * FROM + 2 * x + dx]);
        small[(y + 1) * SIDE + x + 1] = ((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4) as u8;
    }
    small
}

fn coloured(grey: Vec<u8>) -> Vec<u8> {
    let upside_down = grey.chunks(SIDE).rev().flatten().copied();
    let negative = grey.iter().map(|v| 255 - v);
    grey.iter().copied().chain(upside_down).chain(negative).collect()
}
