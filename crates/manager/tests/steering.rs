//! Holds by predicate, a second person, looking before, pausing and replaying.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_engine::{StepVerb, VerbKind};
use tenantry_manager::{
    ChangeOptions, Decide, EnvironmentChange, ErrorClass, ExpectedOperation, Manager, NewHold, NewOperation,
    OperationAnswer, OperationVerb, Principal, ReplayWish, Steered, StepOptions,
};
use tenantry_model::*;
use tenantry_store::{ApprovalFilter, AttentionFilter};
use uuid::Uuid;

const ALL: [&str; 2] = ["lifecycle.upsert", "crm.reindex"];

/// Two hooks in a row, one beside them.
async fn three(world: &World) -> (Manager, Agent) {
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, hooks("@1")).await;
    (manager, agent)
}

fn hooks(version: &str) -> Vec<tenantry_manager::ReportedHook> {
    let versioned = |path: &str, after: &[&str]| {
        let mut hook = hook(path, &ALL, after);
        hook.hash = TemplateHash(format!("{path}{version}"));
        readable(hook)
    };
    vec![versioned("crm/a", &[]), versioned("crm/b", &["crm/a"]), versioned("ops/c", &[])]
}

fn somebody(name: &str, role: Role) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Token, name: name.to_owned() },
        role,
        token: Some(TokenId(Uuid::now_v7())),
        ..Principal::system()
    }
}

fn new_hold(predicate: HoldPredicate) -> NewHold {
    NewHold { predicate, until: None, reason: "freeze".to_owned(), max_steps: None, validate_only: false }
}

fn in_namespace(namespace: &str) -> HoldPredicate {
    HoldPredicate { namespace: Some(namespace.parse().unwrap()), ..HoldPredicate::default() }
}

async fn started(agent: &mut Agent, manager: &Manager) -> Vec<(AttemptId, String)> {
    let starts = agent.starts(manager).await;
    starts.into_iter().map(|start| (start.attempt.clone(), start.attempt.step.path().to_string())).collect()
}

fn names(started: &[(AttemptId, String)]) -> BTreeSet<&str> {
    started.iter().map(|(_, name)| name.as_str()).collect()
}

async fn steer(manager: &Manager, id: OperationId, step: &str, verb: StepVerb) -> Steered {
    let options = StepOptions { reason: Some("because".to_owned()), ..StepOptions::default() };
    manager.steer_step(&admin(), id, &hook_ref(step), verb, options).await.unwrap()
}

