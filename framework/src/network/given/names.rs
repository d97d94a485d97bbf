//! Names of parameters elsewhere, and what they are here.

use super::tensor::TensorInFile;
use crate::options::{captures, keys_for};
use std::collections::{BTreeMap, BTreeSet};

/// Which parameter a tensor is, or which part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// The parameter.
    pub name: String,
    /// Which part of its rows, from 0, and of how many equal ones.
    pub part: (usize, usize),
}

/// A pattern of names elsewhere, and what they are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    target: String,
    part: (usize, usize),
}

impl Rule {
    /// `"encoder.*.query.*"` is `"blocks.*.attn.qkv.* 1/3"`, the first of three parts; `""` is nothing.
    ///
    /// # Errors
    /// What is allowed.
    pub fn new(pattern: &str, target: &str) -> Result<Self, String> {
        let (target, part) = match target.split_once(' ') {
            None => (target, Some((0, 1))),
            Some((target, part)) => {
                let numbers = part.split_once('/').and_then(|(i, of)| Some((i.parse().ok()?, of.parse().ok()?)));
                (target, numbers.filter(|(i, of): &(usize, usize)| (1..=*of).contains(i)).map(|(i, of)| (i - 1, of)))
            }
        };
        let stars = |text: &str| text.matches('*').count();
        match part {
            None => Err("must end in \" I/N\" where it is a part, from 1: \"blocks.*.attn.qkv.* 1/3\"".into()),
            Some(_) if !target.is_empty() && stars(pattern) != stars(target) => {
                Err(format!("must have {} `*`, as many as the name in the file", stars(pattern)))
            }
            Some(part) => Ok(Self { target: target.to_owned(), part }),
        }
    }

    /// What a name that fits the pattern is here; `None` where it is left out.
    fn fill(&self, stars: &[&str]) -> Option<Target> {
        let parts = self.target.split('*').zip(stars.iter().copied().chain([""]));
        let name = parts.map(|(part, star)| format!("{part}{star}")).collect::<String>();
        (!self.target.is_empty()).then_some(Target { name, part: self.part })
    }
}

/// Rules by their patterns.
type Rules = BTreeMap<String, Rule>;

/// What a name turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A parameter, or part of one.
    Is(Target),
    /// Left out, as the config says.
    LeftOut,
    /// Nothing that is known.
    Unknown,
}

/// Everything that is known of names.
pub(super) struct Names<'a> {
    /// Of the config, with those that speak for no name.
    user: Rules,
    model: Rules,
    own: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    /// The config's rules, which come first, the model's, and the parameters that there are. Rules of the config have been
    /// checked.
    pub fn new(
        user: &BTreeMap<String, String>,
        model: &[(String, String)],
        own: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let rule = |(from, to): (&String, &String)| Some((from.clone(), Rule::new(from, to).ok()?));
        Self {
            user: user.iter().filter_map(rule).collect(),
            model: model.iter().filter_map(|(from, to)| rule((from, to))).collect(),
            own: own.into_iter().collect(),
        }
    }

    /// What each tensor is, in their order, and the name by which that was found.
    pub fn of<'t>(&self, tensors: &[&'t TensorInFile]) -> Vec<(&'t str, Found)> {
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        loop {
            let all: Vec<_> = names.iter().map(|name| (*name, self.find(name))).collect();
            if all.iter().any(|(_, found)| *found != Found::Unknown) {
                return all;
            }
            // Wrappers put a name in front of all: `module.`, `_orig_mod.`, `model.`.
            let inner = || {
                let (first, _) = names.first()?.split_once('.')?;
                names.iter().map(|name| name.strip_prefix(first)?.strip_prefix('.')).collect::<Option<Vec<&str>>>()
            };
            match inner() {
                Some(inner) => names = inner,
                None => return all,
            }
        }
    }

    fn find(&self, name: &str) -> Found {
        let by = |rules: &Rules| {
            let pattern = *keys_for(rules.keys(), name).first()?;
            Some(rules[pattern].fill(&captures(pattern, name)?).map_or(Found::LeftOut, Found::Is))
        };
        let own = || self.own.contains(name).then(|| Found::Is(Target { name: name.to_owned(), part: (0, 1) }));
        by(&self.user).or_else(own).or_else(|| by(&self.model)).unwrap_or(Found::Unknown)
    }

    /// The config's patterns that speak for none of these names.
    pub fn idle<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Vec<&String> {
        let speaks =
            |pattern: &&String| names.clone().any(|name| keys_for(self.user.keys(), name).first() == Some(pattern));
        self.user.keys().filter(|pattern| !speaks(pattern)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_taken_over_and_parts_counted_from_one() {
        let fill = |pattern: &str, target: &str, name: &str| {
            Rule::new(pattern, target).unwrap().fill(&captures(pattern, name).unwrap())
        };
        let query = fill("l.*.query.*", "blocks.*.attn.qkv.* 1/3", "l.11.query.weight").unwrap();
        assert_eq!((query.name.as_str(), query.part), ("blocks.11.attn.qkv.weight", (0, 3)));
        assert_eq!(fill("cls", "class_token", "cls").unwrap().name, "class_token");
        assert_eq!(fill("aux.*", "", "aux.weight"), None);
        for (pattern, target, text) in [
            ("a.*", "b", "must have 1 `*`"),
            ("a", "b 0/3", "must end in \" I/N\""),
            ("a", "b 4/3", "must end in"),
            ("a", "b x", "must end in"),
        ] {
            let error = Rule::new(pattern, target).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
