//! The page of a comparison, clicked through.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Opens the page in a browser without a screen, clicks a table's head, a run, and what goes back.
pub fn works(page: &Path) {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    let Some(browser) = browser else {
        return eprintln!("SKIPPED: no Chromium here, so the page of a comparison was not clicked through");
    };
    let clicks = r##"<script>{
      const note = (name, text) => document.body.setAttribute("data-" + name, text);
      const names = () => [...document.querySelectorAll("#runs tbody tr td:nth-child(3)")].map((cell) => cell.textContent).join("");
      document.querySelector("#runs th:nth-child(3)").click();
      note("up", names());
      document.querySelector("#runs th:nth-child(3)").click();
      note("down", names());
      note("charts", document.querySelectorAll("[data-front] svg circle").length);
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
    }</script></body>"##;
    let clicked = page.with_file_name("clicked.html");
    fs::write(&clicked, fs::read_to_string(page).unwrap().replace("</body>", clicks)).unwrap();
    let mut command = Command::new(browser);
    let profile = format!("--user-data-dir={}", page.with_file_name("profile").display());
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom", &profile]);
    let output = command.arg(format!("file://{}", clicked.display())).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let noted = |name: &str| {
        let (_, rest) = dom.split_once(&format!("data-{name}=\"")).unwrap_or_else(|| panic!("{name} was not reached"));
        rest.split('"').next().unwrap().to_owned()
    };
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
