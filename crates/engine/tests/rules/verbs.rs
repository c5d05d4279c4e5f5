//! Every cell of the verb table, through `apply`, against a table written down here by hand.

use crate::bench::{Bench, hook, minutes, step, time};
use std::collections::BTreeMap;
use tenantry_engine::{
    Action, AppliedChange, Event, Expected, Rejected, Situation, StepVerb, VerbKind, verb_table,
};
use tenantry_model::{AttemptState, FailureReason, KillCause, OnFailure, OnLost, OperationState, StepState};

fn verb(kind: VerbKind) -> StepVerb {
    match kind {
        VerbKind::Rerun => StepVerb::Rerun,
        VerbKind::Kill => StepVerb::Kill,
        VerbKind::Skip => StepVerb::Skip,
        VerbKind::Confirm => StepVerb::Confirm { outputs: BTreeMap::new() },
        VerbKind::DeclareLost => StepVerb::DeclareLost,
    }
}

/// Step `b` in the situation; it waits for `a`, `c` waits for it and for `z`, which runs all the time.
fn bench(situation: Situation) -> Bench {
    let mut b = step("b", &["a"]);
    if situation == Situation::Deselected {
        b.state = StepState::Skipped;
    }
    if situation == Situation::Ready {
        b.policy.retries = 1;
    }
    if situation == Situation::Accepted {
        b.policy.on_failure = OnFailure::Continue;
    }
    let mut bench = Bench::planned([step("a", &[]), b, step("c", &["b", "z"]), step("z", &[])]);
    if situation == Situation::Blocked || situation == Situation::Deselected {
        return bench;
    }
    bench.runs("z");
    bench.succeeds("a");
    match situation {
        Situation::Blocked | Situation::Deselected => unreachable!(),
        Situation::Running => _ = bench.runs("b"),
        Situation::Ending => {
            bench.runs("b");
            bench.verb("b", StepVerb::Kill).unwrap();
            // A report from before the kill arrived.
            bench.runs("b");
        }
        Situation::Unknown => {
            bench.runs("b");
            bench.loses_sight("b");
        }
        Situation::UnknownEnding => {
            bench.runs("b");
            bench.verb("b", StepVerb::Kill).unwrap();
        }
        Situation::Succeeded => _ = bench.succeeds("b"),
        Situation::Ready | Situation::Waiting | Situation::Accepted => {
            bench.fails("b", FailureReason::HookFailed);
        }
        Situation::Skipped => _ = bench.verb("b", StepVerb::Skip).unwrap(),
        Situation::Confirmed => _ = bench.verb("b", verb(VerbKind::Confirm)).unwrap(),
        Situation::Over => {
            bench.fails("b", FailureReason::HookFailed);
            bench.cancel();
        }
    }
    bench
}

/// Rerun, kill, skip, confirm, declare-lost.
const CELLS: [(Situation, [bool; 5]); 13] = [
    (Situation::Blocked, [false, false, true, true, false]),
    (Situation::Ready, [true, false, true, true, false]),
    (Situation::Running, [false, true, false, false, false]),
    (Situation::Ending, [false, false, false, false, false]),
    (Situation::Unknown, [false, true, true, true, true]),
    (Situation::UnknownEnding, [false, false, true, true, true]),
    (Situation::Succeeded, [true, false, false, false, false]),
    (Situation::Waiting, [true, false, true, true, false]),
    (Situation::Accepted, [true, false, false, false, false]),
    (Situation::Deselected, [false, false, false, false, false]),
    (Situation::Skipped, [true, false, false, false, false]),
    (Situation::Confirmed, [true, false, false, false, false]),
    (Situation::Over, [false, false, false, false, false]),
];

#[test]
fn every_verb_is_possible_in_exactly_the_situations_of_the_table() {
    assert_eq!(CELLS.map(|(situation, _)| situation), Situation::ALL);
    for (situation, cells) in CELLS {
        for (kind, possible) in VerbKind::ALL.into_iter().zip(cells) {
            let mut bench = bench(situation);
            let newest = bench.run.newest_attempt(bench.step("b"));
            assert_eq!(Situation::of(bench.step("b"), newest), situation);
            let before = bench.run.clone();
            let answer = bench.verb("b", verb(kind));
            assert_eq!(answer.is_ok(), possible, "{} while {situation:?}: {answer:?}", kind.name());
            assert_eq!(bench.run == before, !possible, "{} while {situation:?}", kind.name());
        }
    }
}

