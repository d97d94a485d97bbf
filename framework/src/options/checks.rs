//! What a set of options says about its own values: ranges, and combinations of keys.

use super::{OptionSet, Table, short};
use crate::error::OptionError;
use std::ops::{Bound, RangeBounds};

/// More units than any layer has: a larger width is a slip of the pen, and would exhaust the memory before it is
/// noticed.
const WIDEST: usize = 1 << 24;

/// Collects the values that [`OptionSet::check`] refuses, each under its key, so that a user hears of all of them
/// together.
///
/// A key is relative to the set (`threshold`); whoever reads the options puts the path in front
/// (`criterion.threshold`).
#[derive(Debug)]
pub struct Checks {
    values: Table,
    errors: Vec<OptionError>,
}

impl Checks {
    /// Everything that `options` refuse in themselves; `written` holds values as the user wrote them, where that is
    /// known.
    pub(super) fn of<T: OptionSet>(options: &T, written: &Table) -> Vec<OptionError> {
        let mut values = Table::try_from(options).unwrap_or_default();
        values.extend(written.clone());
        let mut checks = Self { values, errors: vec![] };
        options.check(&mut checks);
        checks.errors
    }

    /// Refuses the value under `key` unless it is `ok`; `allowed` says what may stand there. The first reason against a
    /// value is the one that is reported, so that a range can be checked before what follows from it.
    pub fn ensure(&mut self, key: &str, ok: bool, allowed: impl Into<String>) {
        if !ok && self.errors.iter().all(|error| error.key != key) {
            let found = self.values.get(key).or_else(|| at(&self.values, key));
            self.errors.push(OptionError::new(key, found.map_or_else(|| "nothing".into(), short), allowed));
        }
    }

    /// Refuses a number outside `range`; an infinite one and NaN always, an option that is off never.
    ///
    /// ```
    /// secateur::options! {
    ///     /// Noise.
    ///     pub struct Noise {
    ///         /// Probability.
    ///         pub rate: f64 = 0.1,
    ///         /// Draws.
    ///         pub draws: Option<u64> = None,
    ///     }
    ///     fn check(&self, checks: &mut Checks) {
    ///         checks.range("rate", self.rate, 0.0..1.0);
    ///         checks.range("draws", self.draws, 1.0..);
    ///     }
    /// }
    /// let errors = secateur::options::parse::<Noise>(&"rate = 1".parse().unwrap()).unwrap_err();
    /// assert_eq!(errors[0].to_string(), "`rate` = 1: must be at least 0 and below 1");
    /// ```
    pub fn range(&mut self, key: &str, value: impl Number, range: impl RangeBounds<f64>) {
        let ok = value.number().is_none_or(|x| x.is_finite() && range.contains(&x));
        self.ensure(key, ok, words(&range));
    }

    /// Refuses a number that is not above `bound`; an infinite one and NaN always, an option that is off never.
    pub fn above(&mut self, key: &str, value: impl Number, bound: f64) {
        self.range(key, value, (Bound::Excluded(bound), Bound::Unbounded));
    }

    /// Refuses a fraction of zeros that is not at least 0 and below 1.
    pub fn sparsity(&mut self, key: &str, value: impl Number) {
        let ok = value.number().is_none_or(|s| (0.0..1.0).contains(&s));
        self.ensure(key, ok, "must be a fraction of zeros, at least 0 and below 1");
    }

    /// Refuses layers without units, or with more than any network has.
    pub fn widths(&mut self, key: &str, widths: &[usize]) {
        if let Some(i) = widths.iter().position(|w| !(1..=WIDEST).contains(w)) {
            let what = if widths[i] == 0 { "no units" } else { "too many units" };
            self.ensure(key, false, format!("layer {i} has {what}; every width must lie between 1 and {WIDEST}"));
        }
    }

    /// Refuses a layer without units, or with more than any network has.
    pub fn width(&mut self, key: &str, width: usize) {
        self.ensure(key, (1..=WIDEST).contains(&width), format!("must lie between 1 and {WIDEST}"));
    }
}

/// The key of `name` in the table under `table`, quoted where TOML wants it: `table."fc1.weight"`.
pub fn key_in(table: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { format!("{table}.{name}") } else { format!("{table}.{name:?}") }
}

