//! Columns of numbers of a page: each told once, and all of them thinned until the page has room for them.

use std::collections::HashMap;

use serde_json::Value;

use crate::output::{Column, kept, thinned};

/// Points of a curve at most: more would be finer than the page's pixels.
pub const POINTS: usize = 120;
/// Points of a curve at least: fewer are no curve.
const FEWEST: usize = 4;
/// Numbers of all columns together, about seven bytes each: a page of many runs stays small enough to be opened and sent.
pub const NUMBERS: usize = 280_000;

/// Columns as they come in; one that came before is told once, since most runs of a page are measured at the same places.
#[derive(Default)]
pub struct Columns {
    known: HashMap<Vec<u64>, usize>,
    /// Each with how often it came.
    all: Vec<(Column, usize)>,
}

/// What a page holds of its columns.
pub struct Told {
    /// Those that came more than once.
    pub shared: Vec<Value>,
    /// How each is referred to, by its number: its place among the shared, or all of it where it came once.
    pub columns: Vec<Value>,
}

impl Columns {
    /// The number of a column.
    pub fn number(&mut self, column: Column) -> usize {
        let bits = column.iter().map(|value| value.to_bits()).collect();
        let number = *self.known.entry(bits).or_insert(self.all.len());
        match self.all.get_mut(number) {
            Some((_, times)) => *times += 1,
            None => self.all.push((column, 1)),
        }
        number
    }

    /// Every column with as many points as leave room for the others: short ones stay whole as long as they can.
    pub fn told(self) -> Told {
        let most = self.most();
        let mut told = Told { shared: Vec::new(), columns: Vec::with_capacity(self.all.len()) };
        for (column, times) in self.all {
            let values = Value::Array(thinned(&column, most).into_iter().map(number).collect());
            told.columns.push(if times > 1 { told.shared.len().into() } else { values.clone() });
            told.shared.extend((times > 1).then_some(values));
        }
        told
    }

    /// The most points of a column with which all of them are [`NUMBERS`] at most.
    fn most(&self) -> usize {
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        self.all.iter().for_each(|(column, _)| *lengths.entry(column.len()).or_default() += 1);
        let numbers =
            |most: usize| lengths.iter().map(|(length, columns)| kept(*length, most) * columns).sum::<usize>();
        (FEWEST..=POINTS).rev().find(|most| numbers(*most) <= NUMBERS).unwrap_or(FEWEST)
    }
}

/// A number as short as it is written: none where it is not known, and no fraction where it has none.
pub fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { Value::from(value as i64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_come_again_are_told_once() {
        let mut columns = Columns::default();
        let numbers =
            [vec![1.0, 2.0], vec![0.5, f64::NAN], vec![1.0, 2.0], vec![]].map(|column| columns.number(column));
        assert_eq!(numbers, [0, 1, 0, 2]);
        let told = columns.told();
        assert_eq!(serde_json::json!(told.shared).to_string(), "[[1,2]]");
        assert_eq!(serde_json::json!(told.columns).to_string(), "[0,[0.5,null],[]]");
    }

    #[test]
    fn long_columns_give_way_and_short_ones_stay_whole() {
        let mut columns = Columns::default();
        let all = 4000;
        for run in 0..all {
            columns.number((0..6).map(|i| f64::from(i + 10 * run)).collect());
            columns.number((0..POINTS).map(|i| i as f64 + 0.5 + 1000.0 * f64::from(run)).collect());
        }
        let told = columns.told();
        let lengths: Vec<usize> = told.columns.iter().map(|column| column.as_array().unwrap().len()).collect();
        assert!(lengths.iter().sum::<usize>() <= NUMBERS);
        assert!(lengths.iter().step_by(2).all(|length| *length == 6), "all pruning steps stay");
        assert!(lengths.iter().skip(1).step_by(2).all(|length| *length > 40), "{}", lengths[1]);
        // A few runs keep all points.
        let mut few = Columns::default();
        few.number((0..POINTS).map(|i| i as f64).collect());
        assert_eq!(few.told().columns[0].as_array().unwrap().len(), POINTS);
    }
}
