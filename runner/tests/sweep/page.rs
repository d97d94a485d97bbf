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
    let cell = noted("cell");
    assert!(cell.contains("Pruning steps") && cell.contains("where it differs from the baseline"), "{cell}");
    assert!(noted("curves").parse::<usize>().unwrap() >= 3);
    assert_eq!(noted("back"), "false");
}
