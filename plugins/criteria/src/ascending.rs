//! The order of many numbers, by whole-number keys: several times as fast as comparing numbers through their indices.

/// The indices of `values` from the smallest to the largest, equal ones in the order in which they come; numbers compare
/// as by `f32::total_cmp`.
pub(crate) fn ascending(values: impl IntoIterator<Item = f32>) -> impl DoubleEndedIterator<Item = usize> {
    let keys = values.into_iter().zip(0u64..).map(|(value, i)| u64::from(key(value)) << 32 | i);
    let mut keys: Vec<u64> = keys.collect();
    debug_assert!(keys.len() <= u32::MAX as usize, "an index takes 32 bits");
    keys.sort_unstable();
    keys.into_iter().map(|key| (key & u64::from(u32::MAX)) as usize)
}

/// A whole number that orders as `value` does: the bits of a number, of which those below zero run backwards.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_sign_negative() { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_as_by_a_stable_sort() {
        let values = [0.5, -0.0, f32::INFINITY, -3.0, 0.0, 0.5, -1e-40, f32::NEG_INFINITY, 1e-40, -3.0, f32::MAX];
        let mut expected: Vec<usize> = (0..values.len()).collect();
        expected.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        assert_eq!(ascending(values).collect::<Vec<_>>(), expected);
        assert_eq!(ascending([]).count(), 0);
    }
}
