//! The reading of imports, on small sources with a planted error.

use super::source::Source;
use super::{Order, climbs};

/// The climbs of a crate with the order `low < middle < high`, whose files are given by name.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let order = Order::new("low < middle < high");
    let empty = |name: &&str| !files.iter().any(|(file, _)| file.starts_with(name.trim_end_matches(".rs")));
    let rest = ["lib.rs", "low.rs", "middle.rs", "high.rs"].into_iter().filter(empty).map(|name| (name, ""));
    climbs(&Source::new(files.iter().copied().chain(rest), "src", "lib.rs", Some("house")), &order)
}

/// The climbs that a text in `middle/room.rs` makes, each as its line and path.
fn in_the_middle(text: &str) -> Vec<String> {
    let files = [("middle/mod.rs", "mod room;"), ("middle/room.rs", text), ("high/attic.rs", ""), ("high/mod.rs", "")];
    let place = |sentence: String| sentence.strip_prefix("src/middle/room.rs:").expect("the file").to_owned();
    let short = |sentence: String| sentence.split("`: ").next().expect("a path").replace(": `", " ");
    found(&files).into_iter().map(place).map(short).collect()
}

#[test]
fn imports_from_below_and_from_the_same_module_pass() {
    assert!(in_the_middle("use crate::low::Thing; use super::Sibling; use crate::middle::x; use std::fmt;").is_empty());
    assert!(
        in_the_middle("use crate::{low::{a, b as c}, middle}; fn f() -> house::low::T { crate::low::g() }").is_empty()
    );
    assert!(found(&[("high.rs", "use crate::{low, middle::x};"), ("lib.rs", "pub use high::Roof;")]).is_empty());
}

#[test]
fn the_message_has_file_line_and_both_modules() {
    let wrong = found(&[("low.rs", "\n\nuse crate::high::Roof;\n")]);
    assert_eq!(wrong, ["src/low.rs:3: `crate::high::Roof`: `low` stands before `high`"]);
}

#[test]
fn an_upward_use_is_found() {
    assert_eq!(in_the_middle("use crate::high::Roof;"), ["1 crate::high::Roof"]);
    assert_eq!(in_the_middle("\npub use crate::high;"), ["2 crate::high"]);
    assert_eq!(in_the_middle("pub(crate) use crate::high::*;"), ["1 crate::high::*"]);
    assert_eq!(in_the_middle("use house::high::Roof as _;"), ["1 crate::high::Roof"]);
    assert_eq!(in_the_middle("fn f() {\n    use ::house::high;\n}"), ["2 crate::high"]);
}

#[test]
fn an_upward_import_in_nested_braces_is_found() {
    let text = "use crate::{\n    low::{a, b},\n    high::{self, attic::{Beam,\n        Tile}},\n};";
    assert_eq!(
        in_the_middle(text),
        ["3 crate::high::self", "3 crate::high::attic::Beam", "4 crate::high::attic::Tile"]
    );
    assert_eq!(in_the_middle("use {crate::low, super::super::high as h};"), ["1 crate::high"]);
}

#[test]
fn an_upward_inline_path_is_found() {
    assert_eq!(in_the_middle("fn f(x: &crate::high::Roof) {}"), ["1 crate::high::Roof"]);
    assert_eq!(
        in_the_middle("fn f() {\n    let x = vec![house::high::attic::new()];\n}"),
        ["2 crate::high::attic::new"]
    );
    assert_eq!(in_the_middle("impl<T: crate::high::Roof> X for Y<T> {}"), ["1 crate::high::Roof"]);
    assert_eq!(in_the_middle("#[derive(crate::high::Made)]\nstruct S;"), ["1 crate::high::Made"]);
}

