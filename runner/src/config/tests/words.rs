//! Groups, single keys, keys that are taken back, and values that refer to others.

use super::*;

/// Words of the command line after a config: what they resolve to, or what is wrong with them.
fn words(files: &[(&str, &str)], line: &str) -> Result<Resolved, String> {
    let mut case = Case::new(files);
    case.request.words = line.split(' ').map(str::to_owned).collect();
    resolve(&case.request, &Fixture).map_err(|errors| errors.to_string())
}

/// An experiment and two groups, one of which no plugin chooses.
const GROUPS: [(&str, &str); 5] = [
    ("e", "seed = 1\n[criterion]\nname = 'magnitude'\nnorm = 'l1'\n[train]\nlr = 0.5\nepochs = 7"),
    ("criterion/magnitude", "[criterion]\nname = 'magnitude'\npower = 3"),
    ("criterion/worst-l1", "[criterion]\nname = 'worst'\nof.norm = 'l1'\n[prune]\nscope = 'layer'"),
    ("pace/slow", "[train]\nlr = 0.01"),
    ("experiment/f", "extends = ['e']\n[train]\nbatch_size = 3"),
];

#[test]
fn words_choose_groups_and_set_keys() {
    let resolved = words(&GROUPS, "e criterion=worst-l1 train.lr=0.25 seed=9 prune.table={fc1=0.5}").unwrap();
    assert_eq!(resolved.table["criterion"]["of"]["norm"].as_str(), Some("l1"));
    assert_eq!(origin(&resolved, "criterion.of.norm"), "configs/criterion/worst-l1.toml line 3");
    assert_eq!(origin(&resolved, "prune.scope"), "configs/criterion/worst-l1.toml line 5");
    assert_eq!((resolved.table["seed"].as_integer(), resolved.table["train"]["lr"].as_float()), (Some(9), Some(0.25)));
    assert_eq!(origin(&resolved, "train.lr"), "command line");
    assert_eq!(origin(&resolved, "prune.table.fc1"), "command line");
    assert_eq!(origin(&resolved, "train.epochs"), "configs/e.toml line 7");
    assert!(resolved.folder_name().starts_with("e-"), "groups and values give a run no name");
    // Where the words stand does not matter, and a value beats a group.
    let turned = words(&GROUPS, "prune.scope=erk train.lr=0.25 criterion=worst-l1 seed=9 e prune.table={fc1=0.5}");
    assert_eq!(turned.unwrap().table["prune"]["scope"].as_str(), Some("erk"));
    // A config inside the program, a file, an experiment, a group of one's own.
    let inside = words(&GROUPS, "e criterion=random").unwrap();
    assert_eq!(origin(&inside, "criterion.name"), "configs/criterion/random.toml line 3 (built in)");
    let file = words(&[&GROUPS[..], &[("mine", "[criterion]\npower = 5")]].concat(), "e criterion=configs/mine.toml");
    assert_eq!(file.unwrap().table["criterion"]["power"].as_float(), Some(5.0));
    let named = words(&GROUPS, "experiment=f pace=slow").unwrap();
    assert_eq!((named.name(), named.table["train"]["lr"].as_float()), ("f", Some(0.01)));
    // `--set` does what a word does.
    let set = Case::new(&GROUPS).config("e").set("criterion=worst-l1").resolve();
    assert_eq!(origin(&set, "prune.scope"), "configs/criterion/worst-l1.toml line 5");
}

#[test]
fn a_name_and_the_group_of_that_name_mean_one_plugin() {
    let group = words(&GROUPS, "e criterion=worst-l1").unwrap();
    let config = words(&GROUPS, "e criterion/worst-l1").unwrap();
    assert_eq!(group.table["criterion"], config.table["criterion"]);
    assert_eq!(group.identity(), config.identity());
}

