//! Recorded pooling against finite differences.

use crate::common::{T, check_with, random};
use secateur::autograd::Tape;
use secateur::backend::{Pool, Pooling};

#[test]
fn gradients_of_pooling_agree_with_finite_differences() {
    for kind in [Pooling::Max, Pooling::Mean] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1)] {
            let pool = Pool { kind, kernel, stride, padding };
            check_with(1e-3, &[random([2, 3, 5, 6], "x")], |t, i| t.pool(&i[0], pool).unwrap());
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let text = |r: secateur::Result<T>| r.unwrap_err().to_string();
    let wide = Pool { kind: Pooling::Max, kernel: 7, stride: 1, padding: 0 };
    assert!(text(Tape::off().pool(&random([2, 3, 6, 6], "x"), wide)).contains("do not fit [2, 3, 6, 6]"));
}
