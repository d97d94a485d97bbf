//! What is searched: a dimension for each key, and how its values lie between 0 and 1.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// One key that is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Dotted: `train.lr`.
    pub key: String,
    /// The parts of the key.
    pub path: Vec<String>,
    /// The values that it takes.
    pub kind: Kind,
    /// Where it holds; everywhere where absent.
    pub when: Option<Active>,
}

/// The values of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Numbers between two others.
    Span(Span),
    /// The labels of values that are chosen from.
    Choice(Vec<String>),
}

/// Numbers from one to another, both among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// Whether factors count, and not differences.
    pub log: bool,
    /// Whether they are whole.
    pub whole: bool,
    /// The distance of neighbours, where they lie on a grid that begins with `low`.
    pub step: Option<f64>,
}

/// A condition: another dimension has one of these choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// The place of that dimension, before this one.
    pub dimension: usize,
    /// The places of the choices.
    pub choices: Vec<usize>,
}

/// One value of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drawn {
    /// A number.
    Real(f64),
    /// A whole number.
    Whole(i64),
    /// The place of a choice.
    Choice(usize),
}

/// One value for each dimension; none for one that does not hold.
pub type Point = Vec<Option<Drawn>>;

/// Significant digits of numbers that are drawn: more would tell nobody anything.
const DIGITS: i32 = 4;

/// What keeps the largest value below 1.
const BELOW_ONE: f64 = 1.0 - 1e-9;

/// Whole numbers beyond this are no more told apart.
const LARGEST: f64 = 9e15;

impl Span {
    /// Reads `{ low = 0.001, high = 0.3, log = true }`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(table: &Table) -> Result<Self, String> {
        const KEYS: [&str; 5] = ["low", "high", "log", "integer", "step"];
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown key {key}; known here: {}", KEYS.join(", ")));
        }
        let number = |key: &str| {
            let value = table.get(key).ok_or_else(|| format!("{key} is missing"))?;
            let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            number.filter(|number| number.is_finite()).ok_or_else(|| format!("{key} = {value} is no number"))
        };
        let flag = |key: &str| match table.get(key) {
            None => Ok(None),
            Some(Value::Boolean(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("{key} = {other} is neither true nor false")),
        };
        let (low, high) = (number("low")?, number("high")?);
        let (log, integer) = (flag("log")?.unwrap_or(false), flag("integer")?);
        let step = table.contains_key("step").then(|| number("step")).transpose()?;
        let whole = |key: &str| table.get(key).is_none_or(Value::is_integer);
        if integer.is_none() && whole("low") && whole("high") {
            let both = "so that it may be meant as whole numbers or as real ones";
            return Err(format!(
                "low = {low} and high = {high} are whole, {both}: add integer = true, or write {low:.1}"
            ));
        }
        let integer = integer.unwrap_or(false);
        if low >= high {
            return Err(format!("the range from low = {low} to high = {high} is empty"));
        }
        if log && low <= 0.0 {
            return Err(format!("log = true asks for low above 0, found {low}"));
        }
        if let Some(key) = ["low", "high", "step"].into_iter().find(|key| integer && !whole(key)) {
            return Err(format!("integer = true asks for a whole {key}, found {}", table[key]));
        }
        if integer && (low.abs() > LARGEST || high.abs() > LARGEST) {
            return Err(format!("whole numbers beyond {LARGEST:e} are not told apart"));
        }
        match step {
            Some(step) if step <= 0.0 || step > high - low => {
                return Err(format!("step = {step} must be above 0, and at most high - low = {}", high - low));
            }
            Some(_) if log => return Err("step goes with log = false".to_owned()),
            _ => {}
        }
        Ok(Self { low, high, log, whole: integer, step })
    }

    /// The value at a place from 0 to 1.
    pub fn at(&self, place: f64) -> Drawn {
        let within = |value: f64| value.clamp(self.low, self.high);
        if let Some(step) = self.grid() {
            let value = self.low + (place * self.steps(step)).floor() * step;
            return if self.whole { Drawn::Whole(value as i64) } else { Drawn::Real(within(rounded(value, 12))) };
        }
        let (low, high) = self.ends();
        let value = (low + place * (high - low)).exp_if(self.log);
        if self.whole {
            Drawn::Whole(within(value.round()) as i64)
        } else {
            Drawn::Real(within(rounded(value, DIGITS)))
        }
    }

    /// The first value and the last.
    pub fn extremes(&self) -> [Drawn; 2] {
        [self.at(0.0), self.at(BELOW_ONE)]
    }

    /// The place of a value, from 0 to below 1.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.grid() {
            Some(step) => (((value - self.low) / step).round() + 0.5) / self.steps(step),
            None => {
                let (low, high) = self.ends();
                let value = if self.log { value.ln() } else { value };
                (value - low) / (high - low)
            }
        };
        place.clamp(0.0, BELOW_ONE)
    }

    /// The distance of neighbours, where values are laid out evenly.
    fn grid(&self) -> Option<f64> {
        self.step.or((self.whole && !self.log).then_some(1.0))
    }

    /// How many values a grid has.
    fn steps(&self, step: f64) -> f64 {
        ((self.high - self.low) / step + 1e-9).floor() + 1.0
    }

    /// What 0 and 1 stand for; whole numbers reach half a number further, so that each has its share.
    fn ends(&self) -> (f64, f64) {
        let half = if self.whole { 0.5 } else { 0.0 };
        let ends = (self.low - half, self.high + half);
        if self.log { (ends.0.ln(), ends.1.ln()) } else { ends }
    }

    /// How many values there are, where that is few enough to count.
    fn count(&self) -> Option<f64> {
        let whole = (self.whole && self.log).then_some(self.high - self.low + 1.0);
        whole.or_else(|| Some(self.steps(self.grid()?)))
    }
}

