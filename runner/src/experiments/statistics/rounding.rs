//! Numbers that are equal but for rounding.
//!
//! Values of runs are read from text with 17 digits, so that each is off by at most half a unit in its last place, and a
//! difference by a few of them. A spread or a difference of that size says nothing about runs, and everything that
//! divides by it would be nonsense.

/// What rounding can do to a value, as a fraction of it. Metrics that truly differ do so in their first nine digits.
pub(super) const ROUNDING: f64 = 1e-12;

/// Whether two values are equal but for rounding.
pub fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

/// The arithmetic mean; that of equal values is their value to the last bit, which a sum divided by a count is not.
pub fn mean(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    Some(first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64)
}

/// Values with those set equal that are equal but for rounding, where `size` is that of the numbers that they were made
/// from: 0.914 - 0.904 and 0.11 - 0.1 become the same 0.01, and a difference of rounding alone becomes 0.
pub fn settled(values: &[f64], size: f64) -> Vec<f64> {
    let rounding = ROUNDING * size;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
    let (mut settled, mut anchor) = (values.to_vec(), 0.0);
    for index in order {
        let value = values[index].abs();
        anchor = if value - anchor <= rounding { anchor } else { value };
        settled[index] = if anchor == 0.0 { 0.0 } else { anchor.copysign(values[index]) };
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_equal_values_is_their_value() {
        for value in [0.1, 0.95, 0.9533333333333334, 1e-300, 1e300, -0.7] {
            for n in 1..200 {
                assert_eq!(mean(&vec![value; n]), Some(value), "{value} {n}");
            }
        }
        assert_eq!((mean(&[]), mean(&[1.0, 2.0, 6.0])), (None, Some(3.0)));
    }

    #[test]
    fn what_differs_by_rounding_becomes_equal_and_nothing_else_does() {
        let differences = [0.914 - 0.904, 0.11 - 0.1, 0.899 - 0.909, 1.0 / 3.0 - (1.0 - 2.0 / 3.0)];
        assert_ne!(differences[0], differences[1]);
        let found = settled(&differences, 1.0);
        assert_eq!(found[0], found[1]);
        assert_eq!((found[2], found[3]), (-found[0], 0.0));
        assert_eq!(settled(&[0.01, 0.01 + 1e-10], 1.0), [0.01, 0.01 + 1e-10]);
        assert!(same(0.1 + 0.2, 0.3) && same(0.0, 0.0) && !same(0.3, 0.300_000_001) && !same(0.0, 1e-9));
    }
}
