//! Holds: by a person, by predicate, until a time; stop and release.

use crate::bench::{
    Bench, RULES, hold, hook, kills, minutes, operation, person, release, rerun, starts, step,
};
use jiff::Timestamp;
use tenantry_engine::{Event, Rules, StepVerb, keys};
use tenantry_model::{
    AttemptState, AttentionKind, ConflictPolicy, FailureReason, HoldId, LockClass, OperationState, StepHold,
    StepState,
};
use uuid::Uuid;

fn by_predicate(n: u128, since: Timestamp, until: Option<Timestamp>) -> StepHold {
    let id = Some(HoldId(Uuid::from_u128(n)));
    StepHold { id, by: person(), reason: "freeze".to_owned(), since, until }
}

fn catch(bench: &mut Bench, n: u128, names: &[&str]) {
    let hold = by_predicate(n, bench.now, None);
    bench.on(&Event::Held { hold, steps: names.iter().map(|name| hook(name)).collect() });
}

fn lift(bench: &mut Bench, n: u128) {
    bench.on(&Event::Lifted { hold: HoldId(Uuid::from_u128(n)) });
}

#[test]
fn a_held_step_becomes_ready_and_starts_when_it_is_released() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.verb("b", hold()).unwrap();
    bench.succeeds("a");
    assert_eq!(bench.state("b"), StepState::Ready);
    assert_eq!(bench.step("b").holds[0].reason, "runbook 7");
    assert_eq!(starts(&bench.verb("b", release()).unwrap()), ["b#1"]);
}

#[test]
fn a_held_step_that_runs_finishes_and_its_successors_wait_for_the_release() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.runs("a");
    assert_eq!(kills(&bench.verb("a", hold()).unwrap()), 0);
    bench.succeeds("a");
    assert_eq!((bench.state("a"), bench.state("b")), (StepState::Succeeded, StepState::Blocked));
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["b#1"]);
}

#[test]
fn a_hold_on_a_done_step_stops_successors_that_have_not_started() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["a"])]);
    bench.verb("b", hold()).unwrap();
    bench.succeeds("a");
    assert_eq!((bench.state("b"), bench.state("c")), (StepState::Ready, StepState::Running));
    bench.verb("a", hold()).unwrap();
    assert_eq!((bench.state("b"), bench.state("c")), (StepState::Blocked, StepState::Running));
    bench.verb("b", release()).unwrap();
    assert_eq!(bench.state("b"), StepState::Blocked);
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["b#1"]);
}

#[test]
fn an_operation_does_not_end_while_a_step_is_held() {
    let mut bench = Bench::planned([step("a", &[])]);
    bench.verb("a", hold()).unwrap();
    bench.succeeds("a");
    assert_eq!(bench.operation(), OperationState::Running);
    bench.verb("a", release()).unwrap();
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn a_retry_does_not_start_on_hold_and_starts_at_once_after_a_release_past_its_backoff() {
    let mut bench = Bench::with(|policy| policy.retries = 1);
    bench.runs("a");
    bench.verb("a", hold()).unwrap();
    bench.fails("a", FailureReason::HookFailed);
    bench.wait(minutes(10));
    assert_eq!((bench.state("a"), bench.step("a").attempt), (StepState::Ready, 1));
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["a#2"]);
}

#[test]
fn a_release_within_the_backoff_waits_for_its_end() {
    let mut bench = Bench::with(|policy| policy.retries = 1);
    bench.fails("a", FailureReason::HookFailed);
    bench.verb("a", hold()).unwrap();
    let transition = bench.verb("a", release()).unwrap();
    assert!(starts(&transition).is_empty());
    assert_eq!(transition.next_tick, bench.step("a").not_before);
    assert_eq!(starts(&bench.wait(minutes(1))), ["a#2"]);
}