#[test]
fn an_upward_path_in_the_body_of_a_macro_is_found() {
    let text = "macro_rules! m {\n    ($x:expr) => {\n        $crate::high::call($x, $crate::low::y)\n    };\n}";
    assert_eq!(in_the_middle(text), ["3 crate::high::call"]);
    assert_eq!(in_the_middle("macro_rules! m { () => { use $crate::{low, high}; } }"), ["1 crate::high"]);
    assert_eq!(in_the_middle("made! { x = crate::high::X }"), ["1 crate::high::X"]);
    assert_eq!(in_the_middle("macro_rules! m { ($x:ident) => { $crate::$x::f() } }"), ["1 crate::$"]);
}

#[test]
fn chains_of_super_are_followed_to_the_top() {
    assert_eq!(in_the_middle("use super::super::high::Roof;"), ["1 crate::high::Roof"]);
    assert_eq!(in_the_middle("mod inner {\n    use super::super::super::{low, high};\n}"), ["2 crate::high"]);
    assert_eq!(in_the_middle("fn f() { self::super::super::high::g() }"), ["1 crate::high::g"]);
    assert!(in_the_middle("mod high {} mod inner { use super::high; use super::super::x; }").is_empty());
    assert_eq!(found(&[("low.rs", "use super::middle::x;")]).len(), 1);
}

#[test]
fn comments_documentation_and_strings_are_no_imports() {
    let text = r##"
        //! [`Roof`](crate::high::Roof)
        // use crate::high::Roof;
        /* use crate::high; /* use super::super::high; */ */
        /// See crate::high::Roof.
        const TEXT: &str = "use crate::high::Roof;";
        const RAW: &str = r#"crate::high"#;
        const CHAR: char = '"';
        #[doc = "crate::high::Roof"]
        fn f() {}
    "##;
    assert!(in_the_middle(text).is_empty());
}

#[test]
fn the_root_is_named_by_no_one_as_a_whole() {
    assert_eq!(in_the_middle("use crate::*;"), ["1 crate::*"]);
    assert_eq!(in_the_middle("use super::super::*;"), ["1 crate::*"]);
    assert_eq!(in_the_middle("use crate::unknown::X;"), ["1 crate::unknown::X"]);
}

#[test]
fn what_the_root_passes_on_counts_where_it_comes_from() {
    let root = ("lib.rs", "pub use high::{Roof, Beam as Bar}; pub use low::Floor; pub use serde;");
    let wrong = found(&[root, ("middle.rs", "use crate::Floor;\nuse crate::serde::Serialize;\nuse crate::Bar;\n")]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("src/middle.rs:3: `crate::Bar`: `middle` stands before `high`"), "{wrong:?}");
}

#[test]
fn an_exported_macro_counts_where_it_is_written() {
    let attic =
        ("high/attic.rs", "/// Docs.\n#[macro_export]\nmacro_rules! tile { () => {} }\nmacro_rules! own { () => {} }");
    let high = ("high/mod.rs", "mod attic; fn f() { crate::tile!() }");
    let wrong = found(&[attic, high, ("low.rs", "fn f() {\n    crate::tile!();\n}")]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("src/low.rs:2: `crate::tile`"), "{wrong:?}");
}

#[test]
fn the_prelude_and_the_root_may_name_everything() {
    assert!(
        found(&[("prelude.rs", "pub use crate::high::Roof;"), ("lib.rs", "pub use crate::{low, high::Roof};")])
            .is_empty()
    );
    assert_eq!(in_the_middle("use crate::prelude::*;"), ["1 crate::prelude::*"]);
}

#[test]
fn every_top_module_has_a_place() {
    let wrong = found(&[("cellar.rs", "")]);
    assert_eq!(wrong, ["the module `cellar` has no place in the order"]);
}

#[test]
fn an_order_is_read_from_the_documentation_of_a_root() {
    let order = Order::stated("//! A program.\n//!\n//! low < middle < high\n\nmod low;\n").expect("an order");
    assert_eq!(order.names, ["low", "middle", "high"]);
    assert!(Order::stated("//! A program.\n\n// low < middle\n").is_none());
}
