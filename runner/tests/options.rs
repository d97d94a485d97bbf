//! Values that no option can have: each is refused when the config is read, with its key, who set it, and what is
//! allowed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use secateur::network::given::InitConfig;
use secateur::options::{OptionDoc, OptionSet as _};
use secateur::plugins::registry::Kind;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::TrainConfig;

/// What `secateur config` says of the quickstart with these changes, which it must refuse.
fn refused(folder: &Path, more: &[&str]) -> String {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).args(["config", "experiment/quickstart"]).args(more).env("HOME", folder);
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{more:?} is accepted, or fails otherwise:\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

/// Sets a key and expects that very key to be refused.
fn refuses(folder: &Path, before: &[&str], key: &str, value: &str) {
    let set = format!("--set={key}={value}");
    let error = refused(folder, &[before, &[&set]].concat());
    let expected = format!("{key}: not a value it can have\n  set by: --set\n  found: ");
    assert!(error.contains(&expected) && error.contains("\n  allowed: "), "{before:?} {set}:\n{error}");
}

/// Values of a wrong type or no number at all, by the option's type.
fn never(doc: &OptionDoc) -> &'static [&'static str] {
    match doc.ty.as_str() {
        "f32" | "f64" | "Option<f32>" | "Option<f64>" => &["nan", "inf", "\"much\""],
        "u32" | "u64" | "usize" | "Option<u32>" | "Option<u64>" | "Option<usize>" => &["-1", "0.5", "\"much\""],
        "bool" => &["3"],
        "Vec<usize>" => &["[-1]", "3"],
        "PluginSpec" | "Option<PluginSpec>" => &["3"],
        map if map.starts_with("BTreeMap") => &["3"],
        _ => &["[[\"no such word\"]]"],
    }
}

#[test]
fn every_option_of_every_plugin_refuses_what_is_no_value_of_its_type() {
    let here = tempfile::tempdir().unwrap();
    let registry = secateur_bundle::registry().unwrap();
    for kind in Kind::ALL {
        for (name, item) in registry.of_kind(kind) {
            let choose = format!("--set={kind}.name={name}");
            // The options of a data set stand in a table of its name.
            let path = if kind == Kind::Data { format!("{kind}.{name}") } else { kind.to_string() };
            for doc in item.docs() {
                for value in never(&doc) {
                    refuses(here.path(), &[&choose], &format!("{path}.{}", doc.name), value);
                }
            }
        }
    }
}

#[test]
fn every_key_of_training_and_pruning_refuses_what_is_no_value_of_its_type() {
    let here = tempfile::tempdir().unwrap();
    for (section, docs) in [
        ("train", TrainConfig::docs()),
        ("prune", PruneConfig::docs()),
        ("grow", GrowConfig::docs()),
        ("init", InitConfig::docs()),
    ] {
        for doc in docs {
            for value in never(&doc) {
                refuses(here.path(), &[], &format!("{section}.{}", doc.name), value);
            }
        }
    }
}

