//! The data that the runs in these tests learn from.

use secateur::data::{self, DataConfig, Dataset};

/// Glyphs, so many of them to train and to test with; `rest` says what becomes of them.
pub fn glyphs(train: usize, test: usize, rest: DataConfig) -> Dataset {
    let options = format!("train = {train}\ntest = {test}").parse().unwrap();
    let mut glyphs = secateur_bundle::registry().unwrap().data("glyphs", &options).unwrap();
    data::load(glyphs.as_mut(), &rest, 3).unwrap()
}
