//! Pages in a browser without a screen.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A page as a browser left it.
pub struct Seen {
    dom: String,
}

/// Opens a page in a window of that width, runs a script that may `note(name, text)`, and gives what was noted; `None`, and
/// a line that says so, where there is no browser here. Whatever the page's scripts complain of is noted as `errors`.
pub fn opened(page: &Path, width: u32, script: &str) -> Option<Seen> {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    let Some(browser) = browser else {
        eprintln!("SKIPPED: no Chromium here, so {} was not opened", page.display());
        return None;
    };
    let before = r#"<head><script>
      const errors = [];
      addEventListener("error", (event) => errors.push(event.message));
      console.error = (...words) => errors.push(words.join(" "));
    </script>"#;
    let after = format!(
        r#"<script>{{
      const note = (name, text) => document.body.setAttribute("data-" + name, text);
      const done = () => note("errors", errors.join("; "));
      {script}
      setTimeout(done, 900);
    }}</script></body>"#
    );
    let text = fs::read_to_string(page).unwrap().replacen("<head>", before, 1).replace("</body>", &after);
    let copy = page.with_file_name(format!("opened-{width}.html"));
    fs::write(&copy, text).unwrap();
    let profile = format!("--user-data-dir={}", page.with_file_name("profile").display());
    let size = format!("--window-size={width},1200");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]);
    let output = command.args([&profile, &size]).arg(format!("file://{}", copy.display())).output().unwrap();
    Some(Seen { dom: String::from_utf8_lossy(&output.stdout).into_owned() })
}

impl Seen {
    /// What was noted under a name.
    pub fn noted(&self, name: &str) -> String {
        let found = self.dom.split_once(&format!("data-{name}=\""));
        let (_, rest) = found.unwrap_or_else(|| panic!("{name} was not reached"));
        rest.split('"').next().unwrap().to_owned()
    }
}