/// A plugin, where one must be chosen, and values out of range by key.
type Ranges = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const RANGES: &[Ranges] = &[
    ("criterion.name=magnitude", &[("criterion.threshold", &["-1", "0", "1e39"])]),
    ("criterion.name=taylor", &[("criterion.flops", &["-1", "nan"])]),
    ("criterion.name=contribution-rank", &[("criterion.lambda1", &["0"]), ("criterion.eps", &["0", "-1"])]),
    ("criterion={name=\"contribution-rank\",compat=\"authors\"}", &[("criterion.lambda2", &["0.5"])]),
    ("schedule.name=one-shot", &[("schedule.sparsity", &["-0.1", "1"]), ("schedule.at", &["-0.1", "1.1"])]),
    (
        "schedule.name=constant",
        &[
            ("schedule.sparsity", &["-0.1", "1"]),
            ("schedule.from", &["-0.1", "2"]),
            ("schedule.to", &["0", "1.1"]),
            ("schedule.every", &["0"]),
        ],
    ),
    ("schedule.name=linear", CURVE),
    ("schedule.name=cubic", CURVE),
    ("schedule.name=exponential", CURVE),
    (
        "schedule.name=periodic",
        &[("schedule.first", &["0"]), ("schedule.every", &["0"]), ("schedule.fraction", &["0", "1", "-1"])],
    ),
    ("compressor.name=token-merging", &[("compressor.ratio", &["-0.1", "1"])]),
    (
        "compressor={name=\"token-merging\",at=\"blocks\"}",
        &[
            ("compressor.r", &["-1", "[8, -1]", "9000000000", "[9000000000]"]),
            ("compressor.inflection", &["-1.1", "2"]),
        ],
    ),
    ("compressor={name=\"token-merging\",reading=\"kept\"}", &[("compressor.ratio", &["0"])]),
    ("model.name=mlp", &[("model.hidden", &["[0]", "[5, 0]", "[9000000000]"])]),
    (
        "model.name=cnn",
        &[
            ("model.channels", &["[0]", "[9000000000]"]),
            ("model.kernel", &["0", "2", "9000000001"]),
            ("model.hidden", &["[0]"]),
            ("model.activation", &["\"gelu\""]),
        ],
    ),
    ("model.name=mobilenet-v2", &[("model.width", &["0", "-1", "1e9"]), ("model.stages", &["0", "8"])]),
    ("model.name=mobilenet-v2", &[("model.head", &["0", "9000000000"]), ("model.dropout", &["-0.1", "1"])]),
    ("model.name=wide-resnet", &[("model.depth", &["4", "20"]), ("model.widen", &["0", "1025"])]),
    ("model.name=wide-resnet", &[("model.dropout", &["-0.1", "1"])]),
    ("model.name=vgg", &[("model.width", &["0", "-1", "1e9"]), ("model.hidden", &["[0]"])]),
    (
        "model.name=vae",
        &[
            ("model.channels", &["[]", "[0]"]),
            ("model.hidden", &["[]", "[0]"]),
            ("model.latent", &["0", "9000000000"]),
            ("model.beta", &["-1"]),
        ],
    ),
    (
        "model.name=vit",
        &[
            ("model.depth", &["9000000000"]),
            ("model.dim", &["0", "9000000000"]),
            ("model.heads", &["0", "7"]),
            ("model.mlp_ratio", &["0", "-1", "1e30"]),
            ("model.patch", &["0"]),
            ("model.dropout", &["-0.1", "1"]),
        ],
    ),
    (
        "seed=0",
        &[
            ("train.epochs", &["0", "9000000000000000000"]),
            ("train.batch_size", &["0"]),
            ("train.lr", &["0", "-1"]),
            ("train.lr_warmup", &["-1"]),
            ("train.lr_min", &["-1", "1e9"]),
            ("train.lr_step", &["0", "-1"]),
            ("train.lr_gamma", &["0", "-1"]),
            ("train.momentum", &["-0.1", "1"]),
            ("train.weight_decay", &["-1"]),
            ("train.beta1", &["-0.1", "1"]),
            ("train.beta2", &["-0.1", "1"]),
            ("train.eps", &["0", "-1"]),
            ("train.clip_norm", &["0", "-1"]),
            ("train.label_smoothing", &["-0.1", "1"]),
            ("train.eval_every", &["0"]),
            ("train.eval_batch_size", &["0"]),
            ("prune.start_params", &["0"]),
            ("prune.rounds", &["0"]),
            ("prune.table.fc1", &["-0.1", "1", "nan"]),
            ("prune.table.\"fc1.weight\"", &["1"]),
            ("prune.counts.fc1", &["[]"]),
            ("prune.start.fc1", &["0"]),
            ("prune.scope", &["table", "counts", "\"half\""]),
            ("prune.granularity", &["\"0:4\"", "\"4:4\"", "\"n:m\""]),
            ("prune.max_sparsity", &["-0.1", "1", "\"much\""]),
            ("prune.min_sparsity", &["-0.1", "1", "nan"]),
            ("prune.multiple", &["0"]),
            ("prune.block", &["[0, 4]", "[4]", "4"]),
            ("prune.target", &["\"hours\""]),
            ("prune.latency_batch", &["0", "-1", "\"all\""]),
            ("prune.latency_table", &["7"]),
            ("prune.regrow", &["true"]),
            ("grow.fraction", &["-0.1", "1"]),
            ("grow.until", &["0", "1.1"]),
            ("grow.decay", &["\"square\""]),
            ("output.dir", &["\"\"", "3"]),
            ("output.checkpoint_every", &["-1"]),
            ("output.pictures", &["-1"]),
            ("output.tensorboard", &["3"]),
            ("seed", &["-1", "0.5"]),
            ("seeds.init", &["-1", "0.5", "\"a\""]),
            ("seeds.data", &["-1", "0.5"]),
            ("train.stop_loss", &["-0.1", "\"low\""]),
            ("data.noise", &["-0.1", "nan", "inf"]),
            ("threads", &["-1", "9000000000"]),
            ("device", &["gpu", "3"]),
            ("data.train_limit", &["0", "-1"]),
            ("data.test_limit", &["0", "-1"]),
            ("data.validation", &["-1", "1.5", "nan"]),
            ("data.normalize", &["\"half-way\"", "{ mean = [0.0], std = [0.0] }"]),
        ],
    ),
    ("train.momentum=0", &[("train.nesterov", &["true"])]),
    ("prune.granularity=weight", &[("prune.apply", &["shrink"])]),
];

