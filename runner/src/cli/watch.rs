//! The arguments of `watch`.

use std::path::PathBuf;

use clap::Args;

pub const EXAMPLES: &str = "\
Examples:
  secateur watch runs                        everything there, on a page whose address it prints
  secateur watch runs/mnist-criteria --tui   one sweep, in this terminal
  secateur watch runs/mnist-criteria > now.txt   once, as text

The page is served to this machine alone, to whoever has the address, and only read. From elsewhere: ssh -L PORT:127.0.0.1:PORT.
Ctrl-C ends it; runs and sweeps go on.";

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The folder of a run, of a sweep, or of many
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
    /// Show it in this terminal, and not as a page
    #[arg(long)]
    pub tui: bool,
    /// The page's port; one that is free, unless given
    #[arg(long, default_value_t = 0, hide_default_value = true, conflicts_with = "tui")]
    pub port: u16,
}
