//! Lists of any length in a room of constant size.

/// Entries that are kept at most, unless a list says how many: finer than the pixels of a chart.
const MOST: usize = 1200;

/// What may stand for others beside it.
pub trait Thin: Sized {
    /// The entry after this one is left out; what it says that must not be lost is taken in.
    fn absorb(&mut self, _other: Self) {}
}

/// A list that keeps every nth of its entries, and the last one: all of them while they are few.
#[derive(Clone, Debug)]
pub struct Thinned<T> {
    kept: Vec<T>,
    /// The newest entry, and how many came before it.
    last: Option<(usize, T)>,
    stride: usize,
    most: usize,
}

impl<T> Default for Thinned<T> {
    fn default() -> Self {
        Self::of_at_most(MOST)
    }
}

impl<T> Thinned<T> {
    /// An empty list that keeps so many entries at most, and the last one.
    pub fn of_at_most(most: usize) -> Self {
        Self { kept: Vec::new(), last: None, stride: 1, most }
    }

    /// The newest entry.
    pub fn last(&self) -> Option<&T> {
        self.last.as_ref().map(|(_, entry)| entry)
    }
}

impl<T: Thin> Thinned<T> {
    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        let count = self.last.as_ref().map_or(0, |(before, _)| before + 1);
        self.settle();
        self.last = Some((count, entry));
    }

    /// The newest entry.
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.last.as_mut().map(|(_, entry)| entry)
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// What is left.
    pub fn into_vec(mut self) -> Vec<T> {
        self.kept.extend(self.last.map(|(_, entry)| entry));
        self.kept
    }

    /// Decides about the newest entry, now that another one comes.
    fn settle(&mut self) {
        let Some((count, entry)) = self.last.take() else { return };
        match self.kept.last_mut() {
            Some(before) if !count.is_multiple_of(self.stride) => before.absorb(entry),
            _ => self.kept.push(entry),
        }
        if self.kept.len() >= self.most {
            self.stride *= 2;
            let mut half: Vec<T> = Vec::with_capacity(self.most);
            for (i, entry) in std::mem::take(&mut self.kept).into_iter().enumerate() {
                match half.last_mut() {
                    Some(before) if i % 2 == 1 => before.absorb(entry),
                    _ => half.push(entry),
                }
            }
            self.kept = half;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, and the largest of those that it stands for.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Number(usize, usize);

    impl Thin for Number {
        fn absorb(&mut self, other: Self) {
            self.1 = self.1.max(other.1);
        }
    }

    fn thinned(count: usize) -> Vec<Number> {
        let mut list = Thinned::default();
        (0..count).for_each(|i| list.push(Number(i, i * 7919 % 1009)));
        list.into_vec()
    }

    #[test]
    fn few_entries_stay_and_of_many_every_nth_and_the_last() {
        assert!(thinned(0).is_empty());
        assert_eq!(thinned(MOST).iter().map(|n| n.0).collect::<Vec<_>>(), (0..MOST).collect::<Vec<_>>());
        for count in [MOST + 1, 5000, 150_000] {
            let list = thinned(count);
            assert!((MOST / 2..=MOST).contains(&list.len()), "{count}: {}", list.len());
            let stride = list[1].0;
            let inner = &list[..list.len() - 1];
            assert!(inner.iter().enumerate().all(|(i, n)| n.0 == i * stride), "{count}: evenly spread");
            assert_eq!(list.last().map(|n| n.0), Some(count - 1), "the last one stays");
            let largest = (0..count).map(|i| i * 7919 % 1009).max();
            assert_eq!(list.iter().map(|n| n.1).max(), largest, "what is left out is spoken for");
        }
    }
}