async fn kinds(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

async fn step(manager: &Manager, id: OperationId, path: &str) -> Step {
    let view = manager.operation(id).await.unwrap();
    view.steps.into_iter().find(|step| step.hook == hook_ref(path)).unwrap()
}

#[tokio::test]
async fn a_hold_catches_steps_that_start_later_and_those_that_have_not_started() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, running) = create(&manager, "one").await;
    let first = started(&mut agent, &manager).await;
    assert_eq!(names(&first), BTreeSet::from(["crm/a", "ops/c"]));

    let made = manager.create_hold(&admin(), new_hold(in_namespace("crm"))).await.unwrap();
    assert_eq!(made.steps, 2, "a runs, b has not started: {made:?}");
    assert!(made.row.told);
    // What runs finishes; its successor does not start.
    for (attempt, _) in &first {
        agent.ended(&manager, attempt, world.now(), success()).await;
    }
    assert!(agent.starts(&manager).await.is_empty());
    // An operation that begins now is caught as well, elsewhere it is not.
    let (_, later) = create(&manager, "two").await;
    let second = started(&mut agent, &manager).await;
    assert_eq!(names(&second), BTreeSet::from(["ops/c"]));
    assert_eq!(step(&manager, later, "crm/a").await.holds[0].id, Some(made.row.hold.id));

    let lifted = manager.lift_hold(&admin(), made.row.hold.id, None, false).await.unwrap();
    assert_eq!(lifted.steps, 4, "two of each operation");
    let third = started(&mut agent, &manager).await;
    assert_eq!(names(&third), BTreeSet::from(["crm/a", "crm/b"]));
    for (attempt, _) in second.iter().chain(&third) {
        agent.ended(&manager, attempt, world.now(), success()).await;
    }
    agent.run_all(&manager, world.now()).await;
    assert_eq!(state(&manager, running).await, OperationState::Succeeded);
    assert_eq!(state(&manager, later).await, OperationState::Succeeded);
    let again = manager.lift_hold(&admin(), made.row.hold.id, None, false).await.unwrap();
    assert_eq!((again.row.lifted, again.steps), (lifted.row.lifted, 0), "lifting twice changes nothing");
    assert!(manager.holds(&admin(), false, &Page::default()).await.unwrap().items.is_empty());
    assert_eq!(manager.holds(&admin(), true, &Page::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn every_given_part_of_a_predicate_must_fit() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    create(&manager, "one").await;
    let parts = HoldPredicate {
        hook: Some("crm/b".parse().unwrap()),
        namespace: Some("crm".parse().unwrap()),
        region: Some(region()),
        operation: Some("lifecycle.upsert".parse().unwrap()),
        selector: "tier in (gold,silver)".to_owned(),
    };
    let count = async |predicate: HoldPredicate| {
        let look = NewHold { validate_only: true, ..new_hold(predicate) };
        manager.create_hold(&admin(), look).await.unwrap().steps
    };
    assert_eq!(count(parts.clone()).await, 1);
    for other in [
        HoldPredicate { hook: Some("crm/x".parse().unwrap()), ..parts.clone() },
        HoldPredicate { namespace: Some("ops".parse().unwrap()), ..parts.clone() },
        HoldPredicate { region: Some("us1".parse().unwrap()), ..parts.clone() },
        HoldPredicate { operation: Some("crm.reindex".parse().unwrap()), ..parts.clone() },
        HoldPredicate { selector: "tier=bronze".to_owned(), ..parts.clone() },
    ] {
        assert_eq!(count(other.clone()).await, 0, "{other:?}");
    }
    assert!(manager.holds(&admin(), true, &Page::default()).await.unwrap().items.is_empty());
    assert_eq!(started(&mut agent, &manager).await.len(), 2, "looking holds nothing");
}

#[tokio::test]
async fn a_predicate_that_matches_everything_or_too_much_asks_for_a_cap() {
    let mut world = World::new();
    world.config.hold_cap = 1;
    let (manager, _agent) = three(&world).await;
    let everything = || new_hold(HoldPredicate::default());
    let error = manager.create_hold(&admin(), everything()).await.unwrap_err();
    assert_eq!(error.code(), "hold-too-wide", "also when nothing runs");
    create(&manager, "one").await;
    let error = manager.create_hold(&admin(), everything()).await.unwrap_err();
    assert!(error.to_string().contains("3 steps of 1 running operations"), "{error}");
    let error = manager.create_hold(&admin(), new_hold(in_namespace("crm"))).await.unwrap_err();
    assert!(error.to_string().contains("2 steps"), "{error}");
    let capped = |max| NewHold { max_steps: Some(max), ..everything() };
    assert_eq!(manager.create_hold(&admin(), capped(2)).await.unwrap_err().code(), "hold-too-wide");
    assert_eq!(manager.create_hold(&admin(), capped(3)).await.unwrap().steps, 3);
    for (bad, code) in [
        (NewHold { reason: " ".to_owned(), ..capped(9) }, "invalid-request"),
        (NewHold { reason: "x".repeat(1001), ..capped(9) }, "invalid-request"),
        (NewHold { until: Some(world.now()), ..capped(9) }, "invalid-request"),
        (
            new_hold(HoldPredicate { selector: "tier in (gold".to_owned(), ..HoldPredicate::default() }),
            "invalid-request",
        ),
    ] {
        assert_eq!(manager.create_hold(&admin(), bad).await.unwrap_err().code(), code);
    }
    let mine = Principal { scopes: vec![Scope::Region("us1".parse().unwrap())], ..admin() };
    let error = manager.create_hold(&mine, new_hold(in_namespace("crm"))).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Forbidden);
}

#[tokio::test]
async fn a_hold_ends_at_its_time_and_one_without_an_end_raises_attention() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let until = world.now().checked_add(SignedDuration::from_mins(30)).unwrap();
    let timed = NewHold { until: Some(until), ..new_hold(in_namespace("crm")) };
    let timed = manager.create_hold(&admin(), timed).await.unwrap();
    let endless = manager.create_hold(&admin(), new_hold(in_namespace("ops"))).await.unwrap();
    let (_, id) = create(&manager, "one").await;
    assert!(agent.starts(&manager).await.is_empty());
    world.pass(SignedDuration::from_mins(31));
    manager.run_due().await.unwrap();
    manager.check_holds().await.unwrap();
    assert_eq!(names(&started(&mut agent, &manager).await), BTreeSet::from(["crm/a"]));
    let over = manager.hold(timed.row.hold.id).await.unwrap().row;
    assert_eq!(over.lifted.unwrap().by, Actor::system());
    assert_eq!(kinds(&manager).await, []);
    world.pass(SignedDuration::from_mins(31));
    manager.check_holds().await.unwrap();
    assert!(kinds(&manager).await.contains(&AttentionKind::HoldLong));
    manager.lift_hold(&admin(), endless.row.hold.id, Some("over".to_owned()), false).await.unwrap();
    assert!(!kinds(&manager).await.contains(&AttentionKind::HoldLong));
    assert!(!step(&manager, id, "ops/c").await.is_held());
}

