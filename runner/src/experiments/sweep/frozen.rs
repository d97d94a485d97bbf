//! A plan as data: every layer of its configs as it was, its cells, and the program that planned it. Whoever runs it
//! later runs just that, whatever has become of the files, the variables and the program meanwhile.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::SweepPlan;
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::BUILD;

/// Raised when a plan is written that earlier versions cannot read.
const FORMAT: u32 = 1;

/// What a file must hold before anything else is asked of it.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A plan, and the program that made it.
#[derive(Serialize, Deserialize)]
pub struct Frozen<P = SweepPlan> {
    format: u32,
    /// The program's version.
    version: String,
    /// The program's build: kernels change bits under one version.
    build: String,
    /// The plan.
    pub plan: P,
}

impl SweepPlan {
    /// The plan as the text of a file, made by this program.
    ///
    /// # Errors
    /// A path in it is no text.
    pub fn freeze(&self) -> Result<String, Failure> {
        let (version, build) = (env!("CARGO_PKG_VERSION").to_owned(), BUILD.to_owned());
        let text = toml::to_string(&Frozen { format: FORMAT, version, build, plan: self });
        let text = text.map_err(|error| Failure::Failed(format!("the plan cannot be written: {error}")))?;
        let cells = counted(self.cells.len(), "cell");
        Ok(format!(
            "# The plan of the sweep {}: {cells}, frozen. A program runs it, and nobody edits it.\n{text}",
            self.name
        ))
    }
}

impl Frozen {
    /// Reads a plan that was frozen.
    ///
    /// # Errors
    /// There is none, or another version's.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refused = |problem: &str| {
            let fix = "give the plan.toml that `secateur sweep CONFIG --slurm` or `--freeze FILE` wrote";
            Failure::Usage(format!("{}: {problem}\n  fix: {fix}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| refused(&format!("cannot read it: {error}")))?;
        match toml::from_str(&text) {
            Ok(Format { format: FORMAT }) => {}
            Ok(Format { format }) => {
                return Err(refused(&format!("a plan of format {format}, and this program reads format {FORMAT}")));
            }
            Err(_) => return Err(refused("this is no frozen plan")),
        }
        toml::from_str(&text).map_err(|error: toml::de::Error| refused(&format!("it is damaged: {}", error.message())))
    }

    /// The plan, if this program is the one that froze it.
    ///
    /// # Errors
    /// It is not, and that was not accepted.
    pub fn by_this_program(self, accept: bool) -> Result<SweepPlan, Failure> {
        if self.build == BUILD || accept {
            return Ok(self.plan);
        }
        Err(Failure::Usage(format!(
            "the plan was frozen by build {} (version {}) of the program, and this is build {BUILD}: other bits may follow\n  \
             fix: run it with the program beside the plan, submit the sweep again, or add --accept-changed",
            self.build, self.version
        )))
    }
}
