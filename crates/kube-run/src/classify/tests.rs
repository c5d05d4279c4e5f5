//! What statuses prove: the states of which no end-to-end test can be made on one healthy node.

use super::{Ending, Verdict, Wait, WaitKind, classify};
use crate::{JobSeen, NodeSeen, PodSeen, Settings, View};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::{Value, json};
use std::sync::Arc;
use tenantry_model::{Fact, FailureReason, Outcome};

const NOW: &str = "2026-11-21T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A Pod on a node whose hook runs.
fn running() -> Value {
    json!({
        "metadata": {"name": "a", "namespace": "crm", "uid": "u1"},
        "spec": {"nodeName": "n1", "containers": [{"name": "hook", "image": "i:1"}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}
            ],
            "containerStatuses": [{
                "name": "hook", "image": "i:1", "imageID": "r/i@sha256:ab", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-21T11:00:00Z"}}
            }]
        }
    })
}

fn terminated(code: i32, finished: &str) -> Value {
    let mut pod = running();
    pod["status"]["phase"] = json!(if code == 0 { "Succeeded" } else { "Failed" });
    pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {
        "exitCode": code, "reason": "Error", "startedAt": "2026-11-21T11:00:00Z", "finishedAt": finished
    }});
    pod
}

fn deleted(mut pod: Value, at: &str, grace: i64) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!(at);
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    pod
}

fn disrupted(mut pod: Value, reason: &str) -> Value {
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"});
    pod["status"]["conditions"].as_array_mut().unwrap().push(condition);
    pod
}

fn ending(mut pod: Value, ending: Ending) -> Value {
    pod["metadata"]["annotations"] = json!({"tenantry.io/ending": ending.as_str()});
    pod
}

fn seen(pod: Value) -> PodSeen {
    PodSeen::next(None, serde_json::from_value::<Pod>(pod).unwrap(), false)
}

fn view(seen: PodSeen) -> View {
    View { pods: [("u1".to_owned(), seen)].into_iter().collect(), ..View::default() }
}

fn of(pod: Value) -> Verdict {
    classify(&view(seen(pod)), "hook", None, &Settings::default(), now())
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict.fact {
        Some(Fact::Ended { outcome, .. }) => outcome,
        other => panic!("not an end: {other:?}"),
    }
}

fn is_unknown(verdict: &Verdict) -> bool {
    matches!(verdict.fact, Some(Fact::Unknown { .. }))
}

#[test]
fn a_pod_that_garbage_collection_marked_failed_is_unknown() {
    let mut pod = disrupted(running(), "DeletionByPodGC");
    pod["status"]["phase"] = json!("Failed");
    let verdict = of(pod.clone());
    assert!(is_unknown(&verdict), "{verdict:?}");
    assert_eq!(verdict.silent_node.as_deref(), Some("n1"));

    // The kubelet may have started what it had not told of yet.
    pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
    assert!(is_unknown(&of(pod)));
}

#[test]
fn once_its_kubelet_is_back_and_says_how_it_ended_it_has_ended() {
    let mut pod = deleted(terminated(137, "2026-11-21T11:59:59Z"), "2026-11-21T11:50:00Z", 0);
    pod = disrupted(pod, "DeletionByPodGC");
    assert_eq!(outcome(of(pod)).reason, Some(FailureReason::Evicted));
}

#[test]
fn a_node_marked_out_of_service_is_proof() {
    let mut pod = deleted(running(), "2026-11-21T11:50:00Z", 30);
    pod = disrupted(pod, "DeletionByTaintManager");
    assert!(is_unknown(&of(pod.clone())));
    let mut view = view(seen(pod));
    view.nodes.insert("n1".to_owned(), NodeSeen { out_of_service: true });
    let verdict = classify(&view, "hook", None, &Settings::default(), now());
    assert_eq!(outcome(verdict).reason, Some(FailureReason::Evicted));
}

