//! Batches of normalised inputs, in an order that the seed and the epoch decide.

use super::config::Augment;
use super::dataset::Dataset;
use super::normalize::Normalizer;
use super::purpose;
use super::split::{Split, SplitName};
use crate::backend::cpu::common::simd::simd_fn;
use crate::backend::{Pick, Picks, Values};
use crate::error::{Error, Result};
use crate::seed::Seed;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngExt as _};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Fewer values than this are gathered on the calling thread: handing out work costs more than it saves.
const PARALLEL_FROM: usize = 1 << 18;
/// Values per piece of work; a constant, so that the split of the work does not depend on the number of threads.
const PIECE: usize = 1 << 16;

/// How a split is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As stored, unchanged: for evaluation.
    Stored,
    /// Shuffled and augmented, for training; the same (seed, epoch) gives the same bits.
    Shuffled {
        /// The seed of the order.
        seed: u64,
        /// The epoch, from 0.
        epoch: u64,
    },
}

/// Walks through a split batch by batch, filling buffers that the caller keeps.
///
/// ```
/// use secateur::data::{DataConfig, Examples, Order, Pool, SplitName};
/// let dots = |count: usize| Pool::bytes(vec![255; count * 4], vec![0; count]);
/// let set = Examples::in_memory("dots", &[1, 2, 2], &["dot"], dots(100), dots(20))?;
/// let set = set.dataset(&DataConfig::default(), 1)?;
/// let size = 32.try_into().expect("not zero");
/// let (mut inputs, mut targets) = (vec![], vec![]);
/// let mut batches = set.batches(SplitName::Train, size, Order::Shuffled { seed: 1, epoch: 0 });
/// let mut seen = 0;
/// while let Some(count) = batches.next_into(&mut inputs, &mut targets) {
///     assert_eq!((inputs.len(), targets.len()), (count * 4, count));
///     seen += count;
/// }
/// assert_eq!(seen, 100);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    shape: &'a [usize],
    normalizer: &'a Normalizer,
    order: Vec<u32>,
    size: usize,
    /// Where the batch that was drawn last begins and ends in the order.
    last: Range<usize>,
    next: usize,
    augment: Option<(Augment, u64, u64)>,
}

impl Dataset {
    /// One batch of at most `count` examples, unchanged and evenly spread over a split: many sets are stored class by
    /// class.
    pub fn sample(&self, split: SplitName, count: NonZeroUsize) -> Batches<'_> {
        let mut batch = self.batches(split, count, Order::Stored);
        let (all, count) = (batch.order.len(), count.get().min(batch.order.len()));
        batch.order = (0..count).map(|i| batch.order[i * all / count]).collect();
        batch
    }

    /// One batch of as many examples of every class, class by class: the `nth` choice of `per_class` of each in this
    /// order. Examples with real-valued targets are all of one class.
    ///
    /// # Errors
    /// If a class has too few examples; it is named.
    pub fn balanced(&self, split: SplitName, per_class: NonZeroUsize, nth: usize, order: Order) -> Result<Batches<'_>> {
        let one = ["all examples".to_string()];
        let classes = if self.split(split).is_regression() { &one } else { &self.class_names[..] };
        let size = per_class.saturating_mul(NonZeroUsize::new(classes.len()).unwrap_or(NonZeroUsize::MIN));
        let (mut batch, per_class) = (self.batches(split, size, order), per_class.get());
        let (first, mut chosen) = (nth.saturating_mul(per_class), vec![]);
        for (class, name) in classes.iter().enumerate() {
            let of_class = batch.order.iter().filter(|&&i| batch.split.target_at(i) as usize == class);
            let of_class: Vec<u32> = of_class.copied().collect();
            let Some(these) = of_class.get(first..first.saturating_add(per_class)) else {
                return Err(Error::Config(format!(
                    "class `{name}` has {} examples in the {split} split: too few for choice {nth} (from 0) of {per_class} \
                     of each class",
                    of_class.len()
                )));
            };
            chosen.extend_from_slice(these);
        }
        batch.order = chosen;
        Ok(batch)
    }

    /// Batches of `size` examples of a split; the last one holds what is left.
    pub fn batches(&self, split: SplitName, size: NonZeroUsize, order: Order) -> Batches<'_> {
        let split = self.split(split);
        let mut indices = split.indices().to_vec();
        let mut augment = None;
        if let Order::Shuffled { seed, epoch } = order {
            indices.shuffle(&mut Seed(seed).numbered(purpose::SHUFFLE, epoch, 0));
            augment = (self.augment != Augment::default()).then_some((self.augment, seed, epoch));
        }
        let (shape, normalizer) = (&self.shape, &self.normalizer);
        Batches { split, shape, normalizer, order: indices, size: size.get(), last: 0..0, next: 0, augment }
    }
}

