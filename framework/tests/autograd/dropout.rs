//! Recorded dropout against finite differences.

use crate::common::{check, random};

#[test]
fn gradients_of_dropout_agree_with_finite_differences() {
    check(&[random([2, 4, 3], "x")], |t, i| t.dropout(&i[0], 0.4, 11).unwrap());
}
