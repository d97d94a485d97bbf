//! Threads that stay awake for one piece of work after the other, while a network answers.
//!
//! A pass of a few images is dozens of layers of some microseconds each, and each is shared out and waited for several times.
//! A thread that rayon has put to sleep takes longer to wake than such a layer takes. So for the time of a pass the other
//! threads of the pool look for its next pieces without a pause: handing over takes a fraction of a microsecond. A thread
//! that has something else to do at that moment is not waited for, since each piece belongs to who takes it first.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// Looks for something new before a thread lets others have its core for a moment.
const PATIENCE: usize = 1 << 10;

/// Who computes the pieces that a thread shares out.
pub(super) enum Pieces {
    /// The thread itself.
    Here,
    /// The threads of its team.
    Team,
    /// The threads of its pool.
    Rayon,
}

/// What a thread is in a team.
#[derive(Clone, Copy)]
enum Role {
    /// In none.
    Alone,
    /// The one whose work it is.
    Leads(*const Team),
    /// Computes a piece: what that is made of, it computes by itself.
    Works,
}

thread_local! { static ROLE: Cell<Role> = const { Cell::new(Role::Alone) }; }

/// The threads that wait for one leader's work.
#[derive(Default)]
struct Team {
    /// What there is to do, if anything.
    job: AtomicPtr<Job<'static>>,
    /// Jobs that there were.
    round: AtomicUsize,
    /// Helpers that may hold the job.
    inside: AtomicUsize,
    closed: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Pieces by number, of which each thread takes the next that nobody has.
struct Job<'a> {
    compute: &'a (dyn Fn(usize) + Sync),
    next: AtomicUsize,
    count: usize,
}

impl Job<'_> {
    fn work(&self) {
        let before = ROLE.replace(Role::Works);
        // Not left at `Works` by a panic.
        let _role = Restored(before);
        loop {
            let piece = self.next.fetch_add(1, SeqCst);
            if piece >= self.count {
                return;
            }
            (self.compute)(piece);
        }
    }
}

struct Restored(Role);

impl Drop for Restored {
    fn drop(&mut self) {
        ROLE.set(self.0);
    }
}

/// Runs `f`, on this thread; pieces of its work that go through [`par`](super::par) are taken by the other threads of this
/// thread's pool, which do nothing else meanwhile.
pub fn together<R>(f: impl FnOnce() -> R) -> R {
    let alone = matches!(ROLE.get(), Role::Alone);
    // A thread of no pool would wait for its threads where they wait for it.
    if !alone || rayon::current_thread_index().is_none() || rayon::current_num_threads() == 1 {
        return f();
    }
    struct Closed<'a>(&'a Team);
    impl Drop for Closed<'_> {
        fn drop(&mut self) {
            ROLE.set(Role::Alone);
            self.0.closed.store(true, SeqCst);
        }
    }
    let team = Team::default();
    rayon::in_place_scope(|scope| {
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| team.help());
        }
        let _closed = Closed(&team);
        ROLE.set(Role::Leads(&team));
        f()
    })
}

/// Runs `f` on this thread alone: it computes itself what it would share out.
pub fn alone<R>(f: impl FnOnce() -> R) -> R {
    let _role = Restored(ROLE.replace(Role::Works));
    f()
}

/// Who computes what this thread shares out.
pub(super) fn pieces() -> Pieces {
    match ROLE.get() {
        Role::Alone => Pieces::Rayon,
        Role::Leads(_) => Pieces::Team,
        Role::Works => Pieces::Here,
    }
}

/// Has the team of this thread compute pieces 0 to `count`, and waits for them; the thread by itself where it leads none.
pub(super) fn share(count: usize, compute: &(dyn Fn(usize) + Sync)) {
    let Role::Leads(team) = ROLE.get() else { return (0..count).for_each(compute) };
    // SAFETY: a thread leads a team within `together` alone, which keeps it until then.
    unsafe { &*team }.share(count, compute);
}

