//! The conformance kit on plugins named by file or by name.

use std::path::Path;

use secateur::options::{Table, unknown};
use secateur::plugins::conformance;
use secateur::plugins::registry::{Kind, Registry};

use crate::failure::Failure;

/// A plugin, and what was found about it.
pub type Checked = (String, Vec<conformance::CheckRow>);

/// Checks every plugin of a library's file, or the plugins of a name.
pub fn check(registry: &Registry, wanted: &str, sets: &[String]) -> Result<Vec<Checked>, Failure> {
    let options = options(sets)?;
    let file = Path::new(wanted);
    if file.is_file() || wanted.ends_with(std::env::consts::DLL_SUFFIX) {
        // Beside the built-in plugins, which it may wrap; alone, where it is one of them.
        let mut beside = secateur_bundle::registry()?;
        let (registry, names) = match beside.load(file, None) {
            Ok(names) => (beside, names),
            Err(secateur::Error::Config(_)) => {
                let mut alone = Registry::default();
                let names = alone.load(file, None)?;
                (alone, names)
            }
            Err(other) => return Err(Failure::Usage(other.to_string())),
        };
        return names.into_iter().map(|(kind, name)| one(&registry, kind, &name, &options)).collect();
    }
    let all = || Kind::ALL.into_iter().flat_map(|kind| registry.of_kind(kind).map(move |(name, _)| (kind, name)));
    let wants = |(kind, name): &(Kind, &str)| *name == wanted || format!("{kind}/{name}") == wanted;
    let found: Vec<_> = all().filter(wants).collect();
    if found.is_empty() {
        let known: Vec<&str> = all().map(|(_, name)| name).collect();
        return Err(Failure::Usage(format!(
            "{wanted}: neither a file nor a plugin: {}",
            unknown("plugin", wanted, &known)
        )));
    }
    found.into_iter().map(|(kind, name)| one(registry, kind, name, &options)).collect()
}

fn one(registry: &Registry, kind: Kind, name: &str, options: &Table) -> Result<Checked, Failure> {
    let origin = registry.get(kind, name)?.origin().to_string();
    Ok((format!("{kind} {name}, {origin}"), conformance::check(registry, kind, name, options)?))
}

/// `norm=l2`: the value as TOML, or else as text.
fn options(sets: &[String]) -> Result<Table, Failure> {
    let mut table = Table::new();
    for set in sets {
        let (key, value) =
            set.split_once('=').ok_or_else(|| Failure::Usage(format!("--set {set}: must be KEY=VALUE")))?;
        let read = format!("x = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("x"));
        table.insert(key.trim().to_owned(), read.unwrap_or_else(|| value.into()));
    }
    Ok(table)
}
