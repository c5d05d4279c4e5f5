//! Kubernetes label selectors: `tier in (gold,silver),app=crm,!legacy`.
//!
//! The grammar and the meaning of `k8s.io/apimachinery/pkg/labels`, so that a selector means here what it means to
//! `kubectl get -l`. It must never know what the labels belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// A label selector, parsed whole. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

/// Why a selector cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {what}")]
pub struct SelectorError {
    /// Counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// More requirements than this are refused.
const MAX_REQUIREMENTS: usize = 100;

impl Selector {
    /// Whether the labels fulfil every requirement (the rules of Kubernetes: `!=` and `notin` also match a label
    /// that is absent; `>` and `<` need a whole number).
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.first_mismatch(labels).is_none()
    }

    /// The first requirement that the labels do not fulfil, in words, for `hook explain`.
    #[must_use]
    pub fn first_mismatch(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        self.requirements.iter().find(|requirement| !requirement.matches(labels)).map(|requirement| {
            let found = labels.get(&requirement.key).map_or_else(
                || format!("the environment has no label {}", requirement.key),
                |value| format!("the environment has {}={value}", requirement.key),
            );
            format!("{} is not fulfilled: {found}", requirement.text())
        })
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Greater(limit) => number().is_some_and(|number| number > *limit),
            Test::Less(limit) => number().is_some_and(|number| number < *limit),
        }
    }

    fn text(&self) -> String {
        let set = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
        match &self.test {
            Test::In(values) if values.len() == 1 => format!("{}={}", self.key, set(values)),
            Test::NotIn(values) if values.len() == 1 => format!("{}!={}", self.key, set(values)),
            Test::In(values) => format!("{} in ({})", self.key, set(values)),
            Test::NotIn(values) => format!("{} notin ({})", self.key, set(values)),
            Test::Exists => self.key.clone(),
            Test::Absent => format!("!{}", self.key),
            Test::Greater(limit) => format!("{}>{limit}", self.key),
            Test::Less(limit) => format!("{}<{limit}", self.key),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.requirements.iter().map(Requirement::text).collect();
        f.write_str(&parts.join(","))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Parser { chars: text.chars().collect(), at: 0 }.selector()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Mark(&'static str),
    End,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn selector(mut self) -> Result<Selector, SelectorError> {
        let mut requirements = Vec::new();
        if self.peek()? == Token::End {
            return Ok(Selector::default());
        }
        loop {
            requirements.push(self.requirement()?);
            if requirements.len() > MAX_REQUIREMENTS {
                return self.fail(format!("more than {MAX_REQUIREMENTS} requirements"));
            }
            match self.next()? {
                Token::End => return Ok(Selector { requirements }),
                Token::Mark(",") => {}
                other => return self.fail(format!("expected ',' or the end, found {}", told(&other))),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek()? == Token::Mark("!") {
            self.next()?;
            let key = self.key()?;
            return Ok(Requirement { key, test: Test::Absent });
        }
        let key = self.key()?;
        let test = match self.peek()? {
            Token::End | Token::Mark(",") => Test::Exists,
            Token::Mark("=" | "==") => {
                self.next()?;
                Test::In(BTreeSet::from([self.exact()?]))
            }
            Token::Mark("!=") => {
                self.next()?;
                Test::NotIn(BTreeSet::from([self.exact()?]))
            }
            Token::Mark(mark @ (">" | "<")) => {
                self.next()?;
                let value = self.exact()?;
                let Ok(limit) = value.parse() else {
                    return self.fail(format!("'{mark}' needs a whole number, found {value:?}"));
                };
                if mark == ">" { Test::Greater(limit) } else { Test::Less(limit) }
            }
            Token::Word(word) if word == "in" || word == "notin" => {
                self.next()?;
                let values = self.values()?;
                if word == "in" { Test::In(values) } else { Test::NotIn(values) }
            }
            other => {
                self.next()?;
                return self.fail(format!(
                    "expected =, ==, !=, in, notin, '<', '>' or ',' after {key:?}, found {}",
                    told(&other)
                ));
            }
        };
        Ok(Requirement { key, test })
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        match self.next()? {
            Token::Word(word) if is_qualified_name(&word) => Ok(word),
            Token::Word(word) => self.fail(format!("{word:?} is no label key")),
            other => self.fail(format!("expected a label key, found {}", told(&other))),
        }
    }

    // An absent value is the empty one, as in Kubernetes (`tier=`).
    fn exact(&mut self) -> Result<String, SelectorError> {
        match self.peek()? {
            Token::End | Token::Mark(",") => Ok(String::new()),
            _ => self.value(),
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        match self.next()? {
            Token::Word(word) if is_label_value(&word) => Ok(word),
            Token::Word(word) => self.fail(format!("{word:?} is no label value")),
            other => self.fail(format!("expected a label value, found {}", told(&other))),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        let open = self.next()?;
        if open != Token::Mark("(") {
            return self.fail(format!("expected '(', found {}", told(&open)));
        }
        let mut values = BTreeSet::new();
        loop {
            match self.peek()? {
                Token::Mark("," | ")") => {
                    values.insert(String::new());
                }
                _ => {
                    values.insert(self.value()?);
                }
            }
            match self.next()? {
                Token::Mark(",") => {}
                Token::Mark(")") => return Ok(values),
                other => return self.fail(format!("expected ',' or ')', found {}", told(&other))),
            }
        }
    }

    fn peek(&mut self) -> Result<Token, SelectorError> {
        let at = self.at;
        let token = self.next();
        self.at = at;
        token
    }

    fn next(&mut self) -> Result<Token, SelectorError> {
        while self.chars.get(self.at).is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.at += 1;
        }
        let Some(&first) = self.chars.get(self.at) else { return Ok(Token::End) };
        let second = self.chars.get(self.at + 1).copied();
        let mark = match (first, second) {
            ('=', Some('=')) => Some("=="),
            ('!', Some('=')) => Some("!="),
            ('=', _) => Some("="),
            ('!', _) => Some("!"),
            ('>', _) => Some(">"),
            ('<', _) => Some("<"),
            ('(', _) => Some("("),
            (')', _) => Some(")"),
            (',', _) => Some(","),
            _ => None,
        };
        if let Some(mark) = mark {
            self.at += mark.len();
            return Ok(Token::Mark(mark));
        }
        let start = self.at;
        while self
            .chars
            .get(self.at)
            .is_some_and(|c| !c.is_whitespace() && !matches!(c, '=' | '!' | '>' | '<' | '(' | ')' | ','))
        {
            self.at += 1;
        }
        if self.at == start {
            // White space that is not Kubernetes' (a no-break space, for one).
            self.at += 1;
            return self.fail(format!("unexpected character {first:?}"));
        }
        Ok(Token::Word(self.chars[start..self.at].iter().collect()))
    }

    fn fail<T>(&self, what: String) -> Result<T, SelectorError> {
        Err(SelectorError { at: self.at.max(1), what })
    }
}

fn told(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word:?}"),
        Token::Mark(mark) => format!("'{mark}'"),
        Token::End => "the end".to_owned(),
    }
}

/// `[prefix/]name` as Kubernetes wants label and annotation keys.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if prefix.parse::<tenantry_model::Alias>().is_err() {
                return false;
            }
            name
        }
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// What Kubernetes allows as a label's value; the empty one included.
pub(crate) fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_alphanumeric();
    text.is_empty()
        || (bytes.len() <= 63
            && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'_' | b'.'))
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge))
}
