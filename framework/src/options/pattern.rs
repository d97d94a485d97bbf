//! Names by pattern: `*` stands for any run of characters, dots included.

use std::collections::BTreeMap;

/// Whether `name` is `pattern`, or fits it where it has a `*`.
///
/// ```
/// use secateur::options::fits;
/// assert!(fits("blocks.*.attn.*", "blocks.10.attn.qkv.weight") && fits("*", "fc1"));
/// assert!(!fits("fc1", "fc1.weight") && !fits("fc*.bias", "fc1.weight"));
/// ```
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What each `*` of a pattern stands for in `name`, where it fits: the shortest text from the left, and the last one
/// what is left.
pub fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let Some(last) = parts.next_back() else { return rest.is_empty().then(Vec::new) };
    let mut all = vec![];
    for part in parts {
        let at = rest.find(part)?;
        all.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    all.push(rest.strip_suffix(last)?);
    Some(all)
}

/// The keys that speak for `name`: its own where there is one, otherwise the pattern with the most characters besides
/// its `*`. More than one only where patterns are equally long, so that none of them is meant more than the others.
pub fn keys_for<'a>(keys: impl IntoIterator<Item = &'a String>, name: &str) -> Vec<&'a String> {
    let rank = |key: &String| (key == name, key.len() - key.matches('*').count());
    let fitting: Vec<&String> = keys.into_iter().filter(|key| fits(key, name)).collect();
    let best = fitting.iter().map(|key| rank(key)).max();
    fitting.into_iter().filter(|key| Some(rank(key)) == best).collect()
}

/// What a table says of `name`, by its own key or the pattern that speaks for it.
pub fn entry_for<'a, T>(table: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    keys_for(table.keys(), name).first().and_then(|key| table.get(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, letter by letter.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| by_definition(rest, &name[at..])),
            Some((letter, rest)) => name.first() == Some(letter) && by_definition(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_any_run(pattern in "[ab*]{0,6}", name in "[ab]{0,7}") {
            prop_assert_eq!(fits(&pattern, &name), by_definition(pattern.as_bytes(), name.as_bytes()));
            let stars = captures(&pattern, &name);
            prop_assert_eq!(stars.is_some(), fits(&pattern, &name));
            if let Some(stars) = stars {
                let filled = pattern.split('*').zip(stars.into_iter().chain([""])).map(|(part, star)| format!("{part}{star}"));
                prop_assert_eq!(filled.collect::<String>(), name);
            }
        }
    }

    #[test]
    fn the_most_specific_key_speaks() {
        let keys: BTreeMap<String, i32> =
            [("*", 1), ("fc*", 2), ("fc1.*", 3), ("fc1.weight", 4), ("*.bias", 5), ("fc2*.b", 6), ("fc2*ia", 7)]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        let of = |name: &str| entry_for(&keys, name).copied();
        assert_eq!(["head", "fc9", "fc1.bias", "fc1.weight"].map(of), [Some(1), Some(2), Some(5), Some(4)]);
        assert_eq!(keys_for(keys.keys(), "fc1.bias"), ["*.bias"], "five characters stand above four");
        assert_eq!(keys_for(["a*c", "ab*"].map(str::to_owned).iter(), "abc").len(), 2, "neither is longer");
        assert_eq!(entry_for(&BTreeMap::from([("fc1".to_owned(), 1)]), "fc2"), None);
    }
}
