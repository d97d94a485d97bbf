//! Plugins in C, and the header they are written against.

use crate::runs::{Magnitude, Parts, run};
use crate::{SQUARE, compiled};
use secateur::backend::Cpu;
use secateur::options::Table;
use secateur::plugins::boundary::abi;
use secateur::plugins::registry::{Kind, Registry};

#[test]
fn a_criterion_in_c_prunes_as_the_same_one_in_rust() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    registry.load(&compiled(folder.path(), "square", SQUARE), None).unwrap();
    let item = registry.get(Kind::Criterion, "square").unwrap();
    assert_eq!((item.summary(), item.docs()[0].default.clone()), ("Squares of the weights, in C.", Some(1.0.into())));
    let table = |text: &str| text.parse::<Table>().unwrap();
    let square = registry.criterion::<Cpu>("square", &table("scale = 3.0")).unwrap();
    let found = run(Parts { criterion: square, ..Parts::default() }).unwrap();
    assert!(found == run(Parts { criterion: Box::new(Magnitude), ..Parts::default() }).unwrap());
    let text = |t| registry.criterion::<Cpu>("square", &table(t)).err().unwrap().to_string();
    assert!(text("scale = -1.0").contains("must be a number above 0"));
    assert_eq!(text("other = 1"), "criterion `square`: the only option is `scale`");
    assert_eq!(item.check(&table("scale = -1.0")).unwrap_err()[0].key, "scale");
}

#[test]
fn the_header_declares_what_the_rust_side_does() {
    let mut source = String::from("#include \"secateur_plugin.h\"\n");
    let mut check = |what: String| source.push_str(&format!("_Static_assert({what}, \"{what}\");\n"));
    for (name, value) in abi::numbers() {
        check(format!("SECATEUR_{name} == {value}"));
    }
    for (name, size, fields) in abi::layouts() {
        let name =
            if name == "secateur_table" || name == "secateur_owner" { format!("struct {name}") } else { name.into() };
        check(format!("sizeof({name}) == {size}"));
        for (field, offset) in fields {
            check(format!("offsetof({name}, {field}) == {offset}"));
        }
    }
    assert!(source.lines().count() > 150);
    compiled(tempfile::tempdir().unwrap().path(), "layout", &source);
}

#[test]
fn the_header_is_valid_cplusplus_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("header.cpp");
    std::fs::write(&file, "#include \"secateur_plugin.h\"\nint main() { return 0; }\n").unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let Ok(status) = std::process::Command::new("c++").args(["-fsyntax-only", "-I", include]).arg(&file).status()
    else {
        eprintln!("skipped: there is no C++ compiler `c++`");
        return;
    };
    assert!(status.success());
}