#[test]
fn every_wrong_form_names_the_right_one() {
    for (line, problem, fix) in [
        ("e criterion:worst-l1", "joined by `=`", "write criterion=worst-l1"),
        ("e train.lr:0.1", "joined by `=`", "write train.lr=0.1"),
        ("e train.lr: 0.1", "joined by `=`", "write train.lr=0.1"),
        ("e train.lr 0.1", "not a config, and a key needs", "write train.lr=0.1, in one word"),
        ("e train.lr = 0.1", "found: train.lr = 0.1", "write train.lr=0.1, in one word"),
        ("e train.lr =0.1", "not a config", "write train.lr=0.1, in one word"),
        ("e train.lr= 0.1", "no value", "write train.lr=0.1, with no space"),
        ("e train.lr=", "no value", "write train.lr=VALUE"),
        ("e seed 3", "not a config", "write seed=3, in one word"),
        ("e criterion worst-l1", "not a config", "write criterion=worst-l1, in one word"),
        ("e criterion", "not a config", "write criterion=VALUE, in one word"),
        ("e =3", "not a key and a value", "write key=value in one word"),
        ("e +seed=3", "without +", "write seed=3"),
        ("e ++criterion=random", "without +", "write criterion=random"),
        ("e criterion@of=random", "its own section", "write criterion=random, or of.name=random"),
        ("e criteria=random", "there is no group criteria", "did you mean criterion=random?"),
        ("e train=fast", "there is no group train", "a key of a section is train.KEY=VALUE"),
        ("e pace=slwo", "there is no slwo in the group pace", "did you mean pace=slow?"),
        ("e pace=quick", "there is no quick in the group pace", "NAME is one of slow"),
        ("e criterion=randon", "criterion.name = \"randon\": unknown criterion", "did you mean random?"),
        ("e seed=1,2", "several values, where one run", "secateur sweep CONFIG seed=1,2 runs them all"),
        ("e train/lr=0.1", "a key has dots", "write train.lr=0.1"),
        ("e criterion=a,b", "several values", "secateur sweep CONFIG criterion=a,b runs them all"),
        ("e prune.exempt=a,b", "several values", "a list is written 'prune.exempt=[\"a\", \"b\"]', text"),
        ("e seed=1,", "a value is missing", "seed=1,2,3"),
        ("e seed=range(0,3)", "no functions", "seed=1,2,3"),
        ("e train.lr=null", "there is no null", "~train.lr takes back"),
        ("e ~train.lr=0.1", "has no value", "write ~train.lr to take it back, or train.lr=0.1"),
        ("e ~", "not a key to take back", "write ~KEY"),
        ("e ~train.momentum", "no weaker layer sets train.momentum", "leave it out"),
        ("e ~train.lrr", "no weaker layer sets train.lrr", "did you mean ~train.lr?"),
        ("e trian.lr=0.1", "trian: unknown key", "did you mean train?"),
    ] {
        let error = words(&GROUPS, line).unwrap_err();
        assert!(error.contains(problem) && error.contains(fix), "{line}\n{error}");
        assert!(!error.contains("problems in"), "{line}: one mistake, one error\n{error}");
    }
    for (extends, fix) in [
        ("['criterion=worst-l1']", "\"criterion/worst-l1\""),
        ("['train.lr=0.1']", "train.lr = 0.1, below the list"),
        ("['~']", "takes one key back"),
        ("'e'", "extends = [\"model/mlp\"]"),
    ] {
        let error = words(&[("g", &format!("extends = {extends}"))], "g").unwrap_err();
        assert!(error.starts_with("extends: ") && error.contains(fix), "{extends}\n{error}");
    }
    let error = words(&[("g", "defaults = [{ criterion = 'random' }]")], "g").unwrap_err();
    assert!(error.starts_with("defaults: what a config builds on is its `extends`"), "{error}");
    let error = words(&[("g", "criterion = 'random'")], "g").unwrap_err();
    assert!(error.contains("extends = [\"criterion/random\"]"), "{error}");
}