#[test]
fn a_hold_lifts_by_itself_at_its_time() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    let until = bench.now + minutes(30);
    bench.verb("b", StepVerb::Hold { until: Some(until) }).unwrap();
    bench.succeeds("a");
    assert_eq!(bench.last.next_tick, Some(until));
    assert!(bench.wait(minutes(29)).is_empty());
    assert_eq!(starts(&bench.wait(minutes(1))), ["b#1"]);
    assert!(!bench.step("b").is_held());
}

#[test]
fn the_newer_hold_of_a_person_counts() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    let until = bench.now + minutes(30);
    bench.verb("b", StepVerb::Hold { until: Some(until) }).unwrap();
    bench.verb("b", hold()).unwrap();
    bench.succeeds("a");
    bench.wait(minutes(31));
    assert_eq!((bench.step("b").holds.len(), bench.state("b")), (1, StepState::Ready));
}

#[test]
fn a_step_that_several_hold_goes_on_when_none_is_left() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.verb("b", hold()).unwrap();
    catch(&mut bench, 1, &["b"]);
    catch(&mut bench, 2, &["b"]);
    catch(&mut bench, 2, &["b"]);
    bench.succeeds("a");
    assert_eq!(bench.step("b").holds.len(), 3);
    bench.verb("b", release()).unwrap();
    lift(&mut bench, 1);
    assert_eq!(bench.state("b"), StepState::Ready);
    lift(&mut bench, 2);
    assert_eq!(bench.state("b"), StepState::Running);
}

#[test]
fn one_step_is_released_from_a_hold_by_predicate_by_its_name_only() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["a"])]);
    catch(&mut bench, 1, &["b", "c"]);
    bench.succeeds("a");
    let refused = bench.verb("b", release()).unwrap_err().to_string();
    assert!(refused.contains("hold 00000000-0000-0000-0000-000000000001 caught it"), "{refused}");
    let named = StepVerb::Release { hold: Some(HoldId(Uuid::from_u128(1))) };
    assert_eq!(starts(&bench.verb("b", named.clone()).unwrap()), ["b#1"]);
    assert_eq!(bench.state("c"), StepState::Ready);
    let refused = bench.verb("b", named).unwrap_err().to_string();
    assert!(refused.contains("does not hold it"), "{refused}");
}

#[test]
fn a_predicate_catches_what_is_not_done_and_leaves_the_rest_alone() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["b"])]);
    bench.succeeds("a");
    catch(&mut bench, 1, &["a", "b", "c", "x"]);
    let held = ["a", "b", "c"].map(|name| bench.step(name).is_held());
    assert_eq!(held, [false, true, true]);
    bench.succeeds("b");
    assert_eq!(bench.state("c"), StepState::Blocked, "b ran, and is held");
    lift(&mut bench, 1);
    assert_eq!(bench.state("c"), StepState::Running);
}

#[test]
fn a_hold_says_nothing_to_an_operation_that_has_no_steps_or_is_ending() {
    let mut bench = Bench::pending();
    catch(&mut bench, 1, &["a"]);
    lift(&mut bench, 1);
    let mut bench = Bench::planned([step("a", &[])]);
    bench.cancel();
    catch(&mut bench, 1, &["a"]);
    assert!(!bench.step("a").is_held());
}

#[test]
fn stop_kills_and_holds_and_the_release_lets_it_run_again_without_a_retry() {
    let mut bench = Bench::with(|policy| policy.retries = 3);
    bench.runs("a");
    assert_eq!(kills(&bench.verb("a", StepVerb::Stop { until: None }).unwrap()), 1);
    bench.succeeds("a");
    assert_eq!(bench.newest("a").state, AttemptState::Superseded, "it was told to stop: 0 proves nothing");
    assert_eq!((bench.state("a"), bench.step("a").waiting), (StepState::Ready, false));
    bench.wait(minutes(600));
    assert_eq!(bench.step("a").attempt, 1);
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["a#2"]);
    assert_eq!(bench.step("a").retries_used, 0);
}

#[test]
fn a_release_before_the_stopped_attempt_is_over_starts_nothing_until_it_is() {
    let mut bench = Bench::with(|_| {});
    bench.runs("a");
    bench.verb("a", StepVerb::Stop { until: None }).unwrap();
    assert!(starts(&bench.verb("a", release()).unwrap()).is_empty());
    assert_eq!(starts(&bench.fails("a", FailureReason::Killed)), ["a#2"]);
}

