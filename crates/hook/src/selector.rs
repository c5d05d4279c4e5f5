//! Kubernetes label selectors: `tier in (gold,silver),app=crm,!legacy`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A label selector, parsed whole. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement;

/// Why a selector cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {what}")]
pub struct SelectorError {
    /// Counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

impl Selector {
    /// Whether the labels fulfil every requirement (the rules of Kubernetes: `!=` and `notin` also match a label
    /// that is absent).
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let _ = (labels, &self.requirements);
        todo!("signature first")
    }
}

impl FromStr for Selector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let _ = text;
        todo!("signature first")
    }
}