#[test]
fn a_running_pod_on_a_node_out_of_service_is_not_over_before_it_is_deleted() {
    let mut view = view(seen(running()));
    view.nodes.insert("n1".to_owned(), NodeSeen { out_of_service: true });
    assert!(!classify(&view, "hook", None, &Settings::default(), now()).is_end());
}

#[test]
fn a_pod_of_a_node_that_no_longer_reports_is_unknown_until_it_does() {
    let mut pod = running();
    pod["status"]["conditions"][0]["status"] = json!("False");
    let verdict = of(pod.clone());
    assert!(is_unknown(&verdict) && verdict.look_again.is_some(), "{verdict:?}");
    // With a readiness gate the kubelet itself writes this pair.
    pod["spec"]["readinessGates"] = json!([{"conditionType": "x/y"}]);
    assert!(matches!(of(pod).fact, Some(Fact::Running { .. })));
}

#[test]
fn a_deleted_pod_is_running_within_its_grace_and_unknown_long_after() {
    let young = deleted(running(), "2026-11-21T12:00:20Z", 30);
    assert!(matches!(of(young).fact, Some(Fact::Running { .. })));
    let just_over = of(deleted(running(), "2026-11-21T11:59:50Z", 30));
    assert!(matches!(just_over.fact, Some(Fact::Running { .. })), "the kubelet has a moment more");
    assert!(is_unknown(&of(deleted(running(), "2026-11-21T11:59:00Z", 30))));
}

#[test]
fn a_pod_that_vanished_without_an_end_is_unknown() {
    let mut gone = seen(running());
    gone.gone = true;
    assert!(is_unknown(&classify(&view(gone), "hook", None, &Settings::default(), now())));
}

#[test]
fn a_pod_that_vanished_with_its_end_has_ended() {
    let mut gone = seen(terminated(3, "2026-11-21T11:30:00Z"));
    gone.gone = true;
    let verdict = classify(&view(gone), "hook", None, &Settings::default(), now());
    assert_eq!(outcome(verdict).exit_code, Some(3));
}

#[test]
fn a_pod_deleted_before_any_node_had_it_never_ran() {
    let mut pod = deleted(running(), "2026-11-21T11:59:00Z", 0);
    pod["spec"]["nodeName"] = Value::Null;
    pod["status"] = json!({"phase": "Pending"});
    let ended = outcome(of(pod));
    assert_eq!((ended.reason, ended.exit_code), (Some(FailureReason::Deleted), None));
}

#[test]
fn pre_emption_and_the_eviction_api_are_evictions() {
    for by in ["PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager"] {
        let pod = deleted(terminated(143, "2026-11-21T11:59:00Z"), "2026-11-21T11:59:10Z", 30);
        assert_eq!(outcome(of(disrupted(pod, by))).reason, Some(FailureReason::Evicted), "{by}");
    }
}

#[test]
fn a_zero_within_the_second_of_a_deletion_does_not_count_as_done() {
    // Asked for at 11:59:00 (deletion time less its grace).
    let same = deleted(terminated(0, "2026-11-21T11:59:00Z"), "2026-11-21T11:59:30Z", 30);
    assert_eq!(outcome(of(same)).reason, Some(FailureReason::Deleted));
    let before = deleted(terminated(0, "2026-11-21T11:58:59Z"), "2026-11-21T11:59:30Z", 30);
    assert!(outcome(of(before)).is_success());
}

#[test]
fn the_moment_of_a_deletion_is_kept_when_the_kubelet_sets_the_grace_to_zero() {
    let pod = |value| serde_json::from_value::<Pod>(value).unwrap();
    let asked = PodSeen::next(None, pod(deleted(running(), "2026-11-21T11:59:30Z", 30)), false);
    let killed = terminated(143, "2026-11-21T11:59:20Z");
    // The time stays at the end of the former grace: alone it would say that the hook ended before.
    let last = deleted(killed, "2026-11-21T11:59:30Z", 0);
    let next = PodSeen::next(Some(&asked), pod(last.clone()), false);
    let verdict = classify(&view(next), "hook", None, &Settings::default(), now());
    assert_eq!(outcome(verdict).reason, Some(FailureReason::Deleted));
    // Seen only afterwards: the signal's code decides.
    assert_eq!(outcome(of(last)).reason, Some(FailureReason::Deleted));
}

