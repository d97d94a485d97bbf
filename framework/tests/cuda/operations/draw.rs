//! Batches drawn on the device.

use crate::compare::{agree, gpu};
use secateur::backend::{Cpu, DrawOps as _};
use secateur::data::{self, Augment, DataConfig, Dataset, Order, Part};
use secateur::tensor::Tensor;
use std::num::NonZeroUsize;

fn check(set: &Dataset, order: Order) {
    let size = NonZeroUsize::new(7).unwrap();
    let (mut here, mut there) = (set.batches(Part::Train, size, order), set.batches(Part::Train, size, order));
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

fn load(name: &str, augment: Augment) -> Dataset {
    let mut config = DataConfig { name: name.into(), augment, ..DataConfig::default() };
    (config.glyphs.train, config.glyphs.test) = (30, 4);
    data::load(&config, 1, &mut |_| ()).unwrap()
}

#[test]
fn images_are_normalised_cropped_and_mirrored_as_on_the_cpu() {
    let plain = load("glyphs", Augment::default());
    check(&plain, Order::Stored);
    check(&load("glyphs", Augment { crop_pad: 3, flip: true }), Order::Shuffled { seed: 4, epoch: 2 });
}

#[test]
fn points_are_drawn_too() {
    check(&load("cubist-spiral", Augment::default()), Order::Shuffled { seed: 4, epoch: 0 });
}
