//! `secateur completions` and `secateur man`

use std::env;
use std::fs;

use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory};

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::config;
use crate::failure::Failure;

/// Prints a script for the shell.
pub fn completions(arguments: &CompletionsArgs) -> Result<(), Failure> {
    let root = env::current_dir().unwrap_or_default();
    // As long as the program lives, which ends with the script: clap keeps no texts of its own.
    let words: Vec<&'static str> = config::choices(&root).into_iter().map(|word| &*word.leak()).collect();
    let takes_words = |command: &Command| command.get_positionals().any(|argument| argument.get_id() == "words");
    // Only here are they all the words that there can be: shells complete from lists.
    let complete = |command: Command| {
        if takes_words(&command) {
            command.mut_arg("words", |argument| argument.value_parser(PossibleValuesParser::new(words.clone())))
        } else {
            command
        }
    };
    let mut command = Cli::command().mut_subcommands(complete);
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "secateur", &mut script);
    super::print_exactly(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Prints the manual page, or writes one for each command.
pub fn man(arguments: &ManArgs) -> Result<(), Failure> {
    let command = Cli::command();
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        // A vector takes whatever is written to it.
        _ = clap_mangen::Man::new(command).render(&mut page);
        super::print_exactly(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    let failed = |error: std::io::Error| {
        Failure::Failed(format!("{}: cannot write it: {error}\n  fix: choose another folder", folder.display()))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)
}