#[test]
fn a_kill_counts_as_killed_unless_the_hook_was_clearly_faster() {
    use tenantry_model::KillCause::{Operator, Timeout};
    let pod = |finished| deleted(terminated(0, finished), "2026-11-21T11:59:30Z", 30);
    let killed = outcome(of(ending(pod("2026-11-21T11:59:05Z"), Ending::Kill(Operator))));
    assert_eq!(killed.reason, Some(FailureReason::Killed));
    let timed_out = outcome(of(ending(pod("2026-11-21T11:59:05Z"), Ending::Kill(Timeout))));
    assert_eq!(timed_out.reason, Some(FailureReason::Deadline));
    assert!(outcome(of(ending(pod("2026-11-21T11:58:00Z"), Ending::Kill(Operator)))).is_success());
}

#[test]
fn an_end_that_was_decided_but_not_carried_out_is_asked_for_again() {
    let verdict = of(ending(running(), Ending::ImagePull));
    assert_eq!(verdict.end.map(|(ending, _)| ending), Some(Ending::ImagePull));
    let asked = of(deleted(ending(running(), Ending::ImagePull), "2026-11-21T12:00:10Z", 30));
    assert_eq!(asked.end, None, "it is on its way");
}

#[test]
fn giving_up_just_as_the_hook_started_is_no_reason_that_it_could_not_start() {
    let pod = deleted(terminated(143, "2026-11-21T11:59:10Z"), "2026-11-21T11:59:30Z", 30);
    assert_eq!(outcome(of(ending(pod, Ending::CannotStart))).reason, Some(FailureReason::Deleted));
}

