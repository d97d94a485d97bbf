//! `secateur config`

use serde_json::{Value, json};

use crate::cli::{Cli, ConfigArgs, Layers};
use crate::config::{self as layers, Described, PluginFile, Request};
use crate::engine::Workbench;
use crate::experiments::sweep::{self, SweepPlan};
use crate::failure::Failure;
use crate::printable::counted;

pub fn execute(arguments: &ConfigArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let request = super::many(&arguments.layers, cli)?;
    let config = Described::read(&request, workbench)?;
    if !arguments.diff.is_empty() {
        let other = Described::read(&other(arguments, cli)?, workbench)?;
        return differences(arguments, [&config, &other]);
    }
    // What is wrong with any cell of a sweep is wrong with its config.
    let plan = if config.is_sweep() { Some(SweepPlan::make(&request, workbench)?) } else { None };
    let text = match (arguments.plain, arguments.json) {
        (true, _) => config.to_toml(),
        (_, true) => {
            // The folder's name stands for the content of the data too.
            let run =
                if config.is_sweep() { None } else { workbench.identified(config.base.clone(), &mut |_| ()).ok() };
            format!("{:#}\n", config.to_json(run.map(|run| run.folder_name())))
        }
        _ => {
            let cells = |plan: &SweepPlan| match plan.search() {
                Some(search) => search.rule().iter().fold("\n".to_owned(), |text, line| text + &format!("# {line}\n")),
                None => format!("\n# {}; secateur sweep ... --dry-run lists them\n", counted(plan.cells.len(), "cell")),
            };
            config.to_annotated_toml() + &plan.as_ref().map_or_else(String::new, cells)
        }
    };
    // TOML and JSON write control characters out themselves, and are read again as they stand.
    if arguments.plain || arguments.json {
        super::print_exactly(&text)
    } else {
        super::print(&text)
    }
    Ok(())
}

/// The libraries that both configs name.
pub fn plugin_files(arguments: &ConfigArgs, cli: &Cli) -> Result<Vec<PluginFile>, Failure> {
    let mut files = sweep::plugin_files(&super::many(&arguments.layers, cli)?)?;
    if !arguments.diff.is_empty() {
        let others = layers::plugin_files(&other(arguments, cli)?)?;
        files.extend(others.into_iter().filter(|file| !files.contains(file)).collect::<Vec<_>>());
    }
    Ok(files)
}

/// The config that `--diff` names; flags hold for it too.
fn other(arguments: &ConfigArgs, cli: &Cli) -> Result<Request, Failure> {
    super::many(&Layers { words: arguments.diff.clone(), ..arguments.layers.clone() }, cli)
}

fn differences(arguments: &ConfigArgs, [mine, other]: [&Described; 2]) -> Result<(), Failure> {
    let found = mine.differences(other);
    let same = !mine.is_sweep() && !other.is_sweep() && mine.base.identity() == other.base.identity();
    if arguments.json {
        let side = |of: fn(&layers::Row) -> &String, sides: &[Option<layers::Row>; 2]| -> Vec<Value> {
            sides.iter().map(|row| row.as_ref().map_or(Value::Null, |row| of(row).as_str().into())).collect()
        };
        let rows = found.iter().map(|one| {
            json!({ "key": one.key, "values": side(|row| &row.value, &one.sides), "origins": side(|row| &row.origin, &one.sides) })
        });
        let all = json!({ "differences": rows.collect::<Vec<_>>(), "same_run": same });
        super::print_exactly(&format!("{all:#}\n"));
        return Ok(());
    }
    let mut text = format!("--- {}\n+++ {}\n", arguments.layers.words.join(" "), arguments.diff.join(" "));
    for one in &found {
        text.push_str(&format!("{}\n", one.key));
        let value = |row: &Option<layers::Row>| row.as_ref().map_or("not set".to_owned(), |row| row.value.clone());
        let width = one.sides.iter().map(|row| value(row).chars().count()).max().unwrap_or(0);
        for (sign, row) in ["-", "+"].into_iter().zip(&one.sides) {
            let origin = row.as_ref().map_or_else(String::new, |row| format!("  # {}", row.origin));
            text.push_str(format!("{sign} {:width$}{origin}", value(row)).trim_end());
            text.push('\n');
        }
    }
    text.push_str(match (found.is_empty(), same) {
        (true, _) => "no value differs\n",
        (false, true) => "the same run: no result depends on these\n",
        (false, false) => "",
    });
    super::print(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secateur::plugins::registry::Kind;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::config::{Schema, resolve};

    /// Identities of the configs that come with the program, of before groups and plugins of one name meant one thing.
    const IDENTITIES: &str = include_str!("../../tests/common/identities.txt");

    fn identity(name: &str, workbench: &Workbench) -> String {
        let request = Request { configs: vec![name.to_owned()], root: PathBuf::new(), ..Request::default() };
        if !name.starts_with("sweep/") {
            return resolve(&request, workbench).unwrap_or_else(|errors| panic!("{name}: {errors}")).identity();
        }
        let plan = SweepPlan::make(&request, workbench).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let cell = |cell| plan.resolve(cell, &[], workbench).unwrap().identity();
        let mut cells: Vec<String> = plan.cells.iter().map(cell).collect();
        cells.sort();
        Sha256::digest(cells.join(" ")).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn experiments_and_sweeps_keep_their_identities() {
        let workbench = Workbench::new(&[]).unwrap();
        let found: String = IDENTITIES
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .map(|name| format!("{name} {}\n", identity(name, &workbench)))
            .collect();
        assert_eq!(found, IDENTITIES, "a config that is not listed yet is added with its own identity");
    }

    #[test]
    fn a_group_that_is_named_after_a_plugin_is_that_plugin_with_its_defaults() {
        let workbench = Workbench::new(&[]).unwrap();
        let of = |word: String| {
            let request = Request { words: vec!["base".to_owned(), word.clone()], ..Request::default() };
            resolve(&request, &workbench).unwrap_or_else(|errors| panic!("{word}: {errors}"))
        };
        let mut seen = 0;
        for kind in Kind::ALL.map(Kind::name) {
            for name in workbench.plugin_names(kind) {
                if !layers::choices(&PathBuf::new()).contains(&format!("{kind}/{name}")) {
                    continue;
                }
                let (group, plugin) = (of(format!("{kind}={name}")), of(format!("{kind}.name={name}")));
                for option in workbench.plugin(kind, &name).unwrap().options {
                    let value = |config: &crate::config::Resolved| {
                        let section = config.table()[kind].as_table().unwrap();
                        section.get(&option.key).or_else(|| section.get(&name)?.get(&option.key)).cloned()
                    };
                    assert_eq!(value(&group), value(&plugin), "{kind}/{name}: {}", option.key);
                }
                seen += 1;
            }
        }
        assert!(seen > 35, "{seen}");
    }
}
