//! Recorded operations of tokens against finite differences, and patches.

use crate::common::{T, check, random};
use secateur::backend::{Cpu, TokenOps as _};
use secateur::tensor::Tensor;

#[test]
fn gradients_of_token_operations_agree_with_finite_differences() {
    let (x, class, position) = (random([2, 4, 3], "x"), random([3], "class"), random([5, 3], "position"));
    check(&[x.clone(), class, position], |t, i| t.embed(&i[0], Some(i[1].clone()), Some(i[2].clone())).unwrap());
    check(&[x.clone(), random([4, 3], "position")], |t, i| t.embed(&i[0], None, Some(i[1].clone())).unwrap());
    check(std::slice::from_ref(&x), |t, i| t.mean_tokens(&i[0], None).unwrap());
    let sizes = Tensor::from_vec(&Cpu::default(), vec![1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 4.0, 1.0], [2, 4]).unwrap();
    check(std::slice::from_ref(&x), |t, i| t.mean_tokens(&i[0], Some(&sizes)).unwrap());
    check(std::slice::from_ref(&x), |t, i| t.take_token(&i[0], 2).unwrap());
}

#[test]
fn gradients_of_merging_flow_through_the_means() {
    let x = random([2, 7, 3], "x");
    let merge = Cpu::match_tokens(&x, 2, 1).unwrap();
    let sizes: Vec<f32> = (0..14).map(|i| (i % 2 + 1) as f32).collect();
    let sizes = Tensor::from_vec(&Cpu::default(), sizes, [2, 7]).unwrap();
    check(&[x], |t, i| t.merge_tokens(merge.clone(), &i[0], &sizes).unwrap().0);
}

#[test]
fn patches_are_read_row_by_row() {
    let x = Tensor::from_vec(&Cpu::default(), (0..32).map(|i| i as f32).collect(), [1, 2, 4, 4]).unwrap();
    let p = Cpu::patches(&x, 2).unwrap();
    assert_eq!(*p.shape(), [4, 8]);
    assert_eq!(&p.to_vec()[8..16], [2.0, 3.0, 6.0, 7.0, 18.0, 19.0, 22.0, 23.0]);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let text = |r: secateur::Result<T>| r.unwrap_err().to_string();
    assert!(text(Cpu::patches(&random([2, 3, 6, 6], "x"), 4)).contains("do not divide an image of 6x6"));
}
