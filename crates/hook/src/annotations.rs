//! The contract annotations of a template: collected over all domains, then read one by one.
//!
//! It must never look into `spec`: what annotation and spec have to say together is judged in `parse`.

use crate::{
    AfterTarget, AnnotationDomains, AttemptKind, Selector, codes,
    problems::{Problems, below, closest, shown},
};
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{HookPath, Namespace, OnFailure, OnLost, OperationName, StepPolicy};

/// The annotations of the contract, without `tenant.`; `after.<operation>` comes on top.
pub(crate) const KNOWN: [&str; 9] = [
    "lifecycle",
    "after",
    "selector",
    "on-failure",
    "on-lost",
    "retries",
    "timeout",
    "container",
    "attempt-kind",
];

const MAX_VALUE: usize = 8 * 1024;
const MAX_OPERATIONS: usize = 100;
const MAX_TARGETS: usize = 100;
const MAX_RETRIES: u32 = 10;
const MAX_TIMEOUT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What the annotations say.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) operations: BTreeSet<OperationName>,
    pub(crate) after: Vec<AfterTarget>,
    pub(crate) after_for: BTreeMap<OperationName, Vec<AfterTarget>>,
    pub(crate) selector: String,
    pub(crate) policy: Policy,
    /// With the pointer of its annotation.
    pub(crate) container: Option<(String, String)>,
    /// With the pointer of its annotation.
    pub(crate) kind: Option<(AttemptKind, String)>,
}

#[derive(Default)]
pub(crate) struct Policy {
    on_failure: OnFailure,
    on_lost: OnLost,
    retries: u32,
    timeout: Option<SignedDuration>,
}

impl Policy {
    pub(crate) fn into_step_policy(self) -> StepPolicy {
        StepPolicy {
            on_failure: self.on_failure,
            on_lost: self.on_lost,
            retries: self.retries,
            timeout: self.timeout,
        }
    }
}

/// One contract annotation: value and where it is written.
pub(crate) struct Entry<'t> {
    pub(crate) value: &'t str,
    pub(crate) pointer: String,
}

/// The contract annotations by their name without domain and `tenant.`; what is wrong with keys is told here.
pub(crate) fn collect<'t>(
    template: &'t Value,
    domains: &AnnotationDomains,
    problems: &mut Problems,
) -> BTreeMap<&'t str, Entry<'t>> {
    let parent = "/metadata/annotations";
    let mut found: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    let Some(annotations) = template.pointer(parent).and_then(Value::as_object) else { return found };
    for (key, value) in annotations {
        let pointer = below(parent, key);
        let Some(value) = value.as_str() else {
            problems.add(
                codes::FIELD_TYPE,
                pointer,
                format!("{} is {value}, but annotations are strings", shown(key)),
                format!("put the value in quotes: \"{value}\""),
            );
            continue;
        };
        let Some(name) = domains.contract_key(key) else { continue };
        // The API server's rule for the part behind the '/'.
        if name.len() + "tenant.".len() > 63 {
            problems.add(
                codes::ANNOTATION_TOO_LONG,
                pointer,
                format!("Kubernetes allows at most 63 characters behind the '/': {}", shown(key)),
                "give the operation a shorter name",
            );
            continue;
        }
        if let Some(other) = found.get(name) {
            if other.value != value {
                problems.add(
                    codes::ANNOTATION_CONFLICT,
                    pointer,
                    format!("{key} says {}, but {} says {}", shown(value), other.pointer, shown(other.value)),
                    "keep the annotation under one domain only",
                );
            }
            continue;
        }
        if !KNOWN.contains(&name) && !name.starts_with("after.") {
            let meant = closest(name, KNOWN).map_or_else(
                || format!("remove it; the contract knows tenant.{}", KNOWN.join(", tenant.")),
                |meant| format!("did you mean tenant.{meant}?"),
            );
            problems.add(
                codes::ANNOTATION_UNKNOWN,
                pointer,
                format!("the contract has no annotation {}", shown(key)),
                meant,
            );
            continue;
        }
        if value.len() > MAX_VALUE {
            problems.add(
                codes::ANNOTATION_TOO_LONG,
                pointer,
                format!("{key} has {} bytes; at most {MAX_VALUE} are allowed", value.len()),
                "shorten it",
            );
            continue;
        }
        if let Some((at, strange)) =
            value.chars().enumerate().find(|(_, c)| !matches!(c, ' '..='~' | '\t' | '\n' | '\r'))
        {
            problems.add(
                codes::ANNOTATION_CHARACTERS,
                pointer,
                format!("{key} has the character U+{:04X} at place {}", u32::from(strange), at + 1),
                "type the value again with plain ASCII characters; this one may have been pasted and be invisible",
            );
            continue;
        }
        found.insert(name, Entry { value, pointer });
    }
    found
}

