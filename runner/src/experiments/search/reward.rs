//! The figure by which trials are judged: an expression of what a run says of itself without its test data, such as
//! `validation_accuracy - 0.2 * macs_share`. Numbers, names, `+ - * /`, brackets, `min`, `max` and `log`; nothing else.

use std::fmt;

use crate::config::nearest;

/// Longest expression: nobody reads a longer one, and brackets nest no deeper.
const LONGEST: usize = 400;

/// What an expression can be made of.
pub const NAMES: [(&str, &str); 9] = [
    ("validation_accuracy", "accuracy on the validation split, at the end"),
    ("validation_loss", "mean loss there"),
    ("accuracy_change", "validation accuracy at the end, less that right before the first pruning step"),
    ("macs_share", "multiply-accumulates that remain, of those of the dense network"),
    ("macs_saved", "1 - macs_share"),
    ("params_share", "parameters that remain, of those of the dense network"),
    ("params_saved", "1 - params_share"),
    ("sparsity", "fraction of all weights that are gone"),
    ("unit_sparsity", "fraction of all units that are gone"),
];

/// Functions, with how many values they take.
const FUNCTIONS: [(&str, usize); 3] = [("min", 2), ("max", 2), ("log", 1)];

/// An expression, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reward {
    text: String,
    of: Expression,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Number(f64),
    Name(&'static str),
    Minus(Box<Expression>),
    Pair(char, Box<Expression>, Box<Expression>),
    Call(&'static str, Vec<Expression>),
}

/// What names stand for in a run; `None` for what it does not have.
pub type Sources<'a> = &'a dyn Fn(&str) -> Option<f64>;

impl Reward {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        let mut reader = Reader { text, rest: text };
        let of = reader.sum()?;
        match reader.peek() {
            None if of.names().is_empty() => Err(format!("{text:?} is the same for all runs; {}", known())),
            None => Ok(Self { text: text.trim().to_owned(), of }),
            Some(other) => Err(format!("{other:?} is not expected there{}", reader.place())),
        }
    }

    /// Whether more is better, as far as the expression says: less loss is.
    pub fn more_is_better(&self) -> bool {
        self.of != Expression::Name("validation_loss")
    }

    /// The name, where the expression is one alone.
    pub fn name(&self) -> Option<&'static str> {
        if let Expression::Name(name) = self.of { Some(name) } else { None }
    }

    /// Its value for a run.
    ///
    /// # Errors
    /// The name of what the run does not have; a value that is no number.
    pub fn of(&self, sources: Sources<'_>) -> Result<f64, String> {
        let value = self.of.value(sources)?;
        if value.is_finite() { Ok(value) } else { Err(format!("{} is {value}", self.text)) }
    }
}

