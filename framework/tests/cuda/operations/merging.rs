//! Which tokens are merged, and merging them.

use crate::compare::{gpu, random};
use crate::emulator;
use secateur::backend::{Backend, Cpu, Merge, Slot, TokenOps};
use secateur::tensor::Tensor;

fn targets<B: Backend>(merge: &Merge<B>) -> Vec<u32> {
    B::host_ints(&merge.target).into_owned()
}

/// Asserts that both devices make the same partition of each image's tokens.
#[track_caller]
fn same_partition(what: &str, values: &[f32], shape: [usize; 3], r: usize, protected: usize) {
    fn found<B: Backend>(
        device: &B,
        values: &[f32],
        shape: [usize; 3],
        r: usize,
        protected: usize,
    ) -> (usize, Vec<u32>) {
        let metric = Tensor::from_vec(device, values.to_vec(), shape).unwrap();
        let merge = B::match_tokens(&metric, r, protected).unwrap();
        assert_eq!(merge.tokens, shape[1]);
        (merge.kept, targets(&merge))
    }
    let expected = found(&Cpu::default(), values, shape, r, protected);
    let what = format!("{what} {shape:?}, {r} of them, {protected} protected");
    assert_eq!(found(&gpu(), values, shape, r, protected), expected, "{what}");
}

fn values(shape: [usize; 3], name: &str) -> Vec<f32> {
    random(&Cpu::default(), shape, name).to_vec()
}

#[test]
fn both_devices_find_the_same_partition() {
    for tokens in [1, 2, 3, 4, 17, 33, 50, 65, 66, 150, 197] {
        for dim in [1, 3, 16, 33, 64, 100] {
            for (r, protected) in [(0, 0), (1, 0), (tokens / 4, 1), (tokens, 1), (tokens / 3, 2), (3, 3)] {
                let shape = [2, tokens, dim];
                same_partition("random tokens", &values(shape, "metric"), shape, r, protected);
            }
        }
    }
}

#[test]
fn ties_fall_the_same_way() {
    // Directions from few: many similarities are equal to the last bit.
    for dim in [1, 4, 33, 192] {
        for tokens in [8, 33, 65, 160] {
            let shape = [4, tokens, dim];
            let kinds = values([1, 5, dim], "kinds");
            let picks = values([4, tokens, 1], "picks");
            let kind = |p: &f32| ((p + 1.0) * 2.5) as usize % 5;
            let metric: Vec<f32> = picks.iter().flat_map(|p| kinds[kind(p) * dim..][..dim].to_vec()).collect();
            for r in [1, tokens / 5, tokens / 2] {
                same_partition("tokens of five kinds", &metric, shape, r, 1);
            }
            same_partition("equal tokens", &vec![0.3; 4 * tokens * dim], shape, tokens / 3, 1);
            same_partition("zero tokens", &vec![0.0; 4 * tokens * dim], shape, tokens / 3, 0);
        }
    }
}

#[test]
fn values_that_are_not_numbers_lose() {
    let shape = [1, 12, 4];
    let mut metric = values(shape, "metric");
    metric[9] = f32::NAN;
    metric[21] = f32::INFINITY;
    same_partition("tokens with NaN", &metric, shape, 4, 1);
    same_partition("nothing but NaN", &[f32::NAN; 48], shape, 4, 1);
}

#[test]
fn wide_batches_agree() {
    let shape = [130, 65, 64];
    same_partition("many images", &values(shape, "many"), shape, 26, 1);
}

#[test]
fn merged_tokens_and_their_gradients_agree() {
    for (batch, tokens, dim, r) in
        [(1, 2, 1, 1), (3, 9, 4, 3), (2, 33, 33, 10), (4, 65, 192, 26), (2, 100, 130, 50), (2, 5, 8, 0)]
    {
        for add in [false, true] {
            compare!(format!("[{batch}, {tokens}, {dim}], {r} merged, added: {add}"), |device| {
                let x = random(device, [batch, tokens, dim], "x");
                let merge = TokenOps::match_tokens(&random(device, [batch, tokens, 16], "metric"), r, 1).unwrap();
                let sizes =
                    random(device, [batch, tokens], "sizes").host().iter().map(|s| (4.0 * s.abs()).ceil()).collect();
                let sizes = Tensor::from_vec(device, sizes, [batch, tokens]).unwrap();
                let (y, kept) = TokenOps::merge_tokens(&merge, &x, &sizes).unwrap();
                let dy = random(device, y.shape(), "dy");
                let mut dx = Slot(add.then(|| random(device, [batch, tokens, dim], "gradient")));
                TokenOps::merge_tokens_backward(&merge, &x, &dy, &sizes, &kept, &mut dx).unwrap();
                // And once more: tokens that went together before.
                let again = TokenOps::match_tokens(&y, r.min(1), 1).unwrap();
                let (twice, sizes) = TokenOps::merge_tokens(&again, &y, &kept).unwrap();
                vec![y, kept, dx.0.unwrap(), twice, sizes]
            });
        }
    }
}

#[test]
fn nothing_is_copied_to_the_host() {
    if emulator::is_real() {
        return;
    }
    let device = gpu();
    let (x, sizes) = (random(&device, [2, 9, 8], "x"), random(&device, [2, 9], "sizes"));
    let before = emulator::counter("copies_to_host");
    let merge = TokenOps::match_tokens(&x, 3, 1).unwrap();
    let (y, kept) = TokenOps::merge_tokens(&merge, &x, &sizes).unwrap();
    TokenOps::merge_tokens_backward(&merge, &x, &y, &sizes, &kept, &mut Slot(None)).unwrap();
    assert_eq!(emulator::counter("copies_to_host"), before);
}
