//! Invariant 9: what a hook may reach is decided by its namespace.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tenantry_hook::{
    AnnotationDomains, AttemptRequest, FILES_INLINE_LIMIT, RegionPolicy, Workload, build, parse,
};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Every manifest that is shipped, with its file.
fn manifests() -> Vec<(PathBuf, Value)> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy"), &mut found);
    found.sort();
    let mut all = Vec::new();
    for file in found {
        // A chart's templates are no YAML; what is rendered of them is shipped beside the chart.
        if file.components().any(|part| part.as_os_str() == "templates") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(documents.into_iter().map(|document| (file.clone(), document)));
    }
    all
}

/// With these rules added to the first role.
pub fn roles_without_secrets(planted: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    let (mut found, mut planted) = (0, planted.to_vec());
    for (file, manifest) in manifests() {
        if !matches!(manifest["kind"].as_str(), Some("Role" | "ClusterRole")) {
            continue;
        }
        found += 1;
        let mut rules = manifest["rules"].as_array().cloned().unwrap_or_default();
        rules.extend(planted.drain(..).map(|rule| serde_saphyr::from_str::<Value>(rule).unwrap()));
        for rule in rules {
            let names = |field: &str, name: &str| {
                let list = rule[field].as_array().cloned().unwrap_or_default();
                list.iter().any(|value| value.as_str().is_some_and(|value| value == name || value == "*"))
            };
            let secrets = names("apiGroups", "") && (names("resources", "secrets"));
            if secrets
                || names("apiGroups", RBAC)
                || names("verbs", "escalate")
                || names("verbs", "impersonate")
            {
                broken.push(format!("{}: {} may {rule}", file.display(), manifest["metadata"]["name"]));
            }
        }
    }
    if found < 6 {
        broken.push(format!("only {found} roles were found"));
    }
    broken
}

fn template(annotations: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "namespace": "crm", "name": "tenant",
                      "annotations": { "tenantry.io/tenant.lifecycle": "lifecycle.upsert" } },
        "spec": { "suspend": true, "template": {
            "metadata": { "annotations": annotations },
            "spec": { "restartPolicy": "Never",
                      "containers": [{ "name": "hook", "image": "local/tools:1", "command": ["true"] }] }
        }}
    })
}

pub fn copies_stay_at_home() -> Vec<String> {
    let (domains, policy) = (AnnotationDomains::default(), RegionPolicy::default());
    let mut broken = Vec::new();
    for (annotation, value) in [
        ("k8s.v1.cni.cncf.io/networks", "other/fast"),
        ("k8s.v1.cni.cncf.io/networks", "[{\"name\": \"fast\", \"namespace\": \"other\"}]"),
        ("v1.multus-cni.io/default-network", "other/fast"),
    ] {
        match parse(&template(&json!({ annotation: value })), &domains, &policy) {
            Ok(_) => broken.push(format!("a template may name {annotation}: {value}")),
            Err(problems) if problems.iter().any(|problem| problem.code == "foreign-namespace") => {}
            Err(problems) => broken.push(format!("{annotation}: {problems:?}")),
        }
    }
    let template = template(&json!({}));
    let hook = parse(&template, &domains, &policy).unwrap();
    // Small files travel with the copy, large ones beside it.
    for size in [10, FILES_INLINE_LIMIT + 10] {
        let request: AttemptRequest = serde_json::from_value(json!({
            "attempt": { "operation": "0192f0c8-a7b3-7c3e-8f00-00000000abcd", "step": "eu1/crm/tenant", "number": 1 },
            "nonce": "0192f0c8-a7b3-7c3e-8f00-0000000000ff",
            "environment": "0192f0c8-0000-7000-8000-000000000001",
            "operationName": "lifecycle.upsert",
            "batch": null, "scheduledTime": null, "traceparent": null, "objectStore": null,
            "environmentFile": "x".repeat(size), "changesetFile": "kind: TenantChangeset\n",
        }))
        .unwrap();
        let copy = build(&template, &hook, &request, &policy).unwrap();
        if size > FILES_INLINE_LIMIT && copy.config_map.is_none() {
            broken.push("large files do not travel beside the copy".to_owned());
        }
        let workload = match copy.workload {
            Workload::Pod(pod) => json!(pod),
            Workload::Job(job) => json!(job),
        };
        let objects = [Some(workload), copy.config_map.map(|map| json!(map))];
        for object in objects.into_iter().flatten() {
            namespaces(&object, &mut |namespace| {
                if namespace != "crm" {
                    broken.push(format!("a copy of crm/tenant names the namespace {namespace}"));
                }
            });
        }
    }
    broken
}

/// Every member `namespace` of a document.
fn namespaces(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().filter(|_| name == "namespace") {
                    Some(namespace) => found(namespace),
                    None => namespaces(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| namespaces(item, found)),
        _ => {}
    }
}
