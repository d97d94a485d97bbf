//! `secateur compress`

use std::fs;
use std::path::Path;

use crate::cli::{Cli, CompressArgs};
use crate::config::{Request, resolve};
use crate::engine::{Compression, Workbench};
use crate::failure::Failure;
use crate::output::size_table;
use crate::run::{COMPRESSED, CONFIG, MODEL, is_finished, write_whole};

/// The run's own config: neither the environment nor other configs say what its network is.
///
/// # Errors
/// There is no such run, or it has not come to its end.
pub fn request(arguments: &CompressArgs, cli: &Cli) -> Result<Request, Failure> {
    let run = &arguments.run;
    let refused = |problem: &str, fix: &str| Failure::Usage(format!("{}: {problem}\n  fix: {fix}", run.display()));
    if !run.join(CONFIG).is_file() {
        return Err(refused(
            "this is not the folder of a run",
            "give one, such as runs/NAME-HASH: it holds config.toml",
        ));
    }
    if !is_finished(run) {
        let fix = format!("finish it first: secateur run --resume {}", run.display());
        return Err(refused("this run is not finished", &fix));
    }
    let configs = vec![run.join(CONFIG).to_string_lossy().into_owned()];
    let (flags, plugins) = (arguments.flags(), cli.plugins.clone());
    Ok(Request { configs, flags, plugins, variables: Vec::new(), ..super::request()? })
}

pub fn execute(arguments: &CompressArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let config = resolve(&request(arguments, cli)?, workbench)?;
    without_effect(arguments, &config.run.data.name, workbench)?;
    let model = arguments.run.join(MODEL);
    let bytes = fs::read(&model).map_err(|error| {
        let fix = "run it again: secateur run CONFIG... --force";
        Failure::Failed(format!("{}: cannot read the run's network: {error}\n  fix: {fix}", model.display()))
    })?;
    let how = Compression {
        index_bits: arguments.bits.clone(),
        offset_bits: arguments.offset_bits.clone(),
        epochs: arguments.epochs,
        lr: arguments.lr,
    };
    let (epochs, quiet) = (arguments.epochs, cli.quiet);
    let mut told = move |epoch: u64, loss: f64| {
        if !quiet {
            eprintln!("epoch {} of {epochs} with shared weights: loss {loss:.4}", epoch + 1);
        }
    };
    let found = workbench.compress(&config, &bytes, &how, &mut told)?;
    let out = arguments.out.clone().unwrap_or_else(|| arguments.run.join(COMPRESSED));
    write_whole(&out, &found.file)?;
    let json = serde_json::to_value(&found.sizes).map_err(|error| Failure::Failed(format!("--json: {error}")))?;
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => {
            super::print(&format!("{json:#}\n"));
            return Ok(());
        }
        Some(path) => write_whole(path, format!("{json:#}\n").as_bytes())?,
        None => {}
    }
    super::print(&text(&out, &size_table(&found.sizes), found.sizes.pruned));
    Ok(())
}

/// Refuses flags that could change nothing.
fn without_effect(arguments: &CompressArgs, data: &str, workbench: &Workbench) -> Result<(), Failure> {
    let generated = workbench.data_sets().iter().any(|set| set.name == data && set.how_to_get.is_empty());
    if arguments.data_dir.is_some() && generated {
        return Err(Failure::Usage(format!(
            "--data-dir does nothing here: \"{data}\" reads no file\n  fix: leave it out"
        )));
    }
    if arguments.lr.is_some() && arguments.epochs == 0 {
        let fix = "leave it out, or train for an epoch or more";
        return Err(Failure::Usage(format!("--lr does nothing with --epochs 0\n  fix: {fix}")));
    }
    Ok(())
}

fn text(out: &Path, table: &str, pruned: bool) -> String {
    let note = if pruned {
        ""
    } else {
        "note: nothing of this network was pruned, so that quantisation and codes do all of it\n"
    };
    format!("{}\n{table}{note}", out.display())
}
