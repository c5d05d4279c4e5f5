//! The objects of an attempt.

use crate::common::*;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::{Value, json};
use tenantry_hook::{
    AttemptObjects, AttemptRequest, FINALIZER, ObjectStoreUse, RegionPolicy, Workload, attempt_identity,
    build, codes,
};

const STEP: &str = "eu1/crm/crm-tenant";

fn built(template: &Value, request: &AttemptRequest, policy: &RegionPolicy) -> AttemptObjects {
    build(template, &read(template).unwrap(), request, policy).unwrap()
}

fn pod(template: &Value, request: &AttemptRequest) -> Pod {
    match built(template, request, &RegionPolicy::default()).workload {
        Workload::Pod(pod) => *pod,
        Workload::Job(job) => panic!("a Job: {job:?}"),
    }
}

fn job(template: &Value, request: &AttemptRequest) -> Job {
    match built(template, request, &RegionPolicy::default()).workload {
        Workload::Job(job) => *job,
        Workload::Pod(pod) => panic!("a Pod: {pod:?}"),
    }
}

fn store() -> RegionPolicy {
    RegionPolicy { object_store_claim: Some("tenantry-store".to_owned()), ..RegionPolicy::default() }
}

#[test]
fn the_complete_job_becomes_this_pod() {
    insta::assert_yaml_snapshot!(pod(&complete(), &request(STEP)));
}

#[test]
fn a_template_with_completions_becomes_this_job() {
    let template = with(complete(), "/spec/completions", json!(3));
    let template = with(template, "/spec/completionMode", json!("Indexed"));
    let template = with(template, "/spec/backoffLimit", json!(6));
    insta::assert_yaml_snapshot!(job(&template, &request(STEP)));
}

#[test]
fn the_same_request_builds_the_same_objects_and_another_attempt_has_another_name() {
    let first = pod(&complete(), &request(STEP));
    assert_eq!(first, pod(&complete(), &request(STEP)));
    let mut next = request(STEP);
    next.attempt.number += 1;
    assert_ne!(first.metadata.name, pod(&complete(), &next).metadata.name);
}

#[test]
fn an_object_says_of_which_attempt_it_is() {
    let request = request(STEP);
    let hook = read(&complete()).unwrap();
    let identity = attempt_identity(&pod(&complete(), &request).metadata).unwrap();
    assert_eq!(identity.attempt, request.attempt);
    assert_eq!(identity.nonce, request.nonce);
    assert_eq!(identity.template_hash, hook.hash);
    assert_eq!(identity.environment, request.environment);
    assert_eq!(identity.container, "crm");
    let mut foreign = pod(&complete(), &request).metadata;
    foreign.annotations.as_mut().unwrap().remove("tenantry.io/attempt-nonce");
    assert_eq!(attempt_identity(&foreign), None);
}

#[test]
fn tracking_metadata_does_not_reach_the_copy() {
    let mut template = complete();
    for (pointer, value) in [
        ("/metadata/labels/app.kubernetes.io~1instance", "crm"),
        ("/metadata/annotations/argocd.argoproj.io~1tracking-id", "crm:batch/Job:crm/crm-tenant"),
        ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "{}"),
        ("/spec/template/metadata/labels/app.kubernetes.io~1instance", "crm"),
        ("/spec/template/metadata/labels/argocd.argoproj.io~1instance", "crm"),
        ("/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid", "u"),
        ("/spec/template/metadata/labels/controller-uid", "u"),
        ("/spec/template/metadata/labels/job-name", "crm-tenant"),
        ("/spec/template/metadata/labels/track.example.com~1app", "crm"),
        ("/spec/template/metadata/annotations/argocd.argoproj.io~1tracking-id", "crm"),
        ("/spec/template/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "{}"),
        ("/spec/template/metadata/annotations/collibra.com~1tenant.lifecycle", "lifecycle.upsert"),
        ("/spec/template/metadata/annotations/example.com~1tenant.after", "x"),
    ] {
        template = with(template, pointer, json!(value));
    }
    template = with(template, "/metadata/ownerReferences", json!([{"kind": "Application", "name": "crm"}]));
    let policy = RegionPolicy {
        tracking_labels: ["track.example.com/app".to_owned()].into(),
        ..RegionPolicy::default()
    };
    for template in [template.clone(), with(template, "/spec/completions", json!(2))] {
        let written = match built(&template, &request(STEP), &policy).workload {
            Workload::Pod(pod) => serde_json::to_string(&pod).unwrap(),
            Workload::Job(job) => serde_json::to_string(&job).unwrap(),
        };
        for word in [
            "argocd",
            "last-applied",
            "controller-uid",
            "job-name",
            "instance",
            "track.",
            "tenant.",
            "ownerRef",
        ] {
            assert!(!written.contains(word), "{word} in {written}");
        }
        assert!(!written.contains("suspend\""), "a copy runs: {written}");
    }
}