#[test]
fn what_is_taken_back_has_its_default_again() {
    let resolved = words(&GROUPS, "e ~train.lr ~criterion.norm").unwrap();
    assert_eq!(resolved.table["train"]["lr"].as_float(), Some(0.1));
    assert_eq!(origin(&resolved, "train.lr"), "built-in default");
    assert_eq!(origin(&resolved, "criterion.norm"), "default of criterion magnitude");
    assert_eq!(origin(&resolved, "train.epochs"), "configs/e.toml line 7");
    assert_eq!(resolved.identity(), words(&GROUPS, "e train.lr=0.1 criterion.norm=l2").unwrap().identity());
    // A variable is weaker than the command line; a whole table goes with its key.
    let mut case = Case::new(&[("e", "prune.table = { fc1 = 0.5, fc2 = 0.1 }")]).env("SECATEUR_TRAIN__LR", "7");
    case.request.words = ["e", "~train.lr", "~prune.table"].map(str::to_owned).to_vec();
    let resolved = case.resolve();
    assert_eq!(resolved.table["train"]["lr"].as_float(), Some(0.1));
    assert_eq!(resolved.table["prune"]["table"].as_table().map(Table::len), Some(0));
    // In a file: what stands before it in the list, `base` among it, and nothing that comes later.
    let files = [
        ("a", "train = { lr = 1, epochs = 5, batch_size = 8 }"),
        ("b", "train.batch_size = 9"),
        ("c", "extends = ['a', '~train.lr', '~train.batch_size', 'b']\ntrain.epochs = 6"),
        ("d", "extends = ['c', '~train.epochs']"),
    ];
    let resolved = words(&files, "c").unwrap();
    assert_eq!(resolved.table["train"], "lr = 0.1\nepochs = 6\nbatch_size = 9".parse::<Table>().unwrap().into());
    assert_eq!(origin(&resolved, "train.batch_size"), "configs/b.toml line 1");
    assert_eq!(words(&files, "d").unwrap().table["train"]["epochs"].as_integer(), Some(10));
    let error = words(&[("a", "\nextends = ['~train.lr']")], "a").unwrap_err();
    assert!(error.starts_with("~train.lr: there is nothing to take back") && error.contains("configs/a.toml line 2"));
}

#[test]
fn values_refer_to_others_with_their_types() {
    let file = "name = '${model}-${train.epochs}'\n[train]\nepochs = 12\nbatch_size = '${train.epochs}'\nlr = '${seed}'\n\
                [data]\nvalidation = '${data.share}'";
    let file = file.replace("'${model}-", "'${criterion.name}-").replace("'${data.share}'", "0.5");
    let resolved = words(&[("e", file.as_str())], "e seed=4").unwrap();
    assert_eq!(resolved.name(), "magnitude-12");
    assert_eq!(resolved.table["train"], "epochs = 12\nbatch_size = 12\nlr = 4.0".parse::<Table>().unwrap().into());
    assert_eq!(origin(&resolved, "train.batch_size"), "configs/e.toml line 4, from train.epochs");
    assert_eq!(origin(&resolved, "train.lr"), "configs/e.toml line 5, from seed");
    // The stronger layer's value is the one that is meant, and a default is a value too.
    let resolved = words(&[("e", file.as_str())], "e train.epochs=3 data.validation=${train.lr} ~train.lr").unwrap();
    assert_eq!(resolved.table["train"]["batch_size"].as_integer(), Some(3));
    assert_eq!(resolved.table["data"]["validation"].as_float(), Some(0.1));
    assert_eq!(origin(&resolved, "data.validation"), "command line, from train.lr");
    let plugin = words(&[], "base criterion.norm=l1 data.dir=${criterion.norm}-${criterion.power}-$${x}").unwrap();
    assert_eq!(plugin.table["data"]["dir"].as_str(), Some("l1-1.0-${x}"));
    let chain = words(&[], "base train.epochs=${train.batch_size} seed=${train.epochs}").unwrap();
    assert_eq!(chain.table["seed"].as_integer(), Some(128));
}