impl fmt::Display for Reward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expression {
    fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Name(name) => vec![*name],
            Self::Minus(of) => of.names(),
            Self::Pair(_, a, b) => [a.names(), b.names()].concat(),
            Self::Call(_, all) => all.iter().flat_map(Self::names).collect(),
        }
    }

    fn value(&self, sources: Sources<'_>) -> Result<f64, String> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Name(name) => sources(name).ok_or_else(|| format!("the run has no {name}"))?,
            Self::Minus(of) => -of.value(sources)?,
            Self::Pair(sign, a, b) => {
                let (a, b) = (a.value(sources)?, b.value(sources)?);
                match sign {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                }
            }
            Self::Call(name, all) => {
                let all: Vec<f64> = all.iter().map(|one| one.value(sources)).collect::<Result<_, _>>()?;
                match (*name, all.as_slice()) {
                    ("min", [a, b]) => a.min(*b),
                    ("max", [a, b]) => a.max(*b),
                    (_, [a, ..]) => a.ln(),
                    (_, []) => f64::NAN,
                }
            }
        })
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<Expression, String> {
        self.pairs(&['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Expression, String> {
        self.pairs(&['*', '/'], Self::factor)
    }

    fn pairs(
        &mut self,
        signs: &[char],
        part: fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        let mut left = part(self)?;
        while let Some(sign) = self.peek().filter(|next| signs.contains(next)) {
            self.skip(sign);
            left = Expression::Pair(sign, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, String> {
        match self.peek() {
            Some('-') => {
                self.skip('-');
                Ok(Expression::Minus(Box::new(self.factor()?)))
            }
            Some('(') => {
                self.skip('(');
                let inner = self.sum()?;
                self.expect(')')?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(),
            Some(other) => Err(format!("{other:?} is not expected there{}", self.place())),
            None => Err("it ends where a name or a number is expected".to_owned()),
        }
    }

    fn number(&mut self) -> Result<Expression, String> {
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            // The sign of an exponent is part of the number: 1e-3.
            let exponent = matches!(byte, b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E');
            if !(byte.is_ascii_alphanumeric() || *byte == b'.' || exponent) {
                break;
            }
            end += 1;
        }
        let text = self.take(end);
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Expression::Number).ok_or_else(|| format!("{text:?} is no number"))
    }

    fn named(&mut self) -> Result<Expression, String> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let name = self.take(end);
        if self.peek() == Some('(') {
            let Some((function, count)) = FUNCTIONS.into_iter().find(|(known, _)| *known == name) else {
                return Err(format!("there is no function {name}; known: min, max, log"));
            };
            self.skip('(');
            let mut all = vec![self.sum()?];
            while self.peek() == Some(',') {
                self.skip(',');
                all.push(self.sum()?);
            }
            self.expect(')')?;
            let given = all.len();
            return if given == count {
                Ok(Expression::Call(function, all))
            } else {
                Err(format!("{function} takes {count} values, found {given}"))
            };
        }
        if let Some((known, _)) = NAMES.into_iter().find(|(known, _)| *known == name) {
            return Ok(Expression::Name(known));
        }
        if name.starts_with("test") {
            return Err(format!("{name} is of test data, which must choose nothing; {}", known()));
        }
        if name.starts_with("seconds") || name == "time" {
            return Err(format!("{name} is not the same twice, so that no search would be repeated; {}", known()));
        }
        let near = nearest(&name, NAMES.map(|(known, _)| known));
        let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
        Err(format!("{name} is no figure of a run that a search can go by; {near}{}", known()))
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn skip(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn take(&mut self, bytes: usize) -> String {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken.to_owned()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.peek() {
            Some(found) if found == wanted => {
                self.skip(wanted);
                Ok(())
            }
            found => Err(format!(
                "{wanted:?} is missing, found {}",
                found.map_or("the end".to_owned(), |c| format!("{c:?}"))
            )),
        }
    }

    fn place(&self) -> String {
        let before = self.text[..self.text.len() - self.rest.len()].trim_end();
        if before.is_empty() { String::new() } else { format!(", after {before:?}") }
    }
}

fn known() -> String {
    format!("known: {}", NAMES.map(|(name, _)| name).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let sources = |name: &str| match name {
            "validation_accuracy" => Some(0.8),
            "accuracy_change" => Some(-0.1),
            "macs_share" => Some(0.25),
            _ => None,
        };
        Reward::read(text).unwrap().of(&sources).unwrap()
    }

    #[test]
    fn expressions_are_read_as_they_are_written() {
        for (text, expected) in [
            ("validation_accuracy", 0.8),
            ("validation_accuracy - 0.2 * macs_share", 0.8 - 0.2 * 0.25),
            ("(validation_accuracy - 2e-1) * macs_share / 2", 0.6 * 0.25 / 2.0),
            ("accuracy_change - -1 - 1", -0.1),
            ("max(accuracy_change, -0.05) + log(macs_share)", -0.05 + 0.25f64.ln()),
            ("min(macs_share, 3)-1", -0.75),
        ] {
            assert!((value(text) - expected).abs() < 1e-12, "{text}");
        }
        assert!(!Reward::read("validation_loss").unwrap().more_is_better());
        assert!(Reward::read("-validation_loss").unwrap().more_is_better());
    }

    #[test]
    fn what_is_no_expression_is_refused_with_what_is_wrong() {
        for (text, expected) in [
            ("", "it ends where a name"),
            ("status", "status is no figure of a run"),
            ("validation_acuracy", "did you mean validation_accuracy?"),
            ("test_accuracy", "test data, which must choose nothing"),
            ("validation_accuracy - seconds", "not the same twice"),
            ("1 + 2", "the same for all runs"),
            ("validation_accuracy *", "it ends where"),
            ("validation_accuracy )", "')' is not expected there"),
            ("(validation_accuracy", "')' is missing, found the end"),
            ("exp(macs_share)", "no function exp"),
            ("min(macs_share)", "min takes 2 values, found 1"),
            ("validation_accuracy ^ 2", "'^' is not expected"),
            ("1.2.3 * macs_share", "is no number"),
        ] {
            let found = Reward::read(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
        let zero = |_: &str| Some(0.0);
        assert!(Reward::read("1 / macs_share").unwrap().of(&zero).unwrap_err().contains("is inf"));
        assert!(Reward::read("macs_share").unwrap().of(&|_| None).unwrap_err().contains("no macs_share"));
        assert!(Reward::read(&"(".repeat(5000)).is_err());
    }
}
