//! What a laptop runs of a template.

use crate::common::*;
use serde_json::{Value, json};
use std::convert::Infallible;
use tenantry_hook::{
    EnvValue, MountSource, ObjectStoreUse, ProcessPaths, ProcessSpec, Refusal, codes, process_spec,
};

fn local(template: &Value) -> Result<ProcessSpec, Refusal> {
    let mut request = request("dev/team/small");
    request.object_store = Some(ObjectStoreUse { operation: request.attempt.operation, read_only: false });
    let paths = ProcessPaths {
        environment_file: "/run/e.yaml".to_owned(),
        changeset_file: "/run/c.yaml".to_owned(),
        output_file: "/run/out".to_owned(),
        object_store: Some("/data/my store".to_owned()),
    };
    process_spec(template, &read(template).unwrap(), &request, &paths)
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn command_variables_and_volumes_are_what_the_container_would_have() {
    let template = with(small(), &format!("{CONTAINER}/command"), json!(["/bin/tool", "--for=$(WHO)"]));
    let template =
        with(template, &format!("{CONTAINER}/args"), json!(["$(LIFECYCLE_ATTEMPT)", "$$(WHO)", "$(NOT)"]));
    let template = with(template, &format!("{CONTAINER}/workingDir"), json!("/srv"));
    let template = with(
        template,
        &format!("{CONTAINER}/envFrom"),
        json!([{"prefix": "S_", "secretRef": {"name": "all"}}, {"configMapRef": {"name": "map", "optional": true}}]),
    );
    let template = with(
        template,
        &format!("{CONTAINER}/env"),
        json!([
            {"name": "WHO", "value": "x-$(S_user)-$(LIFECYCLE_OPERATION_NAME)"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}},
            {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ]),
    );
    let template = with(
        template,
        "/spec/template/spec/volumes",
        json!([
            {"name": "s", "secret": {"secretName": "tls", "items": [{"key": "a", "path": "b"}]}},
            {"name": "c", "configMap": {"name": "conf"}},
            {"name": "e", "emptyDir": {}},
            {"name": "p", "persistentVolumeClaim": {"claimName": "data"}},
        ]),
    );
    let mounts = json!([
        {"name": "s", "mountPath": "/tls", "readOnly": true}, {"name": "c", "mountPath": "/conf"},
        {"name": "e", "mountPath": "/tmp/x"}, {"name": "p", "mountPath": "/data", "subPath": "crm"},
    ]);
    let spec = local(&with(template, &format!("{CONTAINER}/volumeMounts"), mounts)).unwrap();
    assert_eq!(spec.working_dir.as_deref(), Some("/srv"));
    let sources: Vec<_> = spec.mounts.iter().map(|mount| mount.source.clone()).collect();
    assert_eq!(
        sources,
        [
            MountSource::Secret {
                name: "tls".to_owned(),
                items: vec![("a".to_owned(), "b".to_owned())],
                optional: false
            },
            MountSource::ConfigMap { name: "conf".to_owned(), items: vec![], optional: false },
            MountSource::EmptyDir,
            MountSource::Claim { name: "data".to_owned() },
        ]
    );
    assert_eq!((spec.mounts[0].read_only, spec.mounts[3].sub_path.as_deref()), (true, Some("crm")));

    let resolved = spec
        .resolve::<Infallible>(&mut |variable| {
            Ok(match &variable.value {
                EnvValue::AllOfSecret { .. } => vec![("user".to_owned(), "ann".to_owned())],
                EnvValue::Secret { key, .. } => vec![(key.clone(), "s3cret $(WHO)".to_owned())],
                _ => vec![],
            })
        })
        .unwrap();
    assert_eq!(resolved.argv, ["/bin/tool", "--for=x-ann-lifecycle.upsert", "3", "$(WHO)", "$(NOT)"]);
    let value =
        |name: &str| resolved.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("TOKEN"), Some("s3cret $(WHO)"), "a secret's text is never expanded");
    assert_eq!(value("NS"), Some("team"));
    assert_eq!(value("LIFECYCLE_TENANT_ENV_FILE"), Some("/run/e.yaml"));
    assert_eq!(value("LIFECYCLE_OUTPUT_FILE"), Some("/run/out"));
    assert_eq!(value("LIFECYCLE_OBJECT_STORE_URL"), Some("file:///data/my%20store"));
}

#[test]
fn what_a_laptop_cannot_run_is_refused_with_the_reason() {
    let pod = "/spec/template/spec";
    for (pointer, value, code) in [
        (format!("{pod}/initContainers"), json!([{"name": "i", "image": "i"}]), codes::PROCESS_CONTAINERS),
        (format!("{pod}/containers/1"), json!({"name": "side", "image": "i"}), codes::PROCESS_CONTAINERS),
        ("/spec/completions".to_owned(), json!(2), codes::PROCESS_COMPLETIONS),
        ("/spec/completionMode".to_owned(), json!("Indexed"), codes::PROCESS_COMPLETIONS),
        (format!("{CONTAINER}/command"), json!(null), codes::PROCESS_COMMAND),
        (
            format!("{CONTAINER}/volumeMounts"),
            json!([{"name": "none", "mountPath": "/x"}]),
            codes::PROCESS_VOLUME,
        ),
        (
            format!("{CONTAINER}/env"),
            json!([{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
            codes::PROCESS_VARIABLE,
        ),
        (
            format!("{CONTAINER}/env"),
            json!([{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]),
            codes::PROCESS_VARIABLE,
        ),
    ] {
        let refusal = local(&with(small(), &pointer, value)).unwrap_err();
        assert_eq!(refusal.problems.len(), 1, "{refusal}");
        assert_eq!(refusal.problems[0].code, code, "{pointer}");
    }
    let nfs = with(
        small(),
        "/spec/template/spec/volumes",
        json!([{"name": "n", "nfs": {"server": "s", "path": "/"}}]),
    );
    local(&nfs).unwrap();
    let mounted = with(nfs, &format!("{CONTAINER}/volumeMounts"), json!([{"name": "n", "mountPath": "/n"}]));
    assert_eq!(local(&mounted).unwrap_err().problems[0].code, codes::PROCESS_VOLUME);
}
