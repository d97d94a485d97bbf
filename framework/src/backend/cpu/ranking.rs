//! The lowest scores, exactly as many as asked for.

use crate::backend::RankingOps;
use crate::error::Result;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;

impl RankingOps for Cpu {
    fn keep_best(scores: &[Tensor<Self>], alive: &[Option<Tensor<Self>>], total: usize) -> Result<Vec<Tensor<Self>>> {
        let marks = |alive: &Option<Tensor<Self>>, n| alive.as_ref().map_or_else(|| vec![1.0; n], Tensor::to_vec);
        let mut keep: Vec<Vec<f32>> = scores.iter().zip(alive).map(|(s, a)| marks(a, s.count())).collect();
        keep_best(&mut keep, &scores.iter().map(Tensor::data).collect::<Vec<_>>(), total);
        scores.iter().zip(keep).map(|(s, keep)| Tensor::from_vec(s.device(), keep, s.shape())).collect()
    }
}

/// Total order of finite scores as unsigned integers, with the position as tie-breaker in the low half.
fn key(score: f32, position: u32) -> u64 {
    // -0.0 and 0.0 are the same score: adding zero makes both positive.
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(position)
}

/// Positions of the `count` lowest scores; among equals the lower position goes first.
///
/// `scores` must be finite. Runs in linear time.
fn lowest(scores: impl Iterator<Item = (u32, f32)>, count: usize) -> Vec<u32> {
    let mut keys: Vec<u64> = scores.map(|(position, score)| key(score, position)).collect();
    if count == 0 {
        return vec![];
    }
    if count < keys.len() {
        keys.select_nth_unstable(count - 1);
        keys.truncate(count);
    }
    keys.into_iter().map(|k| k as u32).collect()
}

/// Zeroes the marks of the lowest scores over several lists until `total` marks are left; positions run through the
/// lists in order.
fn keep_best(marks: &mut [Vec<f32>], scores: &[&[f32]], total: usize) {
    let alive = marks.iter().flatten().filter(|&&m| m != 0.0).count();
    let starts: Vec<usize> = scores.iter().scan(0, |at, s| Some(std::mem::replace(at, *at + s.len()))).collect();
    let marked = marks.iter().zip(scores).zip(&starts).flat_map(|((marks, scores), start)| {
        let all = marks.iter().zip(scores.iter()).enumerate();
        all.filter(|(_, (mark, _))| **mark != 0.0).map(move |(i, (_, &score))| ((start + i) as u32, score))
    });
    for position in lowest(marked, alive.saturating_sub(total)) {
        let list = starts.partition_point(|&s| s <= position as usize) - 1;
        marks[list][position as usize - starts[list]] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut v: Vec<u32>) -> Vec<u32> {
        v.sort_unstable();
        v
    }

    #[test]
    fn ties_go_by_position() {
        let scores = [0.5, -0.0, 0.0, -1.0, 0.5, 0.5];
        let of = |n| sorted(lowest(scores.iter().enumerate().map(|(i, &s)| (i as u32, s)), n));
        assert_eq!(of(1), [3]);
        assert_eq!(of(2), [1, 3]);
        assert_eq!(of(4), [0, 1, 2, 3]);
        assert_eq!(of(6).len(), 6);
    }

    #[test]
    fn lists_are_ranked_together_and_the_dead_stay_dead() {
        let mut marks = [vec![1.0, 0.0, 1.0], vec![1.0; 3]];
        keep_best(&mut marks, &[&[0.3, 9.0, 0.1], &[0.3, 0.2, 0.3]], 2);
        assert_eq!(marks, [vec![0.0, 0.0, 0.0], vec![1.0, 0.0, 1.0]]);
        keep_best(&mut marks, &[&[0.0; 3], &[0.0; 3]], 4);
        assert_eq!(marks[1], [1.0, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_stable_sort(scores in prop::collection::vec(-2i8..3, 1..60), part in 0.0..1.0f64) {
            let scores: Vec<f32> = scores.into_iter().map(|s| f32::from(s) / 2.0).collect();
            let count = (part * scores.len() as f64) as usize;
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
            let found = lowest(scores.iter().enumerate().map(|(i, &s)| (i as u32, s)), count);
            prop_assert_eq!(sorted(found), sorted(order[..count].to_vec()));
        }
    }
}
