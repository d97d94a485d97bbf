//! `secateur decompress`

use std::fs;

use secateur::deep_compression::Decoded;

use crate::cli::DecompressArgs;
use crate::failure::Failure;
use crate::run::COMPRESSED;

pub fn execute(arguments: &DecompressArgs) -> Result<(), Failure> {
    let DecompressArgs { file, out, force } = arguments;
    let file = if file.is_dir() { file.join(COMPRESSED) } else { file.clone() };
    let refused = |why: String| Failure::Failed(format!("{}: {why}", file.display()));
    let bytes = fs::read(&file).map_err(|error| {
        refused(format!("cannot read it: {error}\n  fix: name a file that `secateur compress RUN` wrote"))
    })?;
    let out = out.clone().unwrap_or_else(|| {
        let mut name = file.clone().into_os_string();
        name.push(".safetensors");
        name.into()
    });
    if out.exists() && !force {
        let fix = "name another file with --out, or replace it with --force";
        return Err(Failure::Usage(format!("{}: there is such a file\n  fix: {fix}", out.display())));
    }
    let fix = "compress the run again: secateur compress RUN";
    let decoded = Decoded::read(&bytes).map_err(|error| refused(format!("{error}\n  fix: {fix}")))?;
    super::write(&out, &decoded.model()?)?;
    crate::commands::print(&format!("{}\n", out.display()));
    Ok(())
}