#[test]
fn a_container_that_the_kubelet_lost_has_ended_without_an_exit_code() {
    let mut pod = terminated(137, "2026-11-21T11:59:10Z");
    pod["status"]["containerStatuses"][0]["state"]["terminated"] =
        json!({"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null});
    let ended = outcome(of(pod));
    assert_eq!((ended.reason, ended.exit_code), (Some(FailureReason::HookFailed), None));
}

/// Ended with 137 for no named reason; the phase is what the kubelet's first word has.
fn unnamed(limit: Option<&str>, phase: &str) -> Value {
    let mut pod = terminated(137, "2026-11-21T11:59:59Z");
    pod["status"]["phase"] = json!(phase);
    if let Some(limit) = limit {
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": limit}});
    }
    pod
}

fn later_than(pod: Value, wait: &Wait, seconds: i64) -> Verdict {
    let now = now() + SignedDuration::from_secs(seconds);
    classify(&view(seen(pod)), "hook", Some(wait), &Settings::default(), now)
}

#[test]
fn a_kill_that_nobody_names_waits_for_the_kubelets_last_word_and_is_then_named() {
    let first = of(unnamed(Some("48Mi"), "Running"));
    assert!(matches!(first.fact, Some(Fact::Running { .. })) && first.end.is_none(), "{first:?}");
    assert!(first.look_again.is_some() && first.logs.iter().all(|log| log.complete), "{first:?}");
    let wait = first.wait.unwrap();
    assert_eq!(wait.kind, WaitKind::FinalWord);
    let mut named = unnamed(Some("48Mi"), "Failed");
    named["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = json!("OOMKilled");
    assert_eq!(outcome(later_than(named, &wait, 2)).reason, Some(FailureReason::OutOfMemory));
}

#[test]
fn a_kill_that_nobody_names_in_time_is_never_guessed_to_be_the_memory() {
    let wait = of(unnamed(Some("48Mi"), "Failed")).wait.unwrap();
    assert!(!later_than(unnamed(Some("48Mi"), "Failed"), &wait, 9).is_end());
    let ended = outcome(later_than(unnamed(Some("48Mi"), "Failed"), &wait, 10));
    assert_eq!((ended.reason, ended.exit_code), (Some(FailureReason::HookFailed), Some(137)));
    for part in ["SIGKILL", "limit of 48Mi", "by itself"] {
        assert!(ended.message.contains(part), "{part:?} is not in {ended:?}");
    }
    // Who only cleans up does not wait.
    assert!(later_than(unnamed(Some("48Mi"), "Running"), &Wait::OVER, 0).is_end());
    // A kubelet that has not asked its runtime again gets more time, not for ever.
    assert!(!later_than(unnamed(Some("48Mi"), "Running"), &wait, 29).is_end());
    assert!(later_than(unnamed(Some("48Mi"), "Running"), &wait, 30).is_end());
}

#[test]
fn only_a_kill_that_the_memory_may_explain_is_waited_for() {
    let without = outcome(of(unnamed(None, "Running")));
    assert_eq!((without.reason, without.exit_code), (Some(FailureReason::HookFailed), Some(137)));
    assert!(without.message.contains("no memory limit"), "{without:?}");
    let mut other = unnamed(Some("48Mi"), "Running");
    other["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = json!(1);
    assert_eq!(outcome(of(other)).message, "");
    // Somebody is known to have sent it.
    let deleted = deleted(unnamed(Some("48Mi"), "Failed"), "2026-11-21T12:00:00Z", 30);
    assert_eq!(outcome(of(deleted)).reason, Some(FailureReason::Deleted));
    let mut evicted = unnamed(Some("48Mi"), "Failed");
    evicted["status"]["reason"] = json!("Evicted");
    assert_eq!(outcome(of(evicted)).reason, Some(FailureReason::Evicted));
    let mut gone = seen(unnamed(Some("48Mi"), "Failed"));
    gone.gone = true;
    assert!(classify(&view(gone), "hook", None, &Settings::default(), now()).is_end(), "no word can follow");
}

#[test]
fn an_init_container_and_a_limit_of_the_whole_pod_count_as_well() {
    let mut pod = unnamed(None, "Failed");
    pod["spec"]["resources"] = json!({"limits": {"memory": "1Gi"}});
    assert!(of(pod).wait.is_some());
    let mut pod = unnamed(None, "Failed");
    let killed = pod["status"]["containerStatuses"][0]["state"].clone();
    pod["spec"]["initContainers"] = json!([{"name": "prepare", "resources": {"limits": {"memory": "48Mi"}}}]);
    pod["status"]["initContainerStatuses"] = json!([{
        "name": "prepare", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0, "state": killed
    }]);
    pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "PodInitializing"}});
    let first = of(pod.clone());
    assert!(matches!(first.fact, Some(Fact::Starting { .. })), "{first:?}");
    let ended = outcome(later_than(pod, &first.wait.unwrap(), 10));
    assert!(ended.message.contains("init container prepare") && ended.message.contains("48Mi"), "{ended:?}");
}

#[test]
fn a_job_waits_for_the_last_word_on_its_pod_once() {
    let failed = job(&json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]));
    let pods = || vec![unnamed(Some("48Mi"), "Failed")];
    let first = of_job(failed.clone(), pods());
    assert!(!first.is_end() && first.end.is_none() && first.look_again.is_some(), "{first:?}");
    let again = |job: &JobSeen, wait: &Wait, seconds| {
        let pods = pods().into_iter().map(|pod| ("u1".to_owned(), seen(pod))).collect();
        let view = View { job: Some(job.clone()), pods, ..View::default() };
        let now = now() + SignedDuration::from_secs(seconds);
        classify(&view, "hook", Some(wait), &Settings::default(), now)
    };
    let wait = first.wait.unwrap();
    assert!(again(&failed, &wait, 10).is_end());
    // Its controller is late: that is not waited for again.
    let open = again(&job(&json!([])), &wait, 12);
    assert!(!open.is_end() && again(&failed, &open.wait.unwrap(), 13).is_end());
}

