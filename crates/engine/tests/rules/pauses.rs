//! Pause and resume.

use crate::bench::{Bench, RULES, kills, minutes, person, rerun, starts, step};
use tenantry_engine::{Event, Rejected, StepVerb};
use tenantry_model::{AttentionKind, FailureReason, KillCause, OperationState, StepState};

fn two() -> Bench {
    Bench::planned([step("a", &[]), step("b", &["a"])])
}

#[test]
fn nothing_starts_while_an_operation_is_paused_and_what_runs_finishes() {
    let mut bench = two();
    bench.runs("a");
    assert_eq!(kills(&bench.pause()), 0);
    assert_eq!(bench.run.operation().pause.as_ref().unwrap().reason, "change freeze");
    bench.succeeds("a");
    assert_eq!((bench.state("a"), bench.state("b")), (StepState::Succeeded, StepState::Ready));
    assert!(bench.wait(minutes(30)).is_empty());
    assert_eq!(starts(&bench.resume()), ["b#1"]);
    assert_eq!((bench.operation(), &bench.run.operation().pause), (OperationState::Running, &None));
}

#[test]
fn an_operation_ends_only_after_it_is_resumed() {
    let mut bench = Bench::planned([step("a", &[])]);
    bench.pause();
    bench.succeeds("a");
    assert_eq!(bench.operation(), OperationState::Paused);
    bench.resume();
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn timers_of_attempts_go_on_and_retries_wait() {
    let mut bench = Bench::with(|policy| {
        policy.timeout = Some(minutes(10));
        policy.retries = 1;
    });
    bench.runs("a");
    bench.pause();
    assert_eq!(kills(&bench.wait(minutes(10))), 1);
    assert_eq!(bench.newest("a").kill.as_ref().unwrap().cause, KillCause::Timeout);
    bench.fails("a", FailureReason::Killed);
    bench.wait(minutes(30));
    assert_eq!(bench.state("a"), StepState::Ready);
    assert_eq!(starts(&bench.resume()), ["a#2"]);
}

#[test]
fn a_person_decides_about_steps_of_a_paused_operation() {
    let mut bench = two();
    bench.pause();
    bench.fails("a", FailureReason::HookFailed);
    bench.verb("a", rerun()).unwrap();
    assert_eq!(bench.state("a"), StepState::Ready);
    bench.verb("a", StepVerb::Skip).unwrap();
    assert_eq!(bench.state("b"), StepState::Ready);
    bench.verb("b", StepVerb::Skip).unwrap();
    bench.resume();
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn only_what_runs_is_paused_and_only_what_is_paused_resumed() {
    let resume = Event::Resume { by: person(), reason: None };
    let pause = |reason: &str| Event::Pause { by: person(), reason: reason.to_owned() };
    let mut bench = two();
    let refused = |state| Rejected::OperationState { what: "resume", state };
    assert_eq!(bench.apply(&resume), Err(refused(OperationState::Running)));
    assert_eq!(bench.apply(&pause(" ")), Err(Rejected::ReasonRequired("pause")));
    bench.on(&pause("freeze"));
    assert!(matches!(bench.apply(&pause("again")), Err(Rejected::OperationState { what: "pause", .. })));
    bench.cancel();
    assert_eq!(bench.apply(&resume), Err(refused(OperationState::Cancelling)));
    assert!(Bench::pending().apply(&pause("early")).is_err());
}

#[test]
fn a_pause_that_lasts_raises_attention_until_it_ends() {
    for ends in [Bench::resume, Bench::cancel] {
        let mut bench = two();
        bench.succeeds("a");
        bench.runs("b");
        bench.pause();
        assert_eq!(bench.last.next_tick, Some(bench.now + RULES.held_too_long));
        bench.wait(RULES.held_too_long);
        let kinds: Vec<AttentionKind> = bench.attention.values().map(|raised| raised.kind).collect();
        assert_eq!(kinds, [AttentionKind::OperationPaused]);
        assert!(bench.wait(minutes(600)).is_empty());
        ends(&mut bench);
        assert!(bench.attention.is_empty());
    }
}
