//! Figures: lines over sparsity, maps of two keys, on the page and for papers; tables as LaTeX.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::browser::opened;
use super::folders::{Cell, cell};
use super::{compare, compared};

/// Two criteria at three sparsities in two networks, three seeds each; one cell failed, and nothing was pruned in the controls.
pub fn grid() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (m, model) in ["mlp", "cnn"].into_iter().enumerate() {
        for (c, criterion) in ["magnitude", "random"].into_iter().enumerate() {
            for (s, sparsity) in [0.5, 0.8, 0.95].into_iter().enumerate() {
                for seed in 0..3u64 {
                    let accuracy =
                        0.95 - 0.02 * m as f64 - 0.03 * (c * s) as f64 - 0.01 * s as f64 + 0.002 * seed as f64;
                    let one = cell(criterion, seed, accuracy)
                        .set("schedule.sparsity", &sparsity.to_string())
                        .set("model.name", &format!("'{model}'"))
                        .with(json!({"sparsity": sparsity, "params_kept": 2000.0 * (1.0 - sparsity)}));
                    cells.push(if (m, c, s, seed) == (1, 1, 2, 2) {
                        one.failed("the loss is NaN at step 7")
                    } else {
                        one
                    });
                }
            }
        }
        let of = cell("magnitude", 0, 0.9).set("schedule.sparsity", "0.5").set("model.name", &format!("'{model}'"));
        let never =
            Cell { summary: of.clone().with(json!({"sparsity": 0.0, "test_accuracy": 0.97})).summary, ..of.clone() };
        cells.push(never.control("unpruned", &of));
    }
    cells
}

fn figure(folder: &Path, more: &[&str]) -> (i32, String) {
    compare(folder, &[&["--by", "criterion.name", "--by", "schedule.sparsity", "--by", "model.name"], more].concat())
}

#[test]
fn a_figure_for_a_paper_has_a_line_and_a_band_for_each_criterion() {
    let (here, _) = compared(&grid());
    let (code, text) = figure(here.path(), &["--figure", "a.svg", "--figure", "a.pdf"]);
    assert_eq!(code, 0, "{text}");
    let svg = fs::read_to_string(here.path().join("a.svg")).unwrap();
    let count = |what: &str| svg.matches(what).count();
    // Two panels with two lines each: a pale band, a line, and three marks.
    assert_eq!(count("stroke-width=\"1.2\""), 2 * 2 + 3, "lines, and those of the legend");
    assert_eq!(count(">model.name = mlp<") + count(">model.name = cnn<"), 2, "{svg}");
    assert_eq!(count("stroke=\"#fff\""), 2 * 2 * 3 + 2, "marks, and those of the legend");
    assert!(
        count("stroke-dasharray") >= 2 && svg.contains(">never pruned<") && svg.contains(">test accuracy<"),
        "{svg}"
    );
    let pdf = fs::read(here.path().join("a.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.") && pdf.ends_with(b"%%EOF"));
    // Whoever reads PDF finds one page with the same words.
    match Command::new("pdftotext").args(["a.pdf", "-"]).current_dir(here.path()).output() {
        Ok(read) => {
            let text = String::from_utf8_lossy(&read.stdout).into_owned();
            assert!(
                ["magnitude", "model.name = cnn", "test accuracy"].iter().all(|words| text.contains(words)),
                "{text}"
            );
        }
        Err(_) => eprintln!("SKIPPED: no pdftotext here, so a.pdf was not read"),
    }
    let (code, text) = figure(here.path(), &["--figure", "m.svg", "--plot", "heat-map"]);
    assert_eq!(code, 0, "{text}");
    let map = fs::read_to_string(here.path().join("m.svg")).unwrap();
    assert!(map.contains(">schedule.sparsity<") && map.contains(">95.20<"), "mean of 95.0, 95.2 and 95.4: {map}");
    let (code, text) = figure(here.path(), &["--figure", "g.svg", "--plot", "groups"]);
    assert_eq!(code, 0, "{text}");
    for (more, expected) in [
        (&["--figure", "a.png"][..], "a figure is SVG or PDF\n  fix: give a name that ends in .svg or .pdf"),
        (&["--figure", "no/such/a.svg"], "cannot write it"),
        (&["--plot", "groups"], "--figure"),
    ] {
        let (code, text) = figure(here.path(), more);
        assert!(code != 0 && text.contains(expected), "{text}");
    }
    let (code, text) =
        compare(here.path(), &["--by", "criterion.name", "--figure", "a.svg", "--plot", "over-sparsity"]);
    assert!(code == 2 && text.contains("--by criterion.name --by schedule.sparsity"), "{text}");
}

/// A compressor without options beside one with a ratio.
fn compressors() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (c, (name, ratio)) in
        [("none", None), ("token-merging", Some("0.2")), ("token-merging", Some("0.4"))].into_iter().enumerate()
    {
        for (s, sparsity) in [0.5, 0.9].into_iter().enumerate() {
            for seed in 0..3u64 {
                let accuracy = 0.95 - 0.02 * c as f64 - 0.01 * s as f64 + 0.002 * seed as f64;
                let one = cell("magnitude", seed, accuracy)
                    .set("schedule.sparsity", &sparsity.to_string())
                    .set("compressor.name", &format!("'{name}'"))
                    .with(json!({"sparsity": sparsity}));
                cells.push(match ratio {
                    Some(ratio) => one.set("compressor.ratio", ratio),
                    None => one,
                });
            }
        }
    }
    cells
}

