//! Groups: the folders of `configs/`, here and inside the program, each with configs to choose from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use secateur::plugins::registry::Kind;

use super::files;
use crate::config::error::nearest;

/// The folders that hold configs, sorted.
pub fn groups(root: &Path) -> Vec<String> {
    let embedded = files::embedded_names().filter_map(|name| name.split_once('/')).map(|(group, _)| group.to_owned());
    let here = fs::read_dir(root.join("configs")).into_iter().flatten().flatten();
    let here = here.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok());
    embedded.chain(here).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The configs of a group by their names in it, sorted.
pub fn members(group: &str, root: &Path) -> Vec<String> {
    let embedded = files::embedded_names().filter_map(|name| name.strip_prefix(group)?.strip_prefix('/'));
    let here = fs::read_dir(root.join("configs").join(group)).into_iter().flatten().flatten();
    let here = here.filter_map(|entry| entry.file_name().into_string().ok());
    let here = here.filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()));
    embedded.map(str::to_owned).chain(here).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What `group=name` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A config, by path or name.
    Config(String),
    /// A plugin that no config is named after: `group.name` is set to it.
    Plugin,
}

/// Finds `name` in a group: a file, `configs/GROUP/NAME.toml`, or a plugin of the kind that the group chooses.
///
/// # Errors
/// There is no such config, and the group chooses no plugins: what to write instead.
pub fn member(group: &str, name: &str, root: &Path) -> Result<Member, String> {
    let whole = format!("{group}/{name}");
    if name.ends_with(".toml") {
        return Ok(Member::Config(name.to_owned()));
    }
    if let Some(found) =
        [&whole, &name.to_owned()].into_iter().find(|name| name.contains('/') && files::exists(name, root))
    {
        return Ok(Member::Config(found.clone()));
    }
    if Kind::ALL.iter().any(|kind| kind.name() == group) && !name.contains('/') {
        return Ok(Member::Plugin);
    }
    let known = members(group, root);
    let last = name.rsplit('/').next().unwrap_or(name);
    Err(match nearest(last, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {group}={near}?"),
        None => format!("{group}=NAME, where NAME is one of {}, or a file that ends in .toml", known.join(", ")),
    })
}

/// Everything that can be chosen by a word of the command line: configs, and what groups hold.
pub fn choices(root: &Path) -> Vec<String> {
    let mut all = vec!["base".to_owned()];
    for group in groups(root) {
        for name in members(&group, root) {
            all.push(format!("{group}/{name}"));
            if is_section(&group) {
                all.push(format!("{group}={name}"));
            }
        }
    }
    all
}

/// Whether the configs of a group say something about one section, and give a run no name: experiments and sweeps are
/// configs of their own.
pub fn is_section(group: &str) -> bool {
    !matches!(group, "experiment" | "sweep")
}