#[test]
fn a_stopped_attempt_that_is_declared_lost_is_over() {
    let mut bench = Bench::with(|_| {});
    bench.runs("a");
    bench.verb("a", StepVerb::Stop { until: None }).unwrap();
    bench.verb("a", StepVerb::DeclareLost).unwrap();
    assert_eq!((bench.newest("a").state, bench.state("a")), (AttemptState::Lost, StepState::Ready));
    assert_eq!(starts(&bench.verb("a", release()).unwrap()), ["a#2"]);
}

#[test]
fn what_is_held_for_long_raises_attention_once_it_keeps_something_from_going_on() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.runs("a");
    bench.verb("b", hold()).unwrap();
    bench.wait(RULES.held_too_long + minutes(1));
    assert!(bench.attention.is_empty(), "it waits for a anyway");
    bench.succeeds("a");
    let key = keys::step_held(bench.run.operation().id, &hook("b"));
    bench.wait(minutes(0));
    assert_eq!(bench.attention[&key].kind, AttentionKind::StepHeld);
    assert!(bench.attention[&key].remedy.starts_with("tenantry op release"));
    assert!(bench.wait(minutes(600)).is_empty());
    bench.verb("b", release()).unwrap();
    assert!(bench.attention.is_empty());
}

/// Not an hour by the engine's own opinion: the installation says what is long, for a hold and for a pause.
#[test]
fn how_long_is_long_is_data() {
    for long in [minutes(10), minutes(300)] {
        let pending = operation(1, LockClass::Exclusive, ConflictPolicy::Queue, OperationState::Pending);
        let mut bench = Bench::by(pending, Rules { held_too_long: long }).plan([step("a", &[])]);
        bench.verb("a", hold()).unwrap();
        bench.fails("a", FailureReason::HookFailed);
        bench.verb("a", rerun()).unwrap();
        bench.attention.clear();
        bench.pause();
        bench.wait(long - minutes(1));
        assert!(bench.attention.is_empty(), "{long:#}: {:?}", bench.attention);
        bench.wait(minutes(1));
        let kinds: Vec<AttentionKind> = bench.attention.values().map(|raised| raised.kind).collect();
        assert_eq!(kinds, [AttentionKind::OperationPaused, AttentionKind::StepHeld], "{long:#}");
    }
}

#[test]
fn a_preview_says_what_a_hold_a_release_and_a_stop_would_do() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.runs("a");
    let before = bench.run.clone();
    assert_eq!(bench.preview("b", hold()).held, [hook("b")]);
    let stop = bench.preview("a", StepVerb::Stop { until: None });
    assert_eq!((stop.killed.len(), stop.reset, stop.held), (1, vec![hook("a")], vec![hook("a")]));
    assert!(bench.run == before, "nothing is changed");
    bench.verb("b", hold()).unwrap();
    bench.succeeds("a");
    let released = bench.preview("b", release());
    assert_eq!((released.released, released.started.len()), (vec![hook("b")], 1));
    let skipped = bench.preview("b", StepVerb::Skip);
    assert_eq!((skipped.settled, skipped.operation), (vec![hook("b")], None));
}

#[test]
fn a_hold_survives_a_rerun() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.verb("a", hold()).unwrap();
    bench.fails("a", FailureReason::HookFailed);
    bench.verb("a", rerun()).unwrap();
    assert_eq!((bench.state("a"), bench.step("a").attempt), (StepState::Ready, 1));
}

#[test]
fn the_end_of_an_operation_settles_what_was_said_about_holds() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.verb("b", hold()).unwrap();
    bench.succeeds("a");
    bench.wait(RULES.held_too_long);
    assert_eq!(bench.attention.len(), 1);
    bench.cancel();
    assert_eq!((bench.operation(), bench.attention.len()), (OperationState::Cancelled, 0));
}
