//! The claim on a run's folder: one process at a time writes there, also where the folder lies on a disk that many
//! machines share. Locks of files do not hold on many of those; giving a folder a name that another one has fails
//! everywhere.
//!
//! A claim is the folder `.claim`. It has its owner in it when it gets that name, so that it is nobody's at no moment, and
//! a sign of life every some seconds. Whoever finds it takes it over where the owner is seen to be dead on this machine, where the owner's job was started again as this process,
//! or where the owner was silent for long. A process that was only asleep finds its claim taken over before it replaces
//! any file; what it did is lost, and nothing that the other one does.
//!
//! Longer than 300 lines because taking, keeping, judging and losing a claim are one protocol, which is read at once.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::owner::{Owner, process_token};
use crate::run::error::{RunDirError, failed};

/// The claim's name in a run's folder.
pub const CLAIM: &str = ".claim";
/// How the names of folders begin that are about to become a claim, or were one.
const ASIDE: &str = ".claim-";
/// The owner.
const OWNER: &str = "owner.json";
/// The newest sign of life.
const BEAT: &str = "beat.json";
/// In a claim, that of the one process that takes it over; where that one ended on the way, in its folder that of the
/// next one.
const TAKEN: &str = "taken";

/// How often an owner gives a sign of life.
const EVERY: Duration = Duration::from_secs(15);
/// One that gave none for so long may be dead: it missed two.
const LATE: Duration = Duration::from_secs(45);
/// One that gave none for so long is taken for dead. Disks that machines share may show it a minute late.
const SILENT: Duration = Duration::from_secs(180);
/// More often, a claim is found gone only where others come and go just then.
const TRIES: usize = 8;

/// The folders that this process has claimed, and the tokens of these claims.
static CLAIMED: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

/// How far a run has come, as its owner says it with every sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    /// Optimizer steps that were made.
    pub step: u64,
    /// Those that the run has.
    pub steps: u64,
    /// Steps that were made before this process took the run up.
    pub from: u64,
    /// Seconds since it did.
    pub seconds: f64,
}

/// A claim as another process finds it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The run's folder.
    pub run: PathBuf,
    /// Who holds it; `None` in the moment before that is written, or where it is damaged.
    pub owner: Option<Owner>,
    /// How far that process has come.
    pub beat: Beat,
    /// How long it was silent.
    pub silent: Duration,
}

/// A claim that this process holds until this value is dropped.
#[derive(Debug)]
pub struct Claim {
    run: PathBuf,
    owner: Owner,
    shared: Arc<Shared>,
    heart: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    lost: AtomicBool,
    step: AtomicU64,
    steps: AtomicU64,
    /// The first step of this process, and when it was made.
    begun: Mutex<Option<(u64, Instant)>>,
    over: Mutex<bool>,
    wake: Condvar,
}

impl Claim {
    /// Claims a run's folder, which must be there.
    ///
    /// # Errors
    /// Another process holds it; it cannot be written.
    pub fn take(run: &Path) -> Result<Self, RunDirError> {
        let (path, owner) = (run.join(CLAIM), Owner::here());
        let mut found = None;
        for _ in 0..TRIES {
            match put(run, &path, &owner).map_err(failed(&path, "create it"))? {
                Put::There => return Ok(Self::settle(run, owner)),
                Put::Taken => {}
                Put::Gone => continue,
            }
            let Some(held) = Held::find(run, now_on_disk(run)) else { continue };
            if !held.is_over(&owner) || !take_over(run, &held).map_err(failed(&path, "take it over"))? {
                return Err(RunDirError::Busy(Box::new(held)));
            }
            found = Some(held);
        }
        let unknown = Held { run: run.to_owned(), owner: None, beat: Beat::default(), silent: Duration::ZERO };
        Err(RunDirError::Busy(Box::new(found.unwrap_or(unknown))))
    }

    /// Keeps the claim that this process has just made.
    fn settle(run: &Path, owner: Owner) -> Self {
        claimed().push((run.to_owned(), owner.token.clone()));
        let shared = Arc::new(Shared::default());
        shared.give_sign(&run.join(CLAIM));
        let beats = Heart { run: run.to_owned(), token: owner.token.clone(), shared: Arc::clone(&shared) };
        let heart = thread::Builder::new().name("claim".to_owned()).spawn(move || beats.run());
        // Without a thread it is silent, and may be taken over once that was long: it is found out then.
        Self { run: run.to_owned(), owner, shared, heart: heart.ok() }
    }

