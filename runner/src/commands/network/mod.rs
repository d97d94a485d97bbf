//! Commands that take up a saved network, and what they share.

pub mod compress;
pub mod decompress;
pub mod export;
pub mod latency;
pub mod predict;
pub mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use secateur::network::model_file::{ModelFile, SavedModel};
use toml::Value;

use crate::cli::{Cli, OfNetwork, OfRun};
use crate::config::{Flag, Request, Resolved, resolve};
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::run::{CONFIG, MODEL, write_asked};

/// A saved network, and what is known of it.
pub struct Network {
    /// Where it lies.
    pub file: PathBuf,
    /// What the file holds.
    pub bytes: Vec<u8>,
    /// Its config: the run's, or what the file says.
    pub config: Resolved,
}

impl Network {
    /// Reads the network, and resolves its config.
    ///
    /// # Errors
    /// There is none; its config is not complete.
    pub fn open(of: &OfNetwork, data: Data, cli: &Cli, workbench: &Workbench) -> Result<Self, Failure> {
        let file = file_of(&of.model);
        let config = resolve(&request(of, data, cli)?, workbench)?;
        let bytes = read(&file)?;
        said(&file, &bytes)?;
        Ok(Self { bytes, file, config })
    }
}

/// Whether a command looks at data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// It does, so that a network of no run must be told which.
    Needed,
    /// It does not.
    Unused,
}

/// What the libraries and the config of a network are found by: the config of its run, where it lies in the folder of
/// one, and else its own description.
pub fn request(of: &OfNetwork, data: Data, cli: &Cli) -> Result<Request, Failure> {
    let file = file_of(&of.model);
    let beside = file.parent().map(|folder| folder.join(CONFIG)).filter(|config| config.is_file());
    let mut request = match beside {
        _ if of.model.is_dir() => {
            super::own_config(&OfRun { run: of.model.clone(), device: None, data_dir: None }, cli)?
        }
        Some(config) => Request {
            configs: vec![config.to_string_lossy().into_owned()],
            plugins: cli.plugins.clone(),
            variables: Vec::new(),
            ..super::request()?
        },
        None => alone(of, data, &file, cli)?,
    };
    if let Some(device) = &of.device {
        request.flags.push(Flag { name: "--device", key: "device", value: device.as_str().into() });
    }
    if let Some(dir) = &of.data {
        request.flags.extend(images(dir, &about(&file)?));
    }
    request.sets = of.sets.clone();
    Ok(request)
}

/// The file of a network that is named by its run or by itself.
pub fn file_of(model: &Path) -> PathBuf {
    if model.is_dir() { model.join(MODEL) } else { model.to_owned() }
}

/// The bytes of a network's file.
///
/// # Errors
/// It cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        let fix = "name the folder of a finished run, or the model.safetensors of one";
        Failure::Usage(format!("{}: cannot read the network: {error}\n  fix: {fix}", file.display()))
    })
}

/// Writes a whole file that the command line names.
///
/// # Errors
/// It cannot be written; then nothing of it is there.
fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    Ok(write_asked(path, content)?)
}

fn about(file: &Path) -> Result<ModelFile, Failure> {
    said(file, &read(file)?)
}

/// What a network's file says of it.
///
/// # Errors
/// It is none, or damaged.
pub fn said(file: &Path, bytes: &[u8]) -> Result<ModelFile, Failure> {
    let refused = |error: secateur::Error| {
        let fix =
            "name a run, or its model.safetensors; weights of other programs are for runs to begin with: init.from";
        Failure::Failed(format!("{}: {error}\n  fix: {fix}", file.display()))
    };
    Ok(SavedModel::read(bytes).map_err(refused)?.about)
}

/// The config of a file that lies in no run's folder.
fn alone(of: &OfNetwork, data: Data, file: &Path, cli: &Cli) -> Result<Request, Failure> {
    let names_data = of.sets.iter().any(|set| set.replace(' ', "").starts_with("data.name="));
    let about = about(file)?;
    if data == Data::Needed && of.data.is_none() && !names_data {
        let fix = "name it: --data DIR with images, or --set data.name=mnist --set data.dir=DIR";
        return Err(Failure::Usage(format!(
            "{}: no {CONFIG} lies beside this file, so that nothing says which data it is for\n  fix: {fix}",
            file.display()
        )));
    }
    let mut flags = vec![Flag { name: "MODEL", key: "model", value: Value::Table(about.model.clone()) }];
    if !about.compressor.is_empty() {
        flags.push(Flag { name: "MODEL", key: "compressor", value: Value::Table(about.compressor.clone()) });
    }
    if data == Data::Unused {
        // A config names some data; this one is never made.
        flags.push(Flag { name: "MODEL", key: "data.name", value: "glyphs".into() });
    }
    Ok(Request { flags, plugins: cli.plugins.clone(), variables: Vec::new(), ..super::request()? })
}

/// Images of a folder, in the form that a network takes.
fn images(dir: &Path, about: &ModelFile) -> Vec<Flag> {
    let flag = |key, value| Flag { name: "--data", key, value };
    let mut flags =
        vec![flag("data.name", "image-folder".into()), flag("data.dir", dir.to_string_lossy().as_ref().into())];
    if let [channels, height, width] = about.input.shape[..] {
        flags.push(flag("data.image-folder.grayscale", (channels == 1).into()));
        // Images that are not square are taken as they are.
        if height == width {
            flags.push(flag("data.image-folder.size", i64::try_from(height).unwrap_or(i64::MAX).into()));
        }
    }
    flags
}
