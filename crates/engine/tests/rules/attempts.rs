//! Attempts: starting, ending, retrying, getting lost.

use crate::bench::{Bench, failed, hook, kills, minutes, rerun, starts, step};
use jiff::SignedDuration;
use std::collections::BTreeSet;
use tenantry_engine::{Action, AppliedChange, Change, Event, PLATFORM_RETRIES, Rejected, StepVerb, keys};
use tenantry_model::{
    AttemptId, AttemptState, AttentionKind, Fact, FailureReason, KillCause, OnFailure, OnLost,
    OperationState, Outcome, StepState,
};

#[test]
fn an_attempts_row_comes_with_the_order_to_start_it_and_is_unknown_until_its_region_looked() {
    let bench = Bench::planned([step("a", &[])]);
    assert_eq!(starts(&bench.last), ["a#1"]);
    assert!(
        bench.last.changes.iter().any(|change| matches!(change, Change::Attempt(row) if row.id.number == 1))
    );
    assert_eq!(bench.newest("a").state, AttemptState::Created);
    assert_eq!(bench.newest("a").unknown_since, Some(bench.now));
    let dirty = Action::Applied { hook: hook("a"), change: AppliedChange::Started };
    assert!(bench.last.actions.contains(&dirty));
}

#[test]
fn attempts_that_one_event_creates_have_nonces_of_their_own() {
    let bench = Bench::planned(["a", "b", "c", "d"].map(|name| step(name, &[])));
    let nonces: BTreeSet<_> = bench.run.attempts().values().map(|attempt| attempt.nonce).collect();
    assert_eq!(nonces.len(), 4);
}

#[test]
fn a_step_starts_when_all_that_it_waits_for_is_done() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
    assert_eq!(starts(&bench.succeeds("a")), Vec::<String>::new());
    assert_eq!(starts(&bench.succeeds("b")), ["c#1"]);
}

#[test]
fn a_step_that_its_selector_leaves_out_counts_as_done() {
    let mut deselected = step("a", &[]);
    deselected.state = StepState::Skipped;
    let bench = Bench::planned([deselected, step("b", &["a"])]);
    assert_eq!(starts(&bench.last), ["b#1"]);
}

#[test]
fn a_report_that_arrives_twice_changes_nothing() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    for fact in [
        Fact::Starting { object: "pod".to_owned(), waiting_for: Some("image pull".to_owned()) },
        Fact::Unknown { why: "node".to_owned() },
        bench.end(Outcome::default()),
    ] {
        let event = bench.observation("a", 1, fact);
        assert!(!bench.on(&event).is_empty());
        assert!(bench.on(&event).is_empty());
    }
    assert_eq!(bench.step("b").attempt, 1);
}

