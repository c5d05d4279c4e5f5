//! The allow-list, the region's policy, and the hash.

use crate::common::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry_hook::{Privilege, RegionPolicy, codes, parse, template_hash};

const POD: &str = "/spec/template/spec";

#[test]
fn a_field_that_is_on_no_list_refuses_the_hook() {
    for (pointer, value, code) in [
        ("/spec/managedBy", json!("x/y"), codes::FIELD_NOT_ALLOWED),
        ("/spec/activeDeadlineSeconds", json!(5), codes::FIELD_NOT_ALLOWED),
        ("/spec/tempalte", json!({}), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/status", json!({}), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/metadata/finalizers", json!(["a/b"]), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/spec/activeDeadlineSeconds", json!(5), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/spec/schedulingGates", json!([{"name": "a"}]), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/spec/containers/0/restartPolicy", json!("Always"), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/spec/containers/0/comand", json!(["x"]), codes::FIELD_NOT_ALLOWED),
        ("/spec/template/spec/securityContext/runAsUsr", json!(1), codes::FIELD_UNKNOWN),
        ("/spec/template/spec/containers/0/resources/limit", json!({"cpu": 1}), codes::FIELD_UNKNOWN),
        ("/spec/template/spec/volumes", json!([{"name": "a", "secrets": {}}]), codes::FIELD_UNKNOWN),
    ] {
        let found = wrong(&with(small(), pointer, value));
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert_eq!(found[0].0, code, "{pointer}");
        assert!(found[0].1.starts_with(pointer), "{pointer}: {found:?}");
    }
}

#[test]
fn a_wrong_type_is_told_where_it_is() {
    for (pointer, value, at) in [
        ("/spec/completions", json!("three"), "/spec/completions"),
        ("/spec/template/spec/containers", json!({}), "/spec/template/spec/containers"),
        ("/spec/template/spec/containers/0", json!("x"), "/spec/template/spec/containers/0"),
        (
            "/spec/template/spec/containers/0/command",
            json!("true"),
            "/spec/template/spec/containers/0/command",
        ),
        (
            "/spec/template/spec/containers/0/env",
            json!([{"name": "A", "value": 5}]),
            "/spec/template/spec/containers/0/env",
        ),
        ("/spec/template/spec/tolerations", json!("x"), "/spec/template/spec/tolerations"),
    ] {
        let found = wrong(&with(small(), pointer, value));
        assert!(found.contains(&(codes::FIELD_TYPE.to_owned(), at.to_owned())), "{pointer}: {found:?}");
    }
}

#[test]
fn what_the_api_server_fills_in_is_no_mistake() {
    let stored = json!({
        "backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1, "parallelism": 1,
        "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
        "ttlSecondsAfterFinished": null,
    });
    let mut template = small();
    for (field, value) in stored.as_object().unwrap() {
        template = with(template, &format!("/spec/{field}"), value.clone());
    }
    let pod = json!({
        "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {},
        "terminationGracePeriodSeconds": 30, "serviceAccount": "a", "serviceAccountName": "a",
    });
    for (field, value) in pod.as_object().unwrap() {
        template = with(template, &format!("{POD}/{field}"), value.clone());
    }
    template = with(template, "/spec/template/metadata/creationTimestamp", json!(null));
    template = with(template, "/status", json!({"conditions": []}));
    template = with(
        template,
        "/spec/template/spec/containers/0/terminationMessagePath",
        json!("/dev/termination-log"),
    );
    read(&template).unwrap();
}

#[test]
fn quantities_may_be_numbers() {
    let resources = json!({"requests": {"cpu": 1, "memory": 1_048_576}, "limits": {"cpu": 1.5}});
    read(&with(small(), "/spec/template/spec/containers/0/resources", resources)).unwrap();
}

