//! Batches drawn on the device.

use crate::compare::{agree, gpu};
use secateur::backend::{Cpu, DrawOps as _};
use secateur::data::{Augment, DataConfig, Dataset, Examples, Order, Pool, SplitName};
use secateur::tensor::Tensor;
use std::num::NonZeroUsize;

fn check(set: &Dataset, order: Order) {
    let size = NonZeroUsize::new(7).unwrap();
    let (mut here, mut there) =
        (set.batches(SplitName::Train, size, order), set.batches(SplitName::Train, size, order));
    let examples = gpu().examples(there.values()).unwrap().expect("a small pool lives on the device");
    let (mut values, mut classes, mut ids) = (vec![], vec![], vec![]);
    while let Some(count) = here.next_into(&mut values, &mut classes) {
        let axes: Vec<usize> = std::iter::once(count).chain(set.shape.iter().copied()).collect();
        let expected = Tensor::from_vec(&Cpu::default(), values.clone(), &axes[..]).unwrap();
        let found = gpu().draw(&examples, &there.next_picks(&mut ids).unwrap()).unwrap();
        assert_eq!(ids, classes);
        agree("a batch", &[found], &[expected]);
    }
    assert!(there.next_picks(&mut ids).is_none());
}

fn drawn(name: &str, shape: &[usize], augment: Augment, pool: impl Fn(usize) -> Pool) -> Dataset {
    let examples = Examples::in_memory(name, shape, &["a", "b"], pool(30), pool(4)).unwrap();
    examples.dataset(&DataConfig { augment, ..DataConfig::default() }, 1).unwrap()
}

fn classes(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| i % 2).collect()
}

#[test]
fn images_are_normalised_cropped_and_mirrored_as_on_the_cpu() {
    let images = |augment| {
        let pixels = |count: usize| (0..count * 3 * 28 * 26).map(|i| (i * i % 251) as u8).collect();
        drawn("images", &[3, 28, 26], augment, |count| Pool::bytes(pixels(count), classes(count)))
    };
    check(&images(Augment::default()), Order::Stored);
    check(&images(Augment { crop_pad: 3, flip: true }), Order::Shuffled { seed: 4, epoch: 2 });
}

#[test]
fn points_are_drawn_too() {
    let values = |count: usize| (0..count * 2).map(|i| (i as f32).sin()).collect();
    let points = drawn("points", &[2], Augment::default(), |count| Pool::floats(values(count), classes(count)));
    check(&points, Order::Shuffled { seed: 4, epoch: 0 });
}
