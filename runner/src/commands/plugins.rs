//! `secateur plugins`

use crate::cli::PluginsCommand;
use crate::config::schema::{KeyDoc, PluginDoc};
use crate::config::{Schema, nearest};
use crate::engine::Workbench;
use crate::failure::Failure;

pub fn execute(command: &PluginsCommand, workbench: &Workbench) -> Result<(), Failure> {
    match command {
        PluginsCommand::List => {
            list(workbench);
            Ok(())
        }
        PluginsCommand::Show { name } => show(name, workbench),
        PluginsCommand::Reference => {
            super::print(&super::plugin_reference::page(workbench));
            Ok(())
        }
        PluginsCommand::New { name, kind, framework } => super::plugin_new::execute(name, *kind, framework.as_deref()),
        PluginsCommand::Check { plugin, sets } => super::plugin_check::execute(plugin, sets, workbench),
    }
}

/// The kinds of plugins, in the order of the config's sections.
fn kinds(workbench: &Workbench) -> Vec<String> {
    workbench.sections().into_iter().filter_map(|section| section.plugin_kind).collect()
}

fn list(workbench: &Workbench) {
    for kind in kinds(workbench) {
        let names = workbench.plugin_names(&kind);
        let width = names.iter().map(String::len).max().unwrap_or(0);
        super::print(&format!("{kind}\n"));
        for name in names {
            let doc = workbench.plugin(&kind, &name).map(|plugin| plugin.doc).unwrap_or_default();
            super::print(format!("  {name:width$}  {doc}").trim_end());
            super::print("\n");
        }
        super::print("\n");
    }
    super::print(
        "secateur plugins show NAME prints a plugin's options; [KIND] name = \"NAME\" in a config chooses it.\n",
    );
}

fn show(wanted: &str, workbench: &Workbench) -> Result<(), Failure> {
    let sections = workbench.sections();
    let section = sections.iter().find(|section| !section.name.is_empty() && section.name == wanted);
    let all: Vec<(String, String)> = kinds(workbench)
        .into_iter()
        .flat_map(|kind| workbench.plugin_names(&kind).into_iter().map(move |name| (kind.clone(), name)))
        .collect();
    let wants = |kind: &str, name: &str| name == wanted || kind == wanted || format!("{kind}/{name}") == wanted;
    let mut pieces: Vec<String> = Vec::new();
    pieces.extend(section.filter(|section| !section.keys.is_empty()).map(|section| {
        let keys = section.keys.iter().map(|doc| described_key(doc.key.rsplit('.').next().unwrap_or(&doc.key), doc));
        format!("{}\n\n[{}]\n{}", section.doc, section.name, keys.collect::<String>())
    }));
    for (kind, name) in all.iter().filter(|(kind, name)| wants(kind, name)) {
        pieces.push(described(kind, name, &workbench.plugin(kind, name).unwrap_or_default()));
    }
    if pieces.is_empty() {
        let names = || all.iter().map(|(_, name)| name.as_str());
        let fix = nearest(wanted, names()).map_or_else(
            || "secateur plugins list prints all of them".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        let known: Vec<&str> = names().collect();
        return Err(Failure::Usage(format!("{wanted}: unknown plugin\n  known: {}\n  fix: {fix}", known.join(", "))));
    }
    super::print(&pieces.join("\n"));
    Ok(())
}

/// As a piece of config with every option at its default: ready to be copied.
fn described(kind: &str, name: &str, plugin: &PluginDoc) -> String {
    let options: String = plugin.options.iter().map(|doc| described_key(&doc.key, doc)).collect();
    let table =
        if plugin.table_of_its_own && !options.is_empty() { format!("\n[{kind}.{name}]\n") } else { String::new() };
    format!("{kind} {name}: {}\n\n[{kind}]\nname = \"{name}\"\n{table}{options}", plugin.doc)
}

fn described_key(key: &str, KeyDoc { doc, ty, default, acts, .. }: &KeyDoc) -> String {
    let value = default.as_ref().map_or_else(|| format!("# {key} is not set"), |value| format!("{key} = {value}"));
    let acts = acts.as_ref().map_or_else(String::new, |acts| format!("# acts with {acts}\n"));
    format!("\n# {doc}\n{acts}# {ty}\n{value}\n")
}
