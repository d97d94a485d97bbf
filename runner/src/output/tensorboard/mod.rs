//! Event files for TensorBoard, which grow with their run: each value with the time at which it came.

mod hparams;
mod kept;
mod records;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use secateur::pruning::Counted;
use secateur::pruning::measure::Histogram;
use secateur::training::event::{EvalAt, Event};

use super::protobuf::{Wire, field};
use crate::config::Row;
pub use hparams::Ended;
pub use kept::KeptEvents;

/// An event file that is open for writing.
#[derive(Debug)]
pub struct EventFile(File);

impl EventFile {
    /// Opens the file of a run that begins, or goes on, at a step: what is in it of this step and of later ones is
    /// dropped, and so is what was cut off. A new file has the run's settings in front.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(path: &Path, step: u64, settings: &[Row]) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let length = if step == 0 { 0 } else { records::length_before(step, BufReader::new(&file))? };
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        let mut opened = Self(file);
        if length == 0 {
            let now = now();
            opened.0.write_all(
                &[records::first(now), records::of_step(now, 0, &[hparams::start(settings, now)])].concat(),
            )?;
        }
        Ok(opened)
    }

    /// Adds what an event says in numbers, at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn take(&mut self, event: &Event) -> io::Result<()> {
        let (step, values) = values(event);
        if values.is_empty() { Ok(()) } else { self.0.write_all(&records::of_step(now(), step, &values)) }
    }

    /// Adds how the run ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(&mut self, step: u64, how: Ended) -> io::Result<()> {
        let now = now();
        self.0.write_all(&records::of_step(now, step, &[hparams::end(how, now)]))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The step of an event, and its values as a summary holds them.
fn values(event: &Event) -> (u64, Vec<Vec<u8>>) {
    let (step, scalars) = scalars(event);
    let scalar = |(tag, value): (String, f64)| {
        [field(1, Wire::Bytes(tag.as_bytes())), field(2, Wire::Float(value as f32))].concat()
    };
    let mut all: Vec<Vec<u8>> = scalars.into_iter().map(scalar).collect();
    if let Event::Prune { weights: Some(weights), .. } = event {
        all.extend([("weights/before_pruning", &weights.before), ("weights/after_pruning", &weights.after)].map(
            |(tag, counts)| {
                [field(1, Wire::Bytes(tag.as_bytes())), field(5, Wire::Bytes(&histogram(weights, counts)))].concat()
            },
        ));
    }
    (step, all)
}

/// A `HistogramProto`: min, max, num, sum, sum_squares, the upper edges of its bars, and their counts. Sums are those of
/// the middles of the bars.
fn histogram(Histogram { limit, .. }: &Histogram, counts: &[usize]) -> Vec<u8> {
    let width = 2.0 * limit / counts.len().max(1) as f64;
    let edge = |bar: usize| -limit + width * bar as f64;
    let middle = |bar: usize| edge(bar) + width / 2.0;
    let sum = |of: fn(f64) -> f64| counts.iter().enumerate().map(|(bar, n)| *n as f64 * of(middle(bar))).sum::<f64>();
    let packed = |numbers: &mut dyn Iterator<Item = f64>| numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    let edges = packed(&mut (1..=counts.len()).map(edge));
    let heights = packed(&mut counts.iter().map(|n| *n as f64));
    let single = [-limit, *limit, counts.iter().sum::<usize>() as f64, sum(|w| w), sum(|w| w * w)];
    let single = (1..).zip(single).flat_map(|(number, value)| field(number, Wire::Double(value)));
    single.chain(field(6, Wire::Bytes(&edges))).chain(field(7, Wire::Bytes(&heights))).collect()
}

