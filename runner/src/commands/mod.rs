//! The commands, one file each, in folders where they have a subject.

mod compare;
mod config;
mod data;
mod fit;
mod fork;
mod masks;
mod network;
mod plugin_check;
mod plugin_new;
mod plugin_reference;
mod plugins;
mod run;
mod shell;
mod sweep;
mod watch;

use std::env;
use std::path::PathBuf;

use crate::cli::{Cli, ClusterArgs, Command, Layers, OfRun, SparsestCommand, SweepArgs};
use crate::config::{self as layers, PluginFile, Request, Resolved, Schema, resolve};
use crate::engine::Workbench;
use crate::experiments::sweep::Frozen;
use crate::failure::Failure;
use crate::printable::printable;
use crate::run::{CONFIG, Damage, Interrupt, MODEL, has_checkpoint, is_finished, read_summary};

/// Listens for signals where a command runs for long, before it reads anything that may take its time.
///
/// # Errors
/// The system does not allow it.
pub fn listen(cli: &Cli) -> Result<Interrupt, Failure> {
    match &cli.command {
        Command::Run(_) | Command::Fork(_) => Interrupt::default().listen(cli.quiet),
        Command::Sweep(arguments) => sweep::listen(arguments, cli.quiet),
        _ => Ok(Interrupt::default()),
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// What the person should read, with the exit code it stands for.
pub fn execute(cli: &Cli, interrupt: Interrupt, workbench: &Workbench) -> Result<(), Failure> {
    match &cli.command {
        Command::Run(arguments) => run::execute(arguments, cli, &interrupt, workbench),
        Command::Sweep(arguments) => sweep::execute(arguments, cli, interrupt, workbench),
        Command::Compare(arguments) => compare::execute(arguments),
        Command::Fork(arguments) => fork::execute(arguments, cli, &interrupt, workbench),
        Command::Watch(arguments) => watch::execute(arguments),
        Command::Predict(arguments) => network::predict::execute(arguments, cli, workbench),
        Command::Verify(arguments) => network::verify::execute(arguments, cli, workbench),
        Command::Export(arguments) => network::export::execute(arguments, cli, workbench),
        Command::Latency(arguments) => network::latency::execute(arguments, cli, workbench),
        Command::Compress(arguments) => network::compress::execute(arguments, cli, workbench),
        Command::Decompress(arguments) => network::decompress::execute(arguments),
        Command::Information(arguments) => masks::information::execute(arguments, workbench),
        Command::Sparsest(command) => masks::sparsest::execute(command, cli, workbench),
        Command::Fit(command) => fit::execute(command, cli, workbench),
        Command::Config(arguments) => config::execute(arguments, cli, workbench),
        Command::Plugins(command) => plugins::execute(command, workbench),
        Command::Data(command) => data::execute(command, workbench),
        Command::Completions(arguments) => shell::completions(arguments),
        Command::Man(arguments) => shell::man(arguments),
    }
}

/// What to write in the place of an option that does not exist.
pub fn right_form(error: &clap::Error) -> Option<String> {
    let sections = Workbench::new(&[]).ok()?.sections();
    let keys: Vec<String> = sections.iter().flat_map(|section| &section.keys).map(|doc| doc.key.clone()).collect();
    let root = env::current_dir().unwrap_or_default();
    let names = sections.into_iter().map(|section| section.name).chain(layers::groups(&root)).collect::<Vec<_>>();
    let line: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    crate::cli::right_form(error, &line, &names, &keys)
}

/// The libraries that the command line and the configs name.
///
/// # Errors
/// Configs that cannot be found or read.
pub fn plugin_files(cli: &Cli) -> Result<Vec<PluginFile>, Failure> {
    let request = match &cli.command {
        // No run, so no libraries of one: resuming says what is wrong with the folder.
        Command::Run(arguments) if arguments.resume.as_ref().is_some_and(|dir| !dir.join("config.toml").is_file()) => {
            return Ok(Vec::new());
        }
        Command::Run(arguments) => layered(&arguments.layers(), cli)?,
        Command::Config(arguments) => return config::plugin_files(arguments, cli),
        Command::Fork(arguments) => {
            let mut all = Vec::new();
            for run in &arguments.runs {
                all.extend(crate::experiments::sweep::plugin_files(&fork::request(run, arguments, cli)?)?);
            }
            return Ok(all);
        }
        Command::Predict(arguments) => network::request(&arguments.of, network::Data::Needed, cli)?,
        Command::Verify(arguments) => own_config(&arguments.of, cli)?,
        Command::Export(arguments) => network::request(&arguments.of, network::Data::Needed, cli)?,
        Command::Latency(arguments) => {
            let mut all = Vec::new();
            for request in network::latency::requests(arguments, cli)? {
                all.extend(layers::plugin_files(&request)?);
            }
            return Ok(all);
        }
        Command::Compress(arguments) => own_config(&arguments.of, cli)?,
        Command::Fit(command) => own_config(command.of(), cli)?,
        Command::Sparsest(SparsestCommand::Search(arguments)) => layered(&arguments.layers(), cli)?,
        Command::Sweep(SweepArgs { cluster: ClusterArgs { plan: Some(file), .. }, .. }) => {
            return Ok(Frozen::read(file)?.plan.libraries()?);
        }
        Command::Sweep(arguments) => {
            return Ok(crate::experiments::sweep::plugin_files(&many(&arguments.layers, cli)?)?);
        }
        _ => Request { plugins: cli.plugins.clone(), variables: Vec::new(), ..request()? },
    };
    Ok(layers::plugin_files(&request)?)
}

fn resolve_layers(layers: &Layers, cli: &Cli, workbench: &Workbench) -> Result<Resolved, Failure> {
    Ok(resolve(&layered(layers, cli)?, workbench)?)
}

/// What the layers ask for, where `train.lr=0.1,0.01` is an axis.
fn many(layers: &Layers, cli: &Cli) -> Result<Request, Failure> {
    Ok(Request { many: true, ..layered(layers, cli)? })
}

fn layered(layers: &Layers, cli: &Cli) -> Result<Request, Failure> {
    if layers.is_empty() {
        let fix = "name one or more, such as experiment/quickstart; --help explains them";
        return Err(Failure::Usage(format!("no CONFIG was given\n  fix: {fix}")));
    }
    let Layers { own, words, sets, .. } = layers.clone();
    let (flags, plugins) = (layers.flags(), cli.plugins.clone());
    Ok(Request { configs: own, words, flags, sets, plugins, ..request()? })
}

/// A finished run's own config: neither the environment nor other configs say what its network is.
fn own_config(of: &OfRun, cli: &Cli) -> Result<Request, Failure> {
    let run = &of.run;
    let refused = |problem: &str, fix: &str| Failure::Usage(format!("{}: {problem}\n  fix: {fix}", run.display()));
    if !run.join(CONFIG).is_file() {
        return Err(refused(
            "this is not the folder of a run",
            "give one, such as runs/NAME-HASH: it holds config.toml",
        ));
    }
    if let Err(Damage { file, reason }) = read_summary(run) {
        let fix = "run it again, in a folder of its own: secateur run CONFIG... --out DIR";
        return Err(Failure::Failed(format!("{}: {reason}\n  fix: {fix}", run.join(file).display())));
    }
    if !is_finished(run) {
        let (network, shown) = (run.join(MODEL), run.display());
        let fix = if has_checkpoint(run) {
            format!("finish it first: secateur run --resume {shown}")
        } else if network.is_file() {
            format!("run it again with --force: its summary.json is gone (predict takes {} too)", network.display())
        } else {
            "it left no checkpoint: run it again, with --force where its folder is in the way".to_owned()
        };
        return Err(refused("this run is not finished", &fix));
    }
    let configs = vec![run.join(CONFIG).to_string_lossy().into_owned()];
    let (flags, plugins) = (of.flags(), cli.plugins.clone());
    Ok(Request { configs, flags, plugins, variables: Vec::new(), ..request()? })
}

/// The resolved config of a finished run; refuses a folder that its data set does not read.
fn of_run(of: &OfRun, cli: &Cli, workbench: &Workbench) -> Result<Resolved, Failure> {
    let config = resolve(&own_config(of, cli)?, workbench)?;
    let data = &config.run.data.name;
    let generated = workbench.data_sets().iter().any(|set| set.name == *data && set.how_to_get.is_empty());
    if of.data_dir.is_some() && generated {
        return Err(Failure::Usage(format!(
            "--data-dir does nothing here: \"{data}\" reads no file\n  fix: leave it out"
        )));
    }
    Ok(config)
}

/// The environment and the working directory; no configs yet.
fn request() -> Result<Request, Failure> {
    let root: PathBuf = env::current_dir().map_err(|error| {
        Failure::Failed(format!("the working directory cannot be read: {error}\n  fix: change to another folder"))
    })?;
    // A variable that is not Unicode cannot be a config key of ours.
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Request { variables: variables.collect(), root, ..Request::default() })
}

/// Prints text for people to standard output: what others wrote into it is shown and does nothing.
fn print(text: &str) {
    print_exactly(&printable(text));
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
fn print_exactly(text: &str) {
    use std::io::Write;
    _ = std::io::stdout().write_all(text.as_bytes());
}
