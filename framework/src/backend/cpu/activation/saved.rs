//! What the backward pass of an activation starts from.

use crate::backend::Act;

/// What a backward pass has of the forward one.
#[derive(Clone, Copy, Debug)]
pub enum Saved<'a> {
    /// The activation's input.
    Pre(&'a [f32]),
    /// The activation's output; not enough where [`Act::needs_pre`].
    Out(&'a [f32]),
}

impl<'a> Saved<'a> {
    /// Elements `range`.
    pub(crate) fn slice(self, range: std::ops::Range<usize>) -> Saved<'a> {
        match self {
            Saved::Pre(x) => Saved::Pre(&x[range]),
            Saved::Out(y) => Saved::Out(&y[range]),
        }
    }
}

impl Saved<'_> {
    /// Makes sure that this is enough for the activation's slope.
    pub(super) fn check(self, act: Act) {
        assert!(
            !(act.needs_pre(false) && matches!(self, Saved::Out(_))),
            "{act:?} needs its input in the backward pass"
        );
    }
}
