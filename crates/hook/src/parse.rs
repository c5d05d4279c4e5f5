//! Template → [`Hook`], or everything that is wrong with it.

use crate::{
    AnnotationDomains, AttemptKind, Hook, RegionPolicy, annotations, codes,
    hash::template_hash,
    problems::{Problems, closest, shown},
    spec::{self, TemplateSpec},
};
use serde_json::Value;
use std::str::FromStr;
use tenantry_model::{HookName, HookPath, InvalidName, Namespace, Problem};

/// Reads a Job, as JSON *as the API server or the file gave it* (a typed Job has already dropped unknown fields).
/// All problems are collected (at most 200), in the order identity, annotations, spec.
pub fn parse(
    template: &Value,
    domains: &AnnotationDomains,
    policy: &RegionPolicy,
) -> Result<Hook, Vec<Problem>> {
    let mut problems = Problems::default();
    if template.get("apiVersion").is_none_or(|version| version != "batch/v1")
        || template.get("kind").is_none_or(|kind| kind != "Job")
    {
        problems.add(
            codes::NOT_A_JOB,
            "/kind",
            "a hook is a Job of apiVersion batch/v1",
            "write apiVersion: batch/v1 and kind: Job",
        );
        return Err(problems.into_vec());
    }
    let name = identity::<HookName>(template, "name", codes::NAME_INVALID, &mut problems);
    let namespace = identity::<Namespace>(template, "namespace", codes::NAMESPACE_INVALID, &mut problems);
    let path = namespace.clone().zip(name).map(|(namespace, name)| HookPath { namespace, name });

    let entries = annotations::collect(template, domains, &mut problems);
    if !entries.contains_key("lifecycle") && problems_spare_lifecycle(template, domains) {
        let domain = domains.iter().next().unwrap_or_default();
        problems.add(
            codes::LIFECYCLE_MISSING,
            "/metadata/annotations",
            "the annotation tenant.lifecycle is missing",
            format!("name the operations the hook is for: {domain}/tenant.lifecycle: \"lifecycle.upsert\""),
        );
    }
    let read = annotations::read(&entries, path.as_ref(), namespace.as_ref(), &mut problems);

    if template.pointer("/spec/suspend") != Some(&Value::Bool(true)) {
        problems.add(
            codes::NOT_SUSPENDED,
            "/spec/suspend",
            "the template is not suspended, so Kubernetes would run it by itself",
            "write suspend: true under spec; tenantry runs copies",
        );
    }
    let spec = spec::read(template, policy, &mut problems);
    let container = container(&read, &spec, &mut problems);
    let kind = kind(&read, &spec, &mut problems);
    match (path, container) {
        (Some(path), Some(container)) if problems.is_empty() => Ok(Hook {
            path,
            hash: template_hash(template, domains),
            operations: read.operations,
            after: read.after,
            after_for: read.after_for,
            selector: read.selector,
            policy: read.policy.into_step_policy(),
            kind,
            container,
        }),
        _ => Err(problems.into_vec()),
    }
}

// A lifecycle annotation that is there but was refused (its characters, a conflict) has been told already.
fn problems_spare_lifecycle(template: &Value, domains: &AnnotationDomains) -> bool {
    template
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .is_none_or(|all| !all.keys().any(|key| domains.contract_key(key) == Some("lifecycle")))
}

fn identity<T: FromStr<Err = InvalidName>>(
    template: &Value,
    field: &str,
    code: &str,
    problems: &mut Problems,
) -> Option<T> {
    let pointer = format!("/metadata/{field}");
    match template.pointer(&pointer).and_then(Value::as_str) {
        None => {
            problems.add(
                code,
                pointer,
                format!("metadata.{field} is missing"),
                format!("write metadata.{field}; a hook is known by namespace/name"),
            );
            None
        }
        Some(text) => match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                problems.add(code, pointer, error.to_string(), "choose a name that Kubernetes accepts");
                None
            }
        },
    }
}

fn container(read: &annotations::Read, spec: &TemplateSpec, problems: &mut Problems) -> Option<String> {
    let names = || spec.pod.containers.iter().map(|container| container.name.as_str());
    let Some((wanted, pointer)) = &read.container else { return names().next().map(str::to_owned) };
    if names().any(|name| name == wanted) {
        return Some(wanted.clone());
    }
    let remedy = match closest(wanted, names()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("use one of: {}", names().collect::<Vec<_>>().join(", ")),
    };
    problems.add(
        codes::CONTAINER_UNKNOWN,
        pointer,
        format!("the template has no container {}", shown(wanted)),
        remedy,
    );
    None
}

fn kind(read: &annotations::Read, spec: &TemplateSpec, problems: &mut Problems) -> AttemptKind {
    match &read.kind {
        Some((AttemptKind::Pod, pointer)) if spec.needs_job() => {
            problems.add(
                codes::KIND_CONFLICT,
                pointer,
                "a Pod is asked for, but completions, parallelism or Indexed need a Job",
                "remove tenant.attempt-kind, or completions, parallelism and completionMode",
            );
            AttemptKind::Pod
        }
        Some((kind, _)) => *kind,
        None if spec.needs_job() => AttemptKind::Job,
        None => AttemptKind::Pod,
    }
}