/// Reads every annotation that [`collect`] found good.
pub(crate) fn read(
    entries: &BTreeMap<&str, Entry<'_>>,
    own: Option<&HookPath>,
    namespace: Option<&Namespace>,
    problems: &mut Problems,
) -> Read {
    let mut read = Read::default();
    // First, since `after.<operation>` is judged by it.
    if let Some(entry) = entries.get("lifecycle") {
        read.operations = operations(entry, problems);
    }
    for (name, entry) in entries {
        let value = entry.value.trim();
        match *name {
            "after" => read.after = targets(entry, own, namespace, problems),
            "selector" => match value.parse::<Selector>() {
                Ok(_) => value.clone_into(&mut read.selector),
                Err(error) => problems.add(
                    codes::SELECTOR_SYNTAX,
                    &entry.pointer,
                    format!("the selector {} cannot be read: {error}", shown(value)),
                    "write it as for kubectl get -l: tier in (gold,silver),app=crm,!legacy",
                ),
            },
            "on-failure" => {
                let words =
                    [("wait", OnFailure::Wait), ("fail", OnFailure::Fail), ("continue", OnFailure::Continue)];
                read.policy.on_failure = choice(entry, &words, problems).unwrap_or_default();
            }
            "on-lost" => {
                let words = [("wait", OnLost::Wait), ("retry", OnLost::Retry)];
                read.policy.on_lost = choice(entry, &words, problems).unwrap_or_default();
            }
            "attempt-kind" => {
                let words = [("pod", AttemptKind::Pod), ("job", AttemptKind::Job)];
                read.kind = choice(entry, &words, problems).map(|kind| (kind, entry.pointer.clone()));
            }
            "retries" => match value.parse::<u32>() {
                Ok(retries) if retries <= MAX_RETRIES => read.policy.retries = retries,
                _ => problems.add(
                    codes::RETRIES_INVALID,
                    &entry.pointer,
                    format!("retries is {}, which is no number from 0 to {MAX_RETRIES}", shown(value)),
                    format!("give a whole number from 0 to {MAX_RETRIES}, in quotes"),
                ),
            },
            "timeout" => match duration(value) {
                Some(timeout) if timeout <= MAX_TIMEOUT => read.policy.timeout = Some(timeout),
                _ => problems.add(
                    codes::TIMEOUT_INVALID,
                    &entry.pointer,
                    format!("the timeout {} is no duration from 1s to 30d", shown(value)),
                    "write numbers with the units d, h, m, s, the largest first: 6h, 1h30m, 90s",
                ),
            },
            "container" => read.container = Some((value.to_owned(), entry.pointer.clone())),
            _ => {
                if let Some(operation) = name.strip_prefix("after.")
                    && let Some(operation) = registered(operation, entry, &read.operations, problems)
                {
                    let targets = targets(entry, own, namespace, problems);
                    read.after_for.insert(operation, targets);
                }
            }
        }
    }
    read
}

fn operations(entry: &Entry<'_>, problems: &mut Problems) -> BTreeSet<OperationName> {
    let mut found = BTreeSet::new();
    let mut bad = false;
    for word in words(entry.value) {
        match word.parse::<OperationName>() {
            Ok(name) => {
                found.insert(name);
            }
            Err(error) => {
                bad = true;
                problems.add(
                    codes::OPERATION_INVALID,
                    &entry.pointer,
                    error.to_string(),
                    operation_hint(word),
                );
            }
        }
    }
    if found.is_empty() && !bad {
        problems.add(
            codes::LIFECYCLE_MISSING,
            &entry.pointer,
            "tenant.lifecycle names no operation",
            "name the operations, separated by commas: lifecycle.upsert,lifecycle.decommission",
        );
    }
    if found.len() > MAX_OPERATIONS {
        problems.add(
            codes::ANNOTATION_TOO_LONG,
            &entry.pointer,
            format!(
                "tenant.lifecycle names {} operations; at most {MAX_OPERATIONS} are allowed",
                found.len()
            ),
            "split the hook",
        );
    }
    found
}

/// The operations that tenantry brings along.
pub(crate) const BUILT_IN: [&str; 8] = [
    "lifecycle.upsert",
    "lifecycle.suspend",
    "lifecycle.resume",
    "lifecycle.backup",
    "lifecycle.restore",
    "lifecycle.migrate-in",
    "lifecycle.migrate-out",
    "lifecycle.decommission",
];