trait ExpIf {
    fn exp_if(self, log: bool) -> f64;
}

impl ExpIf for f64 {
    fn exp_if(self, log: bool) -> f64 {
        if log { self.exp() } else { self }
    }
}

/// A number with so many significant digits.
fn rounded(value: f64, digits: i32) -> f64 {
    // By its text, so that 0.3 is 0.3.
    let decimals = usize::try_from(digits - 1).unwrap_or_default();
    format!("{value:.decimals$e}").parse().unwrap_or(value)
}

impl Drawn {
    /// As a config has it; a choice has no value of its own.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Real(value) => Some(Value::Float(value)),
            Self::Whole(value) => Some(Value::Integer(value)),
            Self::Choice(_) => None,
        }
    }

    /// As a number; the place of a choice.
    pub fn number(self) -> f64 {
        match self {
            Self::Real(value) => value,
            Self::Whole(value) => value as f64,
            Self::Choice(place) => place as f64,
        }
    }
}

impl Dimension {
    /// How many values it has; `None` for one that has more than can be counted.
    pub fn count(&self) -> Option<f64> {
        match &self.kind {
            Kind::Choice(labels) => Some(labels.len() as f64),
            Kind::Span(span) => span.count(),
        }
    }

    /// `train.lr: 0.001 to 0.3, log`.
    pub fn told(&self, space: &[Self]) -> String {
        let values = match &self.kind {
            Kind::Choice(labels) => labels.join(", "),
            Kind::Span(span) => {
                let mut text = format!("{} to {}", span.low, span.high);
                text += if span.whole { ", whole" } else { "" };
                text += if span.log { ", log" } else { "" };
                text + &span.step.map_or_else(String::new, |step| format!(", in steps of {step}"))
            }
        };
        let when = self.when.as_ref().and_then(|when| {
            let Kind::Choice(labels) = &space.get(when.dimension)?.kind else { return None };
            let labels: Vec<&str> = when.choices.iter().map(|choice| labels[*choice].as_str()).collect();
            Some(format!(", where {} is {}", space[when.dimension].key, labels.join(" or ")))
        });
        format!("{}: {values}{}", self.key, when.unwrap_or_default())
    }
}

/// Whether a dimension holds at a point, of which those before it are known.
pub fn is_active(dimension: &Dimension, point: &[Option<Drawn>]) -> bool {
    dimension.when.as_ref().is_none_or(|when| {
        let choice = point.get(when.dimension).copied().flatten();
        choice.is_some_and(|choice| matches!(choice, Drawn::Choice(choice) if when.choices.contains(&choice)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Result<Span, String> {
        Span::read(&text.parse().unwrap())
    }

    #[test]
    fn wrong_ranges_are_refused_with_what_is_wrong() {
        for (text, expected) in [
            ("low = 0.3\nhigh = 0.1", "is empty"),
            ("low = 0.3\nhigh = 0.3", "is empty"),
            ("low = -1.0\nhigh = 0.5\nlog = true", "log = true asks for low above 0, found -1"),
            ("low = 0.0\nhigh = 0.5\nlog = true", "low above 0"),
            ("low = 1\nhigh = 5", "add integer = true, or write 1.0"),
            ("low = 1.5\nhigh = 5\ninteger = true", "a whole low"),
            ("low = 0.1", "high is missing"),
            ("low = 'a'\nhigh = 1.0", "no number"),
            ("low = 0.1\nhigh = 1.0\nstep = 2.0", "step = 2"),
            ("low = 0.1\nhigh = 1.0\nstep = 0.1\nlog = true", "log = false"),
            ("low = 0.1\nhigh = 1.0\nlog = 3", "neither true nor false"),
            ("low = 0.1\nhigh = 1.0\nbase = 3", "unknown key base"),
        ] {
            let found = span(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn places_cover_a_range_evenly_and_come_back() {
        let real = span("low = 0.001\nhigh = 1.0\nlog = true").unwrap();
        assert_eq!([0.0, 0.5, 0.99999].map(|place| real.at(place).number()), [0.001, 0.03162, 0.9999]);
        assert!((real.place(0.03162) - 0.5).abs() < 1e-3);
        let whole = span("low = 2\nhigh = 4\ninteger = true").unwrap();
        assert_eq!([0.0, 0.34, 0.67, 0.999].map(|place| whole.at(place)), [2, 3, 4, 4].map(Drawn::Whole));
        assert!(
            [2, 3, 4].iter().all(|value| whole.at(whole.place(f64::from(*value))) == Drawn::Whole((*value).into()))
        );
        let grid = span("low = 0.1\nhigh = 0.9\nstep = 0.2").unwrap();
        let found: Vec<f64> = (0..5).map(|nth| grid.at((f64::from(nth) + 0.5) / 5.0).number()).collect();
        assert_eq!(found, [0.1, 0.3, 0.5, 0.7, 0.9]);
        assert!(found.iter().all(|value| grid.at(grid.place(*value)).number() == *value));
        let powers = span("low = 1\nhigh = 100\nlog = true\ninteger = true").unwrap();
        assert_eq!([0.0, 1.0 - 1e-9].map(|place| powers.at(place)), [1, 100].map(Drawn::Whole));
        assert!((1..=100).all(|value| powers.at(powers.place(f64::from(value))) == Drawn::Whole(value.into())));
    }
}
