//! Sparse weights as a list of those that are there, each with the number of zeros before it.

/// A weight, or a zero that stands in the list because too many came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Zeros since the entry before.
    pub offset: u16,
    /// What stands after them: 0 for a zero, else 1 + the cluster of a weight.
    pub label: u16,
}

/// The list of a layer, whose zeros have the label 0, with offsets of so many bits (Han et al. 2015, figure 2).
///
/// Where more zeros come one after the other than an offset can tell, one of them is an entry of its own, a filler. So is
/// the last element where it is zero, so that a list says by itself how many elements it has.
pub fn entries(labels: &[u16], offset_bits: u32) -> Vec<Entry> {
    let (longest, mut zeros, mut list) = ((1 << offset_bits) - 1, 0, vec![]);
    for &label in labels {
        if label == 0 && zeros < longest {
            zeros += 1;
        } else {
            list.push(Entry { offset: zeros, label });
            zeros = 0;
        }
    }
    if zeros > 0 {
        list.push(Entry { offset: zeros - 1, label: 0 });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(labels: &[u16], offset_bits: u32) -> Vec<(u16, u16)> {
        entries(labels, offset_bits).iter().map(|e| (e.offset, e.label)).collect()
    }

    #[test]
    fn the_example_of_the_paper_has_one_filler() {
        // Figure 2: weights at 1, 4 and 15 of 16; offsets of three bits. The difference of 11 is one of 8 and one of 3.
        let mut labels = [0; 16];
        (labels[1], labels[4], labels[15]) = (1, 2, 3);
        assert_eq!(list(&labels, 3), [(1, 1), (2, 2), (7, 0), (2, 3)]);
    }

    #[test]
    fn a_list_ends_with_the_last_element() {
        assert_eq!(list(&[0, 5, 0, 0], 2), [(1, 5), (1, 0)]);
        assert_eq!(list(&[0; 9], 2), [(3, 0), (3, 0), (0, 0)]);
        assert_eq!(list(&[], 2), []);
    }

    proptest! {
        #[test]
        fn the_elements_come_back(
            labels in prop::collection::vec(prop_oneof![9 => Just(0_u16), 1 => 1_u16..9], 0..400), bits in 1_u32..=12
        ) {
            let back = entries(&labels, bits).into_iter();
            let back = back.flat_map(|e| std::iter::repeat_n(0, e.offset.into()).chain([e.label]));
            prop_assert_eq!(back.collect::<Vec<_>>(), labels);
        }
    }
}