    /// Checks that the claim is still this process's.
    ///
    /// # Errors
    /// Another process took it over.
    pub fn check(&self) -> Result<(), RunDirError> {
        if !self.shared.lost.load(Ordering::Relaxed) && holds(&self.run, &self.owner.token) {
            return Ok(());
        }
        self.shared.lost.store(true, Ordering::Relaxed);
        let by = Held::read(&self.run).map_or_else(|| "it is gone".to_owned(), |held| held.to_string());
        Err(RunDirError::Lost(self.run.clone(), by))
    }

    /// Whether another process was found to have taken it over.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The run begins, or goes on, at a step of so many.
    pub fn begin(&self, step: u64, steps: u64) {
        self.shared.steps.store(steps, Ordering::Relaxed);
        *self.shared.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some((step, Instant::now()));
        self.progress(step);
    }

    /// So many steps were made.
    pub fn progress(&self, step: u64) {
        self.shared.step.store(step, Ordering::Relaxed);
    }

    /// How many steps were made; `None` before the first.
    pub fn step(&self) -> Option<u64> {
        let begun = self.shared.begun.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        begun.then(|| self.shared.step.load(Ordering::Relaxed))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        *self.shared.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        if let Some(heart) = self.heart.take() {
            _ = heart.join();
        }
        // It is not among them where the program ends by itself just now.
        let mut claimed = claimed();
        if let Some(at) = claimed.iter().position(|(_, token)| *token == self.owner.token) {
            claimed.swap_remove(at);
            release(&self.run, &self.owner.token);
        }
    }
}

fn claimed() -> MutexGuard<'static, Vec<(PathBuf, String)>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives up every claim of this process, which ends at once: on another machine nobody could see that it is dead, and
/// its runs would wait there for a sign of life.
pub fn release_all() {
    claimed().drain(..).for_each(|(run, token)| release(&run, &token));
}

fn release(run: &Path, token: &str) {
    if holds(run, token) {
        discard(run, token);
    }
}

struct Heart {
    run: PathBuf,
    token: String,
    shared: Arc<Shared>,
}

impl Heart {
    fn run(self) {
        loop {
            let over = self.shared.over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.shared.wake.wait_timeout_while(over, EVERY, |over| !*over);
            if waited.is_ok_and(|(over, _)| *over) {
                return;
            }
            if !holds(&self.run, &self.token) {
                return self.shared.lost.store(true, Ordering::Relaxed);
            }
            self.shared.give_sign(&self.run.join(CLAIM));
        }
    }
}

impl Shared {
    /// What cannot be written now may be the next time.
    fn give_sign(&self, claim: &Path) {
        let mut beat = Beat {
            step: self.step.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
            ..Beat::default()
        };
        if let Some((from, began)) = *self.begun.lock().unwrap_or_else(PoisonError::into_inner) {
            (beat.from, beat.seconds) = (from, began.elapsed().as_secs_f64());
        }
        _ = fs::write(claim.join(BEAT), serde_json::json!(beat).to_string());
    }
}

impl Held {
    /// The claim on a run's folder, where there is one, by this machine's clock.
    pub fn read(run: &Path) -> Option<Self> {
        Self::find(run, SystemTime::now())
    }

    fn find(run: &Path, now: SystemTime) -> Option<Self> {
        Self::at(&run.join(CLAIM), run, now)
    }

    fn at(path: &Path, run: &Path, now: SystemTime) -> Option<Self> {
        let time = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        let made = time(path)?;
        let newest = [OWNER, BEAT].iter().filter_map(|name| time(&path.join(name))).fold(made, SystemTime::max);
        let silent = now.duration_since(newest).unwrap_or(Duration::ZERO);
        let read = |name: &str| fs::read(path.join(name)).ok();
        let owner = owner_of(path);
        let beat = read(BEAT).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Some(Self { run: run.to_owned(), owner, beat, silent })
    }

    /// Whether this process may take it over.
    fn is_over(&self, later: &Owner) -> bool {
        let job_came_again = self.owner.as_ref().is_some_and(|owner| owner.is_succeeded_by(later));
        job_came_again || self.is_dead()
    }

    /// Whether its owner is seen to be dead, or was silent for so long that it is taken for that.
    pub fn is_dead(&self) -> bool {
        let lives = self.owner.as_ref().and_then(Owner::lives);
        lives.map_or(self.silent >= SILENT, |lives| !lives)
    }

    /// Whether it will be known soon if the owner is dead: it was silent for longer than it should be.
    pub fn may_be_dead(&self) -> bool {
        let lives = self.owner.as_ref().and_then(Owner::lives);
        lives.is_none() && self.silent >= LATE
    }