#[test]
fn every_possible_verb_leaves_the_step_where_the_verb_says() {
    use StepState::{Confirmed, Failed, Running, Skipped};
    for (situation, cells) in CELLS {
        for (kind, _) in VerbKind::ALL.into_iter().zip(cells).filter(|(_, possible)| *possible) {
            let mut bench = bench(situation);
            bench.verb("b", verb(kind)).unwrap();
            let expected = match kind {
                VerbKind::Rerun | VerbKind::Kill => Running,
                VerbKind::Skip => Skipped,
                VerbKind::Confirm => Confirmed,
                VerbKind::DeclareLost => Failed,
            };
            assert_eq!(bench.state("b"), expected, "{} while {situation:?}", kind.name());
            assert_eq!(bench.step("b").waiting, kind == VerbKind::DeclareLost);
            assert_eq!(bench.step("b").decision.as_ref().unwrap().verb, kind.name());
            assert!(
                bench.attention.keys().all(|key| key.starts_with("step-waiting") == bench.step("b").waiting)
            );
        }
    }
}

#[test]
fn a_done_step_runs_again_only_until_a_successor_has_started() {
    for situation in [Situation::Succeeded, Situation::Accepted, Situation::Skipped, Situation::Confirmed] {
        let mut bench = bench(situation);
        bench.succeeds("z");
        assert_eq!(bench.step("c").attempt, 1, "{situation:?}");
        let refused = bench.verb("b", StepVerb::Rerun).unwrap_err().to_string();
        assert!(refused.contains("eu1/team/c has started"), "{refused}");
    }
}

#[test]
fn a_step_that_was_skipped_beforehand_and_runs_again_waits_for_its_predecessors() {
    let mut bench = bench(Situation::Blocked);
    bench.verb("b", StepVerb::Skip).unwrap();
    bench.verb("b", StepVerb::Rerun).unwrap();
    assert_eq!(bench.state("b"), StepState::Blocked);
    bench.succeeds("a");
    assert_eq!(bench.state("b"), StepState::Running);
}

#[test]
fn verbs_that_change_what_runs_need_a_reason() {
    for kind in VerbKind::ALL {
        for reason in [None, Some(" ")] {
            let mut bench = bench(Situation::Unknown);
            let answer = bench.verb_with("b", verb(kind), reason, None);
            let asked = answer == Err(Rejected::ReasonRequired(kind.name()));
            assert_eq!(asked, kind != VerbKind::Rerun, "{}", kind.name());
        }
    }
}

#[test]
fn who_saw_an_old_state_is_told_the_present_one() {
    let mut bench = bench(Situation::Waiting);
    for expected in [
        Expected { state: Some(StepState::Running), attempt: None },
        Expected { state: Some(StepState::Failed), attempt: Some(2) },
    ] {
        let answer = bench.verb_with("b", StepVerb::Rerun, None, Some(expected));
        let now = Rejected::Expectation { step: hook("b"), state: StepState::Failed, attempt: 1 };
        assert_eq!(answer, Err(now));
    }
    let seen = Expected { state: Some(StepState::Failed), attempt: Some(1) };
    assert!(bench.verb_with("b", StepVerb::Rerun, None, Some(seen)).is_ok());
}

#[test]
fn a_verb_on_a_step_that_is_not_there_is_refused() {
    let mut bench = bench(Situation::Waiting);
    assert_eq!(bench.verb("x", StepVerb::Rerun), Err(Rejected::UnknownStep(hook("x"))));
}

#[test]
fn confirm_advances_what_is_applied_and_skip_does_not() {
    for (kind, applied) in [(VerbKind::Confirm, true), (VerbKind::Skip, false)] {
        let mut bench = bench(Situation::Waiting);
        let transition = bench.verb("b", verb(kind)).unwrap();
        let succeeded = Action::Applied { hook: hook("b"), change: AppliedChange::Succeeded };
        assert_eq!(transition.actions.contains(&succeeded), applied, "{}", kind.name());
    }
}

