//! The arguments of commands that take up a finished run.

use std::path::PathBuf;

use clap::Args;

use crate::config::Flag;

/// A finished run, and what of its config may be another here.
#[derive(Debug, Args)]
pub struct OfRun {
    /// The folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where to compute: cpu, or cuda:N; where the run did, unless given
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The folder of the data set; the run's data.dir, unless given
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl OfRun {
    /// The flags that stand for a key.
    pub fn flags(&self) -> Vec<Flag> {
        let device =
            self.device.as_ref().map(|value| Flag { name: "--device", key: "device", value: value.as_str().into() });
        let dir = self.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        device
            .into_iter()
            .chain(dir.map(|dir| Flag { name: "--data-dir", key: "data.dir", value: dir.into() }))
            .collect()
    }
}
