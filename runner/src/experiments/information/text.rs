//! Bits for people at a terminal.

use secateur::information::toy::{Exact, WEIGHTS};
use secateur::information::{Estimate, Procedure};

use super::Found;
use crate::experiments::compare::Table;

/// How the effective parameter count is to be read.
pub const CONVENTION: &str = "effective parameters = nnz + information: bits are added to a count of weights, the \
                              convention of Kumar, Luo & Sellke (2024, arXiv 2402.01089), up to logarithmic factors";

/// What holds for all that was estimated.
const SAMPLED: &str = "at a fixed initialisation, order and pruner seed; what the masks tell of which data set made \
                       them is, on average over the data sets that were drawn, at most what a mask tells of its data";

/// How the two columns about steepness are to be read.
const STEEP: &str = "Lipschitz at most: the product of the spectral norms of a network's weights, its geometric mean over the \
                     networks (least to most); to fit noise the constant must be at least about sqrt(n d / p_eff), for n \
                     training examples of d numbers, up to a constant factor (the same paper)";

fn bits(value: f64) -> String {
    format!("{value:.2}")
}

/// Three digits that count, of what may be of any size.
fn size(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if !(0.001..100_000.0).contains(&value) => format!("{value:.1e}"),
        value => format!("{value:.*}", (2 - value.log10().floor() as i32).max(0) as usize),
    }
}

fn range(low: f64, high: f64) -> String {
    if bits(low) == bits(high) { bits(low) } else { format!("{} to {}", bits(low), bits(high)) }
}

/// The table of groups of runs, and what it needs to be read rightly.
pub fn runs(found: &[Found], notes: &[String], bold: &dyn Fn(&str) -> String) -> String {
    let head = [
        "group",
        "masks",
        "data sets",
        "weights",
        "nnz",
        "distinct",
        "plug-in",
        "Miller-Madow",
        "log2 K",
        "Fano",
        "sum h2",
        "log2 C(p, nnz)",
        "Jaccard",
        "by chance",
        "in layers",
        "effective parameters",
        "Lipschitz at most",
        "sqrt(n d / p_eff)",
    ];
    let row = |Found { label, estimate, lipschitz, .. }: &Found| {
        let Estimate { nnz: (least, mean, most), at_most, identified, overlap, p_eff, .. } = estimate;
        let nnz = if least == most { least.to_string() } else { format!("{mean:.1} ({least} to {most})") };
        let none = || "–".to_owned();
        let shown = |of: Option<f64>| of.map_or_else(none, |value| format!("{value:.3}"));
        vec![
            if label.is_empty() { "all".to_owned() } else { label.clone() },
            estimate.masks.to_string(),
            estimate.data_sets.to_string(),
            estimate.weights.to_string(),
            nnz,
            estimate.distinct.to_string(),
            bits(estimate.plug_in),
            bits(estimate.miller_madow),
            bits(estimate.ceiling),
            bits(identified.bits_at_least),
            bits(at_most.sum_of_weights_corrected),
            bits(at_most.choices),
            shown(overlap.map(|overlap| overlap.jaccard)),
            shown(overlap.map(|overlap| overlap.chance)),
            shown(overlap.map(|overlap| overlap.chance_by_parameter)),
            range(p_eff.at_least, p_eff.at_most),
            lipschitz.map_or_else(none, |of| format!("{} ({} to {})", size(of.mean), size(of.least), size(of.most))),
            lipschitz.and_then(|of| of.needed).map_or_else(none, |(least, most)| range(least, most)),
        ]
    };
    let mut table = Table { head: head.map(str::to_owned).to_vec(), rows: found.iter().map(row).collect() };
    if found.iter().all(|found| found.lipschitz.is_none()) {
        let steep = head.len() - 2;
        table.head.truncate(steep);
        table.rows.iter_mut().for_each(|row| row.truncate(steep));
    }
    let mut text = table.aligned(bold);
    let mut lines = vec![format!("bits, {SAMPLED}"), CONVENTION.to_owned()];
    if found.iter().any(|found| found.lipschitz.is_some()) {
        lines.push(STEEP.to_owned());
    }
    let known = found.iter().filter(|found| found.estimate.identified.procedure == Procedure::Known).count();
    if known > 0 {
        lines.push(
            "where each data set made one mask, the plug-in information is exact for these data sets, and Fano's bound \
             says no more"
                .to_owned(),
        );
    }
    if known < found.len() {
        lines.push(
            "Fano's bound is that of the 95 % limit of the error of naming the data set of a held-out mask by the \
             nearest others"
                .to_owned(),
        );
    }
    for Found { label, estimate, .. } in found {
        let Estimate { plug_in, ceiling, data_sets, .. } = estimate;
        if *plug_in > 0.9 * ceiling {
            let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
            lines.push(format!(
                "{label}nearly every data set has a mask of its own, so that {data_sets} data sets cannot show more than \
                 log2 {data_sets} = {} bits: there may be more",
                bits(*ceiling)
            ));
        }
    }
    lines.extend(notes.iter().cloned());
    lines.iter().for_each(|line| text += &format!("\nnote: {line}\n"));
    text
}

