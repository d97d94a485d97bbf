//! The arguments of `data`.

use clap::Subcommand;

/// `data ...`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The data sets, and how to get them
    List,
    /// Look for a data set, read it, and say what was found
    Check {
        /// Such as mnist
        name: String,
        /// Set one value of the [data] section: data.dir=DIR
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
}
