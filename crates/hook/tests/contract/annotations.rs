//! What the annotations may say, and how each mistake is told.

use crate::common::*;
use serde_json::json;
use tenantry_hook::{AttemptKind, codes};
use tenantry_model::{OnFailure, OnLost};

fn codes_of(name: &str, value: &str) -> Vec<String> {
    wrong(&annotated(small(), name, value)).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn the_complete_job_is_read_as_it_is_written() {
    insta::assert_json_snapshot!(read(&complete()).unwrap());
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let hook = read(&small()).unwrap();
    assert_eq!(hook.policy.on_failure, OnFailure::Wait);
    assert_eq!(hook.policy.on_lost, OnLost::Wait);
    assert_eq!((hook.policy.retries, hook.policy.timeout), (0, None));
    assert_eq!((hook.kind, hook.container.as_str()), (AttemptKind::Pod, "main"));
    assert!(hook.after.is_empty() && hook.selector.is_empty());
}

#[test]
fn after_is_read_in_all_its_forms() {
    let hook = read(&annotated(small(), "after", " a , other/b?,c?,, c ,team/a")).unwrap();
    let read: Vec<_> = hook.after.iter().map(|t| (t.hook.to_string(), t.optional)).collect();
    let wanted = [("other/b", true), ("team/a", false), ("team/c", false)];
    assert_eq!(read, wanted.map(|(hook, optional)| (hook.to_owned(), optional)));
}

#[test]
fn after_for_an_operation_replaces_after_even_when_it_is_empty() {
    let template = annotated(
        annotated(annotated(small(), "lifecycle", "lifecycle.upsert,lifecycle.decommission"), "after", "a"),
        "after.lifecycle.decommission",
        "",
    );
    let hook = read(&template).unwrap();
    assert_eq!(hook.after_for(&"lifecycle.upsert".parse().unwrap()).len(), 1);
    assert!(hook.after_for(&"lifecycle.decommission".parse().unwrap()).is_empty());
}

#[test]
fn every_mistake_in_a_value_has_its_code() {
    for (name, value, code) in [
        ("lifecycle", "", codes::LIFECYCLE_MISSING),
        ("lifecycle", " , ", codes::LIFECYCLE_MISSING),
        ("lifecycle", "upsert", codes::OPERATION_INVALID),
        ("after", "a/b/c", codes::AFTER_INVALID),
        ("after", "A", codes::AFTER_INVALID),
        ("after", "?", codes::AFTER_INVALID),
        ("after", "b??", codes::AFTER_INVALID),
        ("after", "small", codes::AFTER_SELF),
        ("after", "team/small?", codes::AFTER_SELF),
        ("after.lifecycle.suspend", "", codes::AFTER_NOT_REGISTERED),
        ("after.", "a", codes::OPERATION_INVALID),
        ("after.suspend", "a", codes::OPERATION_INVALID),
        ("selector", "a in (b", codes::SELECTOR_SYNTAX),
        ("on-failure", "ignore", codes::ANNOTATION_VALUE),
        ("on-lost", "Wait", codes::ANNOTATION_VALUE),
        ("attempt-kind", "cronjob", codes::ANNOTATION_VALUE),
        ("retries", "-1", codes::RETRIES_INVALID),
        ("retries", "11", codes::RETRIES_INVALID),
        ("retries", "2.0", codes::RETRIES_INVALID),
        ("timeout", "6", codes::TIMEOUT_INVALID),
        ("timeout", "0s", codes::TIMEOUT_INVALID),
        ("timeout", "31d", codes::TIMEOUT_INVALID),
        ("container", "man", codes::CONTAINER_UNKNOWN),
        ("atfer", "a", codes::ANNOTATION_UNKNOWN),
        (&format!("after.team.{}", "x".repeat(50)), "", codes::ANNOTATION_TOO_LONG),
        ("selector", &"a,".repeat(5_000), codes::ANNOTATION_TOO_LONG),
    ] {
        assert_eq!(codes_of(name, value), [code], "{name}: {value:.60}");
    }
}

#[test]
fn a_typing_error_is_answered_with_what_was_meant() {
    let remedy = |name: &str, value: &str| {
        read(&annotated(small(), name, value)).unwrap_err().into_iter().next().unwrap().remedy
    };
    assert_eq!(remedy("atfer", "a"), "did you mean tenant.after?");
    assert_eq!(remedy("lifecycle", "lifecycle_upset"), "did you mean lifecycle.upsert?");
    assert_eq!(remedy("lifecycle", "Upsert"), "did you mean lifecycle.upsert?");
    assert_eq!(remedy("after.lifecycle.upser", ""), "did you mean tenant.after.lifecycle.upsert?");
    assert_eq!(remedy("container", "mian"), "did you mean main?");
}

#[test]
fn a_value_without_quotes_is_told_whichever_annotation_it_is() {
    for key in ["tenantry.io~1tenant.retries", "example.com~1revision"] {
        let pointer = format!("/metadata/annotations/{key}");
        assert_eq!(wrong(&with(small(), &pointer, json!(2))), [(codes::FIELD_TYPE.to_owned(), pointer)]);
    }
}

#[test]
fn strange_characters_are_named_by_their_number() {
    for (value, number) in [
        ("lifecycle.upsert\u{200b}", "U+200B"),
        ("lifecycle.upsert,\u{a0}lifecycle.suspend", "U+00A0"),
        ("lifecycle.\u{202e}tresup", "U+202E"),
        ("lifecycle.upsеrt", "U+0435"),
        ("lifecycle.upsert，lifecycle.suspend", "U+FF0C"),
        ("\u{0}", "U+0000"),
        ("🦀", "U+1F980"),
    ] {
        let problems = read(&annotated(small(), "lifecycle", value)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].code, codes::ANNOTATION_CHARACTERS);
        assert!(problems[0].message.contains(number), "{}", problems[0].message);
    }
    // In a key too; and what is shown has no invisible character.
    let problems = read(&annotated(small(), "after\u{200b}", "a")).unwrap_err();
    assert_eq!(problems[0].code, codes::ANNOTATION_UNKNOWN);
    assert_eq!(problems[0].remedy, "did you mean tenant.after?");
    assert!(problems[0].message.is_ascii(), "{}", problems[0].message);
}