#[test]
fn a_privilege_is_forbidden_until_the_region_allows_it() {
    let container = "/spec/template/spec/containers/0";
    for (privilege, pointer, value) in [
        (Privilege::HostPath, format!("{POD}/volumes"), json!([{"name": "a", "hostPath": {"path": "/"}}])),
        (Privilege::HostNetwork, format!("{POD}/hostNetwork"), json!(true)),
        (Privilege::HostPid, format!("{POD}/hostPID"), json!(true)),
        (Privilege::HostIpc, format!("{POD}/hostIPC"), json!(true)),
        (Privilege::HostPort, format!("{container}/ports"), json!([{"containerPort": 80, "hostPort": 80}])),
        (Privilege::Privileged, format!("{container}/securityContext/privileged"), json!(true)),
        (Privilege::Privileged, format!("{container}/securityContext/procMount"), json!("Unmasked")),
        (Privilege::Privileged, format!("{POD}/securityContext/windowsOptions/hostProcess"), json!(true)),
        (
            Privilege::AddCapabilities,
            format!("{container}/securityContext/capabilities/add"),
            json!(["NET_ADMIN"]),
        ),
        (Privilege::Sysctls, format!("{POD}/securityContext/sysctls"), json!([{"name": "a", "value": "1"}])),
        (Privilege::Unconfined, format!("{POD}/securityContext/seccompProfile/type"), json!("Unconfined")),
        (
            Privilege::Unconfined,
            "/spec/template/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1main"
                .to_owned(),
            json!("unconfined"),
        ),
        (
            Privilege::SelinuxOptions,
            format!("{POD}/securityContext/seLinuxOptions"),
            json!({"type": "spc_t"}),
        ),
        (
            Privilege::SelinuxOptions,
            format!("{container}/securityContext/seLinuxOptions"),
            json!({"user": "root"}),
        ),
        (
            Privilege::ProbeHost,
            format!("{container}/livenessProbe/httpGet"),
            json!({"port": 80, "host": "169.254.169.254"}),
        ),
        (
            Privilege::ProbeHost,
            format!("{container}/lifecycle/preStop/tcpSocket"),
            json!({"port": 80, "host": "db"}),
        ),
        (Privilege::NodeName, format!("{POD}/nodeName"), json!("node-1")),
        (
            Privilege::ForeignNamespaceAnnotations,
            "/spec/template/metadata/annotations/k8s.v1.cni.cncf.io~1networks".to_owned(),
            json!("mine,kube-system/net@eth1"),
        ),
        (
            Privilege::ForeignNamespaceAnnotations,
            "/spec/template/metadata/annotations/k8s.v1.cni.cncf.io~1networks".to_owned(),
            json!("[{\"name\": \"net\", \"namespace\": \"kube-system\"}]"),
        ),
    ] {
        let template = with(small(), &pointer, value);
        let found = wrong(&template);
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert!([codes::POLICY_FORBIDDEN, codes::FOREIGN_NAMESPACE].contains(&found[0].0.as_str()));
        assert!(found[0].1.starts_with(&pointer), "{found:?}");
        let allowing = RegionPolicy { allow: [privilege].into(), ..RegionPolicy::default() };
        assert!(parse(&template, &domains(), &allowing).is_ok(), "{privilege:?}");
    }
}

#[test]
fn an_init_container_is_judged_like_any_other() {
    let init = json!([{"name": "init", "image": "i", "securityContext": {"privileged": true}}]);
    assert_eq!(wrong(&with(small(), &format!("{POD}/initContainers"), init))[0].0, codes::POLICY_FORBIDDEN);
}

#[test]
fn a_volume_from_another_namespace_is_refused() {
    let source = "/ephemeral/volumeClaimTemplate/spec/dataSourceRef/namespace";
    let template = with(small(), &format!("{POD}/volumes"), json!([{"name": "a"}]));
    let found = wrong(&with(template, &format!("{POD}/volumes/0{source}"), json!("other")));
    assert!(found.iter().any(|(code, _)| code == codes::FOREIGN_NAMESPACE), "{found:?}");
}

#[test]
fn what_belongs_to_tenantry_is_refused() {
    let container = "/spec/template/spec/containers/0";
    for (pointer, value) in [
        (format!("{container}/env"), json!([{"name": "LIFECYCLE_ATTEMPT", "value": "9"}])),
        (format!("{container}/env"), json!([{"name": "TRACEPARENT", "value": "x"}])),
        (format!("{POD}/volumes"), json!([{"name": "tenantry-files", "emptyDir": {}}])),
        (format!("{container}/volumeMounts"), json!([{"name": "v", "mountPath": "/tenantry/files/"}])),
        ("/spec/template/metadata/labels/tenantry.io~1attempt".to_owned(), json!("1")),
        ("/spec/template/metadata/annotations/tenantry.io~1attempt-nonce".to_owned(), json!("1")),
    ] {
        let found = wrong(&with(small(), &pointer, value));
        assert_eq!(found[0].0, codes::NAME_RESERVED, "{pointer}: {found:?}");
    }
}

