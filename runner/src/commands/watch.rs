//! `secateur watch`

use std::io::{IsTerminal, stdout};
use std::thread;
use std::time::Duration;

use console::Term;

use crate::cli::WatchArgs;
use crate::experiments::watch::{Server, Watched, text};
use crate::failure::Failure;
use crate::printable::printable;

/// How often a terminal is drawn anew.
const EVERY: Duration = Duration::from_secs(2);

pub fn execute(arguments: &WatchArgs) -> Result<(), Failure> {
    let folder = &arguments.folder;
    if !folder.is_dir() {
        let fix = "name the folder of a run, of a sweep, or of many, such as runs; it is there once one has begun";
        return Err(Failure::Usage(format!("{}: there is no such folder\n  fix: {fix}", folder.display())));
    }
    let watched = Watched::new(folder);
    // Whoever asks for a port wants the page, wherever this is written to.
    if !stdout().is_terminal() && arguments.port == 0 {
        super::print(&text(&watched, usize::MAX));
        return Ok(());
    }
    if arguments.tui {
        return on_terminal(watched);
    }
    let failed = |error: std::io::Error| {
        let fix = "leave out --port, or name another one";
        Failure::Failed(format!("127.0.0.1:{}: cannot listen there: {error}\n  fix: {fix}", arguments.port))
    };
    let server = Server::new(watched, arguments.port).map_err(failed)?;
    super::print(&format!("{}\n", server.address().map_err(failed)?));
    server.serve();
    Ok(())
}

/// Draws it anew for ever, over what was drawn before.
fn on_terminal(mut watched: Watched) -> Result<(), Failure> {
    let terminal = Term::stdout();
    let mut drawn = 0;
    loop {
        let (height, width) = terminal.size();
        let text = text(&watched, usize::from(height).saturating_sub(1));
        let text = printable(&text);
        // A line that is wider than the terminal would be two.
        let lines: Vec<_> = text.lines().map(|line| console::truncate_str(line, usize::from(width), "…")).collect();
        let shown = terminal.clear_last_lines(drawn).and_then(|()| terminal.write_line(&lines.join("\n")));
        shown.map_err(|error| Failure::Failed(format!("the terminal cannot be written to: {error}")))?;
        drawn = lines.len();
        thread::sleep(EVERY);
        watched.look();
    }
}
