//! A table of runs that is kept when their folders are not: `compare --keep FILE`, and `compare FILE` later.
//!
//! JSON lines. The first has what all runs have in common and the claims of their sweep, the last a checksum of all before;
//! each other has one run: its folder's name (which holds the hash of its config), what of its config is its own, and its
//! summary without what describes single units.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::claims::Noted;
use super::index::Record;
use super::ties::Ties;

/// What the name of such a file ends with.
pub const EXTENSION: &str = "jsonl";

const FORMAT: &str = "secateur runs 1";

/// Of the burden of a layer, what comparisons ask for.
const OF_A_LAYER: [&str; 4] = ["name", "gradient", "weight", "kept"];

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<Noted>,
    /// What a reader of comparisons should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Whether seeds were added until comparisons were settled.
    #[serde(default)]
    looked: bool,
    common: Map<String, Value>,
}

/// SHA-256 of all lines above.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    run: String,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    control: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    controls: BTreeMap<String, String>,
    config: Map<String, Value>,
    summary: Map<String, Value>,
}

/// Runs of a sweep, what it was to show, and what is to be known of both.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The runs that ended.
    pub records: Vec<Record>,
    /// The claims of their sweep.
    pub claims: Vec<Noted>,
    /// What a reader of comparisons should know.
    pub notes: Vec<String>,
    /// Whether seeds were added until comparisons were settled.
    pub looked: bool,
}

/// The file's text.
pub fn written(kept: Kept) -> String {
    let Kept { mut records, claims, notes, looked } = kept;
    records.iter_mut().for_each(|record| leave_places(&mut record.config));
    let mut common = records.first().map(|record| record.config.clone()).unwrap_or_default();
    records.iter().for_each(|record| keep_equal(&mut common, &record.config));
    let ties = ties(&records);
    let line = |record: Record| {
        let mut controls = record.controls;
        controls.extend(ties.get(&record.folder).cloned().unwrap_or_default());
        let Record { folder, status, error, version, control, config, summary, .. } = record;
        let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (config, summary) = (without(config, &common), figures(summary));
        serde_json::to_string(&Line { run, status, error, version, control, controls, config, summary })
            .unwrap_or_default()
    };
    let lines: Vec<String> = records.into_iter().map(|record| line(record) + "\n").collect();
    let head = Head { format: FORMAT.to_owned(), claims, notes, looked, common };
    let text = serde_json::to_string(&head).unwrap_or_default() + "\n" + &lines.concat();
    let seal = serde_json::to_string(&Seal { sha256: digest(&text) }).unwrap_or_default();
    text + &seal + "\n"
}

/// By the folders of cells, the kinds and names of their controls, as their sweeps noted them.
fn ties(records: &[Record]) -> BTreeMap<PathBuf, BTreeMap<String, String>> {
    let mut found: BTreeMap<PathBuf, BTreeMap<String, String>> = BTreeMap::new();
    let sweeps: BTreeSet<&Path> = records.iter().filter_map(|record| record.folder.parent()).collect();
    for sweep in sweeps {
        Ties::read(sweep).each(|cell, kind, control| {
            found.entry(sweep.join(cell)).or_default().insert(kind.to_owned(), control.to_owned());
        });
    }
    found
}

/// Reads such a file: its runs as if they lay in a folder of its name.
///
/// # Errors
/// It is none, or not what was written.
pub fn read(path: &Path) -> Result<Kept, String> {
    let cannot = |error: std::io::Error| format!("cannot read it: {error}");
    // Nobody may ever write into a pipe.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    let first = text.lines().next().unwrap_or_default();
    let head: Head = serde_json::from_str(first)
        .map_err(|_| format!("this is no table of runs: its first line does not say \"{FORMAT}\""))?;
    if head.format != FORMAT {
        return Err(format!("a table of the format {:?}, and this program reads {FORMAT:?}", head.format));
    }
    let above = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).map_or(0, |end| end + 1);
    let seal: Option<Seal> = serde_json::from_str(&text[above..]).ok();
    if seal.is_none_or(|seal| seal.sha256 != digest(&text[..above])) {
        return Err("it is not what was written: its checksum is another".to_owned());
    }
    let record = |line: &str| -> Result<Record, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Line { run, status, error, version, control, controls, config, summary } = line;
        let mut whole = head.common.clone();
        lay_over(&mut whole, config);
        Ok(Record { folder: path.join(run), status, error, version, control, controls, config: whole, summary })
    };
    let records = text[..above].lines().skip(1).map(record).collect::<Result<Vec<_>, _>>()?;
    Ok(Kept { records, claims: head.claims, notes: head.notes, looked: head.looked })
}

/// Takes away where a run found its data and wrote its results: that is of one machine, and changes no figure.
fn leave_places(config: &mut Map<String, Value>) {
    config.remove("output");
    if let Some(Value::Object(data)) = config.get_mut("data") {
        data.remove("dir");
    }
}