pub(crate) fn operation_hint(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    closest(&lower, BUILT_IN)
        .or_else(|| closest(&format!("lifecycle.{lower}"), BUILT_IN))
        .map_or_else(|| "write it as team.operation".to_owned(), |meant| format!("did you mean {meant}?"))
}

fn registered(
    operation: &str,
    entry: &Entry<'_>,
    operations: &BTreeSet<OperationName>,
    problems: &mut Problems,
) -> Option<OperationName> {
    match operation.parse::<OperationName>() {
        Ok(name) if operations.contains(&name) => Some(name),
        // Without any operation the missing or wrong tenant.lifecycle is the one thing to say.
        Ok(name) if operations.is_empty() => Some(name),
        Ok(name) => {
            let meant = closest(name.as_str(), operations.iter().map(OperationName::as_str)).map_or_else(
                || format!("add {name} to tenant.lifecycle, or remove this annotation"),
                |meant| format!("did you mean tenant.after.{meant}?"),
            );
            problems.add(
                codes::AFTER_NOT_REGISTERED,
                &entry.pointer,
                format!("the hook is not registered for {name}, so this order would never be used"),
                meant,
            );
            None
        }
        Err(error) => {
            problems.add(
                codes::OPERATION_INVALID,
                &entry.pointer,
                error.to_string(),
                "write it as tenant.after.<operation>, for instance tenant.after.lifecycle.decommission",
            );
            None
        }
    }
}

fn targets(
    entry: &Entry<'_>,
    own: Option<&HookPath>,
    namespace: Option<&Namespace>,
    problems: &mut Problems,
) -> Vec<AfterTarget> {
    let mut found: BTreeMap<HookPath, bool> = BTreeMap::new();
    for word in words(entry.value) {
        let (path, optional) = match word.strip_suffix('?') {
            Some(path) => (path.trim_end(), true),
            None => (word, false),
        };
        let target = match (path.contains('/'), namespace) {
            (true, _) => path.parse::<HookPath>(),
            (false, Some(namespace)) => {
                path.parse().map(|name| HookPath { namespace: namespace.clone(), name })
            }
            // The missing namespace has been told; only the name can be checked.
            (false, None) => match path.parse::<tenantry_model::HookName>() {
                Ok(_) => continue,
                Err(error) => Err(error),
            },
        };
        match target {
            Ok(target) if Some(&target) == own => problems.add(
                codes::AFTER_SELF,
                &entry.pointer,
                format!("{target} waits for itself"),
                "remove it from tenant.after",
            ),
            // Named twice, once without `?`: it is required.
            Ok(target) => {
                let entry = found.entry(target).or_insert(true);
                *entry = *entry && optional;
            }
            Err(error) => problems.add(
                codes::AFTER_INVALID,
                &entry.pointer,
                format!("{} names no hook: {error}", shown(word)),
                "write name or namespace/name, separated by commas; a '?' behind it makes it optional",
            ),
        }
    }
    if found.len() > MAX_TARGETS {
        problems.add(
            codes::ANNOTATION_TOO_LONG,
            &entry.pointer,
            format!("it names {} hooks; at most {MAX_TARGETS} are allowed", found.len()),
            "wait for a hook that itself waits for them",
        );
    }
    found.into_iter().map(|(hook, optional)| AfterTarget { hook, optional }).collect()
}

pub(crate) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn choice<T: Copy>(entry: &Entry<'_>, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let value = entry.value.trim();
    let found = words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        problems.add(
            codes::ANNOTATION_VALUE,
            &entry.pointer,
            format!("{} is not possible here", shown(value)),
            format!("use one of: {}", names.join(", ")),
        );
    }
    found
}

/// `1d6h30m10s`: numbers with units, the largest first, each at most once; more than nothing.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut seconds: i64 = 0;
    for (unit, length) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 && rest[digits..].starts_with(unit) {
            let number: i64 = rest[..digits].parse().ok()?;
            seconds = seconds.checked_add(number.checked_mul(length)?)?;
            rest = &rest[digits + 1..];
        }
    }
    (rest.is_empty() && seconds > 0).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        assert_eq!(duration("6h"), Some(SignedDuration::from_hours(6)));
        assert_eq!(duration("1d1h1m1s"), Some(SignedDuration::from_secs(90_061)));
        for bad in ["", "6", "h", "1m1h", "-1h", "1.5h", "0s", "6h ", "99999999999999999999h", "１h"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }
}
