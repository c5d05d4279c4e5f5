//! What people and other operations do to one that runs.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use tenantry_engine::{Expected, StepVerb};
use tenantry_manager::{
    ErrorClass, ExpectedOperation, Lifecycle, LifecycleOptions, Manager, NewOperation, OperationAnswer,
    OperationVerb, StepOptions,
};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, CommandKind};

const ALL: [&str; 3] = ["lifecycle.upsert", "lifecycle.suspend", "crm.reindex"];

async fn one_hook(world: &World) -> (Manager, Agent, Environment, OperationId) {
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, operation) = create(&manager, "prod").await;
    (manager, agent, environment, operation)
}

async fn waiting(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

async fn cancel(
    manager: &Manager,
    operation: OperationId,
    reason: &str,
    expected: ExpectedOperation,
) -> tenantry_manager::Result<tenantry_manager::OperationView> {
    let reason = Some(reason.to_owned());
    let verb = OperationVerb::Cancel;
    let steered = manager.steer_operation(&admin(), operation, verb, reason, expected, false).await?;
    Ok(steered.done().unwrap())
}

async fn verb(manager: &Manager, operation: OperationId, verb: StepVerb) -> tenantry_manager::OperationView {
    let options = StepOptions { reason: Some("by hand".to_owned()), ..StepOptions::default() };
    let steered = manager.steer_step(&admin(), operation, &hook_ref("crm/tenant"), verb, options).await;
    steered.unwrap().done().unwrap()
}

#[tokio::test]
async fn a_failed_step_waits_for_a_decision_and_a_rerun_is_told_that_the_hook_is_dirty() {
    let world = World::new();
    let (manager, mut agent, environment, operation) = one_hook(&world).await;
    let start = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    assert_eq!(waiting(&manager).await, [AttentionKind::StepWaiting]);
    assert!(manager.applied(environment.id).await.unwrap()[0].dirty);

    verb(&manager, operation, StepVerb::Rerun { with_successors: false }).await;
    assert_eq!(waiting(&manager).await, []);
    let again = agent.starts(&manager).await.remove(0);
    assert_eq!(again.attempt.number, 2);
    assert_ne!(again.order.request.nonce, start.order.request.nonce);
    assert!(again.order.request.changeset_file.contains("unknown"));
    agent.ended(&manager, &again.attempt, world.now(), success()).await;
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert!(!manager.applied(environment.id).await.unwrap()[0].dirty);
}

#[tokio::test]
async fn confirm_advances_the_generation_and_skip_does_not() {
    for (decision, generation) in
        [(StepVerb::Confirm { outputs: [].into() }, Some(1)), (StepVerb::Skip, None)]
    {
        let world = World::new();
        let (manager, mut agent, environment, operation) = one_hook(&world).await;
        let start = agent.starts(&manager).await.remove(0);
        agent.ended(&manager, &start.attempt, world.now(), failure()).await;
        let view = verb(&manager, operation, decision).await;
        assert_eq!(view.operation.state, OperationState::Succeeded);
        let applied = manager.applied(environment.id).await.unwrap();
        assert_eq!(applied[0].generation, generation);
        assert_eq!(applied[0].dirty, generation.is_none());
    }
}

#[tokio::test]
async fn a_start_that_nobody_took_is_withdrawn_by_a_cancel_and_never_given_out() {
    let world = World::new();
    let (manager, agent, _, operation) = one_hook(&world).await;
    let cancel = cancel(&manager, operation, "wrong", ExpectedOperation::default());
    assert_eq!(cancel.await.unwrap().operation.state, OperationState::Cancelled);
    assert!(agent.lease(&manager).await.iter().all(|command| command.kind != CommandKind::Start));
}

#[tokio::test]
async fn a_cancelled_operation_ends_when_its_attempt_is_known_to_be_over() {
    let world = World::new();
    let (manager, mut agent, _, operation) = one_hook(&world).await;
    let start = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &start.attempt, world.now()).await;
    let cancel = cancel(&manager, operation, "wrong", ExpectedOperation::default());
    assert_eq!(cancel.await.unwrap().operation.state, OperationState::Cancelling);
    let kills = agent.lease(&manager).await;
    assert_eq!(kills.len(), 1);
    assert_eq!((kills[0].kind, &kills[0].attempt), (CommandKind::Kill, &start.attempt));
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    assert_eq!(state(&manager, operation).await, OperationState::Cancelled);
}

#[tokio::test]
async fn suspend_gets_in_while_an_upsert_runs() {
    let world = World::new();
    let (manager, mut agent, environment, upsert) = one_hook(&world).await;
    let start = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &start.attempt, world.now()).await;
    let suspend = ask(&manager, environment.id, Lifecycle::Suspend).await;
    assert_eq!(suspend.state, OperationState::Pending);
    assert_eq!(state(&manager, upsert).await, OperationState::Cancelling);
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    assert_eq!(state(&manager, upsert).await, OperationState::Cancelled);
    assert_eq!(state(&manager, suspend.id).await, OperationState::Running, "in the same transaction");
}

