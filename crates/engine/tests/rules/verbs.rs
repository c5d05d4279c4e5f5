//! Every cell of the verb table, through `apply`, against a table written down here by hand.

use crate::bench::{Bench, hold, hook, minutes, release, rerun, rerun_all, step, time};
use std::collections::BTreeMap;
use tenantry_engine::{
    Action, AppliedChange, Event, Expected, Rejected, Situation, StepVerb, VerbKind, verb_table,
};
use tenantry_model::{AttemptState, FailureReason, KillCause, OnFailure, OnLost, OperationState, StepState};

fn verb(kind: VerbKind) -> StepVerb {
    match kind {
        VerbKind::Hold => hold(),
        VerbKind::Stop => StepVerb::Stop { until: None },
        VerbKind::Release => release(),
        VerbKind::Rerun => rerun(),
        VerbKind::RerunWithSuccessors => rerun_all(),
        VerbKind::Kill => StepVerb::Kill,
        VerbKind::Skip => StepVerb::Skip,
        VerbKind::Confirm => StepVerb::Confirm { outputs: BTreeMap::new() },
        VerbKind::IgnoreDependency => StepVerb::IgnoreDependency { on: None },
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

/// Hold, stop, release, rerun, rerun-with-successors, kill, skip, confirm, ignore-dependency, declare-lost: y possible,
/// h if it is held, s if it is stale.
const CELLS: [(Situation, &str); 13] = [
    (Situation::Blocked, "y-h---yyy-"),
    (Situation::Ready, "y-hyy-yy--"),
    (Situation::Running, "yyh-yy----"),
    (Situation::Ending, "y-h-y-----"),
    (Situation::Unknown, "yyh-yyyy-y"),
    (Situation::UnknownEnding, "y-h-y-yy-y"),
    (Situation::Succeeded, "y-hyy-ss--"),
    (Situation::Waiting, "y-hyy-yy--"),
    (Situation::Accepted, "y-hyy-ss--"),
    (Situation::Deselected, "----------"),
    (Situation::Skipped, "y-hyy-----"),
    (Situation::Confirmed, "y-hyy-ss--"),
    (Situation::Over, "----------"),
];

/// The situation, as it is or with a flag beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flag {
    None,
    Held,
    Stale,
}

fn flagged(situation: Situation, flag: Flag) -> Bench {
    let mut bench = bench(situation);
    match flag {
        Flag::None => {}
        Flag::Held => {
            bench.verb("b", hold()).unwrap();
            bench.now += jiff::SignedDuration::from_secs(1);
        }
        Flag::Stale => _ = bench.verb("a", rerun()).unwrap(),
    }
    bench
}

/// Every cell of the table with every flag that the situation can have: situation, flag, verb, whether possible.
fn cells() -> impl Iterator<Item = (Situation, Flag, VerbKind, bool)> {
    let flags = [Flag::None, Flag::Held, Flag::Stale];
    let all = CELLS.into_iter().flat_map(move |row| flags.map(|flag| (row, flag)));
    let can = |(situation, flag): (Situation, Flag)| match flag {
        Flag::None => true,
        Flag::Held => !matches!(situation, Situation::Deselected | Situation::Over),
        Flag::Stale => matches!(situation, Situation::Succeeded | Situation::Accepted | Situation::Confirmed),
    };
    let all = all.filter(move |((situation, _), flag)| can((*situation, *flag)));
    all.flat_map(|((situation, cells), flag)| {
        VerbKind::ALL.into_iter().zip(cells.chars()).map(move |(kind, cell)| {
            let possible = match cell {
                'y' => true,
                'h' => flag == Flag::Held,
                's' => flag == Flag::Stale,
                _ => false,
            };
            (situation, flag, kind, possible)
        })
    })
}

#[test]
fn every_verb_is_possible_in_exactly_the_situations_of_the_table() {
    assert_eq!(CELLS.map(|(situation, _)| situation), Situation::ALL);
    for (situation, flag, kind, possible) in cells() {
        let mut bench = flagged(situation, flag);
        let newest = bench.run.newest_attempt(bench.step("b"));
        assert_eq!(Situation::of(bench.step("b"), newest), situation);
        assert_eq!(
            (bench.step("b").is_held(), bench.step("b").is_stale()),
            (flag == Flag::Held, flag == Flag::Stale)
        );
        let before = bench.run.clone();
        let answer = bench.verb("b", verb(kind));
        let cell = format!("{} while {situation:?} {flag:?}: {answer:?}", kind.name());
        assert_eq!(answer.is_ok(), possible, "{cell}");
        assert_eq!(bench.run == before, !possible, "{cell}");
    }
}

#[test]
fn every_possible_verb_leaves_the_step_where_the_verb_says() {
    use StepState::{Blocked, Confirmed, Failed, Ready, Running, Skipped};
    for (situation, flag, kind, _) in cells().filter(|(.., possible)| *possible) {
        let mut bench = flagged(situation, flag);
        let before = bench.step("b").clone();
        bench.verb("b", verb(kind)).unwrap();
        let after = bench.step("b");
        let cell = format!("{} while {situation:?} {flag:?}: {after:?}", kind.name());
        let runs = before.state == Running;
        let expected = match kind {
            // Without its hold it still waits for its backoff, or for `a`.
            VerbKind::Hold | VerbKind::Release => before.state,
            VerbKind::Stop | VerbKind::Kill => Running,
            // Its attempt has to end first, or `a` has to be done again.
            VerbKind::Rerun | VerbKind::RerunWithSuccessors if runs => Running,
            VerbKind::Rerun | VerbKind::RerunWithSuccessors if flag == Flag::Stale => Blocked,
            VerbKind::Rerun | VerbKind::RerunWithSuccessors | VerbKind::IgnoreDependency => {
                if flag == Flag::Held { Ready } else { Running }
            }
            VerbKind::Skip => Skipped,
            VerbKind::Confirm => Confirmed,
            VerbKind::DeclareLost => Failed,
        };
        assert_eq!(after.state, expected, "{cell}");
        let held = match kind {
            VerbKind::Hold | VerbKind::Stop => true,
            VerbKind::Release => false,
            _ => flag == Flag::Held,
        };
        assert_eq!(after.is_held(), held, "{cell}");
        assert_eq!(
            after.restarting,
            kind == VerbKind::Stop || (kind == VerbKind::RerunWithSuccessors && runs),
            "{cell}"
        );
        let waits = match kind {
            VerbKind::Hold | VerbKind::Release => before.waiting,
            _ => kind == VerbKind::DeclareLost,
        };
        assert_eq!(after.waiting, waits, "{cell}");
        let decided = match kind {
            VerbKind::Hold | VerbKind::Release | VerbKind::IgnoreDependency => {
                before.decision.clone().map(|d| d.verb)
            }
            _ => Some(kind.name().to_owned()),
        };
        assert_eq!(after.decision.clone().map(|decision| decision.verb), decided, "{cell}");
        assert_eq!(!after.ignored.is_empty(), kind == VerbKind::IgnoreDependency, "{cell}");
        let stays_stale = flag == Flag::Stale && matches!(kind, VerbKind::Hold | VerbKind::Release);
        assert_eq!(after.is_stale(), stays_stale, "{cell}");
        let of_b =
            |kind: &str| bench.attention.keys().any(|key| key.starts_with(kind) && key.ends_with("/b"));
        assert_eq!((of_b("step-waiting"), of_b("step-stale")), (after.waiting, stays_stale), "{cell}");
    }
}

#[test]
fn a_step_that_was_skipped_beforehand_and_runs_again_waits_for_its_predecessors() {
    let mut bench = bench(Situation::Blocked);
    bench.verb("b", StepVerb::Skip).unwrap();
    bench.verb("b", rerun()).unwrap();
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
            assert_eq!(asked, !matches!(kind, VerbKind::Rerun | VerbKind::Release), "{}", kind.name());
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
        let answer = bench.verb_with("b", rerun(), None, Some(expected));
        let now = Rejected::Expectation { step: hook("b"), state: StepState::Failed, attempt: 1 };
        assert_eq!(answer, Err(now));
    }
    let seen = Expected { state: Some(StepState::Failed), attempt: Some(1) };
    assert!(bench.verb_with("b", rerun(), None, Some(seen)).is_ok());
}

#[test]
fn a_verb_on_a_step_that_is_not_there_is_refused() {
    let mut bench = bench(Situation::Waiting);
    assert_eq!(bench.verb("x", rerun()), Err(Rejected::UnknownStep(hook("x"))));
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
        bench.verb("a", rerun()).unwrap();
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
    let refused = bench.verb("b", rerun());
    assert!(matches!(refused, Err(Rejected::OperationState { state: OperationState::Cancelled, .. })));
}

#[test]
fn a_verb_before_the_plan_is_refused() {
    let mut bench = Bench::pending();
    let event = Event::Verb {
        step: hook("a"),
        verb: rerun(),
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