/// Who looks for holds that last stands still at any moment, in which the hold is lifted.
#[tokio::test]
async fn a_hold_that_is_lifted_while_somebody_looks_leaves_no_attention() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    // On a busy machine a look may be over before it could stand still: then it begins again.
    let mut polls = 0;
    for _ in 0..1000 {
        let hold = manager.create_hold(&admin(), new_hold(in_namespace("ops"))).await.unwrap().row.hold.id;
        world.pass(SignedDuration::from_mins(61));
        let mut look = Box::pin(manager.check_holds());
        let whole = stand_still_after(polls, look.as_mut()).await;
        let who = admin();
        let end_it = || manager.lift_hold(&who, hold, None, false);
        // While the look writes nobody else does: then the hold is lifted after it.
        let lifted = tokio::time::timeout(Duration::from_millis(100), end_it()).await.is_ok();
        let ended = whole.is_some();
        match whole {
            Some(done) => done.unwrap(),
            None => look.await.unwrap(),
        }
        if !lifted {
            end_it().await.unwrap();
        }
        assert_eq!(kinds(&manager).await, [], "after {polls} polls");
        if ended && polls > 1 {
            return;
        }
        polls = if ended { 0 } else { polls + 1 };
    }
    panic!("it stood still nowhere");
}

/// Both kinds of holds and a pause, by the one setting.
#[tokio::test]
async fn how_long_is_too_long_is_the_installations_setting() {
    for (minutes, waits) in [(10, 9), (180, 179)] {
        let mut world = World::new();
        world.config.held_too_long = SignedDuration::from_mins(minutes);
        world.config.agent_silent_after = SignedDuration::from_hours(10);
        let (manager, _agent) = three(&world).await;
        manager.create_hold(&admin(), new_hold(in_namespace("nobody"))).await.unwrap();
        let held = NewHold { max_steps: Some(10), ..new_hold(in_namespace("crm")) };
        let by_predicate = manager.create_hold(&admin(), held).await.unwrap();
        let (_, id) = create(&manager, "one").await;
        steer(&manager, id, "crm/a", StepVerb::Hold { until: None }).await;
        manager
            .lift_hold(&admin(), by_predicate.row.hold.id, Some("by hand now".to_owned()), false)
            .await
            .unwrap();
        let (_, paused) = create(&manager, "two").await;
        let (pause, expected) = (OperationVerb::Pause, ExpectedOperation::default());
        let reason = Some("freeze".to_owned());
        manager.steer_operation(&admin(), paused, pause, reason, expected, false).await.unwrap();
        world.pass(SignedDuration::from_mins(waits));
        manager.run_due().await.unwrap();
        manager.check_holds().await.unwrap();
        // Attempts that nobody has reported on are another matter.
        let long = async || {
            let mut told = kinds(&manager).await;
            told.retain(|kind| *kind != AttentionKind::AttemptUnknown);
            told.sort();
            told
        };
        assert_eq!(long().await, [], "{minutes}");
        world.pass(SignedDuration::from_mins(1));
        manager.run_due().await.unwrap();
        manager.check_holds().await.unwrap();
        let mut all = [AttentionKind::StepHeld, AttentionKind::OperationPaused, AttentionKind::HoldLong];
        all.sort();
        assert_eq!(long().await, all, "{minutes}");
    }
}

#[tokio::test]
async fn what_a_crash_left_untold_is_told_by_the_next_manager() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let made = manager.create_hold(&admin(), new_hold(in_namespace("crm"))).await.unwrap();
    let (environment, id) = create(&manager, "one").await;
    let data = world.folder.path().join("data");
    drop(manager);
    // As a crash right after the hold's own transaction leaves it: lifted, and nobody was told.
    let store = tenantry_store_sqlite::SqliteStore::open(&data).await.unwrap();
    let mut write = tenantry_store::Store::write(&store).await.unwrap();
    let mut row = made.row.clone();
    row.lifted = Some(tenantry_store::Lifted { by: admin().actor, reason: None, at: world.now() });
    row.told = false;
    write.put_hold(&row).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    drop(store);
    let manager = world.manager().await;
    assert!(step(&manager, id, "crm/a").await.is_held());
    manager.check_holds().await.unwrap();
    assert!(!step(&manager, id, "crm/a").await.is_held());
    assert!(manager.hold(row.hold.id).await.unwrap().row.told);
    let log = manager.audit(Some(environment.id), 0, 100).await.unwrap();
    let release = log.iter().find(|entry| entry.action == "step.release").unwrap();
    assert_eq!(release.actor, admin().actor, "who lifted it has released the steps");
    assert!(names(&started(&mut agent, &manager).await).contains("crm/a"));
}