#[tokio::test]
async fn a_queued_operation_starts_when_the_one_before_it_ends() {
    let world = World::new();
    let (manager, mut agent, environment, _) = one_hook(&world).await;
    agent.run_all(&manager, world.now()).await;
    let reindex = || NewOperation::named("crm.reindex".parse().unwrap());
    let first = manager.request_operation(&admin(), environment.id, reindex()).await.unwrap();
    let second = manager.request_operation(&admin(), environment.id, reindex()).await.unwrap();
    let (first, second) = (requested(first), requested(second));
    assert_eq!((first.state, second.state), (OperationState::Running, OperationState::Pending));
    let start = agent.starts(&manager).await.remove(0);
    assert_eq!(start.attempt.operation, first.id);
    agent.ended(&manager, &start.attempt, world.now(), success()).await;
    assert_eq!(state(&manager, second.id).await, OperationState::Running);
    let preview = NewOperation { validate_only: true, ..reindex() };
    let preview = manager.request_operation(&admin(), environment.id, preview).await.unwrap();
    let OperationAnswer::Preview(preview) = preview else { panic!("made one") };
    assert_eq!(preview.waits_for, [second.id]);
    assert!(preview.plan.unwrap().steps.contains_key(&hook_ref("crm/tenant")));
    let refuse = NewOperation { on_conflict: Some(ConflictPolicy::Refuse), ..reindex() };
    let error = manager.request_operation(&admin(), environment.id, refuse).await.unwrap_err();
    assert_eq!(error.code(), "operation-conflict");
}

#[tokio::test]
async fn a_verb_that_expected_another_state_changes_nothing_and_names_the_present_one() {
    let world = World::new();
    let (manager, mut agent, _, operation) = one_hook(&world).await;
    let start = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    let stale = Expected { state: Some(StepState::Running), attempt: Some(1) };
    let error = manager
        .steer_step(
            &admin(),
            operation,
            &hook_ref("crm/tenant"),
            StepVerb::Rerun { with_successors: false },
            StepOptions { expected: Some(stale), ..StepOptions::default() },
        )
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.class()), ("moved-on", ErrorClass::Conflict));
    assert!(agent.starts(&manager).await.is_empty());
    let expected = ExpectedOperation { state: Some(OperationState::Planning), revision: None };
    let cancel = cancel(&manager, operation, "x", expected);
    assert_eq!(cancel.await.unwrap_err().code(), "moved-on");
    let unknown = manager
        .steer_step(
            &admin(),
            operation,
            &hook_ref("crm/nobody"),
            StepVerb::Rerun { with_successors: false },
            StepOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(unknown.class(), ErrorClass::NotFound);
}

#[tokio::test]
async fn what_an_admin_operation_leaves_clean_does_not_hide_a_failed_upsert() {
    let world = World::new();
    let (manager, mut agent, environment, upsert) = one_hook(&world).await;
    agent.run_all(&manager, world.now()).await;
    assert_eq!(state(&manager, upsert).await, OperationState::Succeeded);
    let reconcile = ask(&manager, environment.id, Lifecycle::Reconcile).await;
    let start = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    let cancel = cancel(&manager, reconcile.id, "later", ExpectedOperation::default());
    cancel.await.unwrap();
    let reindex = NewOperation::named("crm.reindex".parse().unwrap());
    let reindex = requested(manager.request_operation(&admin(), environment.id, reindex).await.unwrap());
    agent.run_all(&manager, world.now()).await;
    assert_eq!(state(&manager, reindex.id).await, OperationState::Succeeded);
    assert!(manager.applied(environment.id).await.unwrap()[0].dirty);
}

#[tokio::test]
async fn a_timeout_and_a_backoff_come_by_the_timer() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut template = hook("crm/tenant", &ALL, &[]);
    template.policy.timeout = Some(jiff::SignedDuration::from_mins(1));
    template.policy.retries = 1;
    let mut agent = Agent::open(&manager, vec![readable(template)]).await;
    let (_, operation) = create(&manager, "prod").await;
    let start = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &start.attempt, world.now()).await;
    assert_eq!(manager.run_due().await.unwrap(), 0);
    world.pass(jiff::SignedDuration::from_mins(2));
    assert_eq!(manager.run_due().await.unwrap(), 1);
    let kill = agent.lease(&manager).await.remove(0);
    assert_eq!(kill.body, serde_json::json!({ "cause": "timeout" }));
    agent.finish(&manager, kill.id).await;
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    assert!(agent.starts(&manager).await.is_empty(), "the backoff is not over");
    world.pass(jiff::SignedDuration::from_hours(1));
    manager.run_due().await.unwrap();
    let again = agent.starts(&manager).await;
    assert_eq!(again.len(), 1);
    agent.ended(&manager, &again[0].attempt, world.now(), success()).await;
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_lifecycle_method_with_a_stale_revision_is_refused() {
    let world = World::new();
    let (manager, mut agent, environment, _) = one_hook(&world).await;
    agent.run_all(&manager, world.now()).await;
    let options = LifecycleOptions { expected_revision: Some(environment.revision), ..Default::default() };
    let error = manager.lifecycle(&admin(), environment.id, Lifecycle::Suspend, options).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("revision-mismatch", ErrorClass::Precondition));
}