#[test]
fn an_older_report_changes_nothing_but_an_end_counts_whenever_it_arrives() {
    let mut bench = Bench::planned([step("a", &[])]);
    let starting = bench.observation("a", 1, Fact::Starting { object: "pod".to_owned(), waiting_for: None });
    let end = bench.end(Outcome::default());
    let ended = bench.observation("a", 1, end);
    bench.runs("a");
    assert!(bench.on(&starting).is_empty());
    bench.on(&ended);
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn a_report_of_an_attempt_that_was_never_created_is_refused() {
    let mut bench = Bench::planned([step("a", &[])]);
    let event = bench.observation("a", 2, Fact::Unknown { why: String::new() });
    assert!(matches!(bench.apply(&event), Err(Rejected::UnknownAttempt(id)) if id.number == 2));
    let Event::Observed(mut foreign) = bench.observation("a", 1, Fact::Unknown { why: String::new() }) else {
        unreachable!()
    };
    foreign.attempt.operation = tenantry_model::OperationId(uuid::Uuid::from_u128(99));
    assert!(bench.apply(&Event::Observed(foreign)).is_err());
}

#[test]
fn the_outcome_of_an_end_is_kept_and_the_object_released() {
    let mut bench = Bench::planned([step("a", &[])]);
    bench.runs("a");
    let outputs = [("url".to_owned(), "https://a".to_owned())].into();
    let fact = bench.end(Outcome { outputs, message: "x".repeat(2_000), ..Outcome::default() });
    let transition = bench.sees("a", fact);
    let id = AttemptId { operation: bench.run.operation().id, step: hook("a"), number: 1 };
    assert!(transition.actions.contains(&Action::Release(id)));
    assert_eq!(bench.step("a").outputs["url"], "https://a");
    assert_eq!(bench.newest("a").outcome.as_ref().unwrap().message.len(), 1_000);
    assert_eq!(bench.newest("a").state, AttemptState::Succeeded);
}

#[test]
fn outputs_above_4_kib_are_a_failure_of_the_hook() {
    let mut bench = Bench::planned([step("a", &[])]);
    let outputs = [("k".to_owned(), "x".repeat(5_000))].into();
    let fact = bench.end(Outcome { outputs, ..Outcome::default() });
    bench.sees("a", fact);
    let outcome = bench.newest("a").outcome.clone().unwrap();
    assert_eq!(outcome.reason, Some(FailureReason::BadOutput));
    assert!(outcome.outputs.is_empty() && bench.step("a").waiting);
}

#[test]
fn a_region_with_a_wrong_clock_neither_ends_an_attempt_early_nor_lets_it_run_on() {
    for skew in [minutes(-600), minutes(600)] {
        let mut bench = Bench::with(|policy| policy.timeout = Some(minutes(30)));
        let started_at = bench.now + skew;
        let images = [("main".to_owned(), "sha256:1".to_owned())].into();
        bench.sees("a", Fact::Running { object: "pod".to_owned(), started_at, node: None, images });
        assert_eq!(kills(&bench.wait(minutes(29))), 0);
        assert_eq!(kills(&bench.wait(minutes(1))), 1);
    }
}

#[test]
fn a_failure_is_retried_as_often_as_the_hook_says_with_growing_pauses() {
    let mut bench = Bench::with(|policy| policy.retries = 2);
    for (number, pause) in [(2, 5), (3, 10)] {
        let transition = bench.fails("a", FailureReason::HookFailed);
        let pause = SignedDuration::from_secs(pause);
        assert_eq!(transition.next_tick, Some(bench.now + pause));
        assert!(bench.wait(pause - SignedDuration::from_secs(1)).is_empty());
        assert_eq!(starts(&bench.wait(SignedDuration::from_secs(1))), [format!("a#{number}")]);
    }
    bench.fails("a", FailureReason::HookFailed);
    assert!(bench.step("a").waiting);
    assert_eq!(bench.last.next_tick, None);
}

/// A manager's clock was ten years ahead for a while, and what it wrote is still there.
#[test]
fn what_a_clock_far_ahead_left_counts_from_now() {
    let years = SignedDuration::from_hours(10 * 365 * 24);
    let mut bench = Bench::with(|policy| policy.retries = 1);
    let now = bench.now;
    bench.now += years;
    bench.fails("a", FailureReason::HookFailed);
    bench.now = now + minutes(1);
    assert_eq!(starts(&bench.wait(minutes(1))), ["a#2"]);

    bench.runs("a");
    let now = bench.now;
    bench.now += years;
    bench.loses_sight("a");
    bench.now = now;
    let patience = bench.run.operation().definition.unknown_deadline;
    assert!(starts(&bench.wait(minutes(1))).is_empty());
    assert_eq!(bench.newest("a").unknown_since, Some(bench.now));
    assert_eq!(bench.last.next_tick, Some(bench.now + patience));
    bench.wait(patience);
    assert!(bench.newest("a").unknown_reported);
}

#[test]
fn what_the_platform_did_does_not_count_against_the_hook_but_is_bounded() {
    let mut bench = Bench::with(|_| {});
    for number in 1..=PLATFORM_RETRIES {
        bench.fails("a", FailureReason::Evicted);
        bench.wait(minutes(5));
        assert_eq!(bench.step("a").attempt, number + 1);
    }
    bench.fails("a", FailureReason::Evicted);
    assert!(bench.step("a").waiting);
    assert_eq!(bench.step("a").retries_used, 0);
    bench.now += minutes(1);
    bench.verb("a", rerun()).unwrap();
    bench.fails("a", FailureReason::Evicted);
    assert_eq!(bench.state("a"), StepState::Ready, "a rerun begins anew");
}

#[test]
fn a_version_that_is_gone_is_not_tried_again() {
    let mut bench = Bench::with(|policy| policy.retries = 5);
    bench.sees("a", Fact::NotStarted { outcome: failed(FailureReason::TemplateGone) });
    assert!(bench.step("a").waiting);
    assert!(bench.newest("a").started_at.is_none());
}

#[test]
fn on_failure_wait_lets_siblings_go_on() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[]), step("c", &["a"]), step("d", &["b"])]);
    bench.fails("a", FailureReason::HookFailed);
    let raised = &bench.attention[&keys::step_waiting(bench.run.operation().id, &hook("a"))];
    assert_eq!(raised.kind, AttentionKind::StepWaiting);
    assert!(raised.message.contains("hook-failed (exit code 3)"), "{}", raised.message);
    assert_eq!(starts(&bench.succeeds("b")), ["d#1"]);
    assert_eq!((bench.state("c"), bench.operation()), (StepState::Blocked, OperationState::Running));
}