impl Batches<'_> {
    /// Leaves out the last batch where it would not be full; a split smaller than one batch stays whole.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        if self.order.len() > self.size {
            self.order.truncate(self.order.len() / self.size * self.size);
        }
        self
    }

    /// Number of batches that are left.
    pub fn left(&self) -> usize {
        (self.order.len() - self.next).div_ceil(self.size)
    }

    /// Passes over `count` batches, as if they had been drawn: how a resumed run finds its place.
    pub fn skip(&mut self, count: usize) {
        self.next = self.order.len().min(self.next.saturating_add(count.saturating_mul(self.size)));
    }

    /// Fills `inputs` with the next `[count, shape...]` values and `targets` with their classes; returns the count,
    /// or `None` at the end.
    pub fn next_into(&mut self, inputs: &mut Vec<f32>, targets: &mut Vec<u32>) -> Option<usize> {
        let chosen = self.advance(targets)?;
        let chosen = &self.order[chosen];
        inputs.resize(chosen.len() * self.split.item(), 0.0);
        match self.split.values() {
            Values::U8(values) => self.gather(values, chosen, inputs),
            Values::F32(values) => self.gather(values, chosen, inputs),
        }
        Some(chosen.len())
    }

    /// The same batch as a list of what to draw, for a device that holds the pool; `None` at the end.
    pub fn next_picks(&mut self, targets: &mut Vec<u32>) -> Option<Picks<'_>> {
        let chosen = self.advance(targets)?;
        let pick = |&index: &u32| self.change(index).unwrap_or(Pick { index, ..Pick::default() });
        let examples = self.order[chosen].iter().map(pick).collect();
        Some(Picks { examples, shape: self.shape, channels: self.normalizer.channels().collect() })
    }

    /// The real-valued targets of the batch that was drawn last; nothing where there are classes.
    pub fn responses(&self) -> Vec<f32> {
        self.split.responses_at(&self.order[self.last.clone()])
    }

    /// The pool that batches are drawn from.
    pub fn values(&self) -> &Values {
        self.split.values()
    }

    fn advance(&mut self, targets: &mut Vec<u32>) -> Option<Range<usize>> {
        let chosen = self.next..self.order.len().min(self.next + self.size);
        if chosen.is_empty() {
            return None;
        }
        (self.next, self.last) = (chosen.end, chosen.clone());
        targets.clear();
        targets.extend(self.order[chosen.clone()].iter().map(|&i| self.split.target_at(i)));
        Some(chosen)
    }

    fn change(&self, index: u32) -> Option<Pick> {
        self.augment.map(|(augment, seed, epoch)| Pick::draw(augment, seed, epoch, index))
    }

    fn gather<T: Stored>(&self, values: &[T], chosen: &[u32], inputs: &mut [f32]) {
        if inputs.len() < PARALLEL_FROM {
            fill(self, values, chosen, inputs);
        } else {
            let item = self.split.item();
            let each = PIECE.div_ceil(item);
            let pieces = chosen.par_chunks(each).zip(inputs.par_chunks_mut(each * item));
            pieces.for_each(|(chosen, inputs)| fill(self, values, chosen, inputs));
        }
    }
}

/// A value as it is stored.
trait Stored: Copy + Sync + Into<f32> {}

impl Stored for u8 {}
impl Stored for f32 {}

simd_fn! {
    /// Normalises the chosen examples. Everything below is inlined into this function, so that it is compiled for the
    /// processor at hand; the arithmetic is not contracted, so every processor gives the same bits.
    fn fill<T: Stored>(batches: &Batches<'_>, values: &[T], chosen: &[u32], inputs: &mut [f32]) {
        let Batches { split, shape, normalizer, .. } = batches;
        let item = split.item();
        let plane = item / shape[0];
        for (&index, to) in chosen.iter().zip(inputs.chunks_exact_mut(item)) {
            let from = &values[index as usize * item..][..item];
            let change = batches.change(index);
            let planes = from.chunks_exact(plane).zip(to.chunks_exact_mut(plane));
            for ((from, to), map) in planes.zip(normalizer.channels()) {
                match &change {
                    None => affine(from, to, map),
                    Some(change) => change.apply(from, to, shape[2], map),
                }
            }
        }
    }
}

impl Pick {
    fn draw(augment: Augment, seed: u64, epoch: u64, index: u32) -> Self {
        let mut random = Seed(seed).numbered(purpose::AUGMENT, epoch, u64::from(index));
        let pad = augment.crop_pad as i64;
        let mut offset = || random.random_range(-pad..=pad) as i32;
        let (down, right) = (offset(), offset());
        Self { index, down, right, flip: u32::from(augment.flip && random.next_u32() & 1 == 1) }
    }

