//! Replays: what runs again, what is kept.

use crate::bench::{Bench, hook, person, rerun, starts, step};
use StepState::{Blocked, Confirmed, Failed, Skipped, Succeeded};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Event, Plan, PlanRefusal, RegisteredHook, ReplayInput, StepVerb, VersionsOf, replay};
use tenantry_hook::{AttemptKind, Hook};
use tenantry_model::{
    Environment, EnvironmentId, EnvironmentSpec, EnvironmentState, FailureReason, Hold, HoldId,
    HoldPredicate, HookRef, Kept, OnFailure, OperationId, OperationState, Step, StepState, TemplateHash,
};
use uuid::Uuid;

fn environment() -> Environment {
    Environment {
        id: EnvironmentId(Uuid::from_u128(0xe)),
        tenant: "acme".parse().unwrap(),
        name: "prod".parse().unwrap(),
        aliases: BTreeSet::new(),
        labels: BTreeMap::new(),
        region: "eu1".parse().unwrap(),
        spec: EnvironmentSpec::default(),
        state: EnvironmentState::Active,
        generation: 1,
        revision: 1,
        version: 1,
        retention: None,
        created_at: crate::bench::time(0),
        updated_at: crate::bench::time(0),
    }
}

fn registered(name: &str) -> RegisteredHook {
    let current = Hook {
        path: hook(name).path(),
        hash: TemplateHash("new".to_owned()),
        operations: BTreeSet::new(),
        after: Vec::new(),
        after_for: BTreeMap::new(),
        selector: String::new(),
        policy: step(name, &[]).policy,
        kind: AttemptKind::Pod,
        container: "main".to_owned(),
    };
    RegisteredHook {
        hook: hook(name),
        current: Some(current),
        problems: Vec::new(),
        last_good: None,
        absent_since: None,
        retired: false,
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// a → b → d, a → c → d, e beside them. a, b, c succeeded (b with outputs), d failed, e is skipped by hand.
fn night() -> Bench {
    let steps =
        [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"]), step("e", &[])];
    let mut bench = Bench::planned(steps);
    bench.succeeds("a");
    bench.fails("b", FailureReason::HookFailed);
    let outputs = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    bench.verb("b", StepVerb::Confirm { outputs }).unwrap();
    bench.succeeds("c");
    bench.fails("d", FailureReason::HookFailed);
    bench.fails("e", FailureReason::HookFailed);
    bench.verb("e", StepVerb::Skip).unwrap();
    bench.cancel();
    bench
}

fn replayed(original: &Bench, from: &[&str], holds: &[Hold]) -> Result<Plan, PlanRefusal> {
    let hooks: Vec<RegisteredHook> = NAMES.iter().map(|name| registered(name)).collect();
    with(original, from, holds, VersionsOf::Original(&hooks))
}

fn with(
    original: &Bench,
    from: &[&str],
    holds: &[Hold],
    versions: VersionsOf<'_>,
) -> Result<Plan, PlanRefusal> {
    let from: BTreeSet<HookRef> = from.iter().map(|name| hook(name)).collect();
    replay(ReplayInput {
        operation: OperationId(Uuid::from_u128(2)),
        original: &original.run,
        from: &from,
        versions,
        environment: &environment(),
        holds,
        now: original.now,
    })
}

fn states(plan: &Plan) -> Vec<StepState> {
    plan.steps.values().map(|step| step.state).collect()
}

#[test]
fn everything_before_the_chosen_step_is_kept_with_its_outputs_and_says_from_where() {
    let original = night();
    let plan = replayed(&original, &["c"], &[]).unwrap();
    assert_eq!(states(&plan), [Succeeded, Confirmed, Blocked, Blocked, Skipped]);
    let b = &plan.steps[&hook("b")];
    assert_eq!(b.kept, Some(Kept { operation: original.run.operation().id, attempt: 1 }));
    assert_eq!((b.outputs["k"].as_str(), b.attempt), ("v", 0));

    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 7 });
    assert_eq!(starts(&bench.on(&Event::Planned(plan))), ["c#1"]);
    bench.succeeds("c");
    bench.succeeds("d");
    assert_eq!(bench.operation(), OperationState::Succeeded);
}

#[test]
fn a_replay_of_everything_keeps_nothing() {
    let plan = replayed(&night(), &[], &[]).unwrap();
    assert_eq!(states(&plan), [Blocked; 5]);
    assert!(plan.steps.values().all(|step| step.kept.is_none() && step.outputs.is_empty()));
}

#[test]
fn what_was_not_done_and_what_follows_it_runs_although_nobody_chose_it() {
    let original = night();
    assert_eq!(states(&replayed(&original, &["e"], &[]).unwrap())[3], Blocked, "d had failed");
    let mut stale = night_running();
    stale.verb("a", rerun()).unwrap();
    let plan = replayed(&stale, &["e"], &[]).unwrap();
    assert_eq!(states(&plan), [Blocked; 5], "a runs, and all that used it");
}

fn night_running() -> Bench {
    let steps =
        [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"]), step("e", &[])];
    let mut bench = Bench::planned(steps);
    for name in ["a", "b", "c", "e"] {
        bench.succeeds(name);
    }
    bench
}

#[test]
fn a_replay_of_a_replay_names_the_operation_in_which_the_step_ran() {
    let first = night();
    let plan = replayed(&first, &["c"], &[]).unwrap();
    let mut operation = Bench::pending().run.operation().clone();
    operation.id = OperationId(Uuid::from_u128(2));
    let mut second = Bench::of(operation);
    second.on(&Event::Admitted { generation: 7 });
    second.on(&Event::Planned(plan));
    second.cancel();
    let plan = replayed(&second, &["d"], &[]).unwrap();
    assert_eq!(plan.steps[&hook("a")].kept.as_ref().unwrap().operation, first.run.operation().id);
}

#[test]
fn an_accepted_failure_is_kept_as_one() {
    let mut b = step("b", &["a"]);
    b.policy.on_failure = OnFailure::Continue;
    let mut bench = Bench::planned([step("a", &[]), b, step("c", &["b"])]);
    bench.succeeds("a");
    bench.fails("b", FailureReason::HookFailed);
    bench.succeeds("c");
    let plan = replayed(&bench, &["c"], &[]).unwrap();
    assert_eq!(states(&plan), [Succeeded, Failed, Blocked]);
    let mut again = Bench::pending();
    again.on(&Event::Admitted { generation: 7 });
    assert_eq!(starts(&again.on(&Event::Planned(plan))), ["c#1"]);
}

#[test]
fn a_kept_step_may_run_again_and_its_kept_consumers_are_stale_then() {
    let mut bench = Bench::pending();
    bench.on(&Event::Admitted { generation: 7 });
    bench.on(&Event::Planned(replayed(&night(), &["d"], &[]).unwrap()));
    bench.verb("a", rerun()).unwrap();
    assert_eq!(bench.step("a").kept, None);
    assert!(bench.step("b").is_stale() && bench.step("c").is_stale() && bench.step("d").is_stale());
}

/// d's selector leaves it out of the original; nothing would run.
#[test]
fn a_replay_does_not_begin_with_what_does_not_run() {
    let mut left_out = step("d", &["c"]);
    left_out.state = Skipped;
    let mut original = Bench::planned([step("c", &[]), left_out, step("e", &["d"])]);
    original.succeeds("c");
    original.succeeds("e");
    let mut hooks: Vec<RegisteredHook> = NAMES.iter().map(|name| registered(name)).collect();
    let refused = |hooks: &[RegisteredHook], from: &[&str]| {
        with(&original, from, &[], VersionsOf::Original(hooks)).unwrap_err().to_string()
    };
    let text = refused(&hooks, &["d", "e"]);
    assert!(
        text.contains("eu1/team/d was left out by the selector of the version that the original had"),
        "{text}"
    );
    assert!(!text.contains("team/e"), "{text}");
    // The version that ran is still there, and so is its selector.
    let current = hooks[3].current.as_mut().unwrap();
    current.hash = TemplateHash("abc".to_owned());
    current.selector = "tier in (silver)".to_owned();
    let text = refused(&hooks, &["d"]);
    assert!(
        text.contains("left out by its selector (tier in (silver)): the environment has no labels"),
        "{text}"
    );
    hooks[3].current.as_mut().unwrap().selector = "!tier".to_owned();
    let text = refused(&hooks, &["d"]);
    assert!(text.contains("it selects the environment now"), "{text}");
    // By the versions in force now it is the same, and what is not in their plan at all is gone.
    let mut plan = Plan::default();
    for (name, state) in [("c", Blocked), ("d", Skipped)] {
        let mut now = step(name, &[]);
        now.state = state;
        plan.steps.insert(hook(name), now);
    }
    let by_now =
        |from: &[&str]| with(&original, from, &[], VersionsOf::Plan(plan.clone(), &hooks)).unwrap_err();
    assert!(matches!(by_now(&["d"]), PlanRefusal::Deselected(steps) if steps[0].hook == hook("d")));
    assert_eq!(by_now(&["e"]), PlanRefusal::Gone(vec![hook("e")]));
    // Everything again, or from before it, goes round it as ever.
    assert!(replayed(&original, &[], &[]).is_ok() && replayed(&original, &["c"], &[]).is_ok());
}

#[test]
fn unknown_steps_and_hooks_that_are_gone_refuse_a_replay() {
    let original = night();
    assert_eq!(replayed(&original, &["x"], &[]), Err(PlanRefusal::UnknownSteps(vec![hook("x")])));
    for change in [
        |hook: &mut RegisteredHook| hook.retired = true,
        |hook: &mut RegisteredHook| {
            hook.absent_since = Some(crate::bench::time(0));
        },
    ] {
        let mut hooks: Vec<RegisteredHook> = NAMES.iter().map(|name| registered(name)).collect();
        change(&mut hooks[0]);
        assert!(with(&original, &["c"], &[], VersionsOf::Original(&hooks)).is_ok(), "a is kept");
        let refused = with(&original, &["a"], &[], VersionsOf::Original(&hooks));
        assert_eq!(refused, Err(PlanRefusal::Gone(vec![hook("a")])));
    }
}

#[test]
fn frozen_versions_are_the_originals_and_current_ones_those_of_a_plan() {
    let original = night();
    let frozen = replayed(&original, &["c"], &[]).unwrap();
    assert_eq!(frozen.steps[&hook("c")].template_hash.0, "abc");
    let mut current = Plan::default();
    for name in NAMES {
        let mut step = step(name, &[]);
        step.template_hash = TemplateHash("new".to_owned());
        current.steps.insert(step.hook.clone(), step);
    }
    current.steps.insert(hook("n"), step("n", &["a"]));
    let plan = with(&original, &["c"], &[], VersionsOf::Plan(current, &[])).unwrap();
    assert_eq!(plan.steps[&hook("c")].template_hash.0, "new");
    assert_eq!(
        states(&plan),
        [Succeeded, Confirmed, Blocked, Blocked, Skipped, Blocked],
        "n is new, d had failed"
    );
}

#[test]
fn holds_catch_what_runs_and_not_what_is_kept() {
    let hold = Hold {
        id: HoldId(Uuid::from_u128(7)),
        predicate: HoldPredicate::default(),
        by: person(),
        reason: "freeze".to_owned(),
        since: crate::bench::time(0),
        until: None,
    };
    let plan = replayed(&night(), &["d"], &[hold]).unwrap();
    let caught: Vec<bool> = plan.steps.values().map(Step::is_held).collect();
    assert_eq!(caught, [false, false, false, true, false]);
}