#[test]
fn the_finalizer_is_on_everything_that_holds_an_outcome() {
    let finalizers = Some(vec![FINALIZER.to_owned()]);
    assert_eq!(pod(&complete(), &request(STEP)).metadata.finalizers, finalizers);
    let job = job(&with(complete(), "/spec/parallelism", json!(2)), &request(STEP));
    assert_eq!(job.metadata.finalizers, finalizers);
    assert_eq!(job.spec.unwrap().template.metadata.unwrap().finalizers, finalizers);
}

#[test]
fn every_container_gets_variables_and_files() {
    let template = with(
        small(),
        "/spec/template/spec/initContainers",
        json!([{"name": "init", "image": "i"}, {"name": "side", "image": "i", "restartPolicy": "Always"}]),
    );
    let template =
        with(template, "/spec/template/spec/containers/1", json!({"name": "second", "image": "i"}));
    let spec = pod(&template, &request("eu1/team/small")).spec.unwrap();
    let all: Vec<_> = spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
    assert_eq!(all.len(), 4);
    for container in all {
        let names: Vec<_> = container.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
        assert!(
            names.contains(&"LIFECYCLE_TENANT_ENV_FILE") && names.contains(&"LIFECYCLE_ATTEMPT"),
            "{names:?}"
        );
        let mounts = container.volume_mounts.as_deref().unwrap();
        assert!(
            mounts.iter().any(|mount| mount.mount_path == "/tenantry/files" && mount.read_only == Some(true))
        );
    }
}

#[test]
fn optional_variables_are_there_when_there_is_something_to_say() {
    let mut request = request(STEP);
    request.scheduled_time = Some("2026-11-21T02:00:00Z".parse().unwrap());
    request.batch = Some("0192f0c8-a7b3-7c3e-8f00-0000000000ba".parse().unwrap());
    request.traceparent = Some("$(CRM_ADMIN_TOKEN)".to_owned());
    let spec = pod(&complete(), &request).spec.unwrap();
    let value = |name: &str| {
        let env = spec.containers[0].env.as_ref().unwrap();
        env.iter().find(|variable| variable.name == name).and_then(|variable| variable.value.clone())
    };
    assert_eq!(value("LIFECYCLE_SCHEDULED_TIME").unwrap(), "2026-11-21T02:00:00Z");
    assert_eq!(value("LIFECYCLE_BATCH_OPERATION_ID").unwrap(), "0192f0c8-a7b3-7c3e-8f00-0000000000ba");
    assert_eq!(
        value("TRACEPARENT").unwrap(),
        "$$(CRM_ADMIN_TOKEN)",
        "the kubelet must not expand a request's text"
    );
    assert_eq!(value("LIFECYCLE_OBJECT_STORE_URL"), None);
}

#[test]
fn the_output_file_is_where_the_kubelet_reads_it() {
    let path = "/spec/template/spec/containers/0/terminationMessagePath";
    let spec = pod(&with(complete(), path, json!("/out/result.json")), &request(STEP)).spec.unwrap();
    let env = spec.containers[0].env.as_ref().unwrap();
    let output = env.iter().find(|variable| variable.name == "LIFECYCLE_OUTPUT_FILE").unwrap();
    assert_eq!(output.value.as_deref(), Some("/out/result.json"));
    assert_eq!(spec.containers[0].termination_message_path.as_deref(), Some("/out/result.json"));
}

