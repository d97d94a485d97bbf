//! `secateur plugins`

use crate::cli::PluginsCommand;
use crate::config::catalog::{KeyDoc, PluginDoc};
use crate::config::nearest;
use crate::failure::Failure;
use crate::program::Program;

pub fn execute(command: &PluginsCommand, program: &dyn Program) -> Result<(), Failure> {
    match command {
        PluginsCommand::List => {
            list(program);
            Ok(())
        }
        PluginsCommand::Show { name } => show(name, program),
    }
}

/// The kinds of plugins, in the order of the config's sections.
fn kinds(program: &dyn Program) -> Vec<String> {
    program.sections().into_iter().filter_map(|section| section.plugin_kind).collect()
}

fn list(program: &dyn Program) {
    for kind in kinds(program) {
        let names = program.plugin_names(&kind);
        let width = names.iter().map(String::len).max().unwrap_or(0);
        super::print(&format!("{kind}\n"));
        for name in names {
            let doc = program.plugin(&kind, &name).map(|plugin| plugin.doc).unwrap_or_default();
            super::print(format!("  {name:width$}  {doc}").trim_end());
            super::print("\n");
        }
        super::print("\n");
    }
    super::print(
        "secateur plugins show NAME prints a plugin's options; [KIND] name = \"NAME\" in a config chooses it.\n",
    );
}

fn show(wanted: &str, program: &dyn Program) -> Result<(), Failure> {
    let all: Vec<(String, String)> = kinds(program)
        .into_iter()
        .flat_map(|kind| program.plugin_names(&kind).into_iter().map(move |name| (kind.clone(), name)))
        .collect();
    let matches: Vec<&(String, String)> = all
        .iter()
        .filter(|(kind, name)| name == wanted || kind == wanted || format!("{kind}/{name}") == wanted)
        .collect();
    if matches.is_empty() {
        let names = || all.iter().map(|(_, name)| name.as_str());
        let fix = nearest(wanted, names()).map_or_else(
            || "secateur plugins list prints all of them".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        let known: Vec<&str> = names().collect();
        return Err(Failure::Usage(format!("{wanted}: unknown plugin\n  known: {}\n  fix: {fix}", known.join(", "))));
    }
    for (index, (kind, name)) in matches.into_iter().enumerate() {
        let separator = if index > 0 { "\n" } else { "" };
        let plugin = program.plugin(kind, name).unwrap_or_default();
        super::print(&format!("{separator}{}", described(kind, name, &plugin)));
    }
    Ok(())
}

/// As a piece of config with every option at its default: ready to be copied.
fn described(kind: &str, name: &str, plugin: &PluginDoc) -> String {
    let mut text = format!("{kind} {name}: {}\n\n[{kind}]\nname = \"{name}\"\n", plugin.doc);
    for KeyDoc { key, doc, ty, default, .. } in &plugin.options {
        let value = default.as_ref().map_or_else(|| format!("# {key} is not set"), |value| format!("{key} = {value}"));
        text.push_str(&format!("\n# {doc}\n# {ty}\n{value}\n"));
    }
    text
}