const CURVE: &[(&str, &[&str])] = &[
    ("schedule.initial", &["-0.1", "1"]),
    ("schedule.sparsity", &["-0.1", "1"]),
    ("schedule.from", &["-0.1", "2"]),
    ("schedule.to", &["0", "1.1"]),
    ("schedule.every", &["0"]),
];

#[test]
fn every_value_out_of_range_is_refused_under_its_key() {
    let here = tempfile::tempdir().unwrap();
    for (choose, keys) in RANGES {
        let choose = format!("--set={choose}");
        for (key, values) in *keys {
            values.iter().for_each(|value| refuses(here.path(), &[&choose], key, value));
        }
    }
}

#[test]
fn an_option_of_a_plugin_within_a_plugin_has_its_whole_path() {
    let here = tempfile::tempdir().unwrap();
    for outer in ["worst", "shuffled"] {
        let set = format!("--set=criterion={{name=\"{outer}\",of={{name=\"magnitude\",threshold=-1}}}}");
        let error = refused(here.path(), &[&set]);
        let expected = "criterion.of.threshold: not a value it can have\n  set by: --set\n  found: -1\n  allowed: must be a number above 0";
        assert!(error.contains(expected), "{error}");
    }
    for key in ["criterion", "start"] {
        let set = format!("--set=grow.{key}={{name=\"magnitude\",threshold=-1,nrom=\"l2\"}}");
        let error = refused(here.path(), &[&set]);
        let unknown = format!("grow.{key}.nrom: unknown key for criterion magnitude");
        assert!(error.contains(&unknown), "{error}");
        let error = refused(here.path(), &[&set.replace(",nrom=\"l2\"", "")]);
        assert!(error.contains(&format!("grow.{key}.threshold: not a value it can have")), "{error}");
        let error = refused(here.path(), &[&format!("--set=grow.{key}.name=gradeint")]);
        assert!(error.contains("did you mean gradient?"), "{error}");
    }
    fs::write(
        here.path().join("mine.toml"),
        "[criterion]\nname = \"worst\"\n\n[criterion.of]\nname = \"shuffled\"\nof = { name = \"contribution-rank\", eps = 0 }\n",
    )
    .unwrap();
    let error = refused(here.path(), &["mine.toml"]);
    assert!(error.contains("criterion.of.of.eps: not a value it can have\n  set by: mine.toml line 6\n"), "{error}");
}

#[test]
fn everything_wrong_in_a_section_is_reported_together() {
    let here = tempfile::tempdir().unwrap();
    let error = refused(
        here.path(),
        &[
            "--set=train.lr=-1",
            "--set=train.momentum=2",
            "--set=model.hidden=[0]",
            "--set=schedule.first=0",
            "--set=schedule.every=0",
        ],
    );
    for key in
        ["5 problems", "train.lr: ", "train.momentum: ", "model.hidden: ", "schedule.first: ", "schedule.every: "]
    {
        assert!(error.contains(key), "{key} is missing:\n{error}");
    }
}

/// The check of a library's plugin runs behind its boundary; here it is one in C.
#[test]
fn what_a_loaded_plugin_refuses_is_named_alike() {
    let here = tempfile::tempdir().unwrap();
    let framework = concat!(env!("CARGO_MANIFEST_DIR"), "/../framework");
    let library = here.path().join(format!("libsquare{}", std::env::consts::DLL_SUFFIX));
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-std=c11", "-I"]).arg(format!("{framework}/include")).arg("-o").arg(&library);
    let compiled = compiler.arg(format!("{framework}/examples/plugins/square.c")).status().expect("a C compiler, `cc`");
    assert!(compiled.success());
    let plugin = format!("--plugin={}", library.display());
    refuses(here.path(), &[&plugin, "--set=criterion.name=square"], "criterion.scale", "-1");
    let inner = "--set=criterion={name=\"worst\",of={name=\"square\",scale=-1}}";
    let error = refused(here.path(), &[&plugin, inner]);
    assert!(error.contains("criterion.of.scale: not a value it can have\n  set by: --set\n"), "{error}");
}
