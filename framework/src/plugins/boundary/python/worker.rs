//! A process of Python that answers one message at a time.

use crate::error::{Error, Result};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, process};

/// What the interpreter runs.
const CODE: &str =
    concat!(include_str!("says.py"), "\n\n", include_str!("shown.py"), "\n\n", include_str!("worker.py"));

/// Bytes from which the worker's C library asks the system for a piece of its own; glibc allows no more.
const MAPPED: u32 = 32 << 20;

/// Bytes that nobody uses and that the worker's C library keeps all the same.
const KEPT: u32 = 256 << 20;

/// How long an answer is looked for without a pause.
const AWAKE: Duration = Duration::from_millis(1);

/// Names the interpreter.
pub(super) const VARIABLE: &str = "SECATEUR_PYTHON";

/// A worker; it ends with this value.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    /// A socket, which can be waited for so long and no longer; no thread stands between it and who asks.
    answers: RefCell<BufReader<UnixStream>>,
    python: PathBuf,
    file: String,
    timeout: Duration,
    /// Whether it went wrong: what it would answer now belongs to nothing.
    lost: Cell<bool>,
}

impl Worker {
    /// Starts the interpreter for a file.
    ///
    /// # Errors
    /// There is none.
    pub fn start(path: &Path, timeout: Duration) -> Result<Self> {
        let python = interpreter(|name| env::var_os(name));
        let mut command = Command::new(&python);
        command.arg("-c").arg(CODE).arg(process::id().to_string());
        let failed = |error: std::io::Error| Error::Other(format!("there is no way to talk to a worker: {error}"));
        let (answers, theirs) = UnixStream::pair().map_err(failed)?;
        // A clock that is set to zero would never ring.
        answers.set_read_timeout(Some(timeout.max(Duration::from_millis(1)))).map_err(failed)?;
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(theirs)).stderr(Stdio::inherit());
        // The same bits each time: sums of several threads, and sets of words, have no order of their own.
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"] {
            command.env(name, "1");
        }
        command.env("PYTHONHASHSEED", "0");
        // NumPy's results are freed at each step and made anew at the next: memory that went back to the system between
        // would come with a page fault for each 4 KiB, which takes longer than most formulas.
        for (name, bytes) in [("MALLOC_MMAP_THRESHOLD_", MAPPED), ("MALLOC_TRIM_THRESHOLD_", KEPT)] {
            if env::var_os(name).is_none() {
                command.env(name, bytes.to_string());
            }
        }
        let mut child = command.spawn().map_err(|error| {
            let absent = error.kind() == ErrorKind::NotFound;
            let reason = if absent { "there is no such program".into() } else { error.to_string() };
            let python = python.to_string_lossy();
            Error::Other(format!(
                "Python is needed to run it, and {python} cannot be started: {reason}\n  fix: activate an environment, \
                 or name an interpreter: {VARIABLE}=/usr/bin/python3"
            ))
        })?;
        // With it goes this side's hold on the worker's end: answers end with the worker.
        drop(command);
        let requests = child.stdin.take().ok_or_else(|| Error::Other("the worker has no pipe".into()))?;
        let answers = RefCell::new(BufReader::new(answers));
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { child, requests, answers, python, file, timeout, lost: Cell::new(false) })
    }

    /// The interpreter, as it was started.
    pub fn python(&self) -> std::path::Display<'_> {
        self.python.display()
    }

    /// Sends a message, and waits for its answer.
    ///
    /// # Errors
    /// What Python raised, with its traceback; a worker that has ended, or takes too long.
    pub fn ask(&self, request: &Value) -> Result<Value> {
        self.send(request)?;
        self.answer(request)
    }

    /// Sends a message whose [`answer`](Self::answer) is the next thing to be asked for.
    ///
    /// # Errors
    /// A worker that has ended.
    pub fn send(&self, request: &Value) -> Result<()> {
        let mut line = request.to_string();
        line.push('\n');
        if self.lost.replace(true) || (&self.requests).write_all(line.as_bytes()).is_err() {
            return Err(self.ended(what(request)));
        }
        Ok(())
    }

    /// Waits for the answer to what was sent.
    ///
    /// # Errors
    /// As of [`ask`](Self::ask).
    pub fn answer(&self, request: &Value) -> Result<Value> {
        let what = what(request);
        let mut answer = vec![];
        match self.line(&mut answer) {
            Ok(()) if answer.ends_with(b"\n") => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Error::Other(format!(
                    "{} has not answered `{what}` for {} seconds, and was ended\n  fix: look for an endless loop, or \
                     allow it more time: criterion.timeout",
                    self.file,
                    self.timeout.as_secs_f64()
                )));
            }
            Ok(()) | Err(_) => return Err(self.ended(what)),
        }
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| {
            let answer = String::from_utf8_lossy(&answer);
            Error::Other(format!("{}: its worker gave no answer but {answer:?}: {error}", self.file))
        })?;
        self.lost.set(false);
        match answer.get("error").and_then(Value::as_str) {
            Some(traceback) => Err(Error::Other(traceback.to_owned())),
            None => Ok(answer),
        }
    }

    /// Reads up to the end of a line, or of all answers. Looks for it without a pause at first: to be woken takes longer
    /// than many a formula.
    fn line(&self, line: &mut Vec<u8>) -> std::io::Result<()> {
        let mut answers = self.answers.borrow_mut();
        let blocks = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        answers.get_ref().set_nonblocking(true)?;
        let asked = Instant::now();
        let mut found = answers.read_until(b'\n', line);
        while found.as_ref().is_err_and(blocks) && asked.elapsed() < AWAKE {
            std::thread::yield_now();
            found = answers.read_until(b'\n', line);
        }
        answers.get_ref().set_nonblocking(false)?;
        if found.as_ref().is_err_and(blocks) {
            found = answers.read_until(b'\n', line);
        }
        found.map(drop)
    }

    fn ended(&self, what: &str) -> Error {
        Error::Other(format!(
            "the worker that runs {} ended while it was asked to `{what}`; what Python said of it stands above, unless \
             it was killed",
            self.file
        ))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What it had to keep was asked of it before.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What a message asks for.
fn what(request: &Value) -> &str {
    request["do"].as_str().unwrap_or_default()
}

/// The interpreter: the one that is named, that of the active environment, or the first on `PATH`.
fn interpreter(var: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| var(name).filter(|value| !value.is_empty());
    let inside = |root: OsString| {
        let names = if cfg!(windows) { ["Scripts/python.exe", "python.exe"] } else { ["bin/python", "bin/python3"] };
        names.map(|name| Path::new(&root).join(name)).into_iter().find(|path| path.is_file())
    };
    let active = || ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().find_map(|name| inside(set(name)?));
    set(VARIABLE).map(PathBuf::from).or_else(active).unwrap_or_else(|| "python3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_named_one_then_that_of_the_environment() {
        let root = tempfile::tempdir().unwrap();
        let of = |all: &[(&str, &str)]| {
            interpreter(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert_eq!(of(&[]), Path::new("python3"));
        let environment = root.path().to_str().unwrap();
        assert_eq!(of(&[("VIRTUAL_ENV", environment)]), Path::new("python3"), "it holds no interpreter");
        let inside = root.path().join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::fs::write(&inside, "").unwrap();
        assert_eq!(of(&[("VIRTUAL_ENV", environment), ("CONDA_PREFIX", "/conda")]), inside);
        assert_eq!(of(&[("CONDA_PREFIX", environment), ("VIRTUAL_ENV", "")]), inside);
        assert_eq!(
            of(&[("VIRTUAL_ENV", environment), (VARIABLE, "/usr/bin/python3.9")]),
            Path::new("/usr/bin/python3.9")
        );
    }
}
