//! The page of a comparison, clicked through.

use std::path::Path;

use super::browser::opened;

/// Opens the page in a browser without a screen, clicks a table's head, a run, and what goes back.
pub fn works(page: &Path) {
    let clicks = r##"
      const names = () => [...document.querySelectorAll("#runs tbody tr td:nth-child(3)")].map((cell) => cell.textContent).join("");
      document.querySelector("#runs th:nth-child(3)").click();
      note("up", names());
      document.querySelector("#runs th:nth-child(3)").click();
      note("down", names());
      note("charts", document.querySelectorAll("[data-front] svg path.point").length);
      note("forest", document.querySelectorAll(".forest").length);
      const chart = document.querySelector("[data-front]"), svg = () => chart.querySelector("svg");
      const ticks = () => [...svg().querySelectorAll("text.tick")].map((tick) => tick.textContent).join("|");
      const before = ticks(), frame = svg().getBoundingClientRect();
      const drag = (name, target, part) => target.dispatchEvent(new PointerEvent(name, { bubbles: true,
        clientX: frame.left + frame.width * part, clientY: frame.top + frame.height * part }));
      drag("pointerdown", svg(), 0.3); drag("pointermove", window, 0.4); drag("pointerup", window, 0.5);
      note("zoomed", chart.dataset.zoomed === "true" && ticks() !== before);
      svg().dispatchEvent(new MouseEvent("dblclick"));
      note("whole", ticks() === before);
      const shown = () => [...document.querySelectorAll("#runs tbody tr")].filter((row) => !row.hidden).length;
      const find = (text) => { const box = document.querySelector("#find"); box.value = text; box.dispatchEvent(new Event("input")); return shown(); };
      note("found", [find("seed=1"), find("random seed=0 test_accuracy>=0"), find("test_accuracy>1"), find("no such run"), find("")].join(" "));
      const several = document.querySelector("#curves"), lines = () => several.querySelectorAll("svg path.line").length;
      note("means", `${lines()} with ${several.querySelectorAll("svg path.band").length} bands`);
      several.querySelector("#single").click();
      note("single", lines());
      several.querySelector(".legend button").click();
      note("without", lines());
      several.querySelector(".legend button").click();
      const what = several.querySelector("#what");
      note("kinds", [...what.options].map((option) => option.text).join(", "));
      what.value = "sparsity"; what.dispatchEvent(new Event("change"));
      note("sparsity", lines());
      several.querySelector("#which").value = "magnitude"; several.querySelector("#which").dispatchEvent(new Event("input"));
      note("named", [...several.querySelectorAll(".legend button")].filter((name) => name.textContent.includes("magnitude")).length === several.querySelectorAll(".legend button").length);
      document.querySelector("#runs tbody tr").click();
      setTimeout(() => {
        note("cell", document.querySelector("#cell").innerText);
        note("curves", document.querySelectorAll("#cell svg path.line").length);
        document.querySelector("#back").click();
        setTimeout(() => note("back", document.querySelector("#overview").hidden), 200);
      }, 200);
    "##;
    let Some(seen) = opened(page, 1400, clicks) else { return };
    let noted = |name: &str| seen.noted(name);
    assert_eq!(noted("errors"), "");
    assert_eq!(
        (noted("up").as_str(), noted("down").as_str()),
        ("0000000011111111", "1111111100000000"),
        "sorted by seed"
    );
    assert!(noted("charts").parse::<usize>().unwrap() >= 6);
    // Three groups against the baseline but itself, and each group against its controls.
    assert!(noted("forest").parse::<usize>().unwrap() >= 8);
    assert_eq!(
        (noted("zoomed").as_str(), noted("whole").as_str()),
        ("true", "true"),
        "a drag zooms, a double click goes back"
    );
    assert_eq!(noted("found").split(' ').nth(2), Some("0"), "{}", noted("found"));
    assert_eq!(noted("found").split(' ').skip(3).collect::<Vec<_>>(), ["0", "16"]);
    assert!(noted("found").starts_with("8 "), "{}", noted("found"));
    // Three groups of two runs each.
    assert_eq!((noted("means").as_str(), noted("single").as_str()), ("3 with 3 bands", "6"));
    assert_eq!((noted("without").as_str(), noted("sparsity").as_str()), ("4", "6"));
    assert_eq!(noted("kinds"), "held-out accuracy, training accuracy, held-out loss, training loss, sparsity");
    assert_eq!(noted("named"), "true", "only groups that are named are drawn");
    let cell = noted("cell");
    assert!(cell.contains("Pruning steps") && cell.contains("where it differs from the baseline"), "{cell}");
    assert!(noted("curves").parse::<usize>().unwrap() >= 3);
    assert_eq!(noted("back"), "false");
}

/// Opens the report of a run in wide and narrow windows: nothing is complained of, nothing loaded, nothing wider than the window.
pub fn of_run_fits(report: &Path) {
    let look = r#"
      note("loaded", performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:")).map((entry) => entry.name).join(" "));
      note("wide", document.documentElement.scrollWidth <= innerWidth);
      note("charts", document.querySelectorAll("svg path.line").length);
      note("bars", document.querySelectorAll("path.bars.after").length);"#;
    for width in [1400, 500] {
        let Some(seen) = opened(report, width, look) else { return };
        let noted = ["errors", "loaded", "wide"].map(|name| seen.noted(name));
        assert_eq!(noted.each_ref().map(String::as_str), ["", "", "true"], "{width}");
        assert!(
            seen.noted("charts").parse::<usize>().unwrap() >= 4 && seen.noted("bars").parse::<usize>().unwrap() > 0
        );
    }
}
