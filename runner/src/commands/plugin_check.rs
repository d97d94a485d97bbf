//! `secateur plugins check`

use crate::engine::Workbench;
use crate::failure::Failure;

/// Runs the conformance kit on a plugin, or on every plugin of a file, and prints what holds.
pub fn execute(wanted: &str, sets: &[String], workbench: &Workbench) -> Result<(), Failure> {
    let checked = workbench.check_plugins(wanted, sets)?;
    let mut failed = 0;
    for (plugin, rows) in &checked {
        super::print(&format!("{plugin}\n"));
        for row in rows {
            let mark = if row.passed { "ok    " } else { "FAILED" };
            super::print(&format!("  {mark}  {}\n          {}\n", row.name, row.detail.replace('\n', "\n          ")));
            failed += usize::from(!row.passed);
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{wanted}: {n} of the checks failed"))),
    }
}
