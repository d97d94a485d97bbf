//! Imports go one way: a module names only modules that stand before it in its crate's order.
//!
//! The test reads every `use`, every path inside an expression or a type, and every macro's body of the framework and
//! of the runner, and names each import that climbs, with its file and line. It works on tokens, so that comments,
//! documentation and strings are never taken for imports. Unit tests and what only one device compiles are code like
//! any other.

mod planted;
mod source;

use source::{Import, Source};
use std::collections::HashMap;
use std::path::Path;

/// The framework's modules in the order of use. `prelude` and the crate's root stand after all of them.
const FRAMEWORK: &str = "error < seed < state < options < tensor < backend < information < autograd < data < network < \
                         pruning < training < deep_compression < plugins";

/// The module that stands behind the ordered ones, and may therefore name all of them.
const LAST: &str = "prelude";

/// The modules of a crate, in the order of use.
struct Order {
    names: Vec<String>,
    text: String,
}

impl Order {
    /// The order that is written `a < b < c`.
    fn new(text: &str) -> Self {
        Self { names: text.split(" < ").map(|name| name.trim().to_owned()).collect(), text: text.to_owned() }
    }

    /// The order that the documentation at the head of a file states, in a line of its own: `//! a < b < c`.
    fn stated(file: &str) -> Option<Self> {
        let docs = file.lines().take_while(|line| line.starts_with("//!"));
        docs.map(|line| line.trim_start_matches("//!").trim()).find(|line| line.contains(" < ")).map(Self::new)
    }

    /// The place of a module; the later one may import the earlier one.
    fn place(&self, module: &str) -> Option<usize> {
        if module == LAST { Some(self.names.len()) } else { self.names.iter().position(|name| name == module) }
    }
}

/// Every import of a crate that climbs, and every top module that has no place, one sentence each.
fn climbs(source: &Source, order: &Order) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    let homes = source.homes();
    for module in source.tops().filter(|top| order.place(top).is_none()) {
        wrong.push(format!("the module `{module}` has no place in the order"));
    }
    for name in order.names.iter().filter(|name| !source.tops().any(|top| top == **name)) {
        wrong.push(format!("the order names `{name}`, which is no module"));
    }
    for import in source.imports() {
        if let Some(why) = refusal(&import, order, &homes) {
            wrong.push(format!("{}:{}: `{}`: {why}", import.file, import.line, import.path));
        }
    }
    wrong
}

/// Why an import is wrong, if it is.
fn refusal(import: &Import, order: &Order, homes: &HashMap<String, Option<String>>) -> Option<String> {
    // The crate's root and `prelude` may name everything.
    let from = import.top.as_deref().filter(|top| *top != LAST)?;
    let Some(name) = import.target.as_deref() else {
        return Some("the crate's root holds every module; name the one that is meant".to_owned());
    };
    let target = match (order.place(name), homes.get(name)) {
        (Some(_), _) => name,
        (None, Some(Some(home))) => home.as_str(),
        // Another crate's item, which the root passes on.
        (None, Some(None)) => return None,
        (None, None) => {
            return Some(format!("`{name}` is neither a module in the order nor a name that the root passes on"));
        }
    };
    let (here, there) = (order.place(from)?, order.place(target)?);
    (there > here).then(|| format!("`{from}` stands before `{target}`"))
}

fn check(source: &Source, order: &Order) {
    let wrong = climbs(source, order);
    let rule = "a module imports only what stands before it";
    assert!(wrong.is_empty(), "{rule} ({}); {} are wrong:\n{}", order.text, wrong.len(), wrong.join("\n"));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn framework_imports_only_what_stands_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // `extern crate self as secateur`: both names are the crate's.
    let source = Source::read(&folder, "framework/src", "lib.rs", Some("secateur"));
    check(&source, &Order::new(FRAMEWORK));
}

#[test]
fn runner_imports_only_what_stands_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runner/src");
    let order = Order::stated(&read(&folder.join("main.rs")));
    let order = order.expect("runner/src/main.rs states the order of its modules in a line `//! a < b < c`");
    check(&Source::read(&folder, "runner/src", "main.rs", None), &order);
}
