//! What validation data said of a run's network, for its summary: settings are chosen by it, not by test data.

use secateur::data::SplitName;
use secateur::training::event::Event;
use serde_json::{Map, Value, json};

/// How the line of an evaluation begins.
const EVAL: &str = r#"{"event":"eval","#;

/// `validation_loss` and `validation_accuracy` of a run's summary: of the network as it was after the last step. A run
/// without validation data has neither, nor has one whose log ends before that.
pub fn validated<L: AsRef<str>>(lines: impl Iterator<Item = L>) -> Map<String, Value> {
    // The last epoch is always measured; what follows it is about test data. A log may be larger than memory.
    let mut last_two = [None, None];
    for line in lines.filter(|line| line.as_ref().starts_with(EVAL)) {
        last_two = [Some(line), last_two[0].take()];
    }
    let last = last_two.iter().flatten();
    let last: Vec<Event> = last.filter_map(|line| serde_json::from_str(line.as_ref()).ok()).collect();
    let (Some(Event::Eval { step: end, .. }), Some(Event::Eval { step, loss, accuracy, .. })) =
        (last.first(), last.iter().find(|event| matches!(event, Event::Eval { split: SplitName::Validation, .. })))
    else {
        return Map::new();
    };
    let measured = [("validation_loss", Some(*loss)), ("validation_accuracy", *accuracy)];
    let measured = measured.into_iter().filter(|_| step == end);
    measured.filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_validation_is_that_of_the_network_at_the_end() {
        let line = |step: u64, split: &str, accuracy: &str, at: &str| {
            format!(
                r#"{{"event":"eval","step":{step},"epoch":1,"split":"{split}","loss":0.5,"accuracy":{accuracy},"at":"{at}"}}"#
            )
        };
        let log = |last: u64| {
            [
                line(9, "validation", "0.6", "epoch"),
                line(last, "validation", "0.7", "epoch"),
                line(19, "test", "0.9", "end"),
            ]
        };
        let found = validated(log(19).iter());
        assert_eq!(Value::from(found), json!({"validation_loss": 0.5, "validation_accuracy": 0.7}));
        assert!(validated(log(18).iter()).is_empty(), "weights changed after it");
        assert!(validated([line(19, "test", "0.9", "epoch"), line(19, "test", "0.9", "end")].iter()).is_empty());
        let reconstruction = [line(19, "validation", "null", "epoch"), line(19, "test", "null", "end")];
        assert_eq!(Value::from(validated(reconstruction.iter())), json!({"validation_loss": 0.5}));
    }
}