/// The step of an event, and what it says in numbers.
fn scalars(event: &Event) -> (u64, Vec<(String, f64)>) {
    let named = |tags: &[(&str, Option<f64>)]| -> Vec<(String, f64)> {
        tags.iter().filter_map(|(tag, value)| Some(((*tag).to_owned(), (*value)?))).collect()
    };
    let number = |value: f64| value.is_finite().then_some(value);
    match event {
        Event::Step { step, loss, lr, .. } => {
            (*step, named(&[("train/batch_loss", number(*loss)), ("train/learning_rate", number(*lr))]))
        }
        Event::Burden { step, layers, .. } => {
            let of = |kind: &str, layer: &str, value: f64| Some((format!("burden_{kind}/{layer}"), number(value)?));
            let layers = layers.iter().flat_map(|layer| {
                [of("gradient", &layer.name, layer.gradient), of("weight", &layer.name, layer.weight)]
            });
            (*step, layers.flatten().collect())
        }
        Event::Epoch { step, loss, accuracy, .. } => {
            (*step, named(&[("train/loss", number(*loss)), ("train/accuracy", *accuracy)]))
        }
        Event::Eval { step, split, loss, accuracy, at: EvalAt::Epoch | EvalAt::End, .. } => {
            let (at_loss, at_accuracy) = (format!("{split}/loss"), format!("{split}/accuracy"));
            (*step, named(&[(&at_loss, number(*loss)), (&at_accuracy, *accuracy)]))
        }
        Event::Prune { step, target, achieved, of, weights_kept, units, kept, .. } => {
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
            all.extend(kept.iter().map(|(layer, kept)| (format!("kept/{layer}"), *kept as f64)));
            (*step, all)
        }
        // Notes are in the report and in `events.jsonl`.
        _ => (0, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"event":"step","step":3,"epoch":1,"loss":0.5,"accuracy":null,"lr":0.25}
{"event":"epoch","step":9,"epoch":1,"loss":1.5,"accuracy":0.5,"sparsity":0.0,"seconds":0.5}
{"event":"burden","step":9,"epoch":1,"layers":[{"name":"fc1.weight","gradient":0.1,"gradient_mean":0,"weight":2,"kept":3,"pruned":0,"regrown":0}]}
{"event":"prune","step":19,"epoch":2,"target":0.1,"achieved":0.1,"units":{"fc1":45},"kept":{"fc1.weight":7},"weights_kept":900,"weights_total":1000,"pruned":100,"regrown":0,"weights":{"limit":1.0,"before":[1,2],"after":[1,1]},"seconds":0.1}"#;

    fn all() -> impl Iterator<Item = Event> {
        LINES.lines().map(|line| serde_json::from_str(line).unwrap())
    }

    #[test]
    fn a_scalar_is_written_byte_for_byte_as_the_formats_documents_have_it() {
        let value = [field(1, Wire::Bytes(b"a")), field(2, Wire::Float(0.5))].concat();
        assert_eq!(value, [0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f]);
        assert_eq!(field(2, Wire::Whole(300)), [0x10, 0xac, 0x02]);
        assert_eq!(field(1, Wire::Double(1.0)), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }

    #[test]
    fn events_become_values_at_once_and_a_run_that_goes_on_drops_those_it_tells_again() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("events");
        let mut file = EventFile::open(&path, 0, &[]).unwrap();
        let lengths: Vec<u64> = all()
            .map(|event| {
                file.take(&event).unwrap();
                std::fs::metadata(&path).unwrap().len()
            })
            .collect();
        assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let tags = [
            "brain.Event:2",
            "_hparams_/session_start_info",
            "train/learning_rate",
            "train/loss",
            "train/accuracy",
            "burden_gradient/fc1.weight",
            "prune/achieved_of_what_may_be_pruned",
            "units/fc1",
            "kept/fc1.weight",
            "weights/before_pruning",
        ];
        assert!(tags.iter().all(|tag| text.contains(tag)), "{text}");
        file.end(20, Ended::Failed).unwrap();
        drop(file);
        _ = EventFile::open(&path, 10, &[]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), lengths[2], "the burden of step 9 is the last that stays");
        _ = EventFile::open(&path, 0, &[]).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < lengths[0], "anew");
    }
}
