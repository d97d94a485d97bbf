//! Files that are refused: each says why, and none of their code runs.

use crate::{SQUARE, compiled, library, loaded};
use secateur::plugins::registry::Registry;
use std::path::Path;

fn refused(path: &Path) -> String {
    Registry::default().load(path, None).unwrap_err().to_string()
}

/// `square.c` with a constructor that leaves a file behind, and with changes.
fn with_constructor(folder: &Path, name: &str, change: (&str, &str)) -> (std::path::PathBuf, std::path::PathBuf) {
    let mark = folder.join(format!("{name}.ran"));
    let constructor = format!(
        "__attribute__((constructor)) static void mark(void) {{ FILE *f = fopen(\"{}\", \"w\"); if (f) fclose(f); }}\n",
        mark.display()
    );
    let source = SQUARE.replace("static void destroy", &format!("{constructor}static void destroy"));
    assert!(source.contains(change.0), "{name}");
    (compiled(folder, name, &source.replace(change.0, change.1)), mark)
}

#[test]
fn what_is_no_plugin_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.so");
    std::fs::write(&text, "no library").unwrap();
    let missing = refused(Path::new("/no/such/file.so"));
    assert!(missing.contains("/no/such/file.so: No such file"), "{missing}");
    assert!(refused(&text).contains("notes.so: it is no dynamic library"), "{}", refused(&text));
    assert!(refused(folder.path()).contains("Is a directory"), "{}", refused(folder.path()));
    let plain = compiled(folder.path(), "plain", "int answer(void) { return 42; }\n");
    assert!(
        refused(&plain).contains("a library but no plugin") && refused(&plain).contains("cdylib"),
        "{}",
        refused(&plain)
    );
    let program = refused(&std::env::current_exe().unwrap());
    assert!(program.contains("a library but no plugin") || program.contains("no dynamic library"), "{program}");
    std::fs::write(&text, &std::fs::read(library("taylor")).unwrap()[..5000]).unwrap();
    assert!(refused(&text).contains("no dynamic library"), "{}", refused(&text));
}

#[test]
fn no_code_of_a_refused_file_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let stamp = "SECATEUR_PLUGIN(entries)";
    let own = |text: &str, entry: &str| {
        format!(
            "SECATEUR_EXPORT extern const char secateur_plugin_stamp[];\nconst char secateur_plugin_stamp[] = \"secateur-plugin\\n{text}\\n\";\n{entry}"
        )
    };
    let entry = "SECATEUR_EXPORT extern const secateur_table *secateur_plugin_v3(void);\nconst secateur_table *secateur_plugin_v3(void) { static const secateur_table t = {3, entries, 1}; return &t; }";
    let cases = [
        (
            "first",
            own("abi=1", &entry.replace("_v3", "_v1")),
            "it speaks plugin ABI 1, this program speaks ABI 3: build it again",
        ),
        (
            "second",
            own("abi=2", &entry.replace("_v3", "_v2")),
            "it speaks plugin ABI 2, this program speaks ABI 3: build it again",
        ),
        ("new", own("abi=4", entry), "it speaks plugin ABI 4, this program speaks ABI 3: build it again"),
        ("abort", own("abi=3\\npanic=abort", entry), "it was built with panic = \"abort\""),
        ("target", own("abi=3\\ntarget=riscv64-unknown-none", entry), "it was built for riscv64-unknown-none"),
        ("entry", own("abi=3", "const void *unused = entries;"), "does not export `secateur_plugin_v3`"),
        ("nostamp", entry.to_string(), "does not export `secateur_plugin_stamp`"),
    ];
    for (name, with, expected) in cases {
        let (file, mark) = with_constructor(folder, name, (stamp, &with));
        let text = refused(&file);
        assert!(text.contains(expected) && text.contains(&format!("lib{name}")), "{name}: {text}");
        assert!(!mark.exists(), "{name}: its constructor ran");
    }
    let (file, mark) = with_constructor(folder, "good", (stamp, stamp));
    let text = Registry::default().load(&file, Some(&"0".repeat(64))).unwrap_err().to_string();
    assert!(text.contains("its sha256 is ") && text.contains(&"0".repeat(64)), "{text}");
    let mut other = std::fs::read(&file).unwrap();
    // e_machine of an ELF header: 183 is AArch64, 62 is x86-64.
    other[18] = if other[18] == 62 { 183 } else { 62 };
    let foreign = folder.join("libforeign.so");
    std::fs::write(&foreign, other).unwrap();
    assert!(refused(&foreign).contains("built for another machine"), "{}", refused(&foreign));
    assert!(!mark.exists(), "a refused file's constructor ran");
    let hash = secateur::plugins::boundary::probe(&file, None).unwrap().sha256;
    assert!(Registry::default().load(&file, Some(&hash)).is_ok());
    assert!(mark.exists(), "the test's constructor does run when the file is opened");
}

#[test]
fn tables_that_do_not_hold_what_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let case = |name: &str, from: &str, to: &str, expected: &str| {
        assert!(SQUARE.contains(from), "{name}");
        let text = refused(&compiled(folder.path(), name, &SQUARE.replace(from, to)));
        assert!(text.contains(expected), "{name}: {text}");
    };
    case("size", ".size = sizeof table", ".size = 16", "the function table of criterion `square` has 16 bytes");
    case("noscore", ".score = score", ".info = 0", "criterion `square` has no function `score`");
    case("kind", ".kind = SECATEUR_CRITERION", ".kind = 9", "`square` is of kind 9");
    case(
        "data",
        ".kind = SECATEUR_CRITERION",
        ".kind = SECATEUR_DATA",
        "`square` is a data set, which cannot be loaded",
    );
    case("table", ".table = &table", ".table = 0", "criterion `square` has no functions");
    case("default", "SECATEUR_STR(\"1.0\")}};", "SECATEUR_STR(\"[\")}};", "the default of option `scale` is not TOML");
    let missing = "extern float elsewhere(float);\nstatic int32_t score";
    let source = SQUARE.replace("static int32_t score", missing).replace("* w[i] * w[i]", "* elsewhere(w[i])");
    let source = source.replace("#include <stdio.h>", "#include <stdio.h>\n");
    assert!(source.contains("elsewhere(w[i])"));
    let text = refused(&compiled(folder.path(), "undefined", &source));
    assert!(text.contains("cannot be opened") && text.contains("undefined symbol: elsewhere"), "{text}");
}

#[test]
fn a_name_that_is_taken_names_both_origins() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::linked().unwrap();
    let text = registry.load(&library("taylor"), None).unwrap_err().to_string();
    assert!(
        text.contains("criterion `taylor` is registered twice: by secateur 0.1.0 (linked in) and by secateur 0.1.0 (/"),
        "{text}"
    );
    let mut registry = loaded(&["faulty"]);
    let square = compiled(folder.path(), "square", SQUARE);
    registry.load(&square, None).unwrap();
    let twice = compiled(folder.path(), "twice", &SQUARE.replace("\"1.0\")", "\"2.0\")"));
    let text = registry.load(&twice, None).unwrap_err().to_string();
    assert!(
        text.contains("by square.c 1.0 (/") && text.contains("and by square.c 2.0 (/") && text.contains("rename"),
        "{text}"
    );
    assert!(registry.criterion::<secateur::backend::Cpu>("square", &secateur::options::Table::new()).is_ok());
}
