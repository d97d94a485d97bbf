//! The arguments of `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// What `completions --help` ends with.
pub const COMPLETION_EXAMPLES: &str = "\
Examples:
  secateur completions bash > ~/.local/share/bash-completion/completions/secateur
  secateur completions zsh > ~/.zfunc/_secateur            with fpath+=~/.zfunc before compinit
  secateur completions fish > ~/.config/fish/completions/secateur.fish";

/// What `man --help` ends with.
pub const MAN_EXAMPLES: &str = "\
Examples:
  secateur man | man -l -
  secateur man --out ~/.local/share/man/man1               secateur.1, secateur-run.1, ...";

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
