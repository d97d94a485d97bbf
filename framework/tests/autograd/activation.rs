//! Recorded activation functions against finite differences.

use crate::common::{check, random};
use secateur::backend::Act;

#[test]
fn activations_alone_agree_with_finite_differences() {
    for act in [Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid] {
        check(&[random([6, 3], "x")], |t, i| t.act(&i[0], act).unwrap());
    }
}
