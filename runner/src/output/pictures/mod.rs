//! Pictures of a run: how their files are called, and what the log says about them.

mod draw;
mod masks;

pub use draw::png;
pub use masks::{Mask, drawn as mask};

use secateur::training::event::EvalAt;
use secateur::training::picture::{Picture, Shows};
use serde::{Deserialize, Serialize};

/// The folder of pictures in a run's folder.
pub const PICTURES: &str = "pictures";

/// How a line of `events.jsonl` about a picture begins.
const LINE: &str = r#"{"event":"picture","#;

/// A picture that was drawn; one line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "picture")]
pub struct Shown {
    /// The step before the picture.
    pub step: u64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// What is seen on it.
    pub kind: Kind,
    /// The moment that it shows.
    pub at: EvalAt,
    /// Its file, from the run's folder.
    pub file: String,
    /// What it shows in particular, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Images, and the same as the network gives them back.
    Reconstruction,
    /// Images, and their patches as they were merged.
    Tokens,
    /// What is left of the layer that reads the images.
    Mask,
}

impl Shown {
    /// The picture that a line of `events.jsonl` is about, if any.
    pub fn in_line(line: &str) -> Option<Self> {
        serde_json::from_str(line.starts_with(LINE).then_some(line)?).ok()
    }

    /// How a picture is recorded.
    pub fn of(picture: &Picture) -> Self {
        let &Picture { step, epoch, epoch_over, at, .. } = picture;
        let (kind, noun) = match picture.shows {
            Shows::Reconstructions(_) => (Kind::Reconstruction, "reconstruction"),
            Shows::Groups { .. } => (Kind::Tokens, "tokens"),
        };
        let place = if epoch_over { format!("epoch-{epoch:03}") } else { format!("step-{step:06}") };
        let name = match at {
            EvalAt::Start => "start".to_owned(),
            EvalAt::End => "end".to_owned(),
            EvalAt::BeforePrune => format!("{place}-before"),
            EvalAt::AfterPrune => format!("{place}-after"),
            EvalAt::Epoch => place,
        };
        Self { step, epoch, kind, at, file: format!("{PICTURES}/{noun}-{name}.png"), about: String::new() }
    }

    /// How the picture of a mask that the pruning after a step left is recorded.
    pub fn of_mask(step: u64, epoch: u64, about: String) -> Self {
        let file = format!("{PICTURES}/mask-step-{step:06}.png");
        Self { step, epoch, kind: Kind::Mask, at: EvalAt::AfterPrune, file, about }
    }

    /// The name of its file.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_sort_by_time_and_never_share_a_name() {
        let name = |step, epoch_over, at| {
            let (epoch, shape, images, shows) = (5, [1, 1, 1], vec![0.0], Shows::Reconstructions(vec![0.0]));
            Shown::of(&Picture { step, epoch, epoch_over, at, shape, images, shows }).file
        };
        assert_eq!(name(49, true, EvalAt::BeforePrune), "pictures/reconstruction-epoch-005-before.png");
        assert_eq!(name(49, true, EvalAt::AfterPrune), "pictures/reconstruction-epoch-005-after.png");
        assert_eq!(name(45, false, EvalAt::BeforePrune), "pictures/reconstruction-step-000045-before.png");
        assert_eq!(name(49, true, EvalAt::End), "pictures/reconstruction-end.png");
    }

    #[test]
    fn lines_about_pictures_are_read_back() {
        let file = "pictures/a.png".to_owned();
        let shown = Shown { step: 3, epoch: 0, kind: Kind::Tokens, at: EvalAt::Start, file, about: String::new() };
        let line = serde_json::to_string(&shown).unwrap();
        assert_eq!(
            line,
            r#"{"event":"picture","step":3,"epoch":0,"kind":"tokens","at":"start","file":"pictures/a.png"}"#
        );
        let lines = format!("{{\"event\":\"finish\",\"step\":4}}\n{line}\n{}", &line[..40]);
        assert_eq!(lines.lines().filter_map(Shown::in_line).collect::<Vec<_>>(), [shown]);
    }
}
