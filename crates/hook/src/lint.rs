//! A manifest's text → findings with file and line, for `hook lint`.
//!
//! Errors are those of [`parse()`]; warnings are what runs, but not as its author may think. It must never judge order:
//! that needs the other hooks of a region.

use crate::{
    AnnotationDomains, Hook, RegionPolicy,
    annotations::{BUILT_IN, operation_hint},
    codes, is_candidate, parse,
    problems::problem,
    tree::{Place, Tree, documents},
};
use serde::Serialize;
use serde_json::Value;
use tenantry_model::{OperationName, Problem};

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
    let trees = match documents(text) {
        Ok(trees) => trees,
        Err(error) => return vec![syntax(file, error.place, error.message)],
    };
    let mut findings = Vec::new();
    let mut hooks = 0;
    for tree in &trees {
        for (tree_of, value) in members(tree) {
            if !is_hook(&value, domains) {
                foreign_domain(&value, &tree_of, file, domains, &mut findings);
                continue;
            }
            hooks += 1;
            let mut add = |severity, problem: Problem| {
                let place = tree_of.locate(&problem.pointer);
                findings.push(finding(severity, file, place, problem));
            };
            let problems = match parse(&value, domains, policy) {
                Ok(hook) => {
                    for problem in unknown_operations(&hook) {
                        add(Severity::Warning, problem);
                    }
                    Vec::new()
                }
                Err(problems) => problems,
            };
            for problem in problems {
                // kubectl and Argo CD fill it in; only what runs from files needs it written.
                let severity = if problem.code == codes::NAMESPACE_INVALID
                    && value.pointer("/metadata/namespace").is_none()
                {
                    Severity::Warning
                } else {
                    Severity::Error
                };
                add(severity, problem);
            }
            for problem in warnings(&value) {
                add(Severity::Warning, problem);
            }
        }
    }
    if hooks == 0 && findings.is_empty() {
        let domain = domains.iter().next().unwrap_or_default();
        findings.push(finding(
            Severity::Error,
            file,
            Place { line: 1, column: 1 },
            problem(
                codes::NO_HOOK,
                "",
                "the file holds no hook: no object has a tenant annotation",
                format!("give the Job the annotation {domain}/tenant.lifecycle"),
            ),
        ));
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// All hooks of a YAML or JSON text as JSON, with the line at which each document begins: for `hook run` and for the
/// process executor's folders of manifests. Other documents are passed over.
pub fn read_manifest(
    text: &str,
    file: &str,
    domains: &AnnotationDomains,
) -> Result<Vec<(usize, Value)>, Vec<Finding>> {
    let trees = documents(text).map_err(|error| vec![syntax(file, error.place, error.message)])?;
    Ok(trees
        .iter()
        .flat_map(members)
        .filter(|(_, value)| is_hook(value, domains))
        .map(|(at, value)| (at.locate("").line, value))
        .collect())
}

/// A document, or an item of a `List`.
struct At<'t> {
    tree: &'t Tree,
    prefix: String,
}

impl At<'_> {
    fn locate(&self, pointer: &str) -> Place {
        if self.prefix.is_empty() && pointer.is_empty() {
            return self.tree.place();
        }
        self.tree.locate(&format!("{}{pointer}", self.prefix))
    }
}

fn members(tree: &Tree) -> Vec<(At<'_>, Value)> {
    let value = tree.value();
    let is_list = value.get("kind").is_some_and(|kind| kind == "List");
    match value.get("items").and_then(Value::as_array).filter(|_| is_list) {
        Some(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (At { tree, prefix: format!("/items/{index}") }, item.clone()))
            .collect(),
        None => vec![(At { tree, prefix: String::new() }, value)],
    }
}

fn is_hook(value: &Value, domains: &AnnotationDomains) -> bool {
    is_candidate(&annotations(value), domains)
}

