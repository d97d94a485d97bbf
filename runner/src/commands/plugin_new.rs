//! `secateur plugins new`

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::PluginKind;
use crate::failure::Failure;

const MANIFEST: &str = include_str!("../../templates/plugin/Cargo.toml.tmpl");
const README: &str = include_str!("../../templates/plugin/README.md.tmpl");
const TEST: &str = include_str!("../../templates/plugin/test.rs.tmpl");

/// Writes a crate with a working plugin into the folder `name`.
pub fn execute(name: &str, kind: PluginKind, framework: Option<&Path>) -> Result<(), Failure> {
    let usage = |message: String| Err(Failure::Usage(message));
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.split('-').all(word) || name.len() > 60 {
        return usage(format!(
            "{name}: not the name of a plugin\n  allowed: lower-case letters, digits and single dashes, starting with a letter: my-criterion"
        ));
    }
    let folder = Path::new(name);
    if folder.exists() {
        return usage(format!("{name}: this folder exists already\n  fix: choose another name, or remove it"));
    }
    let (source, label) = match kind {
        PluginKind::Data => {
            return usage(format!(
                "--kind data: a data set is linked into the program, not loaded from a library, so it is no crate of its own\n  \
                 fix: in a checkout, copy plugins/data/src/cubist_spiral.rs to {}.rs beside it, name it in lib.rs with `mod` (CONTRIBUTING.md names the rest), and \
                 build secateur",
                name.replace('-', "_")
            ));
        }
        PluginKind::Criterion => (include_str!("../../templates/plugin/criterion.rs.tmpl"), "Criterion"),
        PluginKind::Schedule => (include_str!("../../templates/plugin/schedule.rs.tmpl"), "Schedule"),
        PluginKind::Compressor => (include_str!("../../templates/plugin/compressor.rs.tmpl"), "Compressor"),
        PluginKind::Model => (include_str!("../../templates/plugin/model.rs.tmpl"), "Model"),
    };
    let (kind, krate) = (label.to_lowercase(), name.replace('-', "_"));
    let file = format!("{DLL_PREFIX}{krate}{DLL_SUFFIX}");
    let source_of_framework = source_of(framework)?;
    let choose = format!(" --set {kind}.name={name}");
    let values = [
        ("name", name),
        ("crate", &krate),
        ("kind", &kind),
        ("Kind", label),
        ("file", &file),
        ("choose", &choose),
        ("source", &source_of_framework),
    ];
    let fill = |text: &str| values.iter().fold(text.to_owned(), |t, (key, v)| t.replace(&format!("{{{{{key}}}}}"), v));
    // The sources are Rust as they stand, so that the tests of this program compile them.
    let source = source.replace("template-name", name).replace("TemplateName", &pascal(name));
    let files = [
        ("Cargo.toml", fill(MANIFEST)),
        ("README.md", fill(README)),
        (".gitignore", "/target\n".to_owned()),
        ("src/lib.rs", fill(&format!("{source}{TEST}"))),
    ];
    for (path, text) in &files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| Failure::Failed(format!("{}: cannot write it: {error}", path.display())))?;
    }
    super::print(&format!(
        "{name}/src/lib.rs is a working {kind}. Next:\n  cd {name}\n  cargo test --release\n  cargo build --release\n  secateur plugins check target/release/{file}\n"
    ));
    Ok(())
}

/// Where the new crate finds the framework: a checkout on this machine, or the repository.
fn source_of(framework: Option<&Path>) -> Result<String, Failure> {
    let built_from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../framework"));
    let folder: Option<PathBuf> = match framework {
        Some(given) if given.join("Cargo.toml").is_file() => Some(given.to_owned()),
        Some(given) => {
            let given = given.display();
            return Err(Failure::Usage(format!(
                "--framework {given}: it has no Cargo.toml\n  fix: name the folder `framework` of a checkout"
            )));
        }
        None => Some(built_from.to_owned()).filter(|folder| folder.join("Cargo.toml").is_file()),
    };
    Ok(match folder.and_then(|folder| folder.canonicalize().ok()) {
        Some(folder) => format!("path = {:?}", folder.display().to_string()),
        None => format!("git = \"{}\"", env!("CARGO_PKG_REPOSITORY")),
    })
}

fn pascal(name: &str) -> String {
    let word = |w: &str| w[..1].to_uppercase() + &w[1..];
    name.split('-').map(word).collect()
}
