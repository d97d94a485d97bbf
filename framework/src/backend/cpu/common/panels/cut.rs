//! A right-hand side cut into panels, and what its product is added to.

use crate::backend::cpu::common::Accumulate;
use crate::backend::cpu::common::matrix::Mat;
use crate::backend::cpu::common::simd::Level;

/// Panels of `width` columns, `panel_stride` apart.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only its vector registers are used by name"))]
pub(super) struct Cut<'a> {
    /// What the processor offers; never more than it has, for it comes from
    /// [`level`](crate::backend::cpu::common::simd::level).
    pub level: Level,
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub width: usize,
    pub row_stride: usize,
    pub panel_stride: usize,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// What is there.
    Itself,
    /// The bias in each row, and the residual where there is one.
    Rows {
        bias: &'a [f32],
        residual: Option<Mat<'a>>,
    },
}

impl From<Accumulate> for Start<'_> {
    fn from(mode: Accumulate) -> Self {
        match mode {
            Accumulate::Overwrite => Self::Zero,
            Accumulate::Add => Self::Itself,
        }
    }
}
