//! Gaussian noise on inputs (`data.noise`).

use super::normalize::Normalizer;
use super::purpose;
use super::split::Split;
use crate::backend::Values;
use crate::seed::Seed;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use std::sync::Arc;

/// A split whose inputs, once normalised, have noise N(0, sd²) on every value: input = stored * scale + shift + sd * z.
/// So each stored value gets sd * z / scale, as a float. Every example has a stream of its own, named by the pool that it
/// lies in and its place there: limits, splits and threads change nothing.
pub(super) fn add(split: Split, normalizer: &Normalizer, sd: f64, (seed, pool): (Seed, u64)) -> Split {
    if sd == 0.0 || split.is_empty() {
        return split;
    }
    let (item, scales) = (split.item(), normalizer.channels().map(|(scale, _)| scale).collect::<Vec<_>>());
    let plane = item / scales.len();
    let mut chosen = vec![false; split.values().len() / item];
    split.indices().iter().for_each(|&index| chosen[index as usize] = true);
    let mut values = vec![0.0; split.values().len()];
    // The pool's other examples stay zero: nobody draws them from this split.
    values.par_chunks_mut(item).enumerate().filter(|(index, _)| chosen[*index]).for_each(|(index, to)| {
        let mut random = seed.numbered(purpose::NOISE, pool, index as u64);
        for (i, to) in to.iter_mut().enumerate() {
            let z: f64 = StandardNormal.sample(&mut random);
            let at = index * item + i;
            let stored = match split.values() {
                Values::U8(values) => f32::from(values[at]),
                Values::F32(values) => values[at],
            };
            *to = stored + (sd * z) as f32 / scales[i / plane];
        }
    });
    split.with_values(Values::F32(Arc::new(values)))
}

#[cfg(test)]
mod tests {
    use crate::data::{DataConfig, Dataset, Examples, Holdout, Normalize, Order, Pool, SplitName};
    use crate::seed::{Seed, Seeds};

    /// 4,000 examples of two channels with four pixels each, the second channel twice as bright.
    fn set(noise: f64, seeds: impl Into<Seeds>) -> Dataset {
        let bytes = (0..4000).flat_map(|i| [(i % 100) as u8; 4].into_iter().chain([(2 * (i % 100)) as u8; 4]));
        let train = Pool::bytes(bytes.collect(), vec![0; 4000]);
        let test = Pool::bytes(vec![50; 8 * 100], vec![0; 100]);
        let examples = Examples::in_memory("planes", &[2, 2, 2], &["a"], train, test).unwrap();
        let normalize = Normalize::Explicit { mean: vec![0.2, 0.4], std: vec![0.1, 0.2] };
        let config = DataConfig { noise, normalize, validation: Holdout::Count(1000), ..DataConfig::default() };
        examples.dataset(&config, seeds).unwrap()
    }

    fn inputs(set: &Dataset, split: SplitName) -> Vec<f32> {
        let mut values = vec![];
        let count = set.split(split).len().try_into().unwrap();
        set.batches(split, count, Order::Stored).next_into(&mut values, &mut vec![]).unwrap();
        values
    }

    #[test]
    fn the_noise_has_mean_zero_and_its_deviation_on_every_channel_of_every_split() {
        for split in SplitName::ALL {
            let (clean, noisy) = (inputs(&set(0.0, 1), split), inputs(&set(3.0, 1), split));
            for channel in 0..2 {
                let of = |i: &usize| (i / 4) % 2 == channel;
                let noise: Vec<f64> = (0..clean.len()).filter(of).map(|i| f64::from(noisy[i] - clean[i])).collect();
                let n = noise.len() as f64;
                let mean = noise.iter().sum::<f64>() / n;
                let sd = (noise.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n).sqrt();
                // Four standard errors of a mean and of a deviation.
                assert!(mean.abs() < 4.0 * 3.0 / n.sqrt(), "{split} {channel}: mean {mean} of {n}");
                assert!((sd - 3.0).abs() < 4.0 * 3.0 / (2.0 * n).sqrt(), "{split} {channel}: deviation {sd} of {n}");
            }
        }
    }

    #[test]
    fn the_seed_of_the_data_draws_the_noise_and_that_of_the_split_what_is_held_out() {
        let of = |split, data| Seeds { split: Seed(split), data: Seed(data), ..Seeds::from(7) };
        let one = set(1.0, of(1, 1));
        assert_eq!(inputs(&one, SplitName::Train), inputs(&set(1.0, of(1, 1)), SplitName::Train));
        let other = set(1.0, of(1, 2));
        assert_eq!(one.validation.indices(), other.validation.indices());
        assert_ne!(inputs(&one, SplitName::Test), inputs(&other, SplitName::Test));
        let held_out = set(1.0, of(2, 1));
        assert_ne!(one.validation.indices(), held_out.validation.indices());
        assert_eq!(inputs(&one, SplitName::Test), inputs(&held_out, SplitName::Test));
        // An example keeps its noise, whichever split it is in.
        let (a, b) = (inputs(&one, SplitName::Train), inputs(&held_out, SplitName::Validation));
        let at = |set: &Dataset, split, index| set.split(split).indices().iter().position(|i| *i == index);
        let common = held_out.validation.indices().iter().find(|i| one.train.indices().contains(i)).copied().unwrap();
        let (i, j) = (at(&one, SplitName::Train, common), at(&held_out, SplitName::Validation, common));
        assert_eq!(a[i.unwrap() * 8..][..8], b[j.unwrap() * 8..][..8]);
    }
}
