//! A file of Python, and what it says of itself.

use super::criterion::Adapter;
use super::worker::{VARIABLE, Worker};
use crate::backend::{Backend, Reduce};
use crate::error::{Error, OptionError, Result};
use crate::network::forward::Needs;
use crate::options::{OptionDoc, Table, unknown};
use crate::plugins::registry::Origin;
use crate::pruning::criterion::{Criterion, Window};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a criterion's name begins with that is a file of Python: `python:mine.py`.
pub const PREFIX: &str = "python:";

/// How long a script may take for one answer, in seconds, unless the option says otherwise.
const TIMEOUT: f64 = 30.0;

/// The option of that.
const TIMEOUT_KEY: &str = "timeout";

/// A file whose criterion a worker can run.
#[derive(Debug)]
pub struct Script {
    name: String,
    summary: String,
    docs: Vec<OptionDoc>,
    origin: Origin,
    what: Arc<What>,
}

/// What a worker runs, and what it is shown.
#[derive(Debug)]
pub(super) struct What {
    pub path: PathBuf,
    /// Its text as it was hashed; that is what a worker runs.
    pub source: String,
    pub needs: Needs,
    pub window: Window,
    pub reduce: Reduce,
    /// The functions beside `score`.
    pub defines: Vec<String>,
}

impl What {
    pub fn defines(&self, function: &str) -> bool {
        self.defines.iter().any(|name| name == function)
    }

    /// Its path as people wrote it, or nearly so.
    pub fn file(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// What a worker answers about the file.
#[derive(Deserialize)]
struct Described {
    python: String,
    numpy: String,
    doc: String,
    needs: Vec<String>,
    window: Option<Value>,
    reduce: Option<Value>,
    options: serde_json::Map<String, Value>,
    defines: Vec<String>,
}

impl Script {
    /// Whether a file is one of Python, by its name.
    pub fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "py")
    }

    /// Asks a worker what the file holds; its hash must be `sha256`, where given. The file's code runs with all rights
    /// of this program.
    ///
    /// # Errors
    /// A file that cannot be read, or is another than its hash says; no interpreter, or none with NumPy; what Python
    /// raised; a file that says what it cannot mean. Each names the file.
    pub fn open(path: &Path, sha256: Option<&str>) -> Result<Self> {
        let refuse = |message: String| Error::File { path: path.into(), message };
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&hash)) {
            return Err(refuse(format!("its SHA-256 hash is {hash}, but the config names {expected}: it was changed")));
        }
        let source = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8 text".into()))?;
        let path = path.canonicalize().map_err(Error::io(path))?;
        let worker = Worker::start(&path, Duration::from_secs_f64(TIMEOUT)).map_err(|e| refuse(e.to_string()))?;
        let answer = worker.ask(&json!({ "do": "describe", "path": path, "source": source })).map_err(|error| {
            let mut text = error.to_string();
            if text.ends_with("No module named 'numpy'") {
                text += &format!(
                    "\n  fix: {} -m pip install numpy, or name another interpreter: {VARIABLE}",
                    worker.python()
                );
            }
            refuse(text)
        })?;
        let described = serde_json::from_value(answer).map_err(|e| refuse(format!("what it says of itself: {e}")))?;
        Self::of(path, source, hash, described).map_err(refuse)
    }

    fn of(path: PathBuf, source: String, sha256: String, found: Described) -> Result<Self, String> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let needs = found.needs.iter().map(|need| needed(need)).collect::<Result<Vec<_>, _>>()?;
        let needs = needs.into_iter().fold(Needs::WEIGHTS, |all, need| all | need);
        let defines = |function: &str| found.defines.iter().any(|name| name == function);
        let last = !defines("observe");
        let usual = if last { Window::LastStep } else { Window::SincePrune };
        let window = found.window.map_or(Ok(usual), |value| word("window", value))?;
        if last && window != Window::LastStep {
            return Err("it says which steps count (window), but defines no observe(seen) that would see them".into());
        }
        if window != Window::LastStep && !(defines("save") && defines("load")) {
            return Err(
                "it observes more than one step, so that what it collects must survive a restart: define save() \
                        and load(state), or say window = \"last-step\""
                    .into(),
            );
        }
        if defines("save") != defines("load") {
            return Err("it defines one of save() and load(state) without the other".into());
        }
        let reduce = found.reduce.map_or(Ok(Reduce::L1), |value| word("reduce", value))?;
        let mut docs = vec![OptionDoc {
            name: TIMEOUT_KEY,
            doc: "Seconds after which one answer of the script is taken for an endless loop.".into(),
            ty: "f64".into(),
            default: Some(TIMEOUT.into()),
            acts: None,
        }];
        for (name, default) in found.options {
            docs.push(option(&file, &name, default)?);
        }
        let summary = if found.doc.is_empty() { format!("The function `score` of {file}.") } else { found.doc.clone() };
        let version = format!("{}, NumPy {}", found.python, found.numpy);
        let origin = Origin { krate: file.clone(), version, file: Some(path.clone()), sha256: Some(sha256) };
        let what = What { path, source, needs, window, reduce, defines: found.defines };
        Ok(Self { name: format!("{PREFIX}{file}"), summary, docs, origin, what: Arc::new(what) })
    }

    /// The name configs use: `python:mine.py`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One sentence: the first line of the file's own documentation, where it has one.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Its options.
    pub fn docs(&self) -> &[OptionDoc] {
        &self.docs
    }

    /// The file with its hash, and what runs it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Checks options without building anything.
    ///
    /// # Errors
    /// All that are wrong.
    pub fn check(&self, options: &Table) -> Result<(), Vec<OptionError>> {
        let known: Vec<&str> = self.docs.iter().map(|doc| doc.name).collect();
        let wrong = |(key, value): (&String, &toml::Value)| {
            let refused = |allowed: String| Some(OptionError::new(key, value, allowed));
            let Some(doc) = self.docs.iter().find(|doc| doc.name == key) else {
                return refused(unknown("option", key, &known));
            };
            let default = doc.default.as_ref()?;
            if key == TIMEOUT_KEY && number(value).is_some_and(|seconds| !(seconds > 0.0 && seconds <= 1e6)) {
                return refused("must be above 0 and at most a million".into());
            }
            if value.as_float().is_some_and(|value| !value.is_finite()) {
                return refused("must be a finite number".into());
            }
            (!alike(value, default))
                .then(|| OptionError::new(key, value, format!("must be like its default, {default}")))
        };
        let errors: Vec<OptionError> = options.iter().filter_map(wrong).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Builds the criterion; its worker starts with the run.
    ///
    /// # Errors
    /// Options that are wrong.
    pub fn criterion<B: Backend>(&self, options: &Table) -> Result<Box<dyn Criterion<B>>> {
        self.check(options).map_err(Error::Options)?;
        let seconds = options.get(TIMEOUT_KEY).and_then(number).unwrap_or(TIMEOUT);
        let mut given = serde_json::Map::new();
        for (key, value) in options.iter().filter(|(key, _)| *key != TIMEOUT_KEY) {
            let whole =
                self.docs.iter().any(|doc| doc.name == key && doc.default.as_ref().is_some_and(|d| !d.is_float()));
            let value = match number(value).filter(|_| !whole) {
                Some(number) => json!(number),
                None => json!(value),
            };
            given.insert(key.clone(), value);
        }
        let what = Arc::clone(&self.what);
        Ok(Box::new(Adapter::new(self.name.clone(), what, given.into(), Duration::from_secs_f64(seconds))))
    }
}