#[test]
fn a_backup_gets_its_prefix_and_a_restore_the_backups_read_only() {
    let mut request = request(STEP);
    let backup = "0192f0c8-a7b3-7c3e-8f00-00000000bacc".parse().unwrap();
    for read_only in [false, true] {
        request.object_store = Some(ObjectStoreUse { operation: backup, read_only });
        let Workload::Pod(pod) = built(&complete(), &request, &store()).workload else { panic!("no Pod") };
        let spec = pod.spec.unwrap();
        let mounts = spec.containers[0].volume_mounts.as_ref().unwrap();
        let mount = mounts.iter().find(|mount| mount.mount_path == "/tenantry/store").unwrap();
        assert_eq!(mount.sub_path.as_deref().unwrap(), format!("{}/{backup}", request.environment));
        assert_eq!(mount.read_only, read_only.then_some(true));
        let env = spec.containers[0].env.as_ref().unwrap();
        let url = env.iter().find(|variable| variable.name == "LIFECYCLE_OBJECT_STORE_URL").unwrap();
        assert_eq!(url.value.as_deref(), Some("file:///tenantry/store"));
    }
    let refusal =
        build(&complete(), &read(&complete()).unwrap(), &request, &RegionPolicy::default()).unwrap_err();
    assert_eq!(refusal.problems[0].code, codes::OBJECT_STORE_MISSING);
}

#[test]
fn large_files_travel_in_a_config_map_and_too_large_ones_not_at_all() {
    let mut request = request(STEP);
    request.environment_file = "x".repeat(150 * 1024);
    assert_eq!(built(&complete(), &request, &RegionPolicy::default()).config_map, None);

    request.changeset_file = "y".repeat(51 * 1024);
    let objects = built(&complete(), &request, &RegionPolicy::default());
    let Workload::Pod(pod) = objects.workload else { panic!("no Pod") };
    let map = objects.config_map.unwrap();
    assert_eq!(map.metadata.name, pod.metadata.name);
    assert_eq!(map.metadata.labels.as_ref().unwrap()["tenantry.io/attempt"], "3");
    assert_eq!(map.immutable, Some(true));
    assert_eq!(map.data.as_ref().unwrap()["environment.yaml"], request.environment_file);
    assert!(!pod.metadata.annotations.unwrap().contains_key("tenantry.io/environment.yaml"));
    let volumes = pod.spec.unwrap().volumes.unwrap();
    assert_eq!(volumes[0].config_map.as_ref().unwrap().name, map.metadata.name.unwrap());

    request.environment_file = "x".repeat(1000 * 1024);
    let refusal =
        build(&complete(), &read(&complete()).unwrap(), &request, &RegionPolicy::default()).unwrap_err();
    assert_eq!(refusal.problems[0].code, codes::FILES_TOO_LARGE);
}

#[test]
fn annotations_of_the_template_count_towards_the_limit() {
    let template = with(
        complete(),
        "/spec/template/metadata/annotations/example.com~1notes",
        json!("n".repeat(60 * 1024)),
    );
    let mut request = request(STEP);
    request.environment_file = "x".repeat(190 * 1024);
    assert!(built(&template, &request, &RegionPolicy::default()).config_map.is_some());
}

#[test]
fn a_policy_that_became_stricter_refuses_the_attempt() {
    let template = with(complete(), "/spec/template/spec/hostNetwork", json!(true));
    let loose = RegionPolicy::unrestricted();
    let hook = tenantry_hook::parse(&template, &domains(), &loose).unwrap();
    assert!(build(&template, &hook, &request(STEP), &loose).is_ok());
    let refusal = build(&template, &hook, &request(STEP), &RegionPolicy::default()).unwrap_err();
    assert_eq!(refusal.problems[0].code, codes::POLICY_FORBIDDEN);
    assert!(refusal.to_string().contains("hostNetwork"), "{refusal}");
}
