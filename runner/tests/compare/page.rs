//! The page of a comparison in a browser: what is drawn is where it belongs, can be told apart, and fits.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::{Seen, opened};
use super::folders::{Cell, cell};
use super::reference::with_events;
use super::truth::one_sparsity;
use super::{compare, compared};

fn seen(cells: &[Cell], width: u32, script: &str) -> Option<Seen> {
    seen_with(cells, &[], width, script)
}

/// Flags that are not needed are not given, so that the page of any version can be looked at.
fn seen_with(cells: &[Cell], more: &[&str], width: u32, script: &str) -> Option<Seen> {
    seen_claiming(&json!([]), cells, more, width, script)
}

/// The same of runs that were to show something.
fn seen_claiming(claims: &Value, cells: &[Cell], more: &[&str], width: u32, script: &str) -> Option<Seen> {
    let (here, _) = compared(cells);
    if claims != &json!([]) {
        fs::write(here.path().join("runs/s/claims.json"), claims.to_string()).unwrap();
    }
    cells.iter().for_each(|cell| with_events(&here.path().join("runs/s").join(&cell.folder)));
    let (code, text) = compare(here.path(), &[more, &["--html", "c.html"]].concat());
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
    let claim =
        "At nine in ten zeros this criterion keeps more accuracy than that one, in words as long as papers have them";
    let of = |name: &str| json!({"criterion": {"name": name}});
    let claims = json!([{"claim": claim, "source": "arXiv 2407.16716, the mechanism that it proposes", "of": of("magnitude"),
        "is": "better", "than": of("random"), "where": {}, "margin": 0.5}]);
    for (cells, width) in [(twelve(), 1400), (twelve(), 500), (one_sparsity(), 1400), (one_sparsity(), 500)] {
        let script = r##"
          note("inner", innerWidth);
          const fits = () => document.documentElement.scrollWidth <= innerWidth;
          note("page", fits());
          note("claims", document.querySelectorAll("table.claims tbody tr").length);
          const wide = [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1);
          note("wide", wide.map((box) => `${box.querySelector("table").className} ${box.querySelector("table").id} ${box.scrollWidth} in ${box.clientWidth}`).join("; "));
          document.getElementById("runs").querySelector("tbody tr").click();
          setTimeout(() => {
            note("steps", document.querySelectorAll("#cell td").length);
            note("run", fits());
          }, 200);"##;
        let Some(seen) = seen_claiming(&claims, &cells, &["--margin", "0.5"], width, script) else { return };
        assert_eq!(seen.noted("claims"), "1");
        assert_eq!((seen.noted("wide").as_str(), seen.noted("page").as_str()), ("", "true"), "{width}");
        assert_eq!((seen.noted("inner"), seen.noted("run")), (width.to_string(), "true".to_owned()));
        // Each run has one pruning step, which is a row of five cells; the first run's config differs from no baseline.
        assert!(seen.noted("steps").parse::<usize>().unwrap() >= 5, "{}", seen.noted("steps"));
    }
}

/// Two criteria at two sparsities, and a combination that is missing, with three seeds.
fn two_keys() -> Vec<Cell> {
    let all = [
        ("magnitude", 0.5, 0.9),
        ("magnitude", 0.8, 0.88),
        ("rank", 0.5, 0.87),
        ("rank", 0.8, 0.85),
        ("snip", 0.5, 0.8),
    ];
    let own = |(criterion, sparsity, accuracy): (&'static str, f64, f64)| {
        (0..3).map(move |seed| {
            let cell =
                cell(criterion, seed, accuracy + 0.001 * seed as f64).set("schedule.sparsity", &sparsity.to_string());
            cell.with(json!({"sparsity": sparsity}))
        })
    };
    all.into_iter().flat_map(own).collect()
}