#[test]
fn an_end_that_the_hooks_container_does_not_date_is_one_moment_whenever_it_is_looked_at() {
    let mut init = running();
    init["status"] = json!({
        "phase": "Failed",
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T11:00:00Z"}],
        "initContainerStatuses": [{
            "name": "prepare", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 9, "finishedAt": "2026-11-21T11:00:08Z"}}
        }]
    });
    let mut evicted = running();
    evicted["status"] = json!({
        "phase": "Failed", "reason": "Evicted",
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T11:00:08Z"}],
        "containerStatuses": [{
            "name": "hook", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": null}}
        }]
    });
    for pod in [init, evicted] {
        for later in [SignedDuration::ZERO, SignedDuration::from_hours(2)] {
            let verdict =
                classify(&view(seen(pod.clone())), "hook", None, &Settings::default(), now() + later);
            let Some(Fact::Ended { ended_at, .. }) = verdict.fact else { panic!("{verdict:?}") };
            assert_eq!(ended_at, "2026-11-21T11:00:08Z".parse().unwrap());
        }
    }
}

#[test]
fn a_node_that_does_not_admit_the_pod_makes_it_unschedulable() {
    for reason in ["OutOfcpu", "OutOfpods", "NodeAffinity", "UnexpectedAdmissionError"] {
        let mut pod = running();
        pod["status"] = json!({"phase": "Failed", "reason": reason, "message": "no room"});
        let ended = outcome(of(pod));
        assert_eq!(ended.reason, Some(FailureReason::Unschedulable), "{reason}");
        assert!(ended.message.contains("no room"));
    }
}

fn waiting(reason: &str) -> Value {
    let mut pod = running();
    pod["status"]["phase"] = json!("Pending");
    pod["status"]["containerStatuses"][0]["state"] =
        json!({"waiting": {"reason": reason, "message": "words"}});
    pod
}

#[test]
fn what_does_not_come_is_tolerated_first_and_then_ended() {
    for (reason, kind, ending) in [
        ("ErrImagePull", WaitKind::ImagePull, Ending::ImagePull),
        ("ImagePullBackOff", WaitKind::ImagePull, Ending::ImagePull),
        ("ErrImageNeverPull", WaitKind::ImagePull, Ending::ImagePull),
        ("CreateContainerConfigError", WaitKind::CannotStart, Ending::CannotStart),
        ("RunContainerError", WaitKind::CannotStart, Ending::CannotStart),
    ] {
        let first = of(waiting(reason));
        let wait = first.wait.clone().unwrap();
        assert_eq!((wait.kind, &first.end), (kind, &None), "{reason}");
        let later = first.look_again.unwrap();
        let view = view(seen(waiting(reason)));
        let second = classify(&view, "hook", Some(&wait), &Settings::default(), later);
        assert_eq!(second.end.as_ref().map(|(ending, _)| *ending), Some(ending), "{reason}");
        let words = second.end.map(|(_, words)| words).unwrap_or_default();
        assert!(words.contains(reason) && words.contains("words"), "{words}");
        assert!(matches!(second.fact, Some(Fact::Starting { .. })), "not over before the kubelet says so");
    }
}

#[test]
fn a_kubelet_that_could_not_ask_in_time_is_given_more_of_it() {
    let mut pod = waiting("CreateContainerConfigError");
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] =
        json!("failed to sync secret cache: timed out waiting for the condition");
    let (named, vague) = (of(waiting("CreateContainerConfigError")), of(pod));
    let more = SignedDuration::try_from(Settings::default().unexplained_tolerance).unwrap();
    assert_eq!(vague.look_again.unwrap(), named.look_again.unwrap() + more);
}

#[test]
fn a_name_that_can_never_be_pulled_is_ended_at_once() {
    assert_eq!(of(waiting("InvalidImageName")).end.map(|(ending, _)| ending), Some(Ending::ImagePull));
}

#[test]
fn backing_off_and_trying_again_is_one_wait() {
    let first = of(waiting("ErrImagePull")).wait.unwrap();
    let later = now() + SignedDuration::from_secs(30);
    let view = view(seen(waiting("ImagePullBackOff")));
    let second = classify(&view, "hook", Some(&first), &Settings::default(), later).wait.unwrap();
    assert_eq!(second.since, first.since);
}