/// A signal by the word that scripts use.
fn needed(word: &str) -> Result<Needs, String> {
    const WORDS: [(&str, Needs); 7] = [
        ("weights", Needs::WEIGHTS),
        ("gradients", Needs::GRADIENTS),
        ("inputs", Needs::INPUTS),
        ("outputs", Needs::OUTPUTS),
        ("output-gradients", Needs::OUTPUT_GRADIENTS),
        ("preactivations", Needs::PREACTIVATIONS),
        ("products", Needs::PRODUCTS),
    ];
    let names: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
    let found = WORDS.iter().find(|(name, _)| *name == word);
    found.map(|(_, need)| *need).ok_or_else(|| format!("needs = {word:?}: {}", unknown("signal", word, &names)))
}

fn word<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, String> {
    let found = value.to_string();
    serde_json::from_value(value).map_err(|error| format!("{name} = {found}: {error}"))
}

/// An option as the script declares it, by its default.
fn option(file: &str, name: &str, default: Value) -> Result<OptionDoc, String> {
    let wrong =
        || format!("options: the default of {name:?} is {default}, and must be a number, a text, or true or false");
    let (ty, value) = match &default {
        Value::Bool(on) => ("bool", (*on).into()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => ("i64", whole.into()),
            None => ("f64", number.as_f64().ok_or_else(wrong)?.into()),
        },
        Value::String(text) => ("String", text.as_str().into()),
        _ => return Err(wrong()),
    };
    if name == TIMEOUT_KEY || name == "name" {
        return Err(format!("options: {name:?} is taken; choose another word"));
    }
    // Documentation lives as long as the program, as that of linked-in plugins does.
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Ok(OptionDoc { name, doc: format!("`{name}` of {file}."), ty: ty.into(), default: Some(value), acts: None })
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// Whether a value has the type of a default; a whole number will do for a fraction.
fn alike(value: &toml::Value, default: &toml::Value) -> bool {
    value.same_type(default) || (default.is_float() && value.is_integer())
}