/// The table of the toy: a row for every pruner and count, over all initialisations.
pub fn toy(found: &[Exact], data_sets: u64, problems: usize, bold: &dyn Fn(&str) -> String) -> String {
    let mut head: Vec<String> =
        ["pruner", "nnz", "inits", "information", "least, most", "distinct", "Fano", "sum h2", "log2 C(21, nnz)"]
            .map(str::to_owned)
            .to_vec();
    let sample = found.first().and_then(|exact| exact.sample.as_ref()).map(|sample| sample.data_sets);
    if let Some(sample) = sample {
        head.extend(["plug-in", "Miller-Madow"].map(|name| format!("{name} of {sample}")));
        head.push(format!("log2 {sample}"));
    }
    head.push("effective parameters".to_owned());
    let mut rows: Vec<(&Exact, Vec<&Exact>)> = Vec::new();
    for exact in found {
        match rows.iter_mut().find(|(of, _)| (of.pruner, of.nnz) == (exact.pruner, exact.nnz)) {
            Some((_, all)) => all.push(exact),
            None => rows.push((exact, vec![exact])),
        }
    }
    let row = |(of, all): &(&Exact, Vec<&Exact>)| {
        let mean = |value: &dyn Fn(&Exact) -> f64| all.iter().map(|exact| value(exact)).sum::<f64>() / all.len() as f64;
        let information: Vec<f64> = all.iter().map(|exact| exact.information).collect();
        let least = information.iter().copied().fold(f64::INFINITY, f64::min);
        let most = information.iter().copied().fold(0.0, f64::max);
        let mut row = vec![
            of.pruner.name().to_owned(),
            of.nnz.to_string(),
            all.len().to_string(),
            bits(mean(&|exact| exact.information)),
            format!("{}, {}", bits(least), bits(most)),
            format!("{:.0}", mean(&|exact| exact.distinct as f64)),
            bits(mean(&|exact| exact.at_least)),
            bits(mean(&|exact| exact.at_most.sum_of_weights)),
            bits(mean(&|exact| exact.at_most.choices)),
        ];
        if sample.is_some() {
            let of_sample = |value: &dyn Fn(&Estimate) -> f64| bits(mean(&|e| e.sample.as_ref().map_or(0.0, value)));
            row.push(of_sample(&|sample| sample.plug_in));
            row.push(of_sample(&|sample| sample.miller_madow));
            row.push(of_sample(&|sample| sample.ceiling));
        }
        row.push(bits(mean(&|exact| exact.p_eff)));
        row
    };
    let table = Table { head, rows: rows.iter().map(row).collect() };
    let mut text = table.aligned(bold);
    text += &format!(
        "\nnote: bits, exact: all {data_sets} equally likely data sets, which pose {problems} training problems; \
         means over the initialisations, of networks with {WEIGHTS} parameters\n\nnote: {CONVENTION}\n"
    );
    text
}