#[test]
fn what_is_pointed_at_is_told() {
    let script = r##"
      const tip = () => { const box = document.getElementById("tip"); return box.hidden ? "" : [...box.children].map((row) => row.textContent).join("|"); };
      const point = (x, y) => (document.elementFromPoint(x, y) ?? document.body).dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: y }));
      const middle = (node) => { node.scrollIntoView({ block: "center" }); const box = node.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
      const over = document.querySelector("#over .chart svg"), cell = document.querySelector("#maps rect.cell"), none = document.querySelector("#maps rect.none");
      const mark = over.querySelector("path.point");
      point(...middle(mark)); note("mark", tip());
      const [x, y] = middle(mark); point(x, y + 40); note("across", tip());
      point(...middle(cell)); note("map", tip());
      point(...middle(none)); note("none", tip());
      point(...middle(document.querySelector("#curves svg"))); note("curve", tip());
      note("within", (() => { const box = document.getElementById("tip").getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight; })());
      point(...middle(document.querySelector("h1"))); note("away", tip() === "");
      const key = (node, key) => { node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); return tip(); };
      over.focus(); note("focus", tip()); note("right", key(over, "ArrowRight"));
      const map = document.querySelector("#maps svg");
      map.focus(); key(map, "ArrowRight"); note("down", key(map, "ArrowDown")); note("escape", key(map, "Escape") === "");
      document.querySelector("#groups th:nth-child(2)").focus(); note("head", tip());
      document.activeElement.blur(); note("blur", tip() === "");
      const names = []; HTMLAnchorElement.prototype.click = function () { names.push(this.download); };
      document.querySelectorAll(".save button").forEach((button) => button.textContent !== "PNG" && button.click());
      document.querySelector("#runs tbody tr").click();
      setTimeout(() => {
        document.querySelectorAll("#cell .save button").forEach((button) => button.textContent === "CSV" && button.click());
        note("names", names.join(" "));
      }, 200);"##;
    for width in [1400, 500] {
        let Some(seen) = seen(&two_keys(), width, script) else { return };
        let noted = |name: &str| seen.noted(name);
        assert_eq!(noted("errors"), "");
        assert_eq!(
            noted("mark"),
            "magnitude, sparsity 0.5|test accuracy: 90.10 % [89.85, 90.35], 3 runs|sparsity, all weights: 50 %"
        );
        assert_eq!(
            noted("across"),
            "sparsity, all weights 50 %|magnitude: 90.10 % [89.85, 90.35]|rank: 87.10 % [86.85, 87.35]|snip: 80.10 %",
            "{width}"
        );
        assert_eq!(
            noted("map"),
            "criterion.name = magnitude, schedule.sparsity = 0.5|test accuracy: 90.10 % [89.85, 90.35], 3 runs"
        );
        assert!(noted("none").ends_with("|no run finished"), "{}", noted("none"));
        assert!(
            noted("curve").starts_with("epoch ") && noted("curve").contains("|magnitude, sparsity 0.5: "),
            "{}",
            noted("curve")
        );
        for name in ["within", "away", "escape", "blur"] {
            assert_eq!(noted(name), "true", "{name} at {width}");
        }
        assert_eq!(noted("focus"), noted("across"), "a chart that has the focus is read from the left");
        assert!(noted("right").starts_with("sparsity, all weights 80 %|magnitude: 88.10 %"), "{}", noted("right"));
        assert!(noted("down").starts_with("criterion.name = rank, schedule.sparsity = 0.8|"), "{}", noted("down"));
        assert_eq!(noted("head"), "How many finished, and how many failed");
        let names = noted("names");
        for name in
            ["test-accuracy-over-sparsity-all-weights.svg", "test-accuracy-by-criterion.name-and-schedule.sparsity.csv"]
        {
            assert!(names.split(' ').any(|found| found == name), "{name} is not among {names}");
        }
        assert!(!names.contains("-.") && names.contains("Accuracy-of-"), "{names}");
    }
}