/// What a summary measures, without lists of single things and what belongs to a folder.
fn figures(mut summary: Map<String, Value>) -> Map<String, Value> {
    summary
        .retain(|key, value| key == "burden" || !(value.is_array() || ["sha256", "events_sha256"].contains(&&**key)));
    if let Some(Value::Array(layers)) = summary.get_mut("burden") {
        layers
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|layer| layer.retain(|key, _| OF_A_LAYER.contains(&key.as_str())));
    }
    summary
}

/// Keeps the entries that another config has too.
fn keep_equal(common: &mut Map<String, Value>, other: &Map<String, Value>) {
    common.retain(|key, value| match (value, other.get(key)) {
        (Value::Object(inner), Some(Value::Object(others))) => {
            keep_equal(inner, others);
            !inner.is_empty() || others.is_empty()
        }
        (value, Some(other)) => *value == *other,
        (_, None) => false,
    });
}

/// The entries that are not common.
fn without(config: Map<String, Value>, common: &Map<String, Value>) -> Map<String, Value> {
    let own = config.into_iter().filter_map(|(key, value)| match (value, common.get(&key)) {
        (Value::Object(inner), Some(Value::Object(shared))) => {
            let own = without(inner, shared);
            (!own.is_empty()).then_some((key, Value::Object(own)))
        }
        (_, Some(_)) => None,
        (value, None) => Some((key, value)),
    });
    own.collect()
}

fn lay_over(common: &mut Map<String, Value>, own: Map<String, Value>) {
    for (key, value) in own {
        match (common.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => lay_over(inner, value),
            (_, value) => _ = common.insert(key, value),
        }
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(run: &str, config: Value) -> Record {
        let summary = json!({
            "status": "finished", "test_accuracy": 0.1 + 0.2, "notes": ["x"], "sha256": "s", "units": {"fc1": 3},
            "burden": [{"name": "fc1.weight", "gradient": 0.5, "neurons": {"max": 1.0}}],
        });
        Record {
            folder: Path::new("runs/s").join(run),
            status: "finished".to_owned(),
            version: "0.1.0".to_owned(),
            control: Some("random".to_owned()).filter(|_| run == "c"),
            config: config.as_object().unwrap().clone(),
            summary: summary.as_object().unwrap().clone(),
            ..Record::default()
        }
    }

    fn three() -> Vec<Record> {
        vec![
            record(
                "a",
                json!({"seed": 0, "train": {"lr": 0.1, "epochs": 3}, "schedule": {"name": "cubic", "to": 0.5}, "empty": {}}),
            ),
            record(
                "b",
                json!({"seed": 1, "train": {"lr": 0.2, "epochs": 3}, "schedule": {"name": "never"}, "empty": {}}),
            ),
            record(
                "c",
                json!({"seed": 1, "train": {"lr": 0.1, "epochs": 3}, "schedule": {"name": "cubic"}, "empty": {}, "x": [1]}),
            ),
        ]
    }

    fn kept() -> Kept {
        Kept { records: three(), ..Kept::default() }
    }

    #[test]
    fn what_is_kept_comes_back_without_what_describes_single_things() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("t.jsonl");
        fs::write(&path, written(Kept { looked: true, notes: vec!["n".to_owned()], ..kept() })).unwrap();
        let Kept { records: read, claims, notes, looked } = read(&path).unwrap();
        assert!(claims.is_empty() && looked && notes == ["n"]);
        for (before, after) in three().into_iter().zip(&read) {
            assert_eq!(before.config, after.config);
            assert_eq!(after.folder, path.join(before.folder.file_name().unwrap()));
            assert_eq!(
                (before.status, before.version, before.control),
                (after.status.clone(), after.version.clone(), after.control.clone())
            );
            assert_eq!(after.summary["test_accuracy"], json!(0.1 + 0.2));
            assert_eq!(after.summary["burden"], json!([{"name": "fc1.weight", "gradient": 0.5}]));
            assert!(!after.summary.contains_key("notes") && !after.summary.contains_key("sha256"));
        }
    }

    #[test]
    fn no_path_of_a_machine_is_kept() {
        let places =
            json!({"seed": 0, "output": {"dir": "/home/me/runs"}, "data": {"name": "mnist", "dir": "/home/me/data"}});
        let text = written(Kept { records: vec![record("a", places)], ..Kept::default() });
        assert!(!text.contains("/home/me") && text.contains("mnist"), "{text}");
    }

    #[test]
    fn every_change_of_a_table_is_noticed() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("t.jsonl");
        let text = written(kept());
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(read(&path).is_err(), "byte {at}");
        }
        let cut = &text[..text.find('\n').unwrap() + 1];
        for (text, expected) in [("", "no table of runs"), ("{}\n", "no table of runs"), (cut, "checksum")] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().contains(expected));
        }
        assert!(read(&here.path().join("none")).unwrap_err().contains("cannot read it"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_before_it_is_opened() {
        assert_eq!(read(Path::new("/dev/null")).unwrap_err(), "it is no regular file");
    }

    #[test]
    fn a_reader_bears_tables_that_nobody_wrote() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("t.jsonl");
        secateur_fuzz::bears("kept", &[written(kept()).into_bytes()], |bytes| {
            fs::write(&path, bytes).unwrap();
            _ = read(&path);
            bytes.len()
        });
    }
}
