//! Rerun of what is done, with and without successors; what becomes stale; dependencies that are ignored.

use crate::bench::{Bench, hold, hook, kills, minutes, release, rerun, rerun_all, starts, step};
use StepState::{Blocked, Confirmed, Ready, Running, Skipped, Succeeded};
use std::collections::BTreeMap;
use tenantry_engine::{Dropped, Rejected, StepVerb};
use tenantry_model::{AttemptState, AttentionKind, FailureReason, OnFailure, OperationState, StepState};

/// a → b → c → d; all done but d, which runs.
fn chain() -> Bench {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["b"]), step("d", &["c"])]);
    for name in ["a", "b", "c"] {
        bench.succeeds(name);
    }
    bench.runs("d");
    bench
}

fn states(bench: &Bench, names: &str) -> Vec<StepState> {
    names.chars().map(|name| bench.state(&name.to_string())).collect()
}

fn stale(bench: &Bench) -> Vec<String> {
    let steps = bench.run.steps().values().filter(|step| step.is_stale());
    steps.map(|step| step.hook.name.to_string()).collect()
}

fn ignore(on: &str) -> StepVerb {
    StepVerb::IgnoreDependency { on: Some(hook(on)) }
}

#[test]
fn what_used_the_outputs_of_a_step_that_runs_again_is_stale_and_said_so() {
    let mut bench = chain();
    let preview = bench.preview("a", rerun());
    assert_eq!(starts(&bench.verb("a", rerun()).unwrap()), ["a#2"]);
    assert_eq!(stale(&bench), ["b", "c", "d"]);
    assert_eq!(preview.stale, ["b", "c", "d"].map(hook));
    assert_eq!((preview.reset, preview.started.len(), preview.killed.len()), (vec![hook("a")], 1, 0));
    assert_eq!(states(&bench, "abcd"), [Running, Succeeded, Succeeded, Running], "nothing else is touched");
    let kinds: Vec<_> = bench.attention.values().map(|raised| raised.kind).collect();
    assert_eq!(kinds, [AttentionKind::StepStale; 3]);
    assert_eq!(bench.step("c").staleness.as_ref().unwrap().of, hook("a"));
}

#[test]
fn an_operation_does_not_end_and_nothing_new_starts_on_what_is_stale() {
    let mut bench =
        Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["b", "z"]), step("z", &[])]);
    bench.succeeds("a");
    bench.succeeds("b");
    bench.verb("a", rerun()).unwrap();
    bench.succeeds("z");
    bench.succeeds("a");
    assert_eq!(states(&bench, "abc"), [Succeeded, Succeeded, Blocked]);
    let stands = StepVerb::Confirm { outputs: BTreeMap::new() };
    assert_eq!(starts(&bench.verb("b", stands).unwrap()), ["c#1"]);
    bench.succeeds("c");
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn a_stale_step_is_settled_by_its_rerun_by_confirm_or_by_skip() {
    let confirm = StepVerb::Confirm { outputs: BTreeMap::from([("k".to_owned(), "new".to_owned())]) };
    for (verb, after) in [(rerun(), Running), (confirm, Confirmed), (StepVerb::Skip, Skipped)] {
        let mut bench = chain();
        bench.verb("a", rerun()).unwrap();
        bench.succeeds("a");
        bench.verb("b", verb).unwrap();
        assert_eq!((bench.state("b"), stale(&bench)), (after, vec!["c".to_owned(), "d".to_owned()]));
        assert_eq!(bench.attention.len(), 2);
    }
}

#[test]
fn confirming_a_stale_step_without_outputs_says_that_what_it_made_stands() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("z", &[])]);
    bench.succeeds("a");
    bench.verb("z", hold()).unwrap();
    bench.fails("b", FailureReason::HookFailed);
    let outputs = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    bench.verb("b", StepVerb::Confirm { outputs: outputs.clone() }).unwrap();
    bench.verb("a", rerun()).unwrap();
    assert_eq!(stale(&bench), ["b"]);
    bench.verb("b", StepVerb::Confirm { outputs: BTreeMap::new() }).unwrap();
    assert_eq!((bench.step("b").outputs.clone(), stale(&bench).len()), (outputs, 0));
}