    #[inline(always)]
    fn apply<T: Stored>(&self, from: &[T], to: &mut [f32], width: usize, map: (f32, f32)) {
        let height = to.len() / width;
        let (down, right) = (self.down as isize, self.right as isize);
        let (first, last) = window(right, width);
        for (y, to) in to.chunks_exact_mut(width).enumerate() {
            let Some(row) = y.checked_add_signed(down).filter(|&row| row < height) else {
                to.fill(map.1);
                continue;
            };
            let from = &from[row * width..][..width];
            to[..first].fill(map.1);
            to[last..].fill(map.1);
            let kept = first..last;
            if first < last {
                let at = first.wrapping_add_signed(right);
                affine(&from[at..at + (last - first)], &mut to[kept], map);
            }
            if self.flip == 1 {
                to.reverse();
            }
        }
    }
}

/// The columns of the output that fall inside the image.
fn window(shift: isize, width: usize) -> (usize, usize) {
    let cut = shift.unsigned_abs().min(width);
    if shift < 0 { (cut, width) } else { (0, width - cut) }
}

#[inline(always)]
fn affine<T: Stored>(from: &[T], to: &mut [f32], (scale, shift): (f32, f32)) {
    for (to, &value) in to.iter_mut().zip(from) {
        let value: f32 = value.into();
        *to = value * scale + shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataConfig, Examples, Normalize, Pool};

    /// Images of `shape` whose bytes count up, class = index % 3.
    fn images(count: usize, shape: [usize; 3], augment: Augment) -> Dataset {
        let bytes = (0..count * shape.iter().product::<usize>()).map(|i| (i % 251) as u8).collect();
        let train = Pool::bytes(bytes, (0..count as u32).map(|i| i % 3).collect());
        let set = Examples::in_memory("images", &shape, &["a", "b", "c"], train, Pool::bytes(vec![], vec![])).unwrap();
        let config = DataConfig { augment, normalize: Normalize::None, ..DataConfig::default() };
        set.dataset(&config, 0).unwrap()
    }

    fn size(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    fn collect(mut batches: Batches<'_>) -> (Vec<f32>, Vec<u32>, Vec<usize>) {
        let (mut inputs, mut targets) = (vec![], vec![]);
        let (mut all, mut classes, mut counts) = (vec![], vec![], vec![]);
        while let Some(count) = batches.next_into(&mut inputs, &mut targets) {
            all.extend_from_slice(&inputs);
            classes.extend_from_slice(&targets);
            counts.push(count);
        }
        (all, classes, counts)
    }

    #[test]
    fn stored_order_gives_the_stored_values() {
        let set = images(5, [1, 2, 2], Augment::default());
        let (inputs, targets, counts) = collect(set.batches(SplitName::Train, size(2), Order::Stored));
        assert_eq!(inputs, (0..20).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!(targets, [0, 1, 2, 0, 1]);
        assert_eq!(counts, [2, 2, 1]);
    }

    #[test]
    fn balanced_batches_have_as_many_of_each_class_and_share_none() {
        let set = images(14, [1, 1, 1], Augment::default());
        let choose = |per_class, nth| {
            let order = Order::Shuffled { seed: 4, epoch: 0 };
            set.balanced(SplitName::Train, size(per_class), nth, order).map(collect)
        };
        let (first, classes, counts) = choose(2, 0).unwrap();
        assert_eq!((classes, counts), (vec![0, 0, 1, 1, 2, 2], vec![6]));
        assert_eq!(first, choose(2, 0).unwrap().0, "the same request, the same examples");
        let (second, ..) = choose(2, 1).unwrap();
        assert!(first.iter().chain(&second).all(|&i| (0.0..14.0).contains(&i)));
        assert!(first.iter().zip([0, 0, 1, 1, 2, 2]).all(|(&i, class)| i as u32 % 3 == class), "inputs of their class");
        assert!(first.iter().all(|i| !second.contains(i)), "{first:?} {second:?}");
        let few = choose(5, 0).unwrap_err().to_string();
        assert!(few.contains("class `c` has 4 examples in the train split") && few.contains("choice 0"), "{few}");
        assert!(choose(2, 2).is_err() && choose(usize::MAX, 3).is_err());
    }

    #[test]
    fn each_channel_has_its_own_map() {
        let mut set = images(2, [2, 1, 2], Augment::default());
        let how = Normalize::Explicit { mean: vec![0.0, 1.0], std: vec![1.0 / 255.0, 1.0 / 255.0] };
        set.normalizer = Normalizer::new(&how, 2, &set.train).unwrap();
        let (inputs, ..) = collect(set.batches(SplitName::Train, size(2), Order::Stored));
        assert_eq!(inputs, [0.0, 1.0, -253.0, -252.0, 4.0, 5.0, -249.0, -248.0]);
    }

    #[test]
    fn shuffling_is_a_permutation_fixed_by_seed_and_epoch() {
        let set = images(100, [1, 1, 1], Augment::default());
        let draw = |seed, epoch| collect(set.batches(SplitName::Train, size(7), Order::Shuffled { seed, epoch }));
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0).0, draw(1, 1).0);
        assert_ne!(draw(1, 0).0, draw(2, 0).0);
        let (mut inputs, targets, _) = draw(1, 0);
        assert!(inputs.iter().zip(&targets).all(|(&i, &t)| i as u32 % 3 == t), "targets follow their inputs");
        inputs.sort_by(f32::total_cmp);
        assert_eq!(inputs, (0..100).map(|i| i as f32).collect::<Vec<_>>());
    }

    #[test]
    fn batches_do_not_depend_on_their_size_nor_on_threads() {
        let set = images(700, [3, 16, 16], Augment { crop_pad: 2, flip: true });
        let order = Order::Shuffled { seed: 5, epoch: 2 };
        let whole = collect(set.batches(SplitName::Train, size(700), order));
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| collect(set.batches(SplitName::Train, size(700), order)));
            assert!(again == whole, "{threads} threads");
        }
        let small = collect(set.batches(SplitName::Train, size(9), order));
        assert!(small.0 == whole.0 && small.1 == whole.1);
    }

    #[test]
    fn drop_last_and_skip_count_batches() {
        let set = images(10, [1, 1, 1], Augment::default());
        let all = || set.batches(SplitName::Train, size(4), Order::Stored);
        assert_eq!((all().left(), all().drop_last().left()), (3, 2));
        assert_eq!(collect(all().drop_last()).2, [4, 4]);
        assert_eq!(set.batches(SplitName::Train, size(40), Order::Stored).drop_last().left(), 1);
        let mut rest = all();
        rest.skip(1);
        assert_eq!(collect(rest).0, [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        let mut none = all();
        none.skip(9);
        assert_eq!(none.left(), 0);
    }

    #[test]
    fn change_moves_and_mirrors_the_image() {
        let from: Vec<u8> = (1..=6).collect(); // [[1, 2, 3], [4, 5, 6]]
        let apply = |down, right, flip| {
            let mut to = [f32::NAN; 6];
            Pick { index: 0, down, right, flip: u32::from(flip) }.apply(&from, &mut to, 3, (1.0, 0.5));
            to.map(|v| v - 0.5)
        };
        assert_eq!(apply(0, 0, false), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(apply(0, 0, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(apply(1, 0, false), [4.0, 5.0, 6.0, 0.0, 0.0, 0.0]);
        assert_eq!(apply(-1, 1, false), [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]);
        assert_eq!(apply(0, -2, false), [0.0, 0.0, 1.0, 0.0, 0.0, 4.0]);
        assert_eq!(apply(0, 9, true), [0.0; 6]);
    }

    #[test]
    fn picks_draw_the_same_batches() {
        let (shape, order) = ([2, 5, 4], Order::Shuffled { seed: 3, epoch: 1 });
        let set = images(9, shape, Augment { crop_pad: 2, flip: true });
        let Values::U8(bytes) = set.train.values() else { panic!("images are bytes") };
        let (mut drawn, mut targets, mut classes) = (vec![], vec![], vec![]);
        let mut batches = set.batches(SplitName::Train, size(4), order);
        while let Some(picks) = batches.next_picks(&mut targets) {
            classes.extend_from_slice(&targets);
            let maps = &picks.channels;
            for pick in picks.examples {
                for (c, y, x) in (0..2).flat_map(|c| (0..5).flat_map(move |y| (0..4).map(move |x| (c, y, x)))) {
                    let x = if pick.flip == 1 { 3 - x } else { x };
                    let (row, column) = (y + pick.down, x + pick.right);
                    let inside = (0..5).contains(&row) && (0..4).contains(&column);
                    let at = |row: i32, column: i32| pick.index as usize * 40 + c * 20 + (row * 4 + column) as usize;
                    let stored = if inside { f32::from(bytes[at(row, column)]) } else { 0.0 };
                    drawn.push(stored * maps[c].0 + maps[c].1);
                }
            }
        }
        let whole = collect(set.batches(SplitName::Train, size(4), order));
        assert_eq!((drawn, classes), (whole.0, whole.1));
    }

    #[test]
    fn evaluation_is_never_augmented() {
        let set = images(3, [1, 4, 4], Augment { crop_pad: 2, flip: true });
        let plain = images(3, [1, 4, 4], Augment::default());
        let stored = |set: &Dataset| collect(set.batches(SplitName::Train, size(3), Order::Stored));
        assert_eq!(stored(&set), stored(&plain));
    }
}
