//! Their files: written and read again, whole, damaged and lying.

use super::*;
use crate::deep_compression::decode::parameter;
use crate::deep_compression::encode::share;
use crate::deep_compression::file::{Described, Header};
use crate::network::model_file::SavedModel;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

#[test]
fn a_network_comes_back_to_the_last_bit_however_much_is_pruned() {
    for pruned in [0.0, 0.5, 0.99, 1.0] {
        let (params, shared, about) = shared(pruned);
        let found = encode(&about, &params, &shared).unwrap();
        let model = Decoded::read(&found.file).unwrap().model().unwrap();
        assert!(model == about.write(&params).unwrap(), "{pruned}");
        let again = SavedModel::read(&model).unwrap().params(&Cpu::default(), &Net(40)).unwrap();
        for (p, q) in params.iter().zip(again.iter()) {
            assert_eq!(p.effective().unwrap().to_vec(), q.value().to_vec());
            assert_eq!(p.mask().map(|m| m.keep()), q.mask().map(|m| m.keep()));
        }
        let size = &found.layers[0];
        assert_eq!((size.weights, size.kept), (240, params.get("hidden.weight").unwrap().kept()));
        assert_eq!(size.offset_bits, if pruned == 0.0 { 0 } else { 2 });
        let parts = found.bytes_raw + found.layers.iter().map(|l| l.bytes_huffman).sum::<usize>();
        let (header, payload) = Header::unframe(&found.file).unwrap();
        assert_eq!(payload.len(), parts);
        // 40 hidden biases with a mask, 3 of the output.
        assert_eq!(found.bytes_raw, 4 * 40 + 5 + 4 * 3);
        assert_eq!(found.file.len(), 28 + serde_json::to_vec(&header).unwrap().len() + parts + 32);
    }
}

#[test]
fn units_that_were_cut_out_stay_so() {
    let (net, mut params) = (Net(40), network(&Net(40)));
    let alive: Vec<bool> = (0..40).map(|i| i % 4 == 0).collect();
    let layout = net.layout(&input(), &Sizes([("hidden".to_string(), 10)].into())).unwrap();
    params.shrink(vec![("hidden".into(), alive)], layout).unwrap();
    let about = about(&params);
    let shared = SharedWeights::cluster(&mut params, Bits::of_paper).unwrap();
    let file = encode(&about, &params, &shared).unwrap().file;
    let model = Decoded::read(&file).unwrap().model().unwrap();
    let again = SavedModel::read(&model).unwrap().params(&Cpu::default(), &net).unwrap();
    assert_eq!(again.units("hidden"), 10);
    assert_eq!(again.get("out.weight").unwrap().value().to_vec(), params.get("out.weight").unwrap().value().to_vec());
}

#[test]
fn sizes_are_those_of_the_paper_by_hand() {
    // Ten weights, of which three are left; offsets of two bits reach over three zeros.
    let labels = vec![0, 1, 0, 0, 0, 0, 0, 2, 1, 0];
    let layer = SharedLayer { name: "w".into(), bits: Bits { index: 4, offset: 2 }, values: vec![0.5, -0.5], labels };
    let mut bytes = vec![];
    let size = share(&layer, &mut bytes).1;
    // (1, first), (3, filler), (1, second), (0, first), (0, the end).
    assert_eq!((size.kept, size.fillers), (3, 2));
    assert_eq!(size.bytes_pruned, (5 * 34_usize).div_ceil(8));
    assert_eq!(size.bytes_quantised, (5 * 6_usize).div_ceil(8) + 8);
    // Indices: 2 fillers, 2 firsts, 1 second: 1 + 2 + 2 bits or the like. Offsets 1, 3, 1, 0, 0: the same.
    assert_eq!((size.index_bits_huffman, size.offset_bits_huffman), (8.0 / 5.0, 8.0 / 5.0));
    // Three lengths of five bits and eight bits; four lengths and eight bits.
    assert_eq!(size.bytes_huffman, 8 + (15_usize + 8).div_ceil(8) + (20_usize + 8).div_ceil(8));
    assert_eq!(bytes.len(), size.bytes_huffman);
}

/// The file with another checksum where its own no longer fits.
fn signed(mut file: Vec<u8>) -> Vec<u8> {
    let content = file.len().saturating_sub(32);
    let checksum = Sha256::digest(&file[..content]);
    file.truncate(content);
    file.extend(checksum);
    file
}