#[tokio::test]
async fn looking_before_says_what_would_happen_and_changes_nothing() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, id) = create(&manager, "one").await;
    agent.run_all(&manager, world.now()).await;
    let (environment, _) = create(&manager, "two").await;
    for (attempt, name) in started(&mut agent, &manager).await {
        if name == "crm/a" {
            agent.ended(&manager, &attempt, world.now(), success()).await;
        }
    }
    let running = manager
        .operations(
            &admin(),
            tenantry_store::OperationFilter { unfinished: true, ..Default::default() },
            &Page::default(),
        )
        .await
        .unwrap()
        .items[0]
        .id;
    let b = started(&mut agent, &manager).await.remove(0).0;
    agent.running(&manager, &b, world.now()).await;
    let before = manager.operation(running).await.unwrap();
    let look = |verb| {
        let options =
            StepOptions { reason: Some("x".to_owned()), validate_only: true, ..StepOptions::default() };
        let manager = manager.clone();
        async move { manager.steer_step(&admin(), running, &hook_ref("crm/a"), verb, options).await }
    };
    let Steered::Preview(preview) = look(StepVerb::Rerun { with_successors: true }).await.unwrap() else {
        panic!("carried out")
    };
    assert_eq!(preview.reset, [hook_ref("crm/a"), hook_ref("crm/b")]);
    assert_eq!(preview.killed, [b]);
    let refused = look(StepVerb::Kill).await.unwrap_err();
    assert_eq!(refused.code(), "wrong-state");
    let pause = manager
        .steer_operation(
            &admin(),
            running,
            OperationVerb::Pause,
            Some("x".to_owned()),
            ExpectedOperation::default(),
            true,
        )
        .await
        .unwrap();
    let Steered::Preview(pause) = pause else { panic!("carried out") };
    assert_eq!(pause.operation, Some(OperationState::Paused));
    assert_eq!(manager.operation(running).await.unwrap(), before);
    assert_eq!(manager.audit(Some(environment.id), 0, 1000).await.unwrap().last().unwrap().action, {
        // The request of the environment's own upsert is the last thing that anybody did.
        "operation.request"
    });
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
}

#[tokio::test]
async fn a_paused_operation_starts_nothing_until_it_is_resumed() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, id) = create(&manager, "one").await;
    let first = started(&mut agent, &manager).await;
    let steer = async |verb, reason: Option<&str>, state| {
        let expected = ExpectedOperation { state, revision: None };
        let reason = reason.map(str::to_owned);
        manager.steer_operation(&admin(), id, verb, reason, expected, false).await
    };
    assert_eq!(steer(OperationVerb::Pause, None, None).await.unwrap_err().code(), "reason-required");
    assert_eq!(steer(OperationVerb::Resume, None, None).await.unwrap_err().code(), "operation-state");
    steer(OperationVerb::Pause, Some("look"), Some(OperationState::Running)).await.unwrap();
    for (attempt, _) in first {
        agent.ended(&manager, &attempt, world.now(), success()).await;
    }
    assert!(agent.starts(&manager).await.is_empty());
    assert_eq!(state(&manager, id).await, OperationState::Paused);
    let moved = steer(OperationVerb::Resume, None, Some(OperationState::Running)).await.unwrap_err();
    assert_eq!(moved.code(), "moved-on");
    steer(OperationVerb::Resume, None, None).await.unwrap();
    agent.run_all(&manager, world.now()).await;
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
}

/// A world in which `confirm` needs two, with a failed step.
async fn four_eyes() -> (World, Manager, Agent, OperationId) {
    let mut world = World::new();
    world.config.four_eyes = BTreeSet::from([VerbKind::Confirm]);
    let (manager, mut agent) = three(&world).await;
    let (_, id) = create(&manager, "one").await;
    let (attempt, _) =
        started(&mut agent, &manager).await.into_iter().find(|(_, name)| name == "crm/a").unwrap();
    agent.ended(&manager, &attempt, world.now(), failure()).await;
    (world, manager, agent, id)
}

async fn ask_confirm(manager: &Manager, who: &Principal, id: OperationId) -> Approval {
    let verb = StepVerb::Confirm { outputs: [("url".to_owned(), "x".to_owned())].into() };
    let options = StepOptions { reason: Some("by hand".to_owned()), ..StepOptions::default() };
    let asked = manager.steer_step(who, id, &hook_ref("crm/a"), verb, options).await.unwrap();
    let Steered::Pending(approval) = asked else { panic!("{asked:?}") };
    *approval
}