    /// Who holds it, in words.
    pub fn who(&self) -> String {
        self.owner.as_ref().map_or_else(|| "a process that has not said who it is".to_owned(), Owner::to_string)
    }

    /// Whether this process holds it.
    pub fn is_ours(&self) -> bool {
        self.owner.as_ref().is_some_and(Owner::is_this_process)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, heard from {} s ago", self.who(), self.silent.as_secs())
    }
}

/// Whether a run's folder is claimed by the holder of this token.
fn holds(run: &Path, token: &str) -> bool {
    owner_of(&run.join(CLAIM)).is_some_and(|owner| owner.token == token)
}

/// The owner of a claim, where it can be read.
fn owner_of(claim: &Path) -> Option<Owner> {
    fs::read(claim.join(OWNER)).ok().and_then(|text| serde_json::from_slice(&text).ok())
}

/// What became of a folder that was to get a name.
enum Put {
    /// It has it.
    There,
    /// Another one has it.
    Taken,
    /// The folder in which it was to be is gone, or it is gone itself.
    Gone,
}

/// Makes a folder with this owner in it, in one step for whoever looks.
fn put(run: &Path, at: &Path, owner: &Owner) -> io::Result<Put> {
    let aside = run.join(format!("{ASIDE}{}", Owner::here().token));
    fs::create_dir(&aside)?;
    let text = serde_json::to_vec(owner).map_err(io::Error::from);
    let put = text.and_then(|text| fs::write(aside.join(OWNER), text)).and_then(|()| fs::rename(&aside, at));
    let Err(error) = put else { return Ok(Put::There) };
    _ = fs::remove_dir_all(&aside);
    // Whether another one has the name is said in as many ways as there are systems; some disks say of what they did that
    // they could not.
    match owner_of(at) {
        Some(found) if found.token == owner.token => Ok(Put::There),
        _ if at.exists() => Ok(Put::Taken),
        _ if error.kind() == ErrorKind::NotFound => Ok(Put::Gone),
        _ => Err(error),
    }
}

/// Takes away a claim that was found to be over; `false` where another process is about to do that, or has.
fn take_over(run: &Path, found: &Held) -> io::Result<bool> {
    let (mut taken, own) = (run.join(CLAIM).join(TAKEN), Owner::here());
    loop {
        match put(run, &taken, &own)? {
            Put::There => break,
            Put::Gone => return Ok(true),
            // One that died on the way to take over must not stand in the way. What it made stays where it is: of those
            // that follow, again one is the first.
            Put::Taken if Held::at(&taken, run, now_on_disk(run)).is_none_or(|first| first.is_dead()) => {
                taken = taken.join(TAKEN);
            }
            Put::Taken => return Ok(false),
        }
    }
    // What was judged may be gone, and this be the claim of a process that lives.
    let token = |held: &Held| held.owner.as_ref().map(|owner| owner.token.clone());
    if Held::read(run).is_none_or(|now| token(&now) != token(found)) {
        _ = fs::remove_dir_all(&taken);
        return Ok(false);
    }
    discard(run, &own.token);
    Ok(true)
}

/// Removes a claim: away from its name first, so that it is there whole or not at all.
fn discard(run: &Path, token: &str) {
    let gone = run.join(format!("{ASIDE}{token}"));
    if fs::rename(run.join(CLAIM), &gone).is_ok() {
        _ = fs::remove_dir_all(gone);
    }
}

