//! The arguments of commands that take up a saved network, of a run or alone.

use std::path::PathBuf;

use clap::Args;

/// A saved network, and the data that it is shown.
#[derive(Clone, Debug, Args)]
pub struct OfNetwork {
    /// The folder of a finished run, or a model.safetensors
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// A folder of images, in place of the run's data: of one folder a class, or without; scaled to the network's size
    #[arg(long, value_name = "DIR", conflicts_with = "sets")]
    pub data: Option<PathBuf>,
    /// One value of the [data] section, in place of the run's: data.dir=DIR, data.name=mnist
    #[arg(long = "set", value_name = "data.KEY=VALUE", value_parser = of_data)]
    pub sets: Vec<String>,
    /// Where to compute: cpu, or cuda:N; where the run did, unless given
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// The network is what it is: only where its examples come from can be another.
fn of_data(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if key.trim() == "data" || key.trim().starts_with("data.") => Ok(text.to_owned()),
        Some(_) => Err("only values of the section [data] can be set here: data.dir=DIR".to_owned()),
        None => Err("must be a key and a value: data.dir=DIR".to_owned()),
    }
}
