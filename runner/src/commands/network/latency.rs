//! `secateur latency`

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::{Data, Network};
use crate::cli::{Cli, LatencyArgs, OfNetwork};
use crate::commands::{print, print_exactly};
use crate::config::Request;
use crate::engine::{Milliseconds, OfFile, Timed, Workbench};
use crate::failure::Failure;

/// More threads than any machine here has.
const MOST: usize = 1024;

pub fn execute(arguments: &LatencyArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let LatencyArgs { vs, batch, threads, json, .. } = arguments;
    let open = |model: &Path| Network::open(&network(arguments, model), Data::Unused, cli, workbench);
    let (network, other) = (open(&arguments.model)?, vs.as_deref().map(open).transpose()?);
    let device = network.config.run.top.device.clone();
    if device != "cpu" && !threads.is_empty() {
        return Err(Failure::Usage(format!("--threads does nothing on {device}\n  fix: leave it out")));
    }
    if let Some(many) = threads.iter().find(|threads| **threads > MOST) {
        return Err(Failure::Usage(format!("--threads {many}: at most {MOST} are allowed\n  fix: give fewer")));
    }
    let threads = if threads.is_empty() { vec![network.config.run.top.threads] } else { threads.clone() };
    let batches: Vec<usize> = batch.iter().map(|size| size.get()).collect();
    let of = |network: &'_ Network| (network.config.clone(), network.bytes.clone());
    let (own, beside) = (of(&network), other.as_ref().map(of));
    let own = OfFile { config: &own.0, file: &own.1 };
    let beside_file = beside.as_ref().map(|(config, file)| OfFile { config, file });
    let mut timed = vec![];
    for threads in threads {
        timed.extend(workbench.latency(own, beside_file, &batches, threads)?);
    }
    let name =
        other.as_ref().map_or("the same network, not pruned".to_owned(), |other| other.file.display().to_string());
    let said = || json!({ "network": network.file, "other": name, "device": device, "timed": timed });
    match json {
        Some(path) if path.as_os_str() == "-" => {
            print_exactly(&format!("{:#}\n", said()));
            return Ok(());
        }
        Some(path) => super::write(path, format!("{:#}\n", said()).as_bytes())?,
        None => {}
    }
    print(&table(&format!("{} beside {name}, on {device}", network.file.display()), &timed));
    Ok(())
}

/// The network at this place, without data: what it takes is known.
fn network(arguments: &LatencyArgs, model: &Path) -> OfNetwork {
    OfNetwork { model: model.to_owned(), data: None, sets: vec![], device: arguments.device.clone() }
}

/// What the libraries of both networks are found by.
///
/// # Errors
/// Those of [`super::request`].
pub fn requests(arguments: &LatencyArgs, cli: &Cli) -> Result<Vec<Request>, Failure> {
    let models = std::iter::once(&arguments.model).chain(&arguments.vs);
    models.map(|model| super::request(&network(arguments, model), Data::Unused, cli)).collect()
}

fn table(title: &str, timed: &[Timed]) -> String {
    let shown = |Milliseconds { median, lower, upper }: Milliseconds| {
        format!("{:>8} ({} to {})", number(median), number(lower), number(upper))
    };
    let mut text =
        format!("{title}\n{:>6} {:>7}  {:<28} {:<28} {}\n", "batch", "threads", "  ms", "  ms of the other", "speed");
    for Timed { batch, threads, network, other, speedup, .. } in timed {
        let (network, other) = (shown(*network), shown(*other));
        _ = writeln!(text, "{batch:>6} {threads:>7}  {network:<28} {other:<28} {speedup:.2}x");
    }
    text
}

/// Four digits, whatever the size.
fn number(ms: f64) -> String {
    let digits = (3 - ms.max(1e-4).log10().floor() as i32).clamp(0, 6) as usize;
    format!("{ms:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_both_networks_side_by_side() {
        let of = |median: f64| Milliseconds { median, lower: median / 2.0, upper: 2.0 * median };
        let one = Timed { batch: 128, threads: 2, network: of(1.5), other: of(12.0), speedup: 8.0, readings: 11 };
        let text = table("a beside b", &[one]);
        assert!(text.contains("1.500 (0.7500 to 3.000)") && text.contains("12.00 (6.000 to 24.00)"), "{text}");
        assert!(text.ends_with("8.00x\n"), "{text}");
    }
}
