//! `secateur export`

use std::fs;
use std::path::{Path, PathBuf};

use secateur::data::SplitName;

use super::{Data, Network};
use crate::cli::{Cli, ExportArgs};
use crate::commands::print;
use crate::engine::{Which, Workbench};
use crate::failure::Failure;
use crate::output::{Exported, Format, agree, export};

pub fn execute(arguments: &ExportArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let ExportArgs { of, format, with_preprocessing, examples, force, .. } = arguments;
    if *with_preprocessing && *format != Format::Onnx {
        let why = "--with-preprocessing does nothing here: only the graph of onnx can hold it";
        let fix = "leave it out; the file says how inputs are made";
        return Err(Failure::Usage(format!("{why}\n  fix: {fix}")));
    }
    let network = Network::open(of, Data::Needed, cli, workbench)?;
    let out = place(arguments, &network.file)?;
    let which = if of.data.is_some() { Which::Images(None) } else { Which::Split(SplitName::Test) };
    let how = (*examples, *format != Format::Safetensors);
    let found = workbench.exportable(&network.config, &network.bytes, which, how)?;
    let Exported { files, mut checks } = export(&found, &network.bytes, *format, *with_preprocessing)?;
    if let ([(_, file)], Format::Safetensors) = (&files[..], format) {
        let again = workbench.exportable(&network.config, file, which, how)?;
        let again: Vec<f64> = again.outputs.iter().map(|&v| f64::from(v)).collect();
        checks.push(agree("read back and run", &again, &found.outputs)?);
    }
    let files: Vec<(PathBuf, Vec<u8>)> =
        files.into_iter().map(|(end, bytes)| (named(&out, *format, end), bytes)).collect();
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists() && !force) {
        let fix = "name another file with --out, or replace it with --force";
        return Err(Failure::Usage(format!("{}: there is such a file\n  fix: {fix}", there.display())));
    }
    // The weights first: a file of code that is there has its weights.
    for (at, (path, bytes)) in files.iter().enumerate() {
        super::write(path, bytes).inspect_err(|_| {
            // Half of an export is none.
            files[..at].iter().for_each(|(path, _)| _ = fs::remove_file(path));
        })?;
    }
    let mut text = String::new();
    for (path, bytes) in &files {
        text += &format!("{}  {} bytes\n", path.display(), bytes.len());
    }
    for check in &checks {
        text += &format!("  {check}\n");
    }
    text += &format!("  checked on {} examples\n", found.examples());
    print(&text);
    Ok(())
}

/// The file to write.
fn place(arguments: &ExportArgs, network: &Path) -> Result<PathBuf, Failure> {
    let ExportArgs { out, format, .. } = arguments;
    let beside = || network.with_file_name(format!("network.{}", format.extension()));
    let out = out.clone().unwrap_or_else(beside);
    if *format == Format::Torch && out.extension().is_none_or(|end| end != "py") {
        let fix = "name a file that ends in .py: its weights lie beside it, and end in .bin";
        return Err(Failure::Usage(format!(
            "--out {}: code in Python cannot be called so\n  fix: {fix}",
            out.display()
        )));
    }
    if out == network {
        let fix = "name another file with --out";
        return Err(Failure::Usage(format!("{}: this is the network itself\n  fix: {fix}", out.display())));
    }
    Ok(out)
}

/// The path of one of the files.
fn named(out: &Path, format: Format, end: &str) -> PathBuf {
    if end == format.extension() { out.to_owned() } else { out.with_extension(end) }
}
