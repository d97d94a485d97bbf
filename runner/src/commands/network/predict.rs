//! `secateur predict`

use std::fmt::Write as _;
use std::path::Path;

use secateur::data::SplitName;

use super::{Data, Network};
use crate::cli::{Cli, PredictArgs};
use crate::commands::{print, print_exactly};
use crate::engine::{Example, Found, Said, SaidOf, Which, Workbench};
use crate::failure::Failure;

pub fn execute(arguments: &PredictArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let PredictArgs { of, split, csv, jsonl } = arguments;
    let network = Network::open(of, Data::Needed, cli, workbench)?;
    let which = match of.data {
        Some(_) => Which::Images(*split),
        None => Which::Split(split.unwrap_or(SplitName::Test)),
    };
    let each = csv.is_some() || jsonl.is_some();
    let found = workbench.predict(&network.config, &network.bytes, which, each)?;
    if !each && found.measured.is_none() {
        let fix = "ask for predictions: --csv FILE, or give images in one folder a class";
        return Err(Failure::Usage(format!(
            "the classes of these images are not known: nothing to measure\n  fix: {fix}"
        )));
    }
    let files = [(csv, as_csv as fn(&[Said]) -> Result<String, Failure>), (jsonl, as_json_lines)];
    let mut taken = false;
    for (file, text) in files.into_iter().filter_map(|(file, text)| Some((file.as_ref()?, text))) {
        taken |= put(file, &text(&found.said)?)?;
    }
    if !taken {
        print(&measured(&network.file, which, &found));
    }
    Ok(())
}

/// Writes a file; whether it went to standard output.
fn put(file: &Path, text: &str) -> Result<bool, Failure> {
    if file.as_os_str() == "-" {
        print_exactly(text);
        return Ok(true);
    }
    super::write(file, text.as_bytes())?;
    Ok(false)
}

fn measured(file: &Path, which: Which, found: &Found) -> String {
    let of = match which {
        Which::Split(split) => format!("{split} examples"),
        Which::Images(_) => "images".to_owned(),
    };
    let mut text = format!("{}\n  {} {of}\n", file.display(), found.examples);
    if let Some(measured) = &found.measured {
        if let Some(accuracy) = measured.accuracy {
            _ = writeln!(text, "  {accuracy:.4}  accuracy");
        }
        _ = writeln!(text, "  {:.4}  loss", measured.loss);
        if let Some(r2) = measured.r2 {
            _ = writeln!(text, "  {r2:.4}  R²");
        }
    }
    text
}

fn as_csv(said: &[Said]) -> Result<String, Failure> {
    let numbers = said.first().is_some_and(|one| matches!(one.answer, SaidOf::Value { .. }));
    let mut text = if numbers { "example,value,target\n" } else { "example,class,probability,target\n" }.to_owned();
    for Said { example, answer, .. } in said {
        let example = match example {
            Example::File(file) => quoted(file),
            Example::At(at) => at.to_string(),
        };
        match answer {
            SaidOf::Class { class, probability, target } => {
                let target = target.as_deref().map(quoted).unwrap_or_default();
                let probability = probability.map(|p| format!("{p:.6}")).unwrap_or_default();
                _ = writeln!(text, "{example},{},{probability},{target}", quoted(class));
            }
            SaidOf::Value { value, target } => _ = writeln!(text, "{example},{value},{target}"),
        }
    }
    Ok(text)
}

/// A field of CSV (RFC 4180).
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn as_json_lines(said: &[Said]) -> Result<String, Failure> {
    let mut text = String::new();
    for one in said {
        text += &serde_json::to_string(one).map_err(|error| Failure::Failed(format!("--jsonl: {error}")))?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let fields = ["plain", "a,b", "say \"no\"", "two\nlines"].map(quoted);
        assert_eq!(fields, ["plain", "\"a,b\"", "\"say \"\"no\"\"\"", "\"two\nlines\""]);
    }
}