#[test]
fn an_option_that_not_every_plugin_has_makes_no_panel_and_no_empty_cell() {
    let (here, _) = compared(&compressors());
    let keys = ["compressor.name", "compressor.ratio", "schedule.sparsity"].map(|key| ["--by", key]).concat();
    let written = |file: &str, more: &[&str]| {
        let (code, text) = compare(here.path(), &[&keys[..], &["--figure", file], more].concat());
        assert_eq!(code, 0, "{text}");
        fs::read_to_string(here.path().join(file)).unwrap()
    };
    let lines = written("lines.svg", &[]);
    // One panel: a line for each, and those of the legend; two points on a line.
    assert_eq!(lines.matches("stroke-width=\"1.2\"").count(), 3 + 3, "{lines}");
    assert_eq!(lines.matches("stroke=\"#fff\"").count(), 3 * 2 + 3, "{lines}");
    assert!(!lines.contains("compressor.ratio ="), "{lines}");
    let map = written("map.svg", &["--plot", "heat-map"]);
    for svg in [&lines, &map] {
        assert!([">none<", ">token-merging, ratio 0.2<"].iter().all(|name| svg.contains(name)), "{svg}");
    }
    assert_eq!(map.matches("stroke=\"#fff\"").count(), 3 * 2, "a cell for each: {map}");
}

#[test]
fn tables_are_latex() {
    let (here, _) = compared(&grid());
    let (code, text) = figure(here.path(), &["--latex", "-"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("% Needs \\usepackage{booktabs}.\n\n\\begin{table}"), "{text}");
    assert!(text.contains("\\% \\ensuremath{\\pm}") && !text.contains("±") && !text.contains(" % "), "{text}");
    let rows = text.lines().filter(|line| line.ends_with("\\\\"));
    let columns = |line: &str| line.matches(" & ").count();
    let widths: std::collections::BTreeSet<usize> = rows.map(columns).collect();
    assert!(widths.len() <= 2, "as wide as their heads: {widths:?}");
}

#[test]
fn the_page_draws_lines_maps_and_what_failed_and_saves_them() {
    let (here, _) = compared(&grid());
    let (code, text) = figure(here.path(), &["--html", "c.html"]);
    assert_eq!(code, 0, "{text}");
    let script = r##"
      const over = document.getElementById("over"), maps = document.getElementById("maps");
      note("panels", over.querySelectorAll(".chart").length);
      note("lines", over.querySelectorAll("path.line:not(.dense)").length);
      note("bands", over.querySelectorAll("path.band").length);
      note("points", over.querySelectorAll(".chart path.point").length);
      note("dense", over.querySelectorAll(".chart path.dense").length);
      note("legend", over.querySelector(".legend").textContent);
      note("cells", maps.querySelectorAll("rect.cell").length);
      note("hover", maps.querySelector("rect.cell").dataset.tip);
      note("failed", [...document.querySelectorAll("h2")].some((head) => head.textContent === "Failed"));
      note("heads", [...document.querySelectorAll("th")].filter((head) => !head.title && head.textContent).map((head) => head.textContent).join("; "));
      const saved = [];
      URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return "blob:x"; };
      HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
      const buttons = [...over.querySelector(".save").querySelectorAll("button")];
      buttons.forEach((button) => button.click());
      maps.querySelector(".save button:last-child").click();
      setTimeout(() => {
        note("names", saved.filter((text) => text.length < 80).sort().join("; "));
        const csv = saved.find((text) => text.startsWith("criterion.name,"));
        note("csv", csv.split("\n").slice(0, 2).join(" ") + " " + csv.trim().split("\n").length);
        const picture = new DOMParser().parseFromString(saved.find((text) => text.startsWith("<svg")), "image/svg+xml");
        note("svg", !picture.querySelector("parsererror") && picture.querySelectorAll("[class]").length === 0 && /stroke:\s*rgb/.test(picture.documentElement.outerHTML));
      }, 500);"##;
    for width in [1400, 500] {
        let Some(seen) = opened(&here.path().join("c.html"), width, script) else { return };
        assert_eq!(seen.noted("errors"), "");
        let counts = ["panels", "lines", "bands", "points", "dense"].map(|name| seen.noted(name));
        assert_eq!(counts, ["2", "4", "4", "12", "2"]);
        assert_eq!(seen.noted("legend"), "magnituderandomnever pruned");
        assert_eq!((seen.noted("cells").as_str(), seen.noted("failed").as_str()), ("12", "true"));
        assert!(seen.noted("hover").contains("schedule.sparsity = 0.5"), "{}", seen.noted("hover"));
        assert_eq!(seen.noted("heads"), "");
        let names = seen.noted("names");
        for ending in ["svg", "png", "csv"] {
            assert!(
                names.contains(&format!("test-accuracy-over-sparsity-all-weights-model.name-cnn.{ending}")),
                "{names}"
            );
        }
        let csv = "criterion.name,sparsity,runs,test_accuracy,low,high magnitude,0.5,3,0.93";
        assert!(seen.noted("csv").starts_with(csv) && seen.noted("csv").ends_with(" 7"), "{}", seen.noted("csv"));
        assert_eq!(seen.noted("svg"), "true");
    }
}