#[test]
fn a_slow_pull_and_a_scheduling_gate_have_no_limit_of_ours() {
    assert_eq!(of(waiting("ContainerCreating")).look_again, None);
    let mut gated = waiting("x");
    gated["spec"]["nodeName"] = Value::Null;
    gated["status"] = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "queue"}
    ]});
    let verdict = of(gated);
    assert_eq!((verdict.look_again, verdict.end), (None, None));
    assert!(
        matches!(verdict.fact, Some(Fact::Starting { waiting_for: Some(why), .. }) if why.contains("queue"))
    );
}

fn job(conditions: &Value) -> JobSeen {
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "a", "namespace": "crm", "uid": "j1"},
        "spec": {"completions": 1, "template": {}},
        "status": {"conditions": conditions}
    }))
    .unwrap();
    JobSeen { job: Arc::new(job), gone: false }
}

fn of_job(job: JobSeen, pods: Vec<Value>) -> Verdict {
    let pods = pods.into_iter().enumerate().map(|(i, pod)| (format!("u{i}"), seen(pod))).collect();
    let view = View { job: Some(job), pods, ..View::default() };
    classify(&view, "hook", None, &Settings::default(), now())
}

#[test]
fn a_failed_job_whose_pod_nobody_vouches_for_is_unknown() {
    let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]);
    let mut pod = disrupted(running(), "DeletionByPodGC");
    pod["status"]["phase"] = json!("Failed");
    assert!(is_unknown(&of_job(job(&failed), vec![pod])));
    let over = of_job(job(&failed), vec![terminated(9, "2026-11-21T11:30:00Z")]);
    assert_eq!(outcome(over).exit_code, Some(9));
}

#[test]
fn a_job_without_a_condition_is_not_over_although_its_pod_is() {
    let verdict = of_job(job(&json!([])), vec![terminated(0, "2026-11-21T11:30:00Z")]);
    assert!(matches!(verdict.fact, Some(Fact::Running { .. })), "{verdict:?}");
}

#[test]
fn a_pod_of_a_job_that_was_told_to_stop_is_not_done_although_it_left_with_0() {
    let complete = json!([{"type": "Complete", "status": "True", "reason": "CompletionsReached"}]);
    let stopped = deleted(terminated(0, "2026-11-21T11:30:05Z"), "2026-11-21T11:30:20Z", 20);
    let by_hand = outcome(of_job(job(&complete), vec![stopped.clone()]));
    assert_eq!((by_hand.reason, by_hand.exit_code), (Some(FailureReason::Deleted), Some(0)));
    let evicted = outcome(of_job(job(&complete), vec![disrupted(stopped.clone(), "EvictionByEvictionAPI")]));
    assert_eq!(evicted.reason, Some(FailureReason::Evicted));

    let before = deleted(terminated(0, "2026-11-21T11:29:00Z"), "2026-11-21T11:30:20Z", 20);
    assert!(outcome(of_job(job(&complete), vec![before])).is_success(), "it had ended by itself");
    let mut policy = job(&complete);
    let mut value = serde_json::to_value(&*policy.job).unwrap();
    value["spec"]["successPolicy"] = json!({"rules": [{"succeededIndexes": "0"}]});
    policy.job = Arc::new(serde_json::from_value(value).unwrap());
    assert!(outcome(of_job(policy, vec![stopped])).is_success(), "its author stops the others");
}

#[test]
fn a_deleted_job_takes_its_pods_with_it() {
    let mut gone = job(&json!([]));
    let mut value = serde_json::to_value(&*gone.job).unwrap();
    value["metadata"]["deletionTimestamp"] = json!("2026-11-21T11:59:59Z");
    gone.job = Arc::new(serde_json::from_value(value).unwrap());
    let verdict = of_job(gone.clone(), vec![running()]);
    assert_eq!(verdict.delete_pods, ["a"]);
    assert!(!verdict.is_end());
    // Its controller may be about to make one.
    let empty = of_job(gone, Vec::new());
    assert!(!empty.is_end() && empty.look_again.is_some(), "{empty:?}");
}
