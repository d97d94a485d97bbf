//! Run folders as finished runs leave them, written by hand, so that every metric is known.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The version of the program that is tested.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A run: its criterion, its seed, its accuracy, and what else its config and its summary say.
#[derive(Clone)]
pub struct Cell {
    pub folder: String,
    pub config: String,
    pub summary: Value,
}

/// A finished run of five epochs on glyphs, with nine of ten weights gone.
pub fn cell(criterion: &str, seed: u64, accuracy: f64) -> Cell {
    let config = format!("seed = {seed}\ncriterion.name = '{criterion}'\ndata.name = 'glyphs'\ntrain.epochs = 5\n");
    let summary = json!({
        "status": "finished", "test_accuracy": accuracy, "test_loss": 1.0 - accuracy, "sparsity": 0.9, "params_kept": 1000,
        "macs_kept": 900, "seconds_train": 1.0, "seconds_prune": 0.1, "seconds_eval": 0.1,
    });
    Cell { folder: format!("{criterion}-{seed}"), config, summary }
}

impl Cell {
    /// Sets a key of the config, in TOML; the folder is named by it too.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let start = format!("{key} = ");
        let kept: Vec<&str> = self.config.lines().filter(|line| !line.starts_with(&start)).collect();
        self.config = kept.join("\n") + &format!("\n{start}{value}\n");
        let name: String = value.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        self.folder += &format!("-{name}");
        self
    }

    /// Sets values of the summary.
    pub fn with(mut self, values: Value) -> Self {
        self.summary.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        self
    }

    /// The run failed with this error.
    pub fn failed(mut self, error: &str) -> Self {
        self.summary = json!({"status": "failed", "error": error});
        self
    }

    /// The run is a control of another.
    pub fn control(mut self, kind: &str, of: &Self) -> Self {
        self.folder = format!("control-{kind}-of-{}", of.folder);
        self.with(json!({"control": kind, "control_of": of.folder}))
    }

    /// Writes its folder into that of a sweep.
    pub fn write(&self, sweep: &Path) -> PathBuf {
        let folder = sweep.join(&self.folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), &self.config).unwrap();
        fs::write(folder.join("provenance.toml"), format!("[program]\nversion = '{VERSION}'")).unwrap();
        fs::write(folder.join("summary.json"), self.summary.to_string()).unwrap();
        folder
    }
}
