//! Classification of what a real Kubernetes 1.36 wrote (`tests/recorded`, made by the cluster tests): the last state of an
//! attempt's objects, as an agent finds them that was not there when they ended.
#![allow(clippy::unwrap_used)] // a test may

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tenantry_hook::LABEL_ATTEMPT;
use tenantry_kube_run::{JobSeen, PodSeen, Settings, View, classify};
use tenantry_model::{Fact, FailureReason};

fn recorded(name: &str) -> Fact {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(format!("{name}.json"));
    let objects: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut view = View::default();
    for object in objects {
        if object["metadata"]["labels"][LABEL_ATTEMPT].is_null() {
            continue; // a template
        }
        if object["kind"] == "Job" {
            let job: Job = serde_json::from_value(object).unwrap();
            view.job = Some(JobSeen { job: Arc::new(job), gone: false });
        } else {
            let pod: Pod = serde_json::from_value(object).unwrap();
            view.pods.insert(pod.metadata.uid.clone().unwrap(), PodSeen::next(None, pod, false));
        }
    }
    let container = view.identity().unwrap().container;
    let now = "2026-11-21T13:00:00Z".parse().unwrap();
    classify(&view, &container, None, &Settings::default(), now).fact.unwrap()
}

#[test]
fn every_reason_is_read_from_what_a_cluster_left_behind() {
    use FailureReason::{
        BadOutput, CannotStart, Deadline, Evicted, HookFailed, ImagePull, Killed, OutOfMemory, Unschedulable,
    };
    for (name, reason, exit_code) in [
        ("a_command_that_is_not_in_the_image_cannot_start", Some(CannotStart), Some(128)),
        ("a_container_over_its_memory_limit_is_out_of_memory", Some(OutOfMemory), Some(137)),
        ("a_kill_before_anything_runs_ends_as_killed", Some(Deadline), None),
        ("a_kill_ends_as_killed_whatever_the_hook_answers", Some(Killed), Some(0)),
        ("a_missing_secret_in_a_variable_cannot_start", Some(CannotStart), None),
        ("a_missing_secret_in_a_volume_cannot_start_and_is_named", Some(CannotStart), None),
        ("a_pod_deleted_by_hand_after_its_end_keeps_its_own_end", Some(HookFailed), Some(5)),
        ("a_pod_over_its_local_storage_is_evicted", Some(Evicted), Some(137)),
        ("a_pod_that_no_node_takes_is_unschedulable", Some(Unschedulable), None),
        ("a_sidecar_does_not_keep_a_finished_hook_running", None, Some(0)),
        ("an_attempt_past_its_timeout_is_a_deadline", Some(Deadline), Some(137)),
        ("an_exit_code_is_the_hooks_own", Some(HookFailed), Some(42)),
        ("an_image_that_cannot_be_pulled_is_image_pull", Some(ImagePull), None),
        ("an_image_that_must_never_be_pulled_is_image_pull", Some(ImagePull), None),
        ("an_init_container_that_fails_gives_its_code_and_its_log", Some(HookFailed), Some(9)),
        ("an_invalid_image_name_is_image_pull_at_once", Some(ImagePull), None),
        ("job_is_found_by_another_life", Some(HookFailed), Some(4)),
        ("lines_arrive_while_the_hook_runs", Some(Killed), Some(137)),
        ("outputs_that_are_no_object_of_strings_are_bad_output", Some(BadOutput), Some(0)),
    ] {
        match recorded(name) {
            Fact::Ended { outcome, .. } => {
                assert_eq!((outcome.reason, outcome.exit_code), (reason, exit_code), "{name}: {outcome:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_runs_is_running() {
    let running = recorded("the_whole_cluster_is_searched_but_attempts_are_no_templates");
    assert!(matches!(running, Fact::Running { .. }), "{running:?}");
}
