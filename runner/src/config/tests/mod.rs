mod words;

use std::fs;

use super::fixture::Fixture;
use super::*;

/// A working directory with `configs/`, and what is asked of it.
struct Case {
    folder: tempfile::TempDir,
    request: Request,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = ("base", "[data]\nname = 'glyphs'\n[criterion]\nname = 'magnitude'");
        for (name, text) in [base].iter().chain(files) {
            let path = folder.path().join(format!("configs/{name}.toml"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let request = Request { root: folder.path().to_owned(), ..Request::default() };
        Self { folder, request }
    }

    fn config(mut self, name: &str) -> Self {
        self.request.configs.push(name.to_owned());
        self
    }

    fn set(mut self, argument: &str) -> Self {
        self.request.sets.push(argument.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.request.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn resolve(&self) -> Resolved {
        resolve(&self.request, &Fixture).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(&self) -> Vec<String> {
        resolve(&self.request, &Fixture).unwrap_err().0.iter().map(ToString::to_string).collect()
    }
}

fn origin(resolved: &Resolved, key: &str) -> String {
    resolved.origins[key].to_string()
}

#[test]
fn each_layer_is_stronger_than_the_one_before_it() {
    let files = [
        ("model", "[train]\nlr = 2\nepochs = 2\nbatch_size = 2"),
        ("e", "extends = ['model']\n[train]\nlr = 3\nepochs = 3\nbatch_size = 3"),
        ("later", "[train]\nlr = 4\nepochs = 4"),
    ];
    let case = Case::new(&files).config("e").config("later");
    let resolved = case.env("SECATEUR_TRAIN__LR", "5").resolve();
    let train = &resolved.table["train"];
    assert_eq!((train["lr"].as_float(), train["epochs"].as_integer()), (Some(5.0), Some(4)));
    assert_eq!(train["batch_size"].as_integer(), Some(3));
    assert_eq!(origin(&resolved, "train.lr"), "env SECATEUR_TRAIN__LR");
    assert_eq!(origin(&resolved, "train.epochs"), "configs/later.toml line 3");
    assert_eq!(origin(&resolved, "train.batch_size"), "configs/e.toml line 5");
    assert_eq!(origin(&resolved, "data.validation"), "built-in default");
    assert_eq!(origin(&resolved, "criterion.norm"), "default of criterion magnitude");
    let set = Case::new(&files).config("e").env("SECATEUR_TRAIN__LR", "5").set("train.lr=6").resolve();
    assert_eq!(set.table["train"]["lr"].as_float(), Some(6.0));
    assert_eq!(origin(&set, "train.lr"), "--set");
}

#[test]
fn every_leaf_has_an_origin() {
    fn check(table: &Table, path: &[&str], origins: &BTreeMap<String, SetBy>) {
        for (name, value) in table {
            let path = [path, &[name]].concat();
            match value {
                Value::Table(inner) if !inner.is_empty() => check(inner, &path, origins),
                _ => assert!(origins.contains_key(&key::dotted(&path)), "{path:?}"),
            }
        }
    }
    let case = Case::new(&[("e", "[criterion]\nname = 'worst'")]).config("e").set(r#"prune.table."blocks.0"=0.5"#);
    let resolved = case.resolve();
    check(&resolved.table, &[], &resolved.origins);
    assert_eq!(origin(&resolved, r#"prune.table."blocks.0""#), "--set");
}

#[test]
fn another_plugin_drops_the_weaker_options_and_nothing_else() {
    let files = [
        ("e", "[criterion]\nname = 'magnitude'\nnorm = 'l1'\n[data]\nname = 'glyphs'\nnoise = 0.5\ndir = '/d'"),
        ("worst", "[criterion]\nname = 'worst'\nof = { name = 'magnitude', norm = 'l1', power = 2 }"),
    ];
    let resolved = Case::new(&files).config("e").set("criterion.name=random").set("data.name=mnist").resolve();
    let expected: Table = "name = 'random'".parse().unwrap();
    assert_eq!(resolved.table["criterion"].as_table(), Some(&expected));
    assert_eq!(resolved.table["data"].get("noise"), None);
    assert_eq!(resolved.table["data"]["dir"].as_str(), Some("/d"), "belongs to the section");

    let same = Case::new(&files).config("e").set("criterion.name=magnitude").resolve();
    assert_eq!(same.table["criterion"]["norm"].as_str(), Some("l1"), "the name did not change");

    let back = Case::new(&files).config("e").config("worst").set("criterion.name=magnitude").resolve();
    assert_eq!(back.table["criterion"]["norm"].as_str(), Some("l2"), "magnitude's default, not the old option");

    let together = Case::new(&files).config("worst").set("criterion.norm=l1").set("criterion.name=magnitude").resolve();
    assert_eq!(together.table["criterion"]["norm"].as_str(), Some("l1"), "one layer, any order");

    let nested = Case::new(&files).config("worst").set("criterion.of.name=random").resolve();
    let expected: Table = "name = 'random'".parse().unwrap();
    assert_eq!(nested.table["criterion"]["of"].as_table(), Some(&expected));
}

#[test]
fn nested_plugins_get_their_defaults_too() {
    let resolved = Case::new(&[]).set("criterion.name=worst").set("criterion.of.power=3").resolve();
    let expected: Table = "name = 'magnitude'\nnorm = 'l1'\npower = 3.0".parse().unwrap();
    assert_eq!(resolved.table["criterion"]["of"].as_table(), Some(&expected));
    assert_eq!(origin(&resolved, "criterion.of.norm"), "default of criterion worst");
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_origin_and_a_fix() {
    let file =
        "sede = 1\n[criterion]\nname = 'magnitud'\nanything = 1\n[train]\nlr = 0\nepochs = 'ten'\n[prune]\nlr = 1";
    let errors =
        Case::new(&[("e", file)]).config("e").env("SECATEUR_TRAIN__BATCHSIZE", "1").set("data.noize=1").errors();
    let all = errors.join("\n\n");
    assert_eq!(errors.len(), 7, "{all}");
    for expected in [
        "sede: unknown key\n  set by: configs/e.toml line 1\n",
        "did you mean seed?",
        "train.batchsize: unknown key\n  set by: env SECATEUR_TRAIN__BATCHSIZE\n",
        "did you mean train.batch_size?",
        "prune.lr: unknown key\n  set by: configs/e.toml line 9\n  known here: prune.scope, prune.table\n  fix: did you mean train.lr?",
        "data.noize: unknown key for data glyphs\n  set by: --set\n  known here: data.name, data.dir, data.validation, data.noise\n  fix: did you mean data.noise?",
        "criterion.name = \"magnitud\": unknown criterion\n  set by: configs/e.toml line 3\n  known: magnitude, random, worst\n  fix: did you mean magnitude?",
        "train.lr: not a value it can have\n  set by: configs/e.toml line 6\n  found: 0.0\n  allowed: number > 0",
        "train.epochs: not a value it can have\n  set by: configs/e.toml line 7\n  found: \"ten\"\n  allowed: integer",
    ] {
        assert!(all.contains(expected), "missing:\n{expected}\nin:\n{all}");
    }
}

#[test]
fn sections_and_names_of_the_wrong_shape_are_errors() {
    let errors = Case::new(&[]).set("train=5").set("criterion.name=3").set("name=a/b").errors();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].starts_with("name: ") && errors[0].contains("a/b"));
    assert!(errors[1].starts_with("train: ") && errors[1].contains("[train]"));
    assert!(errors[2].starts_with("criterion.name: ") && errors[2].contains("magnitude, random, worst"));
}

#[test]
fn the_folder_is_named_after_its_configs_and_what_matters() {
    let files = [("experiment/a", "seed = 1"), ("experiment/b", "extends = ['experiment/a']")];
    let a = Case::new(&files).config("experiment/a").resolve().folder_name();
    let b = Case::new(&files).config("experiment/b").resolve().folder_name();
    assert!(a.starts_with("a-") && a.len() == 14 && b.starts_with("b-"), "{a} {b}");
    assert_eq!(a[1..], b[1..], "same values, same hash");
    let both = Case::new(&files).config("experiment/a").config("experiment/b").resolve().folder_name();
    assert!(both.starts_with("a_b-"), "{both}");
    let other = Case::new(&files).config("experiment/a").set("train.lr=1").resolve().folder_name();
    assert_ne!(a, other);
    let spelled = Case::new(&files).config("experiment/a").set("train.lr=1.0").set("threads=3").resolve().folder_name();
    assert_eq!(other, spelled, "1 and 1.0 are the same number");
    let named = Case::new(&files).config("experiment/a").set("name=mine").resolve();
    assert!(named.folder_name().starts_with("mine-"));
}

#[test]
fn the_plain_text_resolves_to_the_same_run() {
    let first =
        Case::new(&[("e", "[criterion]\nname = 'worst'\nof.power = 2")]).config("e").set("train.lr=0.05").resolve();
    let again = Case::new(&[]);
    fs::write(again.folder.path().join("config.toml"), first.to_toml()).unwrap();
    let again = again.config("config.toml").resolve();
    assert_eq!(first.table, again.table);
    assert_eq!(first.folder_name(), again.folder_name());
}

#[test]
fn json_has_values_and_origins() {
    let case = Case::new(&[("e", "")]).config("e").set("train.lr=0.05");
    let json = Described::read(&case.request, &Fixture).unwrap().to_json(None);
    assert_eq!(json["config"]["train"]["lr"], 0.05);
    assert_eq!(json["origins"]["train.lr"], "--set");
}
