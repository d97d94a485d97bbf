//! Work split over rayon's current pool, into pieces that depend on the shape alone.

use super::team::{self, Pieces};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Floating-point operations below which another thread costs more than it brings.
pub const SERIAL_BELOW: usize = 1 << 20;
/// The same where threads wait for work (see [`team`]).
const SERIAL_BELOW_IN_TEAM: usize = 1 << 17;

/// Who computes pieces of so many operations altogether.
fn by(flops: usize) -> Pieces {
    match team::pieces() {
        Pieces::Team if flops >= SERIAL_BELOW_IN_TEAM => Pieces::Team,
        Pieces::Rayon if flops >= SERIAL_BELOW && rayon::current_num_threads() > 1 => Pieces::Rayon,
        _ => Pieces::Here,
    }
}

/// Runs `f` on every piece; on the calling thread alone if the whole takes fewer than [`SERIAL_BELOW`] operations.
///
/// The pieces are the same whatever the number of threads, so results are too, as long as each piece writes only what
/// it owns (chunks of an output, a partial result of its own).
pub fn for_each<T: Send>(flops: usize, pieces: impl Iterator<Item = T>, f: impl Fn(T) + Send + Sync) {
    match by(flops) {
        Pieces::Here => pieces.for_each(f),
        Pieces::Team => in_team(pieces, |_, piece| f(piece)),
        Pieces::Rayon => {
            let mut pieces: Vec<T> = pieces.collect();
            if pieces.len() == 1 {
                return pieces.drain(..).for_each(f);
            }
            pieces.into_par_iter().with_max_len(1).for_each(f);
        }
    }
}

/// As [`for_each`], with the results in the order of the pieces.
pub fn map<T: Send, R: Send>(
    flops: usize,
    pieces: impl Iterator<Item = T>,
    f: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    match by(flops) {
        Pieces::Here => pieces.map(f).collect(),
        Pieces::Team => {
            let made = Mutex::new(vec![]);
            in_team(pieces, |i, piece| {
                let result = f(piece);
                made.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
            });
            let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
            made.sort_unstable_by_key(|(i, _)| *i);
            made.into_iter().map(|(_, result)| result).collect()
        }
        Pieces::Rayon => pieces.collect::<Vec<T>>().into_par_iter().with_max_len(1).map(f).collect(),
    }
}

/// Runs `f` on every piece and its number, on the threads of this thread's team.
fn in_team<T: Send>(pieces: impl Iterator<Item = T>, f: impl Fn(usize, T) + Sync) {
    let pieces: Vec<Mutex<Option<T>>> = pieces.map(|piece| Mutex::new(Some(piece))).collect();
    if let [piece] = &pieces[..] {
        // Shared out further, if it is.
        let piece = piece.lock().unwrap_or_else(PoisonError::into_inner).take();
        return piece.into_iter().for_each(|piece| f(0, piece));
    }
    team::share(pieces.len(), &|i| {
        let piece = pieces[i].lock().unwrap_or_else(PoisonError::into_inner).take();
        piece.into_iter().for_each(|piece| f(i, piece));
    });
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
