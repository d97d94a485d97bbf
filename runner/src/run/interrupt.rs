//! Signals. The first one asks every run to finish its step, leave a checkpoint and stop; only a second Ctrl-C, a
//! second or more after the first, ends the program at once: schedulers send a signal twice within milliseconds. Where
//! no run has made a step since it began or was taken up again there is nothing to finish, and the program ends by
//! itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::Failure;

/// Whether someone asked for an end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Shared>, Option<u64>);

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    /// Runs that have not made a step yet.
    preparing: AtomicUsize,
    /// Runs from their first step to their last file.
    training: AtomicUsize,
    /// Whether any run has begun at all, and whether one came to its steps.
    begun: AtomicBool,
    trained: AtomicBool,
    last: Last,
}

/// What is done last of all where the program ends by itself.
#[derive(Default)]
struct Last(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Last").finish_non_exhaustive()
    }
}

/// Where a run is on its way, until this value is dropped.
#[derive(Debug)]
pub struct Stage {
    of: Arc<Shared>,
    trains: AtomicBool,
}

impl Interrupt {
    /// Listens from now on. What is to be done [`at_end`](Self::at_end) is said before: a signal may come at once.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn listen(self, quiet: bool) -> Result<Self, Failure> {
        signals::listen(&self, quiet)
            .map_err(|error| Failure::Failed(format!("signals cannot be listened for: {error}")))?;
        Ok(self)
    }

    /// The same, and a run that ends after so many epochs too, with a checkpoint.
    pub fn after(&self, epochs: Option<u64>) -> Self {
        Self(Arc::clone(&self.0), epochs)
    }

    /// After how many epochs a run is to end, where that is not its last one.
    pub fn epochs(&self) -> Option<u64> {
        self.1
    }

    /// Asks for an end, as Ctrl-C does.
    #[cfg(test)]
    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Does this last of all where the program ends by itself, because nothing could be lost, in place of what was to be
    /// done before.
    pub fn at_end(&self, last: impl FnOnce() + Send + 'static) {
        *self.0.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(last));
    }

    /// A run begins, or is taken up again.
    pub fn run(&self) -> Stage {
        self.0.preparing.fetch_add(1, Ordering::SeqCst);
        self.0.begun.store(true, Ordering::SeqCst);
        Stage { of: Arc::clone(&self.0), trains: AtomicBool::new(false) }
    }
}

impl Shared {
    /// Whether nothing that was done since a checkpoint would be lost now, and nobody is on the way to an end anyway.
    fn nothing_to_lose(&self) -> bool {
        let waits = self.preparing.load(Ordering::SeqCst) > 0 || !self.begun.load(Ordering::SeqCst);
        waits && self.training.load(Ordering::SeqCst) == 0
    }
}

impl Stage {
    /// The run is at its first step.
    pub fn trains(&self) {
        if !self.trains.swap(true, Ordering::SeqCst) {
            self.of.trained.store(true, Ordering::SeqCst);
            self.of.training.fetch_add(1, Ordering::SeqCst);
            self.of.preparing.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let counted = if *self.trains.get_mut() { &self.of.training } else { &self.of.preparing };
        counted.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(unix)]
mod signals {
    use std::io;
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, PoisonError};
    use std::thread;
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::{exit, signal_name};

    use super::{Interrupt, Shared};
    use crate::failure::{asked_by, code_of};
    use crate::run::folder::release_all;

    /// Signals that come in pairs come closer together than people can press keys.
    const AGAIN: Duration = Duration::from_secs(1);
    /// How often it is looked whether the program may end.
    const LOOK: Duration = Duration::from_millis(20);
    /// Where some runs of a sweep have stopped, the others get as long to come to their steps and stop there too.
    const PATIENCE: Duration = Duration::from_secs(2);

    pub fn listen(interrupt: &Interrupt, quiet: bool) -> io::Result<()> {
        let mut all = vec![SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
        // `nohup` has a program ignore it, and goes on to mean that.
        all.extend((!ignored(SIGHUP)).then_some(SIGHUP));
        // A file that may not grow any larger is then an error that is told, as a full disk is.
        flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new(all)?;
        let shared = Arc::clone(&interrupt.0);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut ctrl_c: Option<Instant> = None;
            for signal in signals.forever() {
                hear(signal, &shared, quiet);
                match ctrl_c {
                    Some(first) if signal == SIGINT && first.elapsed() >= AGAIN => exit(code_of(SIGINT).into()),
                    None if signal == SIGINT => ctrl_c = Some(Instant::now()),
                    _ => {}
                }
            }
        })?;
        Ok(())
    }

    fn hear(signal: i32, shared: &Arc<Shared>, quiet: bool) {
        asked_by(signal);
        if shared.asked.swap(true, Ordering::SeqCst) {
            return;
        }
        let name = signal_name(signal).unwrap_or("a signal");
        if !quiet {
            eprintln!("{name}: the step at hand is finished first; a second Ctrl-C, a second later, ends it at once");
        }
        let shared = Arc::clone(shared);
        let end = move || {
            let mut since = Instant::now();
            loop {
                if !shared.nothing_to_lose() {
                    since = Instant::now();
                } else if !shared.trained.load(Ordering::SeqCst) || since.elapsed() >= PATIENCE {
                    break;
                }
                thread::sleep(LOOK);
            }
            eprintln!("stopped by {name} where nothing could be lost; the same command goes on");
            let last = shared.last.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(last) = last {
                last();
            }
            release_all();
            exit(code_of(signal).into());
        };
        // Where no thread can be made, the next step ends the run.
        _ = thread::Builder::new().name("end".to_owned()).spawn(end);
    }

    /// Whether the process was started with the order to ignore a signal; where the system does not tell, it was not.
    fn ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }
}

#[cfg(not(unix))]
mod signals {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use std::{io, thread};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    use super::Interrupt;

    pub fn listen(interrupt: &Interrupt, _quiet: bool) -> io::Result<()> {
        let (heard, shared) = (Arc::new(AtomicBool::new(false)), Arc::clone(&interrupt.0));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&heard))?;
        }
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while !heard.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            shared.asked.store(true, Ordering::SeqCst);
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_has_made_no_step_has_nothing_to_lose() {
        let interrupt = Interrupt::default();
        let free = || interrupt.0.nothing_to_lose();
        assert!(free(), "nothing has begun");
        let (one, other) = (interrupt.run(), interrupt.run());
        assert!(free(), "both prepare");
        one.trains();
        one.trains();
        assert!(!free(), "one trains");
        drop(one);
        assert!(free(), "the other prepares");
        other.trains();
        drop(other);
        assert!(!free(), "the program ends by itself");
    }
}
