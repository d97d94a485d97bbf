//! A right-hand side that is cut into panels once, for many products.

use super::{Cut, Form, Mat, Panels, lanes, pack, registers};
use crate::backend::cpu::common::simd::{Level, level};

/// Numbers in a cache line.
const LINE: usize = 16;

/// Panels that are kept.
pub(crate) struct Kept {
    level: Level,
    data: Vec<f32>,
    /// Numbers before the first panel, which begins at a cache line.
    skip: usize,
    rows: usize,
    cols: usize,
    width: usize,
}

impl Kept {
    /// Of `b`; nothing where products read it as it is.
    pub fn of(b: Mat<'_>) -> Option<Self> {
        let (level, rows, cols) = (level(), b.rows, b.cols);
        let lanes = lanes(level)?;
        let width = lanes * registers(level, cols.div_ceil(lanes));
        let mut data = vec![0.0; cols.next_multiple_of(width) * rows + LINE];
        let skip = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        pack(&mut data[skip..][..cols.next_multiple_of(width) * rows], b, width);
        Some(Self { level, data, skip, rows, cols, width })
    }

    /// Columns of a panel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Columns from `first`, at which a panel begins.
    pub fn columns(&self, first: usize, cols: usize) -> Panels<'_> {
        let &Self { level, skip, rows, width, .. } = self;
        assert!(first.is_multiple_of(width) && first + cols <= self.cols, "columns {first}+{cols} of {}", self.cols);
        let data = &self.data[skip + first * rows..];
        Panels(Form::Cut(Cut { level, data, rows, cols, width, row_stride: width, panel_stride: rows * width }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::Accumulate;
    use crate::backend::cpu::common::gemm::gemm;
    use crate::backend::cpu::common::matrix::MatMut;
    use crate::backend::cpu::common::panels::product;
    use crate::backend::cpu::common::testing::{assert_close, at_each_level, random};

    #[test]
    fn columns_of_kept_panels_are_those_of_the_whole() {
        at_each_level(|| {
            for (m, n, k) in [(1, 150, 50), (5, 33, 200), (7, 96, 9)] {
                let (a, b) = (random(m * k, 1), random(n * k, 2));
                let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, n, k).t());
                let Some(kept) = Kept::of(b) else { return assert_eq!(level(), Level::Baseline) };
                let mut expected = vec![0.0; m * n];
                gemm(&mut MatMut::new(&mut expected, m, n), Accumulate::Overwrite, 1.0, a, b);
                let expected: Vec<f64> = expected.iter().map(|&x| f64::from(x)).collect();
                let mut c = vec![f32::NAN; m * n];
                for mut tile in MatMut::new(&mut c, m, n).tiles((2, kept.width())) {
                    let (row, col) = (tile.first_row(), tile.first_col());
                    let panels = kept.columns(col, tile.cols());
                    let a = a.rows_from(row, tile.rows());
                    product(&mut tile, Accumulate::Overwrite, 1.0, a, &panels);
                }
                assert_close(&c, &expected, 1e-5, "by tiles");
            }
        });
    }
}