#[test]
fn on_failure_continue_counts_as_done_and_is_noted() {
    let mut a = step("a", &[]);
    a.policy.on_failure = OnFailure::Continue;
    let mut bench = Bench::planned([a, step("b", &["a"])]);
    assert_eq!(starts(&bench.fails("a", FailureReason::HookFailed)), ["b#1"]);
    assert_eq!((bench.state("a"), bench.step("a").failure_accepted), (StepState::Failed, true));
    bench.succeeds("b");
    assert_eq!(bench.operation(), OperationState::Succeeded);
    assert_eq!(bench.run.operation().note.as_deref(), Some("1 step failed and counts as done: eu1/team/a"));
}

#[test]
fn on_failure_fail_ends_what_runs_and_starts_nothing() {
    let mut a = step("a", &[]);
    a.policy.on_failure = OnFailure::Fail;
    let mut bench = Bench::planned([a, step("b", &[]), step("c", &["b"])]);
    bench.runs("b");
    assert_eq!(kills(&bench.fails("a", FailureReason::HookFailed)), 1);
    assert_eq!((bench.operation(), bench.state("c")), (OperationState::Cancelling, StepState::Cancelled));
    bench.fails("b", FailureReason::Killed);
    assert_eq!((bench.operation(), bench.state("b")), (OperationState::Failed, StepState::Cancelled));
    assert!(
        bench
            .run
            .operation()
            .note
            .as_ref()
            .unwrap()
            .starts_with("step eu1/team/a: attempt 1 ended as hook-failed")
    );
    assert!(bench.last.actions.contains(&Action::Ended(OperationState::Failed)));
}

#[test]
fn a_timeout_counts_from_the_start_of_the_container_and_as_deadline() {
    let mut bench = Bench::with(|policy| {
        policy.timeout = Some(minutes(30));
        policy.retries = 1;
    });
    bench.wait(minutes(3));
    assert_eq!(kills(&bench.runs("a")), 0);
    assert_eq!(bench.last.next_tick, Some(bench.now + minutes(30)));
    assert_eq!(kills(&bench.wait(minutes(30))), 1);
    assert_eq!(bench.newest("a").kill.as_ref().unwrap().cause, KillCause::Timeout);
    assert_eq!(kills(&bench.wait(minutes(1))), 0, "asked once");
    bench.fails("a", FailureReason::Killed);
    assert_eq!(bench.newest("a").outcome.as_ref().unwrap().reason, Some(FailureReason::Deadline));
    assert_eq!(bench.newest("a").state, AttemptState::Failed);
    assert_eq!((bench.state("a"), bench.step("a").retries_used), (StepState::Ready, 1));
}

#[test]
fn a_start_that_nobody_carries_out_raises_attention_once_and_is_not_doubled() {
    let mut bench = Bench::with(|policy| policy.on_lost = OnLost::Retry);
    assert_eq!(bench.last.next_tick, Some(bench.now + minutes(5)));
    bench.wait(minutes(5));
    assert_eq!(bench.attention.len(), 1);
    assert!(bench.wait(minutes(60)).is_empty());
    assert_eq!(
        bench.step("a").attempt,
        1,
        "its region said nothing: the next start would wait in the same queue"
    );
    bench.runs("a");
    assert!(bench.attention.is_empty());
}

#[test]
fn an_unknown_attempt_raises_attention_at_its_deadline_and_settles_it_when_it_is_seen() {
    let mut bench = Bench::with(|_| {});
    bench.runs("a");
    assert_eq!(bench.last.next_tick, None);
    bench.loses_sight("a");
    bench.wait(minutes(5));
    let raised = bench.attention.values().next().unwrap();
    assert_eq!(raised.kind, AttentionKind::AttemptUnknown);
    assert!(raised.remedy.contains("tenantry op declare-lost"), "{}", raised.remedy);
    assert!(raised.message.ends_with(": node n1 is silent"), "{}", raised.message);
    bench.runs("a");
    assert!(bench.attention.is_empty() && bench.newest("a").unknown_since.is_none());
}

#[test]
fn a_silent_region_makes_its_attempts_unknown_since_it_was_last_heard_and_no_others() {
    let mut elsewhere = step("b", &[]);
    elsewhere.hook = "us1/team/b".parse().unwrap();
    let mut bench = Bench::planned([step("a", &[]), elsewhere]);
    bench.runs("a");
    bench.now += minutes(2);
    let since = bench.now - minutes(1);
    let silent = Event::RegionSilent { region: "eu1".parse().unwrap(), since };
    let before = bench.run.attempts()[&("us1/team/b".parse().unwrap(), 1)].clone();
    bench.on(&silent);
    assert_eq!(bench.newest("a").unknown_since, Some(since));
    assert_eq!(bench.run.attempts()[&("us1/team/b".parse().unwrap(), 1)], before);
    assert!(bench.on(&silent).is_empty());
    assert_eq!(bench.step("a").attempt, 1);
}