#[tokio::test]
async fn a_second_person_carries_out_what_the_first_one_asked_for() {
    let (_world, manager, mut agent, id) = four_eyes().await;
    let (ann, bob) = (somebody("ann", Role::Operator), somebody("bob", Role::Operator));
    let approval = ask_confirm(&manager, &ann, id).await;
    assert_eq!(step(&manager, id, "crm/a").await.state, StepState::Failed);
    assert!(kinds(&manager).await.contains(&AttentionKind::ApprovalPending));
    let decide = async |who: &Principal, decide| {
        manager.decide_approval(who, approval.id, decide, Some("seen".to_owned()), false).await
    };
    assert_eq!(decide(&ann, Decide::Approve).await.unwrap_err().code(), "second-person");
    let viewer = somebody("eve", Role::Viewer);
    assert_eq!(decide(&viewer, Decide::Approve).await.unwrap_err().code(), "second-person");
    let elsewhere =
        Principal { scopes: vec![Scope::Tenant("other".parse().unwrap())], ..somebody("x", Role::Admin) };
    assert_eq!(decide(&elsewhere, Decide::Approve).await.unwrap_err().code(), "second-person");
    let (done, _) = decide(&bob, Decide::Approve).await.unwrap();
    assert_eq!(done.state, ApprovalState::Approved);
    let row = step(&manager, id, "crm/a").await;
    assert_eq!((row.state, row.outputs["url"].as_str()), (StepState::Confirmed, "x"));
    let decision = row.decision.unwrap();
    assert_eq!(decision.by.name, "ann");
    assert!(decision.reason.unwrap().contains("approved by bob"));
    assert!(!kinds(&manager).await.contains(&AttentionKind::ApprovalPending));
    assert_eq!(decide(&bob, Decide::Reject).await.unwrap_err().code(), "approval-decided");
    assert_eq!(names(&started(&mut agent, &manager).await), BTreeSet::from(["crm/b"]));
    let environment = manager.operation(id).await.unwrap().operation.environment;
    let audit = manager.audit(Some(environment), 0, 1000).await.unwrap();
    let confirm = audit.iter().find(|entry| entry.action == "step.confirm").unwrap();
    assert_eq!(confirm.actor.name, "bob");
    assert_eq!(confirm.after["approval"]["requestedBy"]["name"], json!("ann"));
}

/// The installation asks for nobody: the definition does, the one in force now or the one that the operation has.
#[tokio::test]
async fn a_definition_says_which_verbs_on_its_operations_need_two() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let upsert = "lifecycle.upsert".parse().unwrap();
    let shipped = manager.definition(&upsert).await.unwrap();
    let (_, before) = create(&manager, "before").await;
    let strict = OperationDefinition { four_eyes: [GuardedVerb::Confirm].into(), ..shipped.clone() };
    manager.put_definition(&admin(), strict.clone()).await.unwrap();
    let (_, after) = create(&manager, "after").await;
    for (attempt, name) in started(&mut agent, &manager).await {
        if name == "crm/a" {
            agent.ended(&manager, &attempt, world.now(), failure()).await;
        }
    }
    let ann = somebody("ann", Role::Operator);
    // Stricter counts at once, also for what runs; and stays for what was made under it.
    let first = ask_confirm(&manager, &ann, before).await;
    manager.put_definition(&admin(), shipped).await.unwrap();
    ask_confirm(&manager, &ann, after).await;
    let bob = somebody("bob", Role::Operator);
    manager.decide_approval(&bob, first.id, Decide::Approve, None, false).await.unwrap();
    assert_eq!(step(&manager, before, "crm/a").await.state, StepState::Confirmed);
    // Other verbs need nobody.
    let left_out = steer(&manager, after, "crm/a", StepVerb::Skip).await;
    assert!(matches!(left_out, Steered::Done(_)), "{left_out:?}");
    // A purge is no verb on an operation.
    let purge = OperationDefinition { four_eyes: [GuardedVerb::Purge].into(), ..strict };
    assert_eq!(manager.put_definition(&admin(), purge).await.unwrap_err().code(), "invalid-request");
    let decommission = manager.definition(&"lifecycle.decommission".parse().unwrap()).await.unwrap();
    let purge = OperationDefinition { four_eyes: [GuardedVerb::Purge].into(), ..decommission };
    manager.put_definition(&admin(), purge).await.unwrap();
}

