//! `secateur compress`

use std::fs;
use std::path::Path;

use super::said;
use crate::cli::{Cli, CompressArgs};
use crate::engine::{Compression, Workbench};
use crate::failure::Failure;
use crate::output::size_table;
use crate::run::{COMPRESSED, MODEL};

pub fn execute(arguments: &CompressArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let config = crate::commands::of_run(&arguments.of, cli, workbench)?;
    without_effect(arguments)?;
    let model = arguments.of.run.join(MODEL);
    let bytes = fs::read(&model).map_err(|error| {
        let fix = "run it again: secateur run CONFIG... --force";
        Failure::Failed(format!("{}: cannot read the run's network: {error}\n  fix: {fix}", model.display()))
    })?;
    said(&model, &bytes)?;
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
    let out = arguments.out.clone().unwrap_or_else(|| arguments.of.run.join(COMPRESSED));
    super::write(&out, &found.file)?;
    let json = serde_json::to_value(&found.sizes).map_err(|error| Failure::Failed(format!("--json: {error}")))?;
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => {
            crate::commands::print_exactly(&format!("{json:#}\n"));
            return Ok(());
        }
        Some(path) => super::write(path, format!("{json:#}\n").as_bytes())?,
        None => {}
    }
    crate::commands::print(&text(&out, &size_table(&found.sizes), found.sizes.pruned));
    Ok(())
}

/// Refuses flags that could change nothing.
fn without_effect(arguments: &CompressArgs) -> Result<(), Failure> {
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