#[test]
fn confirmed_outputs_are_kept_up_to_4_kib() {
    let mut bench = bench(Situation::Waiting);
    let outputs = |size: usize| BTreeMap::from([("k".to_owned(), "x".repeat(size))]);
    // {"k":"…"} is 8 bytes beside the value.
    let refused = bench.verb("b", StepVerb::Confirm { outputs: outputs(4089) });
    assert_eq!(refused, Err(Rejected::OutputsTooLarge { size: 4097, limit: 4096 }));
    bench.verb("b", StepVerb::Confirm { outputs: outputs(4088) }).unwrap();
    assert_eq!(bench.step("b").outputs, outputs(4088));
}

#[test]
fn an_operators_kill_on_top_of_a_timeout_stops_the_retry() {
    let mut bench = Bench::with(|policy| {
        policy.timeout = Some(minutes(10));
        policy.retries = 3;
    });
    bench.runs("a");
    bench.wait(minutes(10));
    assert_eq!(bench.newest("a").kill.as_ref().unwrap().cause, KillCause::Timeout);
    let transition = bench.verb("a", StepVerb::Kill).unwrap();
    assert_eq!(crate::bench::kills(&transition), 0, "the region knows already");
    bench.fails("a", FailureReason::HookFailed);
    assert!(bench.step("a").waiting);
}

#[test]
fn a_killed_attempt_is_never_retried_and_a_person_decides_whatever_on_failure_says() {
    for on_failure in [OnFailure::Wait, OnFailure::Fail, OnFailure::Continue] {
        let mut bench = Bench::with(|policy| {
            policy.retries = 3;
            policy.on_lost = OnLost::Retry;
            policy.on_failure = on_failure;
        });
        bench.runs("a");
        bench.verb("a", StepVerb::Kill).unwrap();
        bench.wait(minutes(60));
        assert_eq!(bench.step("a").attempt, 1, "not while its end is unanswered either");
        bench.succeeds("a");
        assert_eq!(
            bench.newest("a").state,
            AttemptState::Killed,
            "leaving with 0 after a kill proves nothing"
        );
        assert!(bench.step("a").waiting);
        assert_eq!(bench.operation(), OperationState::Running);
        bench.wait(minutes(60));
        assert_eq!(bench.step("a").attempt, 1);
    }
}

#[test]
fn a_rerun_gives_the_hook_all_its_retries_again() {
    let mut bench = Bench::with(|policy| policy.retries = 1);
    for _ in 0..2 {
        bench.fails("a", FailureReason::HookFailed);
        assert_eq!(bench.state("a"), StepState::Ready);
        bench.wait(minutes(5));
        bench.fails("a", FailureReason::HookFailed);
        assert!(bench.step("a").waiting);
        bench.verb("a", StepVerb::Rerun).unwrap();
    }
    assert_eq!(bench.step("a").attempt, 5);
}

#[test]
fn while_an_operation_is_ending_only_declare_lost_is_possible() {
    let mut bench = bench(Situation::Unknown);
    bench.sees(
        "z",
        tenantry_model::Fact::NotStarted { outcome: crate::bench::failed(FailureReason::Rejected) },
    );
    bench.cancel();
    for kind in VerbKind::ALL.into_iter().filter(|kind| *kind != VerbKind::DeclareLost) {
        let refused = bench.verb("b", verb(kind));
        assert!(matches!(refused, Err(Rejected::OperationState { state: OperationState::Cancelling, .. })));
    }
    bench.verb("b", StepVerb::DeclareLost).unwrap();
    assert_eq!((bench.state("b"), bench.operation()), (StepState::Cancelled, OperationState::Cancelled));
    let refused = bench.verb("b", StepVerb::Rerun);
    assert!(matches!(refused, Err(Rejected::OperationState { state: OperationState::Cancelled, .. })));
}

#[test]
fn a_verb_before_the_plan_is_refused() {
    let mut bench = Bench::pending();
    let event = Event::Verb {
        step: hook("a"),
        verb: StepVerb::Rerun,
        by: crate::bench::person(),
        reason: None,
        expected: None,
    };
    assert_eq!(bench.apply(&event), Err(Rejected::UnknownStep(hook("a"))));
    assert_eq!(bench.now, time(10));
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    insta::assert_snapshot!(verb_table());
}