#[test]
fn two_domains_may_agree_but_not_disagree() {
    let also =
        |value: &str| with(small(), "/metadata/annotations/collibra.com~1tenant.lifecycle", json!(value));
    assert!(read(&also("lifecycle.upsert")).is_ok());
    assert_eq!(wrong(&also("lifecycle.suspend"))[0].0, codes::ANNOTATION_CONFLICT);
    // A domain that is not configured says nothing.
    let foreign = with(small(), "/metadata/annotations/example.com~1tenant.lifecycle", json!("x"));
    assert!(read(&foreign).is_ok());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let template =
        annotated(annotated(annotated(small(), "retries", "many"), "timeout", "long"), "atfer", "a");
    let template = with(template, "/spec/suspend", json!(false));
    let template = with(template, "/spec/template/spec/hostNetwork", json!(true));
    let mut found: Vec<String> = wrong(&template).into_iter().map(|(code, _)| code).collect();
    found.sort();
    let wanted = [
        codes::ANNOTATION_UNKNOWN,
        codes::NOT_SUSPENDED,
        codes::POLICY_FORBIDDEN,
        codes::RETRIES_INVALID,
        codes::TIMEOUT_INVALID,
    ];
    assert_eq!(found, wanted);
}

#[test]
fn identity_is_namespace_and_name_of_a_job() {
    assert_eq!(wrong(&json!({"apiVersion": "v1", "kind": "Pod"}))[0].0, codes::NOT_A_JOB);
    assert_eq!(wrong(&json!("text"))[0].0, codes::NOT_A_JOB);
    assert_eq!(wrong(&with(small(), "/metadata/namespace", json!(null)))[0].0, codes::NAMESPACE_INVALID);
    assert_eq!(wrong(&with(small(), "/metadata/name", json!("Ä")))[0].0, codes::NAME_INVALID);
    let bare = with(small(), "/metadata/annotations", json!({}));
    assert_eq!(wrong(&bare)[0].0, codes::LIFECYCLE_MISSING);
}

#[test]
fn a_pod_is_the_default_and_a_job_where_it_is_needed_or_wanted() {
    let kind = |template| read(&template).unwrap().kind;
    assert_eq!(kind(with(small(), "/spec/completions", json!(1))), AttemptKind::Pod);
    assert_eq!(kind(with(small(), "/spec/completions", json!(3))), AttemptKind::Job);
    assert_eq!(kind(with(small(), "/spec/parallelism", json!(2))), AttemptKind::Job);
    assert_eq!(kind(with(small(), "/spec/completionMode", json!("Indexed"))), AttemptKind::Job);
    assert_eq!(kind(annotated(small(), "attempt-kind", "job")), AttemptKind::Job);
    let both = annotated(with(small(), "/spec/completions", json!(3)), "attempt-kind", "pod");
    assert_eq!(wrong(&both)[0].0, codes::KIND_CONFLICT);
}
