//! The layers of a configuration, as commands take them.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::Flag;

/// The layers of a configuration.
#[derive(Clone, Debug, Args)]
pub struct Layers {
    /// Files, or names such as experiment/quickstart, later ones win; groups and values, criterion=taylor train.lr=0.1;
    /// what is taken back, ~train.clip_norm
    #[arg(index = 1, value_name = "CONFIG|KEY=VALUE|~KEY", value_hint = ValueHint::AnyPath)]
    pub words: Vec<String>,
    /// The config of a run that is resumed: weaker than all words.
    #[arg(skip)]
    pub own: Vec<String>,
    /// Set one value, as the word KEY=VALUE does: train.lr=0.05, model.hidden=[50,30]; a comma is part of the value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Where to compute: cpu, or cuda:N (short for --set device=...)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The folder that holds run folders (short for --set output.dir=...)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Layers {
    /// Whether a config is among the words, and not values alone.
    pub fn names_configs(&self) -> bool {
        self.words.iter().any(|word| !word.contains('=') && !word.starts_with('~'))
    }

    /// Whether nothing says what to run.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.own.is_empty()
    }

    /// The flags that stand for a key.
    pub fn flags(&self) -> Vec<Flag> {
        let device =
            self.device.as_ref().map(|device| Flag { name: "--device", key: "device", value: device.as_str().into() });
        let out = self.out.as_ref().map(|out| Flag {
            name: "--out",
            key: "output.dir",
            value: out.to_string_lossy().as_ref().into(),
        });
        device.into_iter().chain(out).collect()
    }
}
