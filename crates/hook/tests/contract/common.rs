//! What the tests of this room share: the complete Job, a request, a way to change a template.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc)] // each test file uses a part; a panic is a failed test

use serde_json::{Value, json};
use tenantry_hook::{AnnotationDomains, AttemptRequest, Hook, RegionPolicy, parse, read_manifest};
use tenantry_model::Problem;

pub const COMPLETE: &str = include_str!("../../../../examples/hook-complete.yaml");

pub fn domains() -> AnnotationDomains {
    AnnotationDomains::new(["tenantry.io", "collibra.com"]).unwrap()
}

/// The contract's complete Job.
pub fn complete() -> Value {
    read_manifest(COMPLETE, "hook-complete.yaml", &domains()).unwrap().remove(0).1
}

/// The smallest hook.
pub fn small() -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "small", "namespace": "team",
            "annotations": { "tenantry.io/tenant.lifecycle": "lifecycle.upsert" },
        },
        "spec": {
            "suspend": true,
            "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "i", "command": ["true"] }],
            }},
        },
    })
}

/// `template` with the value at `pointer` set (objects on the way are made).
pub fn with(mut template: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut template;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(items) => {
                let index: usize = token.parse().unwrap();
                if index == items.len() {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                other.as_object_mut().unwrap().entry(token).or_insert(Value::Null)
            }
        };
    }
    *at = value;
    template
}

/// `template` with a contract annotation.
pub fn annotated(template: Value, name: &str, value: &str) -> Value {
    with(template, &format!("/metadata/annotations/tenantry.io~1tenant.{name}"), json!(value))
}

pub fn read(template: &Value) -> Result<Hook, Vec<Problem>> {
    parse(template, &domains(), &RegionPolicy::default())
}

/// Codes and pointers of everything that is wrong.
pub fn wrong(template: &Value) -> Vec<(String, String)> {
    read(template).unwrap_err().into_iter().map(|p| (p.code, p.pointer)).collect()
}

pub fn request(step: &str) -> AttemptRequest {
    serde_json::from_value(json!({
        "attempt": {
            "operation": "0192f0c8-a7b3-7c3e-8f00-00000000abcd",
            "step": step,
            "number": 3,
        },
        "nonce": "0192f0c8-a7b3-7c3e-8f00-0000000000ff",
        "environment": "0192f0c8-0000-7000-8000-000000000001",
        "operationName": "lifecycle.upsert",
        "batch": null,
        "scheduledTime": null,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "environmentFile": "kind: TenantEnvironment\n",
        "changesetFile": "kind: TenantChangeset\n",
        "objectStore": null,
    }))
    .unwrap()
}