#[test]
fn a_template_needs_a_container_with_name_and_image() {
    for (pointer, value, code) in [
        ("/spec/template/spec/containers", json!([]), codes::CONTAINERS_MISSING),
        ("/spec/template/spec/containers", json!(null), codes::CONTAINERS_MISSING),
        ("/spec/template", json!(null), codes::CONTAINERS_MISSING),
        ("/spec/template/spec/containers/0/image", json!(" "), codes::CONTAINER_INVALID),
        ("/spec/template/spec/containers/0/name", json!("Ä"), codes::CONTAINER_INVALID),
        ("/spec/template/spec/containers/1", json!({"name": "main", "image": "i"}), codes::CONTAINER_INVALID),
        ("/spec/template/spec/restartPolicy", json!("Always"), codes::RESTART_POLICY),
        ("/spec/template/spec/restartPolicy", json!(null), codes::RESTART_POLICY),
    ] {
        let found = wrong(&with(small(), pointer, value));
        assert_eq!(found[0].0, code, "{pointer}: {found:?}");
    }
}

#[test]
fn the_hash_does_not_see_what_re_creating_the_template_changes() {
    let before = template_hash(&complete(), &domains());
    let mut again = complete();
    for (pointer, value) in [
        ("/metadata/uid", json!("another")),
        ("/metadata/labels/argocd.argoproj.io~1instance", json!("crm")),
        ("/metadata/annotations/argocd.argoproj.io~1tracking-id", json!("crm:batch/Job:crm/crm-tenant")),
        ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", json!("{}")),
        ("/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid", json!("another")),
        ("/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid", json!("another")),
        ("/spec/template/metadata/labels/job-name", json!("crm-tenant")),
        ("/spec/template/metadata/creationTimestamp", json!(null)),
        ("/spec/backoffLimit", json!(6)),
        ("/status", json!({"conditions": [{"type": "Suspended"}]})),
    ] {
        again = with(again, pointer, value);
    }
    assert_eq!(template_hash(&again, &domains()), before);
    // A template without labels gets some from the Job controller.
    let labelled = with(small(), "/spec/template/metadata/labels/controller-uid", json!("u"));
    assert_eq!(template_hash(&labelled, &domains()), template_hash(&small(), &domains()));
}

#[test]
fn the_hash_sees_what_changes_an_attempt() {
    let before = template_hash(&complete(), &domains());
    for (pointer, value) in [
        ("/metadata/annotations/collibra.com~1tenant.retries", json!("3")),
        ("/metadata/annotations/collibra.com~1tenant.after", json!("")),
        ("/spec/template/spec/containers/0/image", json!("registry.example.com/crm/tenant:1.4.3")),
        ("/spec/template/metadata/labels/a", json!("b")),
        ("/spec/completions", json!(2)),
    ] {
        assert_ne!(template_hash(&with(complete(), pointer, value), &domains()), before, "{pointer}");
    }
}

fn shuffled(value: &Value, flip: bool) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<_> = members.iter().map(|(k, v)| (k.clone(), shuffled(v, flip))).collect();
            if flip {
                pairs.reverse();
            }
            pairs.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(|item| shuffled(item, flip)).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn the_hash_depends_on_values_and_not_on_the_order_of_members(
        env in proptest::collection::btree_map("[A-Z]{1,6}", "\\PC{0,12}", 0..5),
        changed in "[a-z]{1,8}",
    ) {
        let list: Vec<Value> = env.iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
        let template = with(small(), "/spec/template/spec/containers/0/env", json!(list));
        let hash = template_hash(&template, &domains());
        prop_assert_eq!(&template_hash(&shuffled(&template, true), &domains()), &hash);
        prop_assert_eq!(hash.0.len(), 64);
        let other = with(template, "/spec/template/spec/containers/0/image", json!(format!("i/{changed}")));
        prop_assert_ne!(template_hash(&other, &domains()), hash);
    }
}