#[test]
fn steps_that_nobody_speaks_for_have_unknown_attempts_and_others_of_the_region_do_not() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[])]);
    bench.runs("a");
    bench.runs("b");
    bench.now += minutes(2);
    let since = bench.now - minutes(1);
    let silent = Event::StepsSilent { steps: [hook("a")].into(), since };
    bench.on(&silent);
    assert_eq!((bench.newest("a").unknown_since, bench.newest("b").unknown_since), (Some(since), None));
    assert!(bench.on(&silent).is_empty());
    assert_eq!(bench.step("a").attempt, 1, "silence proves nothing");
    bench.runs("a");
    assert_eq!(bench.newest("a").unknown_since, None);
}

#[test]
fn on_lost_retry_starts_another_at_the_deadline_and_a_late_end_is_history_only() {
    let mut a = step("a", &[]);
    a.policy.on_lost = OnLost::Retry;
    let mut bench = Bench::planned([a, step("b", &["a"])]);
    bench.runs("a");
    bench.loses_sight("a");
    bench.wait(minutes(5));
    assert_eq!(bench.attempt("a", 1).state, AttemptState::Lost);
    assert!(bench.attempt("a", 1).outcome.as_ref().unwrap().message.contains("may overlap"));
    bench.wait(minutes(1));
    assert_eq!(bench.step("a").attempt, 2);
    let end = bench.end(Outcome::default());
    let late = bench.observation("a", 1, end);
    let transition = bench.on(&late);
    assert!(matches!(transition.actions[..], [Action::Release(_)]), "its object may go");
    assert!(bench.attempt("a", 1).late_outcome.as_ref().unwrap().is_success());
    assert_eq!(bench.attempt("a", 1).state, AttemptState::Lost);
    assert_eq!((bench.state("a"), bench.state("b")), (StepState::Running, StepState::Blocked));
    assert!(bench.on(&late).is_empty());
}

#[test]
fn losses_in_a_row_are_bounded() {
    let mut bench = Bench::with(|policy| policy.on_lost = OnLost::Retry);
    for _ in 0..20 {
        bench.loses_sight("a");
        bench.wait(minutes(5));
        bench.wait(minutes(5));
    }
    assert_eq!(bench.step("a").attempt, PLATFORM_RETRIES + 1);
    assert_eq!(bench.attention.len(), 1);
}

#[test]
fn a_kill_that_is_not_answered_raises_attention_although_the_region_says_that_it_runs() {
    let mut bench = Bench::with(|policy| policy.on_lost = OnLost::Retry);
    bench.runs("a");
    bench.verb("a", StepVerb::Kill).unwrap();
    bench.runs("a");
    bench.wait(minutes(5));
    assert_eq!(bench.attention.len(), 1);
    bench.runs("a");
    assert_eq!(bench.attention.len(), 1, "that it still runs is the cause");
    bench.verb("a", StepVerb::DeclareLost).unwrap();
    assert_eq!(bench.newest("a").state, AttemptState::Lost);
    assert_eq!(bench.attention.keys().filter(|key| key.starts_with("attempt-unknown")).count(), 0);
}

#[test]
fn skipping_an_unknown_step_gives_its_attempt_up() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.runs("a");
    bench.loses_sight("a");
    assert_eq!(starts(&bench.verb("a", StepVerb::Skip).unwrap()), ["b#1"]);
    assert_eq!(bench.newest("a").state, AttemptState::Lost);
    assert_eq!(bench.newest("a").outcome.as_ref().unwrap().message, "skip by ada: runbook 7");
}

#[test]
fn an_attempt_that_was_given_up_before_its_region_spoke_of_it_must_not_start_any_more() {
    for verb in [StepVerb::Skip, StepVerb::DeclareLost] {
        let mut bench = Bench::with(|_| {});
        let transition = bench.verb("a", verb.clone()).unwrap();
        assert_eq!((kills(&transition), bench.newest("a").state), (1, AttemptState::Lost));
        let mut seen = Bench::with(|_| {});
        seen.runs("a");
        seen.loses_sight("a");
        assert_eq!(kills(&seen.verb("a", verb).unwrap()), 0, "what runs somewhere is left to its region");
    }
}