fn annotations(value: &Value) -> std::collections::BTreeMap<String, String> {
    let members = value.pointer("/metadata/annotations").and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

// A Job that would be a hook under another domain: the likely reason for "why did my hook not run".
fn foreign_domain(
    value: &Value,
    at: &At<'_>,
    file: &str,
    domains: &AnnotationDomains,
    findings: &mut Vec<Finding>,
) {
    for key in annotations(value).keys() {
        if let Some((domain, "tenant.lifecycle")) = key.split_once('/') {
            let known = domains.iter().collect::<Vec<_>>().join(", ");
            let pointer = crate::problems::below("/metadata/annotations", key);
            let place = at.locate(&pointer);
            findings.push(finding(
                Severity::Error,
                file,
                place,
                problem(
                    codes::NO_HOOK,
                    pointer,
                    format!("{key} is not read: the annotation domains here are {known}"),
                    format!("use one of these domains, or configure {domain} (--annotation-domain {domain})"),
                ),
            ));
        }
    }
}

// `lifecycle.upset` is a name that a platform may define, but more often a typing error: such a hook would never run.
fn unknown_operations(hook: &Hook) -> Vec<Problem> {
    let names = hook.operations.iter().map(OperationName::as_str);
    names
        .filter(|name| name.starts_with("lifecycle.") && !BUILT_IN.contains(name))
        .map(|name| {
            problem(
                codes::OPERATION_UNKNOWN,
                "/metadata/annotations",
                format!("{name} is none of the operations that tenantry brings along"),
                operation_hint(name),
            )
        })
        .collect()
}

fn warnings(template: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut without_effect = |pointer: &str, message: &str, remedy: &str| {
        if template.pointer(pointer).is_some_and(|value| !value.is_null()) {
            found.push(problem(codes::WITHOUT_EFFECT, pointer, message, remedy));
        }
    };
    // backoffLimit: 0 is what happens anyway; 6 is what the API server writes into every Job.
    if template.pointer("/spec/backoffLimit").is_some_and(|limit| limit != 0 && limit != 6) {
        without_effect(
            "/spec/backoffLimit",
            "backoffLimit has no effect: tenantry starts every attempt itself",
            "use the annotation tenant.retries",
        );
    }
    for field in ["podFailurePolicy", "backoffLimitPerIndex", "maxFailedIndexes"] {
        without_effect(
            &format!("/spec/{field}"),
            &format!("{field} has no effect: an attempt is tried once"),
            "use the annotations tenant.retries and tenant.on-failure",
        );
    }
    without_effect(
        "/spec/ttlSecondsAfterFinished",
        "ttlSecondsAfterFinished has no effect: tenantry cleans up when the outcome is safe",
        "remove it; how long attempts are kept is the region's configuration",
    );
    if template.pointer("/spec/template/spec/restartPolicy").is_some_and(|policy| policy == "OnFailure") {
        without_effect(
            "/spec/template/spec/restartPolicy",
            "restartPolicy OnFailure has no effect: the copy gets Never",
            "write Never, and use the annotation tenant.retries",
        );
    }
    let options =
        template.pointer("/metadata/annotations/argocd.argoproj.io~1sync-options").and_then(Value::as_str);
    let has = |wanted: &str| options.unwrap_or_default().split(',').any(|option| option.trim() == wanted);
    if !(has("Force=true") && has("Replace=true")) {
        found.push(problem(
            codes::SYNC_OPTIONS,
            "/metadata/annotations",
            "Argo CD cannot change a Job's template without Force=true and Replace=true",
            "add argocd.argoproj.io/sync-options: Force=true,Replace=true (harmless without Argo CD)",
        ));
    }
    found
}

fn syntax(file: &str, place: Place, message: String) -> Finding {
    finding(
        Severity::Error,
        file,
        place,
        problem(codes::SYNTAX, "", message, "correct the YAML or JSON; indent with spaces"),
    )
}

fn finding(severity: Severity, file: &str, place: Place, problem: Problem) -> Finding {
    Finding {
        severity,
        code: problem.code,
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        message: problem.message,
        remedy: problem.remedy,
    }
}