/// The value under a key that [`key_in`] made.
fn at<'a>(values: &'a Table, key: &str) -> Option<&'a toml::Value> {
    let (table, _) = key.split_once('.')?;
    let mut inner = values.get(table)?.as_table()?.iter();
    inner.find(|(name, _)| key_in(table, name) == key).map(|(_, value)| value)
}

fn words(range: &impl RangeBounds<f64>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(a), Bound::Included(b)) => format!("must lie between {a} and {b}"),
        (Bound::Included(a), Bound::Excluded(b)) => format!("must be at least {a} and below {b}"),
        (Bound::Excluded(a), Bound::Included(b)) => format!("must be above {a} and at most {b}"),
        (Bound::Excluded(a), Bound::Excluded(b)) => format!("must lie between {a} and {b}, both excluded"),
        (Bound::Included(a), Bound::Unbounded) => format!("must be a number of at least {a}"),
        (Bound::Excluded(a), Bound::Unbounded) => format!("must be a number above {a}"),
        (Bound::Unbounded, Bound::Included(b)) => format!("must be a number of at most {b}"),
        (Bound::Unbounded, Bound::Excluded(b)) => format!("must be a number below {b}"),
        (Bound::Unbounded, Bound::Unbounded) => "must be a finite number".into(),
    }
}

/// What can be compared with a range: a number, or an option that holds one or is off.
pub trait Number {
    /// The number; `None` for an option that is off.
    fn number(&self) -> Option<f64>;
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Number for $type {
            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )+};
}

numbers!(f32 f64 u32 u64 usize i32 i64);

impl<T: Number> Number for Option<T> {
    fn number(&self) -> Option<f64> {
        self.as_ref().and_then(Number::number)
    }
}

#[cfg(test)]
mod tests {
    use crate::options::{OptionSet, key_in, parse};
    use std::collections::BTreeMap;

    crate::options! {
        /// Example.
        struct Example {
            /// A share.
            share: f32 = 0.5,
            /// Off by default.
            limit: Option<u64> = None,
            /// Layers.
            widths: Vec<usize> = vec![3],
            /// Fractions by name.
            table: BTreeMap<String, f64> = BTreeMap::new(),
        }
        fn check(&self, checks: &mut Checks) {
            checks.range("share", self.share, 0.0..=1.0);
            checks.range("limit", self.limit, 1.0..);
            checks.widths("widths", &self.widths);
            for (name, fraction) in &self.table {
                checks.sparsity(&key_in("table", name), *fraction);
            }
        }
    }

    fn refused(text: &str) -> Vec<String> {
        parse::<Example>(&text.parse().unwrap()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_out_of_range_are_named_together_as_they_were_written() {
        assert_eq!(
            refused("share = -0.1\nlimit = 0\nwidths = [3, 0]\ntable = { \"fc1.weight\" = 1 }"),
            [
                "`share` = -0.1: must lie between 0 and 1",
                "`limit` = 0: must be a number of at least 1",
                "`widths` = [3, 0]: layer 1 has no units; every width must lie between 1 and 16777216",
                "`table.\"fc1.weight\"` = 1: must be a fraction of zeros, at least 0 and below 1",
            ]
        );
        for wrong in ["nan", "inf", "-inf"] {
            assert_eq!(refused(&format!("share = {wrong}")).len(), 1, "{wrong}");
        }
        assert!(refused("widths = [20000000]")[0].contains("layer 0 has too many units"));
    }

    #[test]
    fn wrong_types_and_ranges_are_named_together() {
        let errors = refused("share = -1\nlimit = \"x\"\nshares = 2");
        let starts = ["`limit` = \"x\": invalid type", "`shares` = 2: unknown option", "`share` = -1: must lie"];
        assert!(errors.len() == 3 && errors.iter().zip(starts).all(|(e, start)| e.starts_with(start)), "{errors:?}");
    }

    #[test]
    fn options_made_in_rust_are_checked_alike() {
        let errors = Example { limit: Some(0), ..Example::default() }.errors();
        assert_eq!(errors[0].to_string(), "`limit` = 0: must be a number of at least 1");
        assert!(Example::default().errors().is_empty());
    }
}