#[test]
fn a_stale_attempt_that_fails_is_retried_with_what_is_there_then() {
    let mut b = step("b", &["a"]);
    b.policy.retries = 1;
    let mut bench = Bench::planned([step("a", &[]), b]);
    bench.succeeds("a");
    bench.runs("b");
    bench.verb("a", rerun()).unwrap();
    bench.fails("b", FailureReason::HookFailed);
    bench.wait(minutes(5));
    assert_eq!((bench.state("b"), bench.step("b").attempt), (Blocked, 1), "it waits for a");
    bench.succeeds("a");
    assert_eq!((bench.state("b"), stale(&bench).len(), bench.attention.len()), (Running, 0, 0));
}

#[test]
fn a_retry_that_waits_for_its_backoff_waits_for_the_rerun_as_well() {
    let mut b = step("b", &["a"]);
    b.policy.retries = 1;
    let mut bench = Bench::planned([step("a", &[]), b]);
    bench.succeeds("a");
    bench.fails("b", FailureReason::HookFailed);
    assert_eq!(bench.state("b"), Ready);
    bench.verb("a", rerun()).unwrap();
    assert_eq!((bench.state("b"), stale(&bench).len()), (Blocked, 0));
    bench.succeeds("a");
    assert_eq!(bench.state("b"), Ready, "its backoff is not over");
    assert_eq!(starts(&bench.wait(minutes(5))), ["b#2"]);
}

#[test]
fn with_successors_asks_for_all_ends_and_waits_until_all_are_over() {
    let fan = [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b"]), step("e", &["d"])];
    let mut bench = Bench::planned(fan);
    bench.succeeds("a");
    bench.succeeds("b");
    bench.runs("c");
    bench.runs("d");
    let preview = bench.preview("a", rerun_all());
    let transition = bench.verb("a", rerun_all()).unwrap();
    assert_eq!((kills(&transition), starts(&transition).len()), (2, 0));
    assert_eq!(preview.killed.iter().map(|id| id.step.clone()).collect::<Vec<_>>(), ["c", "d"].map(hook));
    assert_eq!(preview.reset, ["a", "b", "c", "d"].map(hook), "e has not started");
    assert_eq!(states(&bench, "abcde"), [Ready, Blocked, Running, Running, Blocked]);
    assert!(bench.wait(minutes(1)).is_empty());
    bench.succeeds("c");
    assert_eq!(states(&bench, "ac"), [Ready, Blocked]);
    assert_eq!(bench.attempt("c", 1).state, AttemptState::Superseded);
    assert_eq!(starts(&bench.fails("d", FailureReason::Killed)), ["a#2"]);
    for (done, started) in [("a", vec!["b#2", "c#2"]), ("b", vec!["d#2"]), ("c", vec![]), ("d", vec!["e#1"])]
    {
        assert_eq!(starts(&bench.succeeds(done)), started);
    }
    bench.succeeds("e");
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn with_successors_of_a_step_that_runs_ends_its_own_attempt_too() {
    let mut bench = Bench::with(|policy| policy.retries = 2);
    bench.runs("a");
    assert_eq!(kills(&bench.verb("a", rerun_all()).unwrap()), 1);
    assert_eq!(starts(&bench.fails("a", FailureReason::HookFailed)), ["a#2"]);
}

#[test]
fn what_with_successors_ends_may_be_declared_lost() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.succeeds("a");
    bench.runs("b");
    bench.verb("a", rerun_all()).unwrap();
    bench.wait(minutes(6));
    assert_eq!(bench.attention.len(), 1, "its end is unanswered");
    assert_eq!(starts(&bench.verb("b", StepVerb::DeclareLost).unwrap()), ["a#2"]);
    assert_eq!((bench.state("b"), bench.attention.len()), (Blocked, 0));
}

#[test]
fn with_successors_keeps_holds_and_drops_decisions_which_the_preview_lists() {
    let steps =
        [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["a", "z"]), step("z", &[])];
    let mut bench = Bench::planned(steps);
    bench.verb("b", hold()).unwrap();
    bench.runs("z");
    bench.verb("d", ignore("z")).unwrap();
    bench.verb("c", StepVerb::Skip).unwrap();
    bench.succeeds("a");
    bench.succeeds("d");
    let dropped = bench.preview("a", rerun_all()).dropped;
    let of =
        |dropped: &Dropped| (dropped.step.clone(), dropped.decision.verb.clone(), dropped.dependency.clone());
    let expected =
        [(hook("c"), "skip".to_owned(), None), (hook("d"), "ignore-dependency".to_owned(), Some(hook("z")))];
    assert_eq!(dropped.iter().map(of).collect::<Vec<_>>(), expected);
    bench.verb("a", rerun_all()).unwrap();
    assert_eq!(states(&bench, "abcd"), [Running, Blocked, Blocked, Blocked]);
    assert!(
        bench.step("b").is_held() && bench.step("c").decision.is_none() && bench.step("d").ignored.is_empty()
    );
    bench.succeeds("a");
    assert_eq!(states(&bench, "abcd"), [Succeeded, Ready, Running, Blocked]);
}

