//! The size of folders and files: what a reader can take in at a glance.

use std::path::{Path, PathBuf};

/// Most entries of a folder.
const ENTRIES: usize = 16;
/// Most lines of a file before its tests.
const LINES: usize = 300;
/// The words with which a longer file says why, in the documentation at its head.
const REASON: &str = "//! Longer than 300 lines because ";
/// Where the source stands, from the repository's root.
const FOLDERS: [&str; 3] = ["framework", "runner", "plugins"];

/// Every folder below one, itself included, with the names of its entries. Hidden entries, what tools leave behind and
/// empty folders, which no commit holds, do not count.
fn folders(root: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let names =
        entries.map(|entry| entry.expect("the folder can be listed").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> =
        names.filter(|name| !name.starts_with('.') && !["target", "__pycache__"].contains(&name.as_str())).collect();
    names.retain(|name| {
        std::fs::read_dir(root.join(name)).is_ok_and(|mut inside| inside.next().is_some()) || root.join(name).is_file()
    });
    names.sort();
    let below = names.iter().map(|name| root.join(name)).filter(|path| path.is_dir());
    let mut all: Vec<_> = below.flat_map(|path| folders(&path)).collect();
    all.push((root.to_path_buf(), names));
    all
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of a file before its tests, unless it says why they are many.
fn unexplained_lines(text: &str) -> usize {
    let docs = text.lines().take_while(|line| line.starts_with("//!"));
    if docs.map(str::trim_end).any(|line| line.len() > REASON.len() && line.starts_with(REASON)) {
        return 0;
    }
    let lines: Vec<_> = text.lines().collect();
    // The tests begin at `#[cfg(test)]` before a module with a body.
    let tests = lines.iter().enumerate().position(|(at, line)| {
        let item = lines[at..].iter().find(|line| !line.starts_with("#["));
        *line == "#[cfg(test)]" && item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{'))
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn folders_have_few_entries() {
    let mut wrong = Vec::new();
    for root in FOLDERS {
        for (path, names) in folders(&repository().join(root)) {
            let shown = path.strip_prefix(repository()).expect("a path below the root").to_owned();
            // One file a plugin, however many there are.
            let plugins = shown.starts_with("plugins") && shown.ends_with("src") && shown.components().count() == 3;
            if names.len() > ENTRIES && !plugins {
                wrong.push(format!("{}: {} entries", shown.display(), names.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "folders with more than {ENTRIES} entries:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_or_say_why() {
    let mut wrong = Vec::new();
    for (path, names) in FOLDERS.into_iter().flat_map(|root| folders(&repository().join(root))) {
        for name in names.iter().filter(|name| name.ends_with(".rs")) {
            let file = path.join(name);
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let lines = unexplained_lines(&text);
            if lines > LINES {
                let shown = file.strip_prefix(repository()).expect("a path below the root").display();
                wrong.push(format!("{shown}: {lines} lines"));
            }
        }
    }
    let way = format!("divide them, or say why in a line `{REASON}...` of the documentation at the head");
    assert!(wrong.is_empty(), "files with more than {LINES} lines before their tests ({way}):\n{}", wrong.join("\n"));
}

#[test]
fn lines_are_counted_up_to_the_tests() {
    let code = "let x = 1;\n".repeat(3);
    assert_eq!(unexplained_lines(&code), 3);
    assert_eq!(unexplained_lines(&format!("{code}#[cfg(test)]\nmod tests {{\n{code}}}\n")), 3);
    assert_eq!(unexplained_lines(&format!("{code}#[cfg(test)]\n#[expect(dead_code)]\nmod tests {{\n{code}}}\n")), 3);
    assert_eq!(unexplained_lines(&format!("#[cfg(test)]\nmod tests;\n{code}")), 5);
    assert_eq!(unexplained_lines(&format!("#[cfg(test)]\nuse a::b;\n{code}")), 5);
    assert_eq!(unexplained_lines(&format!("//! Longer than 300 lines because of a table.\n{code}")), 0);
    assert_eq!(
        unexplained_lines(&format!("//! A file.\n//! Longer than 300 lines because it is one table.\n{code}")),
        0
    );
    assert_eq!(unexplained_lines(&format!("//! Longer than 300 lines because \n{code}")), 4);
    assert_eq!(unexplained_lines(&format!("{code}//! Longer than 300 lines because it is one table.\n")), 4);
}
