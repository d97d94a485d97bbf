//! The data that the runs in these tests learn from.

use secateur::data::{self, DataConfig, Dataset};

/// Glyphs, so many of them to train and to test with; `rest` says what becomes of them.
pub fn glyphs(train: usize, test: usize, mut rest: DataConfig) -> Dataset {
    (rest.glyphs.train, rest.glyphs.test) = (train, test);
    data::load(&rest, 3, &mut |_| ()).unwrap()
}