#[test]
fn curves_are_smoothed_and_read_on_a_log_scale() {
    let script = r##"
      const box = document.querySelector("#curves"), line = () => box.querySelector("svg path.line").getAttribute("d"), before = line();
      const set = (id, change) => { const input = box.querySelector(id); change(input); input.dispatchEvent(new Event("input")); input.dispatchEvent(new Event("change")); };
      const tip = () => { box.querySelector("svg").focus(); const text = document.getElementById("tip").textContent; document.activeElement.blur(); return text; };
      set("#what", (input) => { input.value = "training loss"; });
      const plain = tip();
      set("#log", (input) => { input.checked = true; });
      note("axes", JSON.parse(box.querySelector("svg").dataset.axes).log);
      note("same", tip() === plain);
      note("loss", plain);
      set("#log", (input) => { input.checked = false; });
      set("#what", (input) => { input.value = "training accuracy"; });
      const rough = line();
      set("#smooth", (input) => { input.value = 0.5; });
      note("smooth", line() !== rough);
      box.querySelector("svg").focus();
      box.querySelector("svg").dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true }));
      note("last", document.getElementById("tip").textContent);
      note("label", box.querySelector("svg").getAttribute("aria-label"));
      note("told", box.querySelector("output").textContent);
      set("#smooth", (input) => { input.value = 0; });
      note("back", line() === rough);"##;
    let Some(seen) = seen(&one_sparsity(), 1400, script) else { return };
    let noted = |name: &str| seen.noted(name);
    assert_eq!(noted("errors"), "");
    assert_eq!([noted("axes"), noted("same"), noted("smooth"), noted("back")], ["true", "true", "true", "true"]);
    // The loss of the second epoch is not known. Accuracies of 50 and 70 %: (0.25 * 0.5 + 0.5 * 0.7) / 0.75.
    assert!(noted("loss").contains(": 2"), "{}", noted("loss"));
    assert!(noted("last").contains(": 63.33 %"), "{}", noted("last"));
    assert_eq!(
        (noted("label").as_str(), noted("told").as_str()),
        ("training accuracy, smoothed by 0.5 over training", "0.5")
    );
}

#[test]
fn what_is_written_in_the_page_is_what_the_program_writes() {
    // Halves of the last digit among them, which are rounded to the even one: 12.125 %, 0.5 and 2.5 parameters, 0.125 s.
    let values = [0.12125, 0.62525, 0.999_96, 0.000_04, 0.333_333_333, 0.5, 0.921_250_4];
    let cells: Vec<Cell> = (values.iter().enumerate())
        .flat_map(|(number, accuracy)| {
            let more = json!({"seconds_train": 0.125 + 700.0 * (number % 2) as f64, "seconds_prune": 0, "seconds_eval": 0,
                "params_kept": 2.5 * 10f64.powi(number as i32), "peak_memory_bytes": 412_500_000.0 + number as f64,
                "test_loss": 0.03125 + accuracy / 3.0});
            ["magnitude", "rank"].map(|criterion| cell(criterion, number as u64, *accuracy).with(more.clone()))
        })
        .collect();
    let script = r##"
      const rows = [...document.querySelectorAll("#runs tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent).join("|"));
      note("rows", rows.join("/"));"##;
    let Some(seen) = seen(&cells, 1400, script) else { return };
    assert_eq!(seen.noted("errors"), "");
    let rows = seen.noted("rows");
    for (number, accuracy) in values.iter().enumerate() {
        let seconds = 0.125 + 700.0 * (number % 2) as f64;
        let time = if seconds >= 600.0 { format!("{:.1} min", seconds / 60.0) } else { format!("{seconds:.2} s") };
        let memory = format!("{:.0} MB", (412_500_000.0 + number as f64) / 1e6);
        let parameters = 2.5 * 10f64.powi(number as i32);
        let parameters =
            if parameters >= 1e4 { format!("{:.1} k", parameters / 1e3) } else { format!("{parameters:.0}") };
        let parameters = if number == 6 { "2.50 M".to_owned() } else { parameters };
        let row = rows.split('/').find(|row| row.starts_with(&format!("rank-{number}|"))).unwrap();
        for expected in
            [format!("{:.2} %", accuracy * 100.0), format!("{:.4}", 0.03125 + accuracy / 3.0), time, memory, parameters]
        {
            assert!(row.split('|').any(|cell| cell == expected), "{expected} is not in {row}");
        }
    }
}
