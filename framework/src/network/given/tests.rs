//! Files that PyTorch wrote, and what nobody should have written: `files/make.py` makes them.

use super::*;
use crate::error::Result;
use crate::network::layout::{Layout, LayoutBuilder, Sizes};
use serde_json::Value;

const VIEWS: &[u8] = include_bytes!("files/views.pt");

fn read(file: &[u8]) -> Result<Weights> {
    Weights::read(file.to_vec())
}

fn refused(file: &[u8]) -> String {
    read(file).expect_err("it is refused").to_string()
}

/// The tensors of a file are those of `views.json`, to the bit.
fn same_as_pytorch(file: &[u8], count: usize) {
    let expected: Value = serde_json::from_str(include_str!("files/views.json")).unwrap();
    let weights = read(file).unwrap();
    assert_eq!(weights.tensors.len(), count);
    for tensor in &weights.tensors {
        let theirs = &expected[&tensor.name];
        assert_eq!(
            (tensor.numbers.to_string(), serde_json::json!(tensor.shape)),
            (theirs["numbers"].as_str().unwrap().to_owned(), theirs["shape"].clone())
        );
        let values: Vec<f64> = serde_json::from_value(theirs["values"].clone()).unwrap();
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        if tensor.numbers.are_fractions() {
            assert_eq!(weights.values(tensor), values, "{}", tensor.name);
        }
    }
}

#[test]
fn a_state_dict_has_the_values_that_pytorch_reads() {
    same_as_pytorch(VIEWS, 9);
    same_as_pytorch(include_bytes!("files/protocol-4.pt"), 9);
    same_as_pytorch(include_bytes!("files/zip64.pt"), 9);
    same_as_pytorch(include_bytes!("files/big-endian.pt"), 8);
}

#[test]
fn of_what_a_training_script_keeps_the_weights_are_taken() {
    let weights = read(include_bytes!("files/script.pt")).unwrap();
    let names: Vec<&str> = weights.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["module.plain", "module.transposed"]);
    assert_eq!(weights.values(&weights.tensors[1])[..4], [-0.5, 0.0, 0.5, -0.375]);
}