fn refusal(file: &[u8]) -> String {
    Decoded::read(file).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn other_files_cut_files_and_damaged_files_each_have_their_error() {
    let (params, shared, about) = shared(0.5);
    let file = encode(&about, &params, &shared).unwrap().file;
    let starts = "this is no whole file of `secateur compress`: ";
    assert_eq!(refusal(b""), format!("{starts}it does not begin as one"));
    assert_eq!(refusal(&about.write(&params).unwrap()), format!("{starts}it does not begin as one"));
    assert_eq!(refusal(&file[..20]), format!("{starts}it is cut short after 20 bytes"));
    for end in [28, 60, file.len() - 1] {
        let expected = format!("{starts}it is cut short: {end} of its {} bytes are there", file.len());
        assert_eq!(refusal(&file[..end]), expected);
    }
    let longer = [&file[..], b"x"].concat();
    assert_eq!(refusal(&longer), format!("{starts}1 bytes follow its end"));
    let mut later = file.clone();
    later[8] = 2;
    assert_eq!(refusal(&later), format!("{starts}the version of its format is 2; this program reads 1"));
    for at in (28..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 16;
        assert_eq!(refusal(&damaged), format!("{starts}it is damaged, for its checksum does not match its content"));
    }
}

#[test]
fn a_file_that_lies_about_itself_is_refused_or_read_but_never_believed() {
    let (params, shared, about) = shared(0.9);
    let file = encode(&about, &params, &shared).unwrap().file;
    let (header, payload) = Header::unframe(&file).unwrap();
    let told = serde_json::to_value(&header).unwrap();
    let lies = [0_u64, 1, 2, 5, 6, 31, 239, 241, 4096, 1 << 20, 1 << 32, (1 << 62) + 1, u64::MAX];
    let (mut refused, mut read) = (0, 0);
    for nth in 0..told["params"].as_array().unwrap().len() {
        let Some(form) = told["params"][nth]["form"]["shared"].as_object() else { continue };
        let keys = form.keys().cloned().map(Some).chain([None]);
        for (key, lie) in keys.flat_map(|key| lies.map(|lie| (key.clone(), lie))) {
            let mut told = told.clone();
            let place = match &key {
                Some(key) => &mut told["params"][nth]["form"]["shared"][key],
                None => &mut told["params"][nth]["shape"][1],
            };
            *place = lie.into();
            // A number that its field cannot hold is no description at all.
            let Ok(lying) = serde_json::from_value::<Header>(told) else { continue };
            match Decoded::read(&lying.frame(payload).unwrap()) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.starts_with("this is no whole file") && text.lines().count() == 1, "{text}");
                    refused += 1;
                }
                // Bits without Huffman coding are for the table of sizes only; the truth is no lie.
                Ok(_) => read += 1,
            }
        }
    }
    assert!(refused > 150 && read < 25, "{refused} {read}");
    let mut twice = serde_json::to_value(&header).unwrap();
    twice["params"][1]["name"] = "hidden.weight".into();
    let twice: Header = serde_json::from_value(twice).unwrap();
    assert!(refusal(&twice.frame(payload).unwrap()).contains("holds `hidden.weight` twice"));
    let long = u64::MAX.to_le_bytes();
    let lying = signed([&file[..20], &long, &file[28..]].concat());
    assert!(refusal(&lying).contains("its description is longer than it is itself"));
}

#[test]
fn a_reader_bears_compressed_networks_that_nobody_wrote() {
    let written = |pruned| {
        let (params, shared, about) = shared(pruned);
        encode(&about, &params, &shared).unwrap().file
    };
    let read = |file: &[u8]| Decoded::read(file).and_then(|read| read.model()).map_or(0, |model| model.len());
    let whole = [written(0.0), written(0.7)];
    secateur_fuzz::bears("compressed", &whole, read);
    // Whoever writes such files on purpose makes the frame fit.
    secateur_fuzz::bears("compressed-signed", &whole, |file| {
        let mut file = file.to_vec();
        let total = (file.len() as u64).to_le_bytes();
        file.iter_mut().skip(12).zip(total).for_each(|(to, byte)| *to = byte);
        read(&signed(file))
    });
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let (params, shared, about) = shared(0.7);
    let file = encode(&about, &params, &shared).unwrap().file;
    let mut draws = Seed(3).stream("damage", &[]);
    for _ in 0..3000 {
        let mut damaged = file.clone();
        for _ in 0..draws.random_range(1..6) {
            let at = draws.random_range(0..damaged.len());
            match draws.random_range(0..4) {
                0 => damaged[at] = draws.random_range(0..=255),
                1 => damaged[at] ^= 1 << draws.random_range(0..8),
                2 => drop(damaged.remove(at)),
                _ => damaged.insert(at, draws.random_range(0..=255)),
            }
        }
        _ = Decoded::read(&damaged).and_then(|read| read.model());
        // Whoever writes such files on purpose makes the frame fit.
        let total = (damaged.len() as u64).to_le_bytes();
        if damaged.len() > 60 {
            damaged[12..20].copy_from_slice(&total);
            _ = Decoded::read(&signed(damaged)).and_then(|read| read.model());
        }
    }
}

proptest! {
    #[test]
    fn every_layer_comes_back(
        labels in prop::collection::vec(prop_oneof![4 => Just(0_u16), 1 => 1_u16..8], 0..600),
        dense in any::<bool>(), offset in 1_u32..=12,
    ) {
        let labels: Vec<u16> = labels.into_iter().map(|label| if dense { label.max(1) } else { label }).collect();
        let values: Vec<f32> = (0..7).map(|i| i as f32 * 0.3 - 1.0).collect();
        let layer = SharedLayer { name: "w".into(), bits: Bits { index: 3, offset }, values, labels };
        let mut bytes = vec![];
        let (form, size) = share(&layer, &mut bytes);
        prop_assert_eq!(size.bytes_huffman, bytes.len());
        let described = Described { name: "w".into(), shape: [layer.labels.len()].into(), masked: true, form };
        let mut rest = &bytes[..];
        let found = parameter(&described, &mut rest).unwrap();
        prop_assert!(rest.is_empty());
        let expected: Vec<f32> = layer.labels.iter()
            .map(|k| if *k == 0 { 0.0 } else { layer.values[usize::from(*k) - 1] }).collect();
        prop_assert_eq!(found.values, expected);
        let kept: Vec<bool> = layer.labels.iter().map(|label| *label > 0).collect();
        prop_assert_eq!(found.mask, Some(kept));
    }

    #[test]
    fn bytes_of_anything_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        _ = Decoded::read(&bytes);
        let mut framed = [b"secateur".as_slice(), &1_u32.to_le_bytes(), &[0; 16], &bytes, &[0; 32]].concat();
        let total = framed.len() as u64;
        framed[12..20].copy_from_slice(&total.to_le_bytes());
        _ = Decoded::read(&signed(framed));
    }
}
