//! The content hash of a template, and the canonical JSON it is taken over.
//!
//! What changes when the same manifest is deleted and created again (uid, controller labels, selector, status,
//! tracking metadata) is left out: Argo CD replaces templates that way all day.

use crate::{
    AnnotationDomains, annotations,
    problems::Problems,
    spec::{JOB_WITHOUT_EFFECT, is_contract, is_tracking_annotation, is_tracking_label},
};
use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use tenantry_model::{TemplateHash, hex};

/// The content hash of a template: contract annotations and copied spec as stored. It does not depend on the order
/// of members, on the annotations' domain, or on nulls.
#[must_use]
pub fn template_hash(template: &Value, domains: &AnnotationDomains) -> TemplateHash {
    let entries = annotations::collect(template, domains, &mut Problems::default());
    let contract: Map<String, Value> =
        entries.into_iter().map(|(name, entry)| (name.to_owned(), Value::from(entry.value))).collect();
    let mut spec = template.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.retain(|field, _| !JOB_WITHOUT_EFFECT.contains(&field.as_str()));
    if let Some(pod) = spec.get_mut("template").and_then(Value::as_object_mut)
        && let Some(metadata) = pod.get_mut("metadata")
    {
        strip(metadata, "labels", &is_tracking_label);
        strip(metadata, "annotations", &|key| is_tracking_annotation(key) || is_contract(key));
        // The Job controller adds labels to a template that had no metadata at all.
        if metadata.as_object().is_some_and(|members| members.values().all(is_nothing)) {
            pod.remove("metadata");
        }
    }
    // The version of this rule is part of what is hashed: a later rule never gives an old hash a new meaning.
    let content = json!({ "hook": 1, "annotations": contract, "spec": spec });
    TemplateHash(hex(&sha256(canonical(&content).as_bytes())))
}

fn strip(metadata: &mut Value, field: &str, is_foreign: &dyn Fn(&str) -> bool) {
    if let Some(members) = metadata.get_mut(field).and_then(Value::as_object_mut) {
        members.retain(|key, _| !is_foreign(key));
        if members.is_empty()
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.remove(field);
        }
    }
}

/// Members sorted by key, nulls and the objects that hold nothing else left out, no white space.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> =
                members.iter().filter(|(_, value)| !is_nothing(value)).map(|(key, _)| key).collect();
            keys.sort_unstable();
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(&members[key], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

// An empty object can mean something (`emptyDir: {}`), so only `metadata: {creationTimestamp: null}` and the like go.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => !members.is_empty() && members.values().all(is_nothing),
        _ => false,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
