//! Work split over rayon's current pool, into pieces that depend on the shape alone.

use rayon::prelude::*;

/// Floating-point operations below which another thread costs more than it brings.
pub const SERIAL_BELOW: usize = 1 << 20;

/// Runs `f` on every piece; on the calling thread alone if the whole takes fewer than [`SERIAL_BELOW`] operations.
///
/// The pieces are the same whatever the number of threads, so results are too, as long as each piece writes only what
/// it owns (chunks of an output, a partial result of its own).
pub fn for_each<T: Send>(flops: usize, pieces: impl Iterator<Item = T>, f: impl Fn(T) + Send + Sync) {
    if flops < SERIAL_BELOW || rayon::current_num_threads() == 1 {
        return pieces.for_each(f);
    }
    let mut pieces: Vec<T> = pieces.collect();
    if pieces.len() == 1 {
        return pieces.drain(..).for_each(f);
    }
    pieces.into_par_iter().with_max_len(1).for_each(f);
}

/// As [`for_each`], with the results in the order of the pieces.
pub fn map<T: Send, R: Send>(
    flops: usize,
    pieces: impl Iterator<Item = T>,
    f: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    if flops < SERIAL_BELOW || rayon::current_num_threads() == 1 {
        return pieces.map(f).collect();
    }
    pieces.collect::<Vec<T>>().into_par_iter().with_max_len(1).map(f).collect()
}

/// Chunks of a slice that may not be there, `count` of them either way.
pub fn chunks_or_none<T>(slice: Option<&[T]>, len: usize, count: usize) -> impl Iterator<Item = Option<&[T]>> {
    let mut chunks = slice.map(|s| s.chunks(len.max(1)));
    (0..count).map(move |_| chunks.as_mut().and_then(Iterator::next))
}

/// Mutable chunks of a slice that may not be there, `count` of them either way.
pub fn chunks_mut_or_none<T>(
    slice: Option<&mut [T]>,
    len: usize,
    count: usize,
) -> impl Iterator<Item = Option<&mut [T]>> {
    let mut chunks = slice.map(|s| s.chunks_mut(len.max(1)));
    (0..count).map(move |_| chunks.as_mut().and_then(Iterator::next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::on_threads;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_piece_runs_once_and_results_keep_their_order() {
        for threads in [1, 2, 3] {
            on_threads(threads, || {
                let runs = AtomicUsize::new(0);
                let mut out = vec![0; 103];
                for_each(usize::MAX, out.chunks_mut(10).enumerate(), |(i, chunk)| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    chunk.fill(i);
                });
                assert_eq!(runs.into_inner(), 11);
                assert!(out.iter().enumerate().all(|(i, &v)| v == i / 10));
                assert_eq!(map(usize::MAX, 0..7, |i| i * i), [0, 1, 4, 9, 16, 25, 36]);
            });
        }
    }

    #[test]
    fn absent_slices_still_give_pieces() {
        assert_eq!(chunks_or_none::<f32>(None, 4, 3).count(), 3);
        assert_eq!(chunks_or_none(Some(&[1, 2, 3]), 2, 2).collect::<Vec<_>>(), [Some(&[1, 2][..]), Some(&[3][..])]);
    }
}