/// Removes what processes left that ended on the way to make or to remove a claim; for the holder of the one that is there.
pub fn sweep_up(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(ASIDE)) {
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The time by the clock that stamps the files of a folder: a disk that machines share has its own.
fn now_on_disk(folder: &Path) -> SystemTime {
    let path = folder.join(format!(".now-{}", process_token()));
    let stamped = fs::write(&path, "").and_then(|()| fs::metadata(&path)).and_then(|about| about.modified());
    _ = fs::remove_file(&path);
    stamped.unwrap_or_else(|_| SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// The owner in a folder, changed.
    fn rewrite(run: &Path, change: impl FnOnce(&mut serde_json::Value)) {
        let path = run.join(CLAIM).join(OWNER);
        let mut owner = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut owner);
        fs::write(path, owner.to_string()).unwrap();
    }

    /// A claim as a process of another machine left it, heard from so long ago.
    fn of_another_machine(run: &Path, silent: Duration) {
        std::mem::forget(Claim::take(run).unwrap());
        rewrite(run, |owner| {
            owner["machine"] = "another".into();
            owner["host"] = "n7".into();
            owner["token"] = "0123-4".into();
        });
        age(run, silent);
    }

    fn age(run: &Path, silent: Duration) {
        for name in [OWNER, BEAT, ""] {
            let file = File::open(run.join(CLAIM).join(name)).unwrap();
            file.set_modified(SystemTime::now() - silent).unwrap();
        }
    }

    fn busy(run: &Path) -> Held {
        match Claim::take(run) {
            Err(RunDirError::Busy(held)) => *held,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_is_held_by_one_and_leaves_nothing() {
        let run = tempfile::tempdir().unwrap();
        let claim = Claim::take(run.path()).unwrap();
        assert!(busy(run.path()).is_ours());
        claim.check().unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0);
        drop(Claim::take(run.path()).unwrap());
    }

    #[test]
    fn of_many_that_want_it_at_once_one_has_it() {
        let run = tempfile::tempdir().unwrap();
        let (inside, most, had) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(claim) = Claim::take(run.path()) else { continue };
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        had.fetch_add(1, Ordering::SeqCst);
                        claim.check().unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(had.into_inner() > 0);
    }

    #[test]
    fn one_of_another_machine_is_taken_over_once_it_was_silent_for_long() {
        let run = tempfile::tempdir().unwrap();
        of_another_machine(run.path(), Duration::from_secs(12));
        let held = busy(run.path());
        assert!(!held.may_be_dead() && held.to_string().contains("on n7, heard from 1"), "{held}");
        age(run.path(), Duration::from_secs(60));
        assert!(busy(run.path()).may_be_dead());
        age(run.path(), SILENT + Duration::from_secs(1));
        let claim = Claim::take(run.path()).unwrap();
        claim.check().unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn one_of_a_dead_process_of_this_machine_is_taken_over_at_once() {
        let run = tempfile::tempdir().unwrap();
        std::mem::forget(Claim::take(run.path()).unwrap());
        // The process lives, and its number alone is not it.
        rewrite(run.path(), |owner| owner["began"] = "1".into());
        drop(Claim::take(run.path()).unwrap());
    }

    #[test]
    fn an_owner_that_was_only_asleep_finds_out_and_gives_nothing_back() {
        let run = tempfile::tempdir().unwrap();
        let asleep = Claim::take(run.path()).unwrap();
        // As another process would, which held it for dead.
        assert!(take_over(run.path(), &Held::read(run.path()).unwrap()).unwrap());
        let other = Claim::take(run.path()).unwrap();
        let error = asleep.check().unwrap_err().to_string();
        assert!(error.contains("another process has taken") && asleep.is_lost(), "{error}");
        drop(asleep);
        other.check().unwrap();
    }

    #[test]
    fn what_was_judged_must_still_be_there() {
        let run = tempfile::tempdir().unwrap();
        of_another_machine(run.path(), SILENT + Duration::from_secs(1));
        let judged = Held::read(run.path()).unwrap();
        let other = Claim::take(run.path()).unwrap();
        assert!(!take_over(run.path(), &judged).unwrap(), "the other one has taken it over meanwhile");
        other.check().unwrap();
        // Of two, the one that came first takes it.
        assert!(matches!(put(run.path(), &run.path().join(CLAIM).join(TAKEN), &Owner::here()).unwrap(), Put::There));
        assert!(!take_over(run.path(), &Held::read(run.path()).unwrap()).unwrap());
        other.check().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn one_that_died_on_the_way_to_take_over_stands_in_nobodys_way() {
        let run = tempfile::tempdir().unwrap();
        let dead = || -> Owner {
            let mut owner = serde_json::json!(Owner::here());
            owner["began"] = "1".into();
            serde_json::from_value(owner).unwrap()
        };
        let claim = run.path().join(CLAIM);
        for level in ["", "taken", "taken/taken"] {
            assert!(matches!(put(run.path(), &claim.join(level), &dead()).unwrap(), Put::There));
        }
        assert!(matches!(put(run.path(), &claim, &Owner::here()).unwrap(), Put::Taken));
        Claim::take(run.path()).unwrap().check().unwrap();
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0);
    }

    #[test]
    fn how_far_a_run_has_come_is_told() {
        let run = tempfile::tempdir().unwrap();
        let claim = Claim::take(run.path()).unwrap();
        assert_eq!(claim.step(), None);
        claim.begin(30, 900);
        claim.progress(40);
        claim.shared.give_sign(&run.path().join(CLAIM));
        let beat = busy(run.path()).beat;
        assert_eq!((beat.step, beat.steps, beat.from, claim.step()), (40, 900, 30, Some(40)));
    }
}