#[test]
fn references_in_a_circle_and_to_nowhere_are_one_clear_error() {
    for (line, expected) in [
        (
            "base seed=${train.epochs} train.epochs=${seed}",
            "seed: refers to itself in a circle\n  set by: command line\n  found: seed -> train.epochs -> seed\n",
        ),
        ("base seed=${seed}", "found: seed -> seed\n"),
        (
            "base train.epochs=${train.epoch}",
            "refers to train.epoch, which is no key\n  set by: command line\n  found: \"${train.epoch}\"\n  fix: did you mean ${train.epochs}?",
        ),
        ("base train.epochs=${batch_size}", "did you mean ${train.batch_size}?"),
        ("base train.epochs=${train}", "refers to train, which is no single value"),
        (
            "base prune.scope=${data.dir}",
            "refers to data.dir, which is not set and has no default\n  set by: command line",
        ),
        ("base prune.scope=${env:HOME}", "refers to \"env:HOME\", which is no key"),
        ("base prune.scope=a${seed", "has a ${ that no } ends"),
    ] {
        let error = words(&[], line).unwrap_err();
        assert!(error.contains(expected), "{line}\n{error}");
        assert!(!error.contains("problems in"), "{line}: one mistake, one error\n{error}");
    }
}

#[test]
fn a_value_that_must_be_given_is_asked_for() {
    let files = [("e", "[data]\ndir = '???'\n[train]\nlr = '???'")];
    let error = words(&files, "e train.lr=0.1").unwrap_err();
    let expected =
        "data.dir: must be given a value\n  asked for by: configs/e.toml line 2\n  fix: data.dir=VALUE, on the";
    assert!(error.starts_with(expected), "{error}");
    assert!(words(&files, "e").unwrap_err().contains("2 problems"));
    assert_eq!(words(&files, "e train.lr=0.3 data.dir=/d").unwrap().table["data"]["dir"].as_str(), Some("/d"));
    assert!(words(&files, "e data.dir=/d ~train.lr").is_ok(), "its default is a value");
}

#[test]
fn two_configs_are_compared_key_by_key() {
    let case = Case::new(&GROUPS);
    let read = |line: &str| {
        let words = line.split(' ').map(str::to_owned).collect();
        Described::read(&Request { words, many: true, ..case.request.clone() }, &Fixture).unwrap()
    };
    let found = read("e").differences(&read("e criterion.name=random seed=1 train.lr=0.25"));
    let text: Vec<String> = found
        .iter()
        .map(|one| {
            let side = |row: &Option<Row>| {
                row.as_ref().map_or("-".to_owned(), |row| format!("{} ({})", row.value, row.origin))
            };
            format!("{}: {} | {}", one.key, side(&one.sides[0]), side(&one.sides[1]))
        })
        .collect();
    assert_eq!(
        text,
        [
            "criterion.name: \"magnitude\" (configs/e.toml line 3) | \"random\" (command line)",
            "criterion.norm: \"l1\" (configs/e.toml line 4) | -",
            "criterion.power: 1.0 (default of criterion magnitude) | -",
            "train.lr: 0.5 (configs/e.toml line 6) | 0.25 (command line)",
        ],
        "a seed of 1 is one, whoever says so"
    );
}

#[test]
fn a_sweep_is_shown_with_its_base_and_its_origins() {
    let sweep = "extends = ['e']\n[data]\ndir = '???'\n[sweep]\nseeds = 3\n[sweep.axes]\ndata.dir = ['/a', '/b']";
    let case = Case::new(&[&GROUPS[..], &[("s", sweep)]].concat());
    let words = ["s", "train.lr=0.1,0.2", "seed=4,5", "train.epochs=1"].map(str::to_owned).to_vec();
    let shown = Described::read(&Request { words, many: true, ..case.request.clone() }, &Fixture).unwrap();
    let text = shown.to_annotated_toml();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert!(line("epochs = 1").ends_with("# command line"), "{text}");
    assert!(line("norm").ends_with("# configs/e.toml line 4"), "{text}");
    assert!(line("axes.data.dir = [\"/a\", \"/b\"]").ends_with("# configs/s.toml line 7"), "{text}");
    assert!(line("axes.train.lr = [0.1, 0.2]").ends_with("# command line"), "{text}");
    assert!(line("seeds = [4, 5]").ends_with("# command line"), "{text}");
    assert!(shown.to_toml().parse::<Table>().unwrap().contains_key("sweep"));
}