#[test]
fn what_is_more_than_tensors_and_containers_is_refused_by_its_name() {
    for (file, text) in [
        (&include_bytes!("files/code.pt")[..], "it names `posix.system`, which is not loaded"),
        (include_bytes!("files/module.pt"), "it names `torch.nn.modules.linear.Linear`"),
        (include_bytes!("files/set.pt"), "it names `__builtin__.set`"),
        (include_bytes!("files/before-zip.pt"), "the format of PyTorch before 1.6"),
        (include_bytes!("files/compressed.pt"), "is compressed (method 8)"),
        (b"PK\x03\x04", "cut short"),
        (b"what?", "neither a whole safetensors file"),
    ] {
        let error = refused(file);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused_wherever_that_is() {
    let file = VIEWS;
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_pickle_may_not_hold_itself() {
    // d = {}; d["a"] = d
    let itself = pickle::read(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.").unwrap();
    assert_eq!((itself.nodes.len(), itself.root), (1, pickle::Value::Node(0)));
    for (bytes, text) in [
        (&b"\x80\x02cos\nsystem\n."[..], "it names `os.system`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it names `os.system`"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n.", "only plain ones of 16, 32 or 64 bits are; save floats"),
        (b"\x80\x03C\x01a.", "it has bytes"),
        (b"\x80\x04\x8f.", "it has a set"),
        (b"(ios\nsystem\n.", "it has an object of a class"),
        (b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.", "arguments that no state dict has"),
        (b"\x80\x02}q\x00", "it ends too early"),
        (b".", "it takes something that is not there"),
        (b"h\x05.", "recalls what it did not remember"),
        (b"]K\x01b.", "sets attributes of something that has none"),
        (b"\xff.", "the instruction 0xff"),
    ] {
        let error = pickle::read(bytes).expect_err("it is refused").to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_reader_bears_weights_that_nobody_wrote() {
    let whole = [
        VIEWS,
        include_bytes!("files/script.pt"),
        include_bytes!("files/protocol-4.pt"),
        include_bytes!("files/zip64.pt"),
        include_bytes!("files/code.pt"),
    ];
    let whole = whole.map(<[u8]>::to_vec);
    secateur_fuzz::bears("weights", &whole, |bytes| {
        let Ok(weights) = Weights::read(bytes.to_vec()) else { return bytes.len() };
        // A view may repeat a number as often as it likes: whoever reads it looks at the shape first.
        let read = weights.tensors.iter().filter(|tensor| tensor.count() <= bytes.len());
        bytes.len() + read.map(|tensor| 4 * weights.values(tensor).len()).sum::<usize>()
    });
    let pickles: Vec<Vec<u8>> = whole
        .iter()
        .map(|file| {
            let files = zip::files(file).unwrap();
            let index = files.iter().find(|one| one.name.ends_with("/data.pkl")).unwrap();
            file[index.at.clone()].to_vec()
        })
        .collect();
    secateur_fuzz::bears("pickle", &pickles, |bytes| pickle::read(bytes).map_or(0, |pickle| pickle.nodes.len()));
}

/// Two linear layers of 2-3-2, as a network with the names `fc1` and `fc2`.
fn layout() -> Layout {
    let sizes = Sizes::default();
    let mut layout = LayoutBuilder::new(&sizes);
    let hidden = layout.units("fc1", 3);
    layout.linear("fc1", &2.into(), &hidden, true);
    layout.linear("fc2", &hidden, &2.into(), true);
    layout.build().unwrap()
}

/// A safetensors file in which every number of a tensor is the tensor's place, from 1.
fn file(tensors: &[(&str, &[usize])]) -> Weights {
    let numbers = (1..).zip(tensors).map(|(i, (_, shape))| [i as f32].repeat(shape.iter().product()));
    with(tensors, numbers.collect())
}

fn with(tensors: &[(&str, &[usize])], numbers: Vec<Vec<f32>>) -> Weights {
    let bytes: Vec<Vec<u8>> = numbers.iter().map(|all| all.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    Weights::read(safetensors::serialize(views, None).unwrap()).unwrap()
}

fn fit(weights: Weights, config: &str, known: &[(&str, &str)]) -> Result<Fitted> {
    let config = crate::options::parse(&config.parse().unwrap()).unwrap();
    let known: Vec<(String, String)> = known.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    Given { weights: weights.into(), config, whole: None }.fit(&layout(), &known)
}

/// The first number of each parameter.
fn firsts(fitted: &Fitted) -> Vec<(&str, f32)> {
    fitted.values.iter().map(|(name, values)| (name.as_str(), values[0])).collect()
}

#[test]
fn names_are_found_behind_wrappers_by_rules_and_by_their_order() {
    let expected = [("fc1.bias", 2.0), ("fc1.weight", 1.0), ("fc2.bias", 4.0), ("fc2.weight", 3.0)];
    let shapes: [&[usize]; 4] = [&[3, 2], &[3], &[2, 3], &[2]];
    for (names, known) in [
        (["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"], &[][..]),
        (["module.model.fc1.weight", "module.model.fc1.bias", "module.model.fc2.weight", "module.model.fc2.bias"], &[]),
        (["in.weight", "in.bias", "out.weight", "out.bias"], &[("in.*", "fc1.*"), ("out.*", "fc2.*")]),
        (["2.weight", "2.bias", "10.weight", "10.bias"], &[]),
        (["2.0.weight", "2.0.bias", "10.0.weight", "10.0.bias"], &[]),
        (["net.2.weight", "net.2.bias", "net.10.weight", "net.10.bias"], &[]),
    ] {
        let tensors: Vec<(&str, &[usize])> = names.into_iter().zip(shapes).collect();
        let fitted = fit(file(&tensors), "", known).unwrap();
        assert_eq!(firsts(&fitted), expected, "{names:?}");
        assert_eq!(fitted.remarks, []);
    }
}

#[test]
fn the_config_says_more_of_names_and_leaves_tensors_out() {
    let parts: [(&str, &[usize]); 6] =
        [("a", &[2]), ("b", &[1, 2]), ("c", &[2]), ("shift", &[3, 1]), ("fc2.weight", &[2, 3]), ("old", &[9])];
    let rules = "strict = false\n[names]\na = 'fc1.weight 1/3'\nb = 'fc1.weight 2/3'\nc = 'fc1.weight 3/3'\n\
                 'shi*' = 'fc*.bias'\nold = ''";
    let error = fit(file(&parts), rules, &[]).unwrap_err().to_string();
    assert!(error.contains("`fcft.bias` is an unknown parameter; did you mean `fc1.bias`?"), "{error}");
    let error = fit(file(&parts), "names = { 's*' = 'fc1.*', '*t' = 'fc2.*' }", &[]).unwrap_err().to_string();
    assert!(error.contains("`shift` fits it and \"s*\", which is as long"), "{error}");
    let fitted = fit(file(&parts), &rules.replace("'shi*' = 'fc*.bias'", "shift = 'fc1.bias'"), &[]).unwrap();
    assert_eq!(fitted.values["fc1.weight"], [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], "stacked by rows");
    assert_eq!(fitted.values["fc1.bias"], [4.0; 3], "axes of one do not count");
    let told = [(
        "init.strict",
        "init.strict = false: missing in the file: fc2.bias [2]. What is missing is drawn.".to_owned(),
    )];
    assert_eq!(fitted.remarks, told);
}

#[test]
fn what_is_left_over_is_listed_both_ways() {
    let tensors: [(&str, &[usize]); 3] = [("fc1.weight", &[3, 5]), ("fc1.bias", &[3]), ("head.weight", &[2, 3])];
    let error = fit(file(&tensors), "from = 'x.pt'", &[]).unwrap_err().to_string();
    let expected = "`from` = \"x.pt\": it is not this network: missing in the file: fc2.weight [2, 3], fc2.bias [2]; in the \
                    file and not used: head.weight [2, 3]; of another shape: fc1.weight is [3, 2] here, and there is \
                    fc1.weight [3, 5]";
    assert!(error.starts_with(expected) && error.contains("init.strict = false"), "{error}");
    // Numbered layers go by their order beside what has a name.
    let numbered: [(&str, &[usize]); 5] =
        [("1.weight", &[3, 2]), ("1.bias", &[3]), ("3.weight", &[2, 3]), ("3.bias", &[2]), ("aux.weight", &[3, 4])];
    let error = fit(file(&numbered), "", &[]).unwrap_err().to_string();
    assert!(error.contains("it is not this network: in the file and not used: aux.weight [3, 4]\n"), "{error}");
    let whole = safetensors::tensor::TensorView::new(safetensors::Dtype::I8, vec![2, 3], &[1; 6]).unwrap();
    let whole = Weights::read(safetensors::serialize([("fc2.weight", whole)], None).unwrap()).unwrap();
    let error = fit(whole, "", &[]).unwrap_err().to_string();
    assert!(error.contains("; in the file and of no fractions: fc2.weight [2, 3] of i8\n"), "{error}");
    let error = fit(file(&[("x", &[1])]), "strict = false", &[]).unwrap_err().to_string();
    assert!(error.contains("nothing of it fits this network"), "{error}");
    let bad = with(&[("fc1.bias", &[3])], vec![vec![0.0, f32::NAN, 0.0]]);
    let error = fit(bad, "strict = false", &[]).unwrap_err().to_string();
    assert!(error.contains("`fc1.bias` of it is NaN at element 1"), "{error}");
}

#[test]
fn kernels_may_be_rows_and_nothing_else_is_reshaped() {
    assert!(
        fit::same(&[24, 3, 4, 4], &[24, 48]) && fit::same(&[1, 17, 24], &[17, 24]) && fit::same(&[1, 1, 24], &[24])
    );
    assert!(
        !fit::same(&[48, 24], &[24, 48]) && !fit::same(&[1152], &[24, 48]) && !fit::same(&[48, 3, 4, 2], &[24, 48])
    );
}
