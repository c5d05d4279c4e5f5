//! A manifest's text → findings with file and line, for `hook lint`.

use crate::{AnnotationDomains, RegionPolicy};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The hook would be quarantined or refused.
    Error,
    /// It runs, but not as its author may think.
    Warning,
}

/// One thing to be said about a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Stable code, with a section in docs/hook-contract.md.
    pub code: String,
    /// The file, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Checks all documents of a YAML or JSON text. Documents that are no hooks are passed over; a text without any hook
/// is a finding. In the order of the text.
#[must_use]
pub fn lint_manifest(
    text: &str,
    file: &str,
    domains: &AnnotationDomains,
    policy: &RegionPolicy,
) -> Vec<Finding> {
    let _ = (text, file, domains, policy);
    todo!("signature first")
}

/// All hooks of a YAML or JSON text as JSON, with the line at which each document begins: for `hook run` and for the
/// process executor's folders of manifests.
pub fn read_manifest(
    text: &str,
    file: &str,
    domains: &AnnotationDomains,
) -> Result<Vec<(usize, serde_json::Value)>, Vec<Finding>> {
    let _ = (text, file, domains);
    todo!("signature first")
}