#[tokio::test]
async fn an_approval_is_for_the_state_that_the_first_person_saw() {
    let (world, manager, mut agent, id) = four_eyes().await;
    let (ann, bob) = (somebody("ann", Role::Operator), somebody("bob", Role::Operator));
    let approval = ask_confirm(&manager, &ann, id).await;
    let twice = StepOptions { reason: Some("me too".to_owned()), ..StepOptions::default() };
    let verb = StepVerb::Confirm { outputs: [].into() };
    let twice = manager.steer_step(&bob, id, &hook_ref("crm/a"), verb, twice).await.unwrap_err();
    assert!(twice.to_string().contains(&approval.id.to_string()), "{twice}");
    steer(&manager, id, "crm/a", StepVerb::Rerun { with_successors: false }).await;
    let (again, _) = started(&mut agent, &manager).await.remove(0);
    agent.ended(&manager, &again, world.now(), failure()).await;
    let moved = manager.decide_approval(&bob, approval.id, Decide::Approve, None, false).await.unwrap_err();
    assert_eq!(moved.code(), "moved-on", "another attempt has failed since");
    assert_eq!(manager.approval(approval.id).await.unwrap().state, ApprovalState::Pending);
    let (rejected, _) = manager
        .decide_approval(&ann, approval.id, Decide::Reject, Some("old".to_owned()), false)
        .await
        .unwrap();
    assert_eq!(rejected.state, ApprovalState::Rejected, "who asked may take it back");
    assert!(!kinds(&manager).await.contains(&AttentionKind::ApprovalPending));
}

#[tokio::test]
async fn what_nobody_approves_expires() {
    let (world, manager, _agent, id) = four_eyes().await;
    let (ann, bob) = (somebody("ann", Role::Operator), somebody("bob", Role::Operator));
    let first = ask_confirm(&manager, &ann, id).await;
    world.pass(SignedDuration::from_hours(4));
    let late = manager.decide_approval(&bob, first.id, Decide::Approve, None, false).await.unwrap_err();
    assert_eq!(late.code(), "approval-decided", "before any loop has looked");
    manager.check_approvals().await.unwrap();
    assert_eq!(manager.approval(first.id).await.unwrap().state, ApprovalState::Expired);
    let second = ask_confirm(&manager, &ann, id).await;
    let cancel = Some("over".to_owned());
    let expected = ExpectedOperation::default();
    manager.steer_operation(&admin(), id, OperationVerb::Cancel, cancel, expected, false).await.unwrap();
    manager.check_approvals().await.unwrap();
    let open = manager.approvals(&admin(), ApprovalFilter::default(), &Page::default()).await.unwrap().items;
    // Its other step was given out and is not over yet: then it still may be decided.
    let ended = state(&manager, id).await.is_final();
    assert_eq!(open.is_empty(), ended, "{open:?}");
    assert_eq!(manager.approval(second.id).await.unwrap().state == ApprovalState::Expired, ended);
}

/// An operation `crm.reindex` that has ended, with an output of `crm/a`.
async fn ended(world: &World, manager: &Manager, agent: &mut Agent) -> (Environment, OperationId) {
    let (environment, _) = create(manager, "one").await;
    agent.run_all(manager, world.now()).await;
    let mut new = NewOperation::named("crm.reindex".parse().unwrap());
    new.parameters = json!({"date": "2026-11-20", "seed": 7}).as_object().cloned().unwrap();
    let id = requested(manager.request_operation(&admin(), environment.id, new).await.unwrap()).id;
    loop {
        let starts = started(agent, manager).await;
        if starts.is_empty() {
            break;
        }
        for (attempt, name) in starts {
            let outcome = if name == "crm/a" { success_with("rows", "17") } else { success() };
            agent.ended(manager, &attempt, world.now(), outcome).await;
        }
    }
    assert_eq!(state(manager, id).await, OperationState::Succeeded);
    (environment, id)
}

fn again(from: &[&str]) -> ReplayWish {
    ReplayWish {
        from: from.iter().map(|path| hook_ref(path)).collect(),
        reason: Some("corrected data".to_owned()),
        ..ReplayWish::default()
    }
}

