//! Operations: from pending to their end.

use crate::bench::{Bench, RULES, failed, hook, kills, minutes, person, step, time};
use tenantry_engine::{Action, Change, Event, Plan, PlanRefusal, Quarantined, Rejected, Run, StepVerb};
use tenantry_model::{AttentionKind, FailureReason, OperationState, StepState};

#[test]
fn an_operation_freezes_the_generation_when_it_gets_its_lock() {
    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 7 });
    let operation = bench.run.operation();
    assert_eq!((operation.state, operation.generation), (OperationState::Planning, 7));
    assert_eq!(operation.started_at, Some(bench.now));
    let again = bench.apply(&Event::Admitted { generation: 8 });
    assert!(matches!(again, Err(Rejected::OperationState { state: OperationState::Planning, .. })));
}

#[test]
fn a_plan_without_steps_succeeds_at_once() {
    let bench = Bench::planned([]);
    assert_eq!(bench.operation(), OperationState::Succeeded);
    assert!(bench.last.actions.contains(&Action::Ended(OperationState::Succeeded)));
}

#[test]
fn an_operation_succeeds_when_every_step_is_done() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["a"])]);
    bench.succeeds("a");
    bench.succeeds("b");
    assert_eq!(bench.operation(), OperationState::Running);
    bench.succeeds("c");
    assert_eq!(bench.operation(), OperationState::Succeeded);
    assert_eq!(bench.run.operation().ended_at, Some(bench.now));
    assert_eq!(bench.last.next_tick, None);
}

#[test]
fn a_plan_is_taken_in_once() {
    let mut bench = Bench::planned([step("a", &[])]);
    assert!(bench.apply(&Event::Planned(Plan::default())).is_err());
}

#[test]
fn a_refused_plan_fails_the_operation_with_its_code_and_raises_attention_until_a_plan_is_good() {
    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 1 });
    bench.on(&Event::PlanRefused(PlanRefusal::Absent(vec![hook("gone")])));
    let operation = bench.run.operation();
    assert_eq!(
        (operation.state, operation.problem.as_deref()),
        (OperationState::Failed, Some("plan-hook-absent"))
    );
    assert!(operation.note.as_ref().unwrap().contains("eu1/team/gone"));
    let raised = bench.attention.values().next().unwrap();
    assert_eq!(raised.kind, AttentionKind::PlanRefused);
    assert!(raised.remedy.contains("tenantry hook retire eu1/team/gone"), "{}", raised.remedy);

    let mut next = Bench::pending();
    next.attention = bench.attention;
    next.on(&Event::Admitted { generation: 1 });
    next.on(&Event::Planned(Plan::default()));
    assert!(next.attention.is_empty());
}

#[test]
fn a_hook_that_is_just_being_replaced_keeps_the_operation_planning() {
    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 1 });
    let until = bench.now + jiff::SignedDuration::from_secs(10);
    let refused = Event::PlanRefused(PlanRefusal::AbsentForNow { hooks: vec![hook("a")], until });
    assert_eq!(bench.on(&refused).next_tick, Some(until));
    assert_eq!(bench.operation(), OperationState::Planning);
    assert!(bench.attention.is_empty());
    assert!(bench.on(&refused).is_empty());
    let tick = bench.on(&Event::Tick);
    assert!(tick.is_empty() && tick.next_tick.is_some(), "it is planned again in any case");
    bench.on(&Event::Planned(Plan::default()));
    assert_eq!(bench.run.operation().note, None);
}

#[test]
fn quarantined_and_left_out_hooks_raise_attention_with_the_plan() {
    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 1 });
    let entry =
        |name, last_good_in_force| Quarantined { hook: hook(name), problems: Vec::new(), last_good_in_force };
    let quarantined = vec![entry("a", true), entry("b", false)];
    bench.on(&Event::Planned(Plan { quarantined, ..Plan::default() }));
    let kinds: Vec<_> = bench.attention.values().map(|raised| raised.kind).collect();
    assert_eq!(kinds, [AttentionKind::HookLeftOut, AttentionKind::HookQuarantined]);
}

#[test]
fn a_cancel_before_the_first_attempt_ends_the_operation_at_once() {
    for admitted in [false, true] {
        let mut bench = Bench::pending();
        if admitted {
            bench.on(&Event::Admitted { generation: 1 });
        }
        bench.cancel();
        assert_eq!(bench.operation(), OperationState::Cancelled);
        assert_eq!(bench.run.operation().note.as_deref(), Some("cancelled by ada: wrong customer"));
    }
}