#[test]
fn with_successors_settles_what_was_stale_and_waited() {
    let mut bench = chain();
    bench.fails("d", FailureReason::HookFailed);
    bench.verb("a", rerun()).unwrap();
    assert_eq!(bench.attention.len(), 3, "b and c are stale, d waits");
    bench.succeeds("a");
    bench.verb("a", rerun_all()).unwrap();
    assert!(bench.attention.is_empty());
    for name in ["a", "b", "c", "d"] {
        bench.succeeds(name);
    }
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn what_is_upstream_of_an_attempt_that_is_being_ended_waits_even_if_it_is_confirmed_meanwhile() {
    let mut bench = chain();
    bench.verb("a", rerun_all()).unwrap();
    bench.verb("a", StepVerb::Confirm { outputs: BTreeMap::new() }).unwrap();
    assert_eq!(states(&bench, "abd"), [Confirmed, Ready, Running]);
    assert_eq!(starts(&bench.fails("d", FailureReason::Killed)), ["b#2"]);
}

#[test]
fn an_ignored_dependency_is_not_waited_for_and_the_others_are() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
    let refused = bench.verb("c", ignore("x"));
    assert_eq!(refused, Err(Rejected::NoDependency { step: hook("c"), on: Some(Box::new(hook("x"))) }));
    assert!(starts(&bench.verb("c", ignore("a")).unwrap()).is_empty());
    assert!(bench.verb("c", ignore("a")).is_err());
    assert_eq!(bench.step("c").ignored[&hook("a")].reason.as_deref(), Some("runbook 7"));
    assert_eq!(starts(&bench.succeeds("b")), ["c#1"]);
    assert_eq!(bench.state("a"), Running);
}

#[test]
fn a_step_may_ignore_all_that_it_still_waits_for() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
    bench.succeeds("a");
    let all = StepVerb::IgnoreDependency { on: None };
    assert_eq!(starts(&bench.verb("c", all).unwrap()), ["c#1"]);
    assert_eq!(bench.step("c").ignored.keys().collect::<Vec<_>>(), [&hook("b")]);
}

#[test]
fn what_ignored_a_step_is_not_stale_when_that_runs_again() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("z", &[])]);
    bench.fails("a", FailureReason::HookFailed);
    bench.verb("b", ignore("a")).unwrap();
    bench.verb("a", StepVerb::Skip).unwrap();
    bench.succeeds("b");
    bench.verb("a", rerun()).unwrap();
    assert!(stale(&bench).is_empty());
}

#[test]
fn an_accepted_failure_that_used_old_outputs_is_stale_and_a_waiting_one_is_not() {
    let mut b = step("b", &["a"]);
    b.policy.on_failure = OnFailure::Continue;
    let mut bench = Bench::planned([step("a", &[]), b, step("c", &["a"]), step("z", &[])]);
    bench.succeeds("a");
    bench.fails("b", FailureReason::HookFailed);
    bench.fails("c", FailureReason::HookFailed);
    bench.verb("a", rerun()).unwrap();
    assert_eq!(stale(&bench), ["b"]);
}

#[test]
fn a_cancel_settles_what_was_stale_and_ends_what_was_to_begin_again() {
    let mut bench = chain();
    bench.verb("b", rerun()).unwrap();
    bench.verb("c", rerun_all()).unwrap();
    bench.cancel();
    assert!(bench.attention.is_empty());
    bench.fails("d", FailureReason::Killed);
    bench.fails("b", FailureReason::Killed);
    assert_eq!(bench.operation(), OperationState::Cancelled);
    assert_eq!(bench.step("d").attempt, 1);
}

#[test]
fn a_rerun_of_a_held_done_step_waits_for_its_release() {
    let mut bench = chain();
    bench.verb("a", hold()).unwrap();
    bench.verb("a", rerun()).unwrap();
    assert_eq!((bench.state("a"), stale(&bench).len()), (Ready, 3));
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["a#2"]);
}