#[tokio::test]
async fn a_replay_runs_the_same_versions_from_a_step_on_and_keeps_what_was_before() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, original) = ended(&world, &manager, &mut agent).await;
    // The hooks have moved on since; the region still keeps what ran.
    agent.inventory(&manager, hooks("@2")).await;
    let mut wish = again(&["crm/b"]);
    wish.set = json!({"date": "2026-11-21", "seed": 7}).as_object().cloned().unwrap();
    let look = ReplayWish { validate_only: true, ..wish.clone() };
    let OperationAnswer::Preview(preview) = manager.replay_operation(&admin(), original, look).await.unwrap()
    else {
        panic!("made one")
    };
    let plan = preview.plan.unwrap();
    assert_eq!(plan.steps[&hook_ref("crm/b")].state, StepState::Blocked);
    assert_eq!(plan.steps[&hook_ref("crm/a")].state, StepState::Succeeded);

    let made = requested(manager.replay_operation(&admin(), original, wish).await.unwrap());
    let replay = made.replay.unwrap();
    assert_eq!((replay.of, replay.versions), (original, ReplayVersions::Frozen));
    assert_eq!(replay.changed.keys().collect::<Vec<_>>(), ["date"]);
    assert_eq!(made.parameters["date"], json!("2026-11-21"));
    assert_eq!(manager.operation(original).await.unwrap().replays, [made.id]);
    let starts = agent.starts(&manager).await;
    assert_eq!(starts.len(), 1);
    let order = &starts[0].order;
    assert_eq!((order.hook.to_string().as_str(), order.hash.0.as_str()), ("crm/b", "crm/b@1"));
    assert!(order.request.environment_file.contains("rows"), "the outputs of a are still there");
    agent.ended(&manager, &starts[0].attempt, world.now(), success()).await;
    assert_eq!(state(&manager, made.id).await, OperationState::Succeeded);

    let current = ReplayWish { versions: ReplayVersions::Current, ..again(&[]) };
    let made = requested(manager.replay_operation(&admin(), original, current).await.unwrap());
    let starts = agent.starts(&manager).await;
    assert!(starts.iter().all(|start| start.order.hash.0.ends_with("@2")));
    assert_eq!(manager.operation(original).await.unwrap().replays.last(), Some(&made.id));
}

/// Something happens each week: a clock is not believed across more (docs/decisions/0040).
async fn a_month_passes(world: &World, manager: &Manager, agent: &mut Agent) {
    for _ in 0..5 {
        world.pass(SignedDuration::from_hours(150));
        agent.session = AgentSessionId(Uuid::now_v7());
        manager.agent_session(&region(), agent.session, Executor::Process, "test").await.unwrap();
    }
}

#[tokio::test]
async fn a_replay_that_cannot_run_says_what_is_missing_and_what_to_do() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, original) = ended(&world, &manager, &mut agent).await;
    let refused = async |wish| manager.replay_operation(&admin(), original, wish).await.unwrap_err();
    let no_reason = ReplayWish { reason: None, ..again(&[]) };
    assert_eq!(refused(no_reason).await.code(), "reason-required");
    let unknown = refused(again(&["crm/nobody"])).await;
    assert_eq!((unknown.code(), unknown.class()), ("replay-unknown-step", ErrorClass::Invalid));

    // The region keeps a version for a time, and tells which one is gone after it.
    agent.inventory(&manager, hooks("@2")).await;
    a_month_passes(&world, &manager, &mut agent).await;
    agent.inventory(&manager, hooks("@2")).await;
    create(&manager, "two").await;
    agent.run_all(&manager, world.now()).await;
    let gone = refused(again(&["crm/b"])).await;
    assert_eq!(gone.code(), "replay-template-gone");
    assert!(gone.to_string().contains("eu1/crm/b") && gone.to_string().contains("--current-hooks"), "{gone}");

    // The hook itself is gone.
    agent
        .inventory(&manager, hooks("@2").into_iter().filter(|h| h.path.name.as_str() != "b").collect())
        .await;
    let gone = refused(again(&["crm/b"])).await;
    assert_eq!(gone.code(), "replay-hook-gone");
    assert!(gone.to_string().contains("eu1/crm/b") && gone.to_string().contains("--current-hooks"), "{gone}");

    let (_, running) = create(&manager, "three").await;
    let error = manager.replay_operation(&admin(), running, again(&[])).await.unwrap_err();
    assert_eq!(error.code(), "operation-state");
}