#[test]
fn a_cancel_waits_until_all_attempts_are_known_to_be_over() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &[]), step("c", &["a"])]);
    bench.runs("a");
    assert_eq!(kills(&bench.cancel()), 2, "also of the one whose start was not answered yet");
    assert_eq!((bench.operation(), bench.state("c")), (OperationState::Cancelling, StepState::Cancelled));
    assert!(bench.cancel().is_empty(), "asking twice is asking once");
    bench.fails("a", FailureReason::Killed);
    assert_eq!(bench.operation(), OperationState::Cancelling);
    bench.sees("b", tenantry_model::Fact::NotStarted { outcome: failed(FailureReason::Killed) });
    assert_eq!(bench.operation(), OperationState::Cancelled);
    assert_eq!(bench.state("a"), StepState::Cancelled);
    let again = bench.apply(&Event::Cancel { by: person(), reason: "again".to_owned() });
    assert!(matches!(again, Err(Rejected::OperationState { state: OperationState::Cancelled, .. })));
}

#[test]
fn a_cancelled_attempt_that_never_answers_raises_attention_and_a_person_gets_out() {
    let mut bench = Bench::planned([step("a", &[])]);
    bench.runs("a");
    bench.cancel();
    bench.wait(minutes(5));
    assert_eq!(bench.attention.len(), 1);
    bench.verb("a", StepVerb::DeclareLost).unwrap();
    assert_eq!(bench.operation(), OperationState::Cancelled);
    assert!(bench.attention.is_empty());
}

#[test]
fn a_cancel_settles_what_waited_for_a_decision() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.fails("a", FailureReason::HookFailed);
    assert_eq!(bench.attention.len(), 1);
    bench.cancel();
    assert!(bench.attention.is_empty());
    assert_eq!((bench.state("a"), bench.step("a").waiting), (StepState::Failed, false));
    assert_eq!(bench.operation(), OperationState::Cancelled);
}

#[test]
fn a_cancel_needs_a_reason() {
    let mut bench = Bench::planned([step("a", &[])]);
    let event = Event::Cancel { by: person(), reason: " ".to_owned() };
    assert_eq!(bench.apply(&event), Err(Rejected::ReasonRequired("cancel")));
}

#[test]
fn nothing_is_retried_while_an_operation_is_ending() {
    let mut bench = Bench::planned([{
        let mut a = step("a", &[]);
        a.policy.retries = 3;
        a
    }]);
    bench.runs("a");
    bench.cancel();
    bench.fails("a", FailureReason::Evicted);
    assert_eq!((bench.operation(), bench.step("a").attempt), (OperationState::Cancelled, 1));
}

#[test]
fn a_late_operation_raises_attention_once_and_settles_it_at_its_end() {
    let mut operation = Bench::pending().run.operation().clone();
    operation.deadline_at = Some(time(70));
    let mut bench = Bench::of(operation);
    assert_eq!(bench.on(&Event::Tick).next_tick, Some(time(70)));
    bench.wait(minutes(60));
    assert_eq!(bench.attention.values().next().unwrap().kind, AttentionKind::OperationLate);
    let again = bench.wait(minutes(60));
    assert!(again.is_empty() && again.next_tick.is_none());
    bench.cancel();
    assert!(bench.attention.is_empty());
}

#[test]
fn each_change_raises_the_revision_and_each_row_is_there_once_in_order() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"]), step("c", &["a"])]);
    let revision = bench.run.operation().revision;
    let transition = bench.succeeds("a");
    let names: Vec<String> = transition.changes.iter().map(name).collect();
    assert_eq!(
        names,
        ["operation", "step a", "step b", "step c", "attempt a#1", "attempt b#1", "attempt c#1"]
    );
    assert_eq!(bench.run.operation().revision, revision + 1);
    bench.on(&Event::Tick);
    assert_eq!(bench.run.operation().revision, revision + 1);
}

fn name(change: &Change) -> String {
    match change {
        Change::Operation(_) => "operation".to_owned(),
        Change::Step(step) => format!("step {}", step.hook.name),
        Change::Attempt(attempt) => format!("attempt {}#{}", attempt.id.step.name, attempt.id.number),
    }
}

#[test]
fn a_run_read_back_from_its_rows_goes_on_as_it_would_have() {
    let mut bench = Bench::planned([step("a", &[]), step("b", &["a"])]);
    bench.runs("a");
    let rows = bench.run.clone();
    let read = Run::new(
        rows.operation().clone(),
        rows.steps().values().cloned(),
        rows.attempts().values().cloned(),
        RULES,
    );
    assert!(read == rows);
    let end = bench.end(tenantry_model::Outcome::default());
    let event = bench.observation("a", 1, end);
    let expected = bench.on(&event);
    let moment = tenantry_engine::Moment { now: bench.now, seed: uuid::Uuid::nil() };
    let mut other = tenantry_engine::apply(&read, &event, moment).unwrap();
    // The bench counts seeds, so that only the nonce of b's attempt differs.
    for (one, two) in other.changes.iter_mut().zip(&expected.changes) {
        if let (Change::Attempt(one), Change::Attempt(two)) = (one, two) {
            one.nonce = two.nonce;
        }
    }
    assert_eq!(other, expected);
}
