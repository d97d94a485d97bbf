//! What TensorBoard's tab of hyper-parameters reads (`tensorboard/plugins/hparams/plugin_data.proto`): the config where
//! the run begins, and how it ended.

use toml::Value;

use crate::config::Row;
use crate::output::protobuf::{Wire, field};

/// Sections of the config that say where results go and how they are computed, not which.
const ELSEWHERE: [&str; 4] = ["output.", "device", "threads", "plugins"];

/// How a session ended, as `tensorboard/plugins/hparams/api.proto` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run came to its end.
    Well = 1,
    /// It failed.
    Failed = 2,
}

/// A value with the run's settings: what some layer of its config set, its plugins, and its seed.
pub fn start(rows: &[Row], seconds: f64) -> Vec<u8> {
    let told = |row: &&Row| {
        let shown = !row.is_default || row.key == "seed" || row.key.ends_with(".name");
        shown && row.key != "name" && !ELSEWHERE.iter().any(|part| row.key.starts_with(part))
    };
    let setting = |row: &Row| {
        let entry = [field(1, Wire::Bytes(row.key.as_bytes())), field(2, Wire::Bytes(&value(&row.value)))].concat();
        field(1, Wire::Bytes(&entry))
    };
    let mut content: Vec<u8> = rows.iter().filter(told).flat_map(setting).collect();
    content.extend(field(5, Wire::Double(seconds)));
    tagged("_hparams_/session_start_info", &field(3, Wire::Bytes(&content)))
}

/// A value that says how the run ended.
pub fn end(how: Ended, seconds: f64) -> Vec<u8> {
    let content = [field(1, Wire::Whole(how as u64)), field(2, Wire::Double(seconds))].concat();
    tagged("_hparams_/session_end_info", &field(4, Wire::Bytes(&content)))
}

/// A `google.protobuf.Value`: numbers and truth values as such, everything else as the text of the config.
fn value(toml: &str) -> Vec<u8> {
    let parsed = format!("v = {toml}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("v"));
    match parsed {
        Some(Value::Integer(whole)) => field(2, Wire::Double(whole as f64)),
        Some(Value::Float(float)) => field(2, Wire::Double(float)),
        Some(Value::Boolean(is)) => field(4, Wire::Whole(is.into())),
        Some(Value::String(text)) => field(3, Wire::Bytes(text.as_bytes())),
        _ => field(3, Wire::Bytes(toml.as_bytes())),
    }
}

/// A summary's value that only this plugin reads: its data lie in the metadata, and its tensor is the empty one that the
/// plugin's own writer puts there.
fn tagged(tag: &str, data: &[u8]) -> Vec<u8> {
    let plugin = [field(1, Wire::Bytes(b"hparams")), field(2, Wire::Bytes(data))].concat();
    let empty_float = [field(1, Wire::Whole(1)), field(2, Wire::Bytes(&field(2, Wire::Bytes(b""))))].concat();
    [
        field(1, Wire::Bytes(tag.as_bytes())),
        field(8, Wire::Bytes(&empty_float)),
        field(9, Wire::Bytes(&field(1, Wire::Bytes(&plugin)))),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_types_and_what_says_where_results_go_is_left_out() {
        assert_eq!(value("2"), field(2, Wire::Double(2.0)));
        assert_eq!(value("0.5"), field(2, Wire::Double(0.5)));
        assert_eq!(value("true"), [0x20, 1]);
        assert_eq!(value("\"sgd\""), [0x1a, 3, b's', b'g', b'd']);
        assert_eq!(value("[1, 2]"), [&[0x1a, 6], &b"[1, 2]"[..]].concat());
        let row = |key: &str, is_default: bool| Row {
            key: key.to_owned(),
            value: "1".to_owned(),
            origin: String::new(),
            is_default,
        };
        let rows = [row("train.lr", false), row("train.beta1", true), row("output.dir", false), row("seed", true)];
        let written = String::from_utf8_lossy(&start(&rows, 1.0)).into_owned();
        assert!(written.contains("train.lr") && written.contains("seed"), "{written}");
        assert!(!written.contains("beta1") && !written.contains("output"), "{written}");
    }
}