/// The hook ran in the original, which brought the environment to its labels; others deselect it since.
#[tokio::test]
async fn a_replay_of_a_hook_that_is_deselected_now_runs_as_it_was_or_says_why_not() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut selecting = hooks("@1");
    selecting[1].hook.as_mut().unwrap().selector = "tier in (gold)".to_owned();
    let mut agent = Agent::open(&manager, selecting).await;
    let (environment, _) = create(&manager, "prod").await;
    let relabel = async |tier: &str| {
        let labels = Some([("tier".to_owned(), tier.to_owned())].into());
        let change = EnvironmentChange { labels, ..EnvironmentChange::default() };
        let options = ChangeOptions::default();
        manager.update_environment(&admin(), environment.id, change, options).await.unwrap();
        let filter = tenantry_store::OperationFilter::default();
        let all = manager.operations(&admin(), filter, &Page::default()).await.unwrap().items;
        all.iter().max_by_key(|operation| operation.id).unwrap().id
    };
    let original = relabel("gold").await;
    assert!(agent.run_all(&manager, world.now()).await.contains(&"crm/b".to_owned()), "selected");
    relabel("silver").await;
    assert!(!agent.run_all(&manager, world.now()).await.contains(&"crm/b".to_owned()), "deselected");

    // As it was, it runs: the versions and the selection are the original's.
    let frozen = manager.replay_operation(&admin(), original, again(&["crm/b"])).await.unwrap();
    let frozen = requested(frozen).id;
    assert_eq!(agent.run_all(&manager, world.now()).await, ["crm/b"]);
    assert_eq!(state(&manager, frozen).await, OperationState::Succeeded);

    // By what is in force now there is nothing to begin with, and nothing is made.
    let count = async || {
        let filter = tenantry_store::OperationFilter::default();
        manager.operations(&admin(), filter, &Page::default()).await.unwrap().items.len()
    };
    let before = count().await;
    for validate_only in [true, false] {
        let now = ReplayWish { versions: ReplayVersions::Current, validate_only, ..again(&["crm/b"]) };
        let refused = manager.replay_operation(&admin(), original, now).await.unwrap_err();
        assert_eq!((refused.code(), refused.class()), ("replay-deselected", ErrorClass::Invalid));
        let text = refused.to_string();
        assert!(
            text.contains("crm/b") && text.contains("tier in (gold)") && text.contains("silver"),
            "{text}"
        );
        assert!(text.contains("begin with a step before or after it"), "{text}");
    }
    assert_eq!(count().await, before);
    let whole = ReplayWish { versions: ReplayVersions::Current, ..again(&[]) };
    let whole = requested(manager.replay_operation(&admin(), original, whole).await.unwrap()).id;
    assert_eq!(agent.run_all(&manager, world.now()).await, ["crm/a", "ops/c"], "everything else runs");
    assert_eq!(state(&manager, whole).await, OperationState::Succeeded);

    // Deselected in that one, and selected now: as it was it still does not run, by what is in force now it does.
    relabel("gold").await;
    agent.run_all(&manager, world.now()).await;
    let refused = manager.replay_operation(&admin(), whole, again(&["crm/b"])).await.unwrap_err();
    assert_eq!(refused.code(), "replay-deselected", "{refused}");
    let text = refused.to_string();
    assert!(text.contains("selects the environment now") && text.contains("--current-hooks"), "{text}");
    let now = ReplayWish { versions: ReplayVersions::Current, ..again(&["crm/b"]) };
    requested(manager.replay_operation(&admin(), whole, now).await.unwrap());
    assert_eq!(agent.run_all(&manager, world.now()).await, ["crm/b"]);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn the_keep_list_names_what_a_replay_may_run() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    ended(&world, &manager, &mut agent).await;
    let part = || tenantry_manager::InventoryPart {
        begin: true,
        end: true,
        present: hooks("@2"),
        absent: Vec::new(),
    };
    let keep = manager.agent_inventory(&region(), agent.session, part()).await.unwrap();
    assert!(keep.contains(&TemplateHash("crm/b@1".to_owned())), "{keep:?}");
    a_month_passes(&world, &manager, &mut agent).await;
    create(&manager, "two").await;
    agent.inventory(&manager, hooks("@2")).await;
    agent.run_all(&manager, world.now()).await;
    let keep = manager.agent_inventory(&region(), agent.session, part()).await.unwrap();
    assert!(!keep.contains(&TemplateHash("crm/b@1".to_owned())), "{keep:?}");
    assert!(keep.contains(&TemplateHash("crm/b@2".to_owned())), "{keep:?}");
}

#[tokio::test]
async fn two_operators_at_once_the_second_is_told_the_present_state() {
    let world = World::new();
    let (manager, mut agent) = three(&world).await;
    let (_, id) = create(&manager, "one").await;
    let (attempt, _) =
        started(&mut agent, &manager).await.into_iter().find(|(_, name)| name == "crm/a").unwrap();
    agent.ended(&manager, &attempt, world.now(), failure()).await;
    let seen = tenantry_engine::Expected { state: Some(StepState::Failed), attempt: Some(1) };
    let skip = |who: &'static str| {
        let (manager, seen) = (manager.clone(), seen.clone());
        let options =
            StepOptions { reason: Some(who.to_owned()), expected: Some(seen), validate_only: false };
        async move {
            let who = somebody(who, Role::Operator);
            manager.steer_step(&who, id, &hook_ref("crm/a"), StepVerb::Skip, options).await
        }
    };
    let (one, two) = tokio::join!(skip("ann"), skip("bob"));
    let codes: BTreeSet<&str> = [&one, &two]
        .into_iter()
        .map(|answer| answer.as_ref().map_or_else(tenantry_manager::ManagerError::code, |_| "done"))
        .collect();
    assert_eq!(codes, BTreeSet::from(["done", "moved-on"]));
}
