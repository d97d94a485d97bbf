//! Event files for TensorBoard: TFRecords of protocol buffers, of which scalars need very little.
//!
//! A record is its length, the length's checksum, the content, and the content's checksum
//! (`tensorflow/core/lib/io/record_writer`); the content is an `Event` (`tensorflow/core/util/event.proto`) with
//! `wall_time = 1`, `step = 2`, `file_version = 3`, `summary = 5`.

use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use secateur::pruning::Counted;
use secateur::training::event::{EvalAt, Event};

use super::events;
use super::protobuf::{Wire, field};

/// Writes the event file of a run from the lines of its `events.jsonl`, one at a time: both may be larger than memory.
///
/// # Errors
/// It cannot be written.
pub fn write<L: AsRef<str>>(lines: impl Iterator<Item = L>, file: impl Write) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let mut file = BufWriter::new(file);
    record(&mut file, &[field(1, Wire::Double(now)), field(3, Wire::Bytes(b"brain.Event:2"))].concat())?;
    for event in events(lines) {
        let (step, scalars) = scalars(&event);
        for (tag, value) in scalars {
            let value = [field(1, Wire::Bytes(tag.as_bytes())), field(2, Wire::Float(value as f32))].concat();
            let summary = field(1, Wire::Bytes(&value));
            let event =
                [field(1, Wire::Double(now)), field(2, Wire::Whole(step)), field(5, Wire::Bytes(&summary))].concat();
            record(&mut file, &event)?;
        }
    }
    file.flush()
}

/// The step of an event, and what it says in numbers.
fn scalars(event: &Event) -> (u64, Vec<(String, f64)>) {
    let named = |tags: &[(&str, Option<f64>)]| -> Vec<(String, f64)> {
        tags.iter().filter_map(|(tag, value)| Some(((*tag).to_owned(), (*value)?))).collect()
    };
    let number = |value: f64| value.is_finite().then_some(value);
    match event {
        Event::Epoch { step, loss, accuracy, .. } => {
            (*step, named(&[("train/loss", number(*loss)), ("train/accuracy", *accuracy)]))
        }
        Event::Eval { step, split, loss, accuracy, at: EvalAt::Epoch | EvalAt::End, .. } => {
            let (at_loss, at_accuracy) = (format!("{split}/loss"), format!("{split}/accuracy"));
            (*step, named(&[(&at_loss, number(*loss)), (&at_accuracy, *accuracy)]))
        }
        Event::Prune { step, target, achieved, of, weights_kept, units, .. } => {
            let what = match of {
                Some(cost @ (Counted::Params | Counted::Macs | Counted::Bytes | Counted::Milliseconds)) => {
                    format!("{}_of_the_dense_network", cost.words())
                }
                _ => "what_may_be_pruned".to_owned(),
            };
            let mut all = named(&[
                (&format!("prune/target_of_{what}"), *target),
                (&format!("prune/achieved_of_{what}"), Some(*achieved)),
                ("prune/parameters_kept", Some(*weights_kept as f64)),
            ]);
            all.extend(units.0.iter().map(|(group, units)| (format!("units/{group}"), *units as f64)));
            (*step, all)
        }
        // Scalars are all that the file holds: notes are in the report and in `events.jsonl`.
        _ => (0, Vec::new()),
    }
}

fn record(file: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let length = (content.len() as u64).to_le_bytes();
    file.write_all(&length)?;
    file.write_all(&masked(&length).to_le_bytes())?;
    file.write_all(content)?;
    file.write_all(&masked(content).to_le_bytes())
}

/// The checksum as TFRecords store it: rotated, so that checksums of checksums stay useful.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_tensorflow_writes() {
        // An event of wall time 0 with step 300 and the scalar a = 0.5, byte for byte as the format's documents have
        // it.
        let value = [field(1, Wire::Bytes(b"a")), field(2, Wire::Float(0.5))].concat();
        assert_eq!(value, [0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f]);
        assert_eq!(field(2, Wire::Whole(300)), [0x10, 0xac, 0x02]);
        assert_eq!(field(1, Wire::Double(1.0)), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        // crc32c("123456789") is 0xe3069283 (RFC 3720).
        assert_eq!(masked(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
        let mut file = Vec::new();
        record(&mut file, b"abc").unwrap();
        assert_eq!((file.len(), &file[..8], &file[12..15]), (19, &[3, 0, 0, 0, 0, 0, 0, 0][..], &b"abc"[..]));
    }

    #[test]
    fn epochs_and_pruning_steps_become_scalars() {
        let lines = r#"{"event":"epoch","step":9,"epoch":0,"loss":1.5,"accuracy":0.5,"sparsity":0.0,"seconds":0.5}
{"event":"prune","step":19,"epoch":1,"target":0.1,"achieved":0.1,"units":{"fc1":45},"weights_kept":900,"weights_total":1000,"left":100,"returned":0,"seconds":0.1}"#;
        let mut file = Vec::new();
        write(lines.lines(), &mut file).unwrap();
        let text = String::from_utf8_lossy(&file).into_owned();
        for tag in
            ["brain.Event:2", "train/loss", "train/accuracy", "prune/achieved_of_what_may_be_pruned", "units/fc1"]
        {
            assert!(text.contains(tag), "{tag}");
        }
    }
}