impl Team {
    fn share(&self, count: usize, compute: &(dyn Fn(usize) + Sync)) {
        /// Takes the job back, and waits until nobody has it.
        struct Back<'a>(&'a Team);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.job.store(std::ptr::null_mut(), SeqCst);
                wait_until(|| self.0.inside.load(SeqCst) == 0);
            }
        }
        let mut job = Job { compute, next: AtomicUsize::new(0), count };
        {
            let _back = Back(self);
            self.job.store((&raw mut job).cast(), SeqCst);
            self.round.fetch_add(1, SeqCst);
            // Through the pointer's target, which helpers read at the same time: all of it is shared.
            // SAFETY: the job lives until `_back` is dropped.
            unsafe { &*self.job.load(SeqCst) }.work();
        }
        let panic = self.panic.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Works with the leader until it closes the team.
    fn help(&self) {
        // A thread that waits for something else within a team of its own, or in this one.
        if !matches!(ROLE.get(), Role::Alone) {
            return;
        }
        let mut seen = 0;
        while !self.closed.load(SeqCst) {
            let round = wait_for(|| {
                let round = self.round.load(SeqCst);
                (round != seen || self.closed.load(SeqCst)).then_some(round)
            });
            seen = round;
            self.inside.fetch_add(1, SeqCst);
            // Read behind having come inside: the leader takes the job back first, and then looks who is inside.
            let job = self.job.load(SeqCst);
            if !job.is_null() {
                // SAFETY: the leader keeps the job as long as somebody is inside who came before it was taken back.
                let job = unsafe { &*job };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work())) {
                    *self.panic.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(panic);
                }
            }
            self.inside.fetch_sub(1, SeqCst);
        }
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    wait_for(|| done().then_some(()));
}

/// Looks until there is something.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = 0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        looks += 1;
        if looks < PATIENCE {
            std::hint::spin_loop();
        } else {
            // Other processes may need the core, or the thread that is waited for.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::par;
    use super::*;
    use crate::backend::cpu::common::testing::on_threads;

    #[test]
    fn each_piece_of_each_job_is_computed_once() {
        for threads in [1, 2, 3] {
            on_threads(threads, || {
                let mut sums = vec![0_u64; 64];
                together(|| {
                    for round in 0..2000 {
                        par::for_each(usize::MAX, sums.chunks_mut(5).enumerate(), |(i, part)| {
                            part.iter_mut().for_each(|sum| *sum += round + i as u64);
                        });
                    }
                    assert_eq!(par::map(usize::MAX, 0..70, |i| 3 * i), (0..70).map(|i| 3 * i).collect::<Vec<_>>());
                });
                let all: u64 = (0..2000).sum();
                assert!(sums.iter().enumerate().all(|(i, &sum)| sum == all + 2000 * (i / 5) as u64));
            });
        }
    }

    #[test]
    fn a_thread_alone_computes_all_pieces() {
        on_threads(3, || {
            let this = std::thread::current().id();
            let here = |_| assert_eq!(std::thread::current().id(), this);
            alone(|| par::for_each(usize::MAX, 0..100, here));
            together(|| alone(|| par::for_each(usize::MAX, 0..100, here)));
            assert!(matches!(ROLE.get(), Role::Alone));
        });
    }

    #[test]
    fn work_within_pieces_and_teams_within_teams_end() {
        on_threads(3, || {
            let counted = AtomicUsize::new(0);
            let one = |_| {
                counted.fetch_add(1, SeqCst);
            };
            let count = |n: usize| par::for_each(usize::MAX, 0..n, one);
            together(|| {
                par::for_each(usize::MAX, 0..10, |_| together(|| count(7)));
                together(|| count(3));
                rayon::join(|| count(1), || count(1));
            });
            // As before.
            count(4);
            assert_eq!(counted.into_inner(), 70 + 3 + 2 + 4);
            assert!(matches!(ROLE.get(), Role::Alone));
        });
    }

    #[test]
    fn teams_of_every_thread_of_a_pool_at_once_end() {
        let counted = AtomicUsize::new(0);
        let one = |_| {
            counted.fetch_add(1, SeqCst);
        };
        on_threads(3, || {
            rayon::scope(|scope| {
                for _ in 0..20 {
                    scope.spawn(|_| together(|| par::for_each(usize::MAX, 0..50, one)));
                }
            });
        });
        assert_eq!(counted.into_inner(), 1000);
    }

    #[test]
    fn a_panic_of_any_thread_is_the_leader_s() {
        let pieces = |bad: usize| {
            let found = catch_unwind(AssertUnwindSafe(|| {
                together(|| par::for_each(usize::MAX, 0..40, |i| assert_ne!(i, bad, "piece {i}")));
            }));
            assert!(matches!(ROLE.get(), Role::Alone));
            found.is_err()
        };
        on_threads(2, || {
            for bad in 0..40 {
                assert!(pieces(bad));
            }
            assert!(!pieces(40));
        });
    }
}
