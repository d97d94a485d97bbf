//! The page of a comparison in a browser: what is drawn is where it belongs, can be told apart, and fits.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::browser::{Seen, opened};
use super::folders::{Cell, cell};
use super::truth::one_sparsity;
use super::{compare, compared};

fn seen(cells: &[Cell], width: u32, script: &str) -> Option<Seen> {
    let (here, _) = compared(cells);
    let (code, text) = compare(here.path(), &["--margin", "0.5", "--html", "c.html"]);
    assert_eq!(code, 0, "{text}");
    if let Some(folder) = std::env::var_os("KEEP_PAGES") {
        fs::copy(here.path().join("c.html"), Path::new(&folder).join(format!("page-{}.html", cells.len()))).unwrap();
    }
    opened(&here.path().join("c.html"), width, script)
}

/// Twelve criteria with three seeds, at sparsities that nearly coincide.
fn twelve() -> Vec<Cell> {
    let names =
        ["magnitude", "random", "rank", "snip", "grasp", "taylor", "fpgm", "lamp", "obd", "synflow", "wanda", "worst"];
    let mut cells = Vec::new();
    for (number, criterion) in names.into_iter().enumerate() {
        for seed in 0..3 {
            let accuracy = 0.9 - 0.007 * number as f64 + 0.003 * ((seed * 7 + number as u64) % 3) as f64;
            let sparsity = json!({"sparsity": 0.496 + 0.0001 * (number / 2) as f64, "macs_kept": 900 + number,
                "unit_sparsity": 0.5, "peak_memory_bytes": 412_000_000u64, "nnz": 1000, "nnz_effective": 990 - number,
                "pruned": 30, "regrown": 3, "burden": [{"name": "fc1", "gradient": 0.01}]});
            cells.push(cell(criterion, seed, accuracy).with(sparsity));
        }
    }
    cells
}

#[test]
fn one_sparsity_is_drawn() {
    let script = r#"
      const charts = [...document.querySelectorAll("[data-front]")];
      note("charts", charts.length);
      note("points", charts[0].querySelectorAll("path.point").length);
      note("ticks", Math.min(...charts.map((chart) => chart.querySelectorAll("text.tick").length)));"#;
    let Some(seen) = seen(&one_sparsity(), 1400, script) else { return };
    assert_eq!((seen.noted("errors"), seen.noted("charts")), (String::new(), "3".to_owned()));
    assert_eq!(seen.noted("points"), "8", "four criteria and the controls of each");
    assert!(seen.noted("ticks").parse::<usize>().unwrap() >= 5);
}

#[test]
fn marks_stand_where_their_means_are_and_can_be_told_apart() {
    let script = r##"
      const marks = [...document.querySelector("[data-front]").querySelectorAll("path.point")];
      note("looks", new Set(marks.map((mark) => mark.getAttribute("d") + mark.style.fill + mark.style.stroke)).size);
      const at = marks.map((mark) => [+mark.dataset.x, +/translate\(([\d.e+-]+)/.exec(mark.getAttribute("transform"))[1]]);
      at.sort((a, b) => a[0] - b[0]);
      const [first, last] = [at[0], at.at(-1)], slope = (last[1] - first[1]) / (last[0] - first[0]);
      note("slope", slope > 1000);
      note("off", Math.max(...at.map(([x, px]) => Math.abs(px - first[1] - slope * (x - first[0])))) < 1e-6);
      note("legend", document.querySelectorAll("#legend svg path").length);"##;
    let Some(seen) = seen(&twelve(), 1400, script) else { return };
    assert_eq!(seen.noted("errors"), "");
    assert_eq!((seen.noted("looks").as_str(), seen.noted("legend").as_str()), ("12", "12"));
    assert_eq!((seen.noted("slope").as_str(), seen.noted("off").as_str()), ("true", "true"));
}

#[test]
fn tables_fit_wide_and_narrow_windows() {
    for (cells, width) in [(twelve(), 1400), (twelve(), 500), (one_sparsity(), 1400), (one_sparsity(), 500)] {
        let script = r#"
          note("inner", innerWidth);
          const fits = () => document.documentElement.scrollWidth <= innerWidth;
          note("page", fits());
          const wide = [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1);
          note("wide", wide.map((box) => `${box.querySelector("table").className} ${box.querySelector("table").id} ${box.scrollWidth} in ${box.clientWidth}`).join("; "));
          document.getElementById("runs").querySelector("tbody tr").click();
          note("run", fits());"#;
        let Some(seen) = seen(&cells, width, script) else { return };
        assert_eq!((seen.noted("wide").as_str(), seen.noted("page").as_str()), ("", "true"), "{width}");
        assert_eq!((seen.noted("inner"), seen.noted("run")), (width.to_string(), "true".to_owned()));
    }
}
