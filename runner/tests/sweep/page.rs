//! What `compare` says of a sweep, and its page in a browser.

use super::*;

/// Comparisons of that sweep.
pub fn compares(here: &Path) {
    let (code, out, errors) =
        secateur(here, &["compare", "runs/s", "--json", "c.json", "--csv", "c.csv", "--html", "c.html"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("magnitude, norm l1") && out.contains("Against their controls") && out.contains("Pareto front"),
        "{out}"
    );
    let found: Value = serde_json::from_slice(&fs::read(here.join("c.json")).unwrap()).unwrap();
    assert_eq!(found["by"], serde_json::json!(["criterion.name", "criterion.norm"]));
    let main = found["groups"].as_array().unwrap().iter().filter(|group| group["control"].is_null());
    assert_eq!(
        main.map(|group| group["metrics"]["test_accuracy"]["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 2, 2]
    );
    let csv = fs::read_to_string(here.join("c.csv")).unwrap();
    assert!(
        csv.starts_with("criterion.name,criterion.norm,control,metric,n,mean,std,low,high\n")
            && csv.contains("\nmagnitude,l1,,test_accuracy,2,"),
        "{csv}"
    );
    // The index is made again from the folders, and says what they say.
    fs::remove_file(here.join("runs/index.sqlite")).unwrap();
    let (_, again, _) = secateur(here, &["compare", "runs/s"]);
    assert_eq!(again, out);
    // Grouped by less, pairs agree in everything else.
    let (_, out, _) =
        secateur(here, &["compare", "runs/s", "--by", "criterion.name", "--baseline", "random", "--markdown", "-"]);
    assert!(out.contains("| magnitude | 4 |"), "{out}");
    let (code, _, errors) = secateur(here, &["compare", "runs/s", "--by", "criterion.nam"]);
    assert!(code == 2 && errors.contains("did you mean criterion.name?"), "{errors}");
    // A folder that is damaged is named and left out.
    let victim = folders(here).remove(0);
    fs::write(victim.join("summary.json"), "{").unwrap();
    let (code, out, _) = secateur(here, &["compare", "runs/s"]);
    assert!(code == 0 && out.contains("1 damaged run is left out") && out.contains("summary.json"), "{out}");
    page_works(&here.join("c.html"));
}

/// Opens the page in a browser without a screen, clicks a table's head, a run, and what goes back.
fn page_works(page: &Path) {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        std::process::Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
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
    let mut command = std::process::Command::new(browser);
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
