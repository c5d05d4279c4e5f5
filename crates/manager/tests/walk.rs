//! The walking path: from a wish to hooks that ran, in their order, with the right data.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use tenantry_manager::{EnvironmentKey, Lifecycle};
use tenantry_model::{EnvironmentState, OperationState};

#[tokio::test]
async fn a_new_environment_is_upserted_by_its_hooks_in_their_order() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let upsert = ["lifecycle.upsert"];
    let hooks = vec![
        readable(hook("crm/tenant", &upsert, &["billing/accounts"])),
        readable(hook("billing/accounts", &upsert, &[])),
    ];
    let mut agent = Agent::open(&manager, hooks).await;
    let (environment, operation) = create(&manager, "prod").await;
    assert_eq!(state(&manager, operation).await, OperationState::Running);

    let first = agent.starts(&manager).await;
    assert_eq!(first.len(), 1, "crm waits for billing");
    assert_eq!(first[0].attempt.step, hook_ref("billing/accounts"));
    let request = &first[0].order.request;
    assert!(request.environment_file.contains(&environment.id.to_string()));
    assert!(request.changeset_file.contains("none"), "{}", request.changeset_file);
    agent.running(&manager, &first[0].attempt, world.now()).await;
    agent.ended(&manager, &first[0].attempt, world.now(), success_with("account", "A-17")).await;

    let second = agent.starts(&manager).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].attempt.step, hook_ref("crm/tenant"));
    assert!(second[0].order.request.environment_file.contains("A-17"), "an ancestor's outputs");
    agent.ended(&manager, &second[0].attempt, world.now(), success()).await;

    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    let now = manager.environment(&EnvironmentKey::Id(environment.id)).await.unwrap();
    assert_eq!(now.state, EnvironmentState::Active);
    assert!(now.version > environment.version && now.revision > environment.revision);
    let applied = manager.applied(environment.id).await.unwrap();
    assert_eq!(applied.len(), 2);
    assert!(applied.iter().all(|row| row.generation == Some(1) && !row.dirty && row.expected));
    assert!(manager.verify_audit(Some(environment.id)).await.unwrap().unwrap() >= 3);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn an_environment_goes_through_its_whole_life() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let all = [
        "lifecycle.upsert",
        "lifecycle.suspend",
        "lifecycle.resume",
        "lifecycle.backup",
        "lifecycle.restore",
        "lifecycle.decommission",
    ];
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &all, &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let id = environment.id;
    let present = || async { manager.environment(&EnvironmentKey::Id(id)).await.unwrap() };

    ask(&manager, id, Lifecycle::Suspend).await;
    agent.run_all(&manager, world.now()).await;
    assert_eq!(present().await.state, EnvironmentState::Suspended);
    ask(&manager, id, Lifecycle::Reconcile).await;
    agent.run_all(&manager, world.now()).await;
    assert_eq!(present().await.state, EnvironmentState::Suspended, "an upsert wakes nobody");
    ask(&manager, id, Lifecycle::Resume).await;
    agent.run_all(&manager, world.now()).await;
    assert_eq!(present().await.state, EnvironmentState::Active);

    let backup = ask(&manager, id, Lifecycle::Backup).await;
    let start = agent.starts(&manager).await.remove(0);
    let store = start.order.request.object_store.unwrap();
    assert!(store.operation == backup.id && !store.read_only);
    agent.ended(&manager, &start.attempt, world.now(), success()).await;
    ask(&manager, id, Lifecycle::Restore { backup: None }).await;
    let start = agent.starts(&manager).await.remove(0);
    let store = start.order.request.object_store.unwrap();
    assert!(store.operation == backup.id && store.read_only);
    agent.ended(&manager, &start.attempt, world.now(), success()).await;

    ask(&manager, id, Lifecycle::Decommission { retention: None }).await;
    agent.run_all(&manager, world.now()).await;
    let gone = present().await;
    assert_eq!(gone.state, EnvironmentState::Decommissioned);
    assert!(gone.retention.is_some());
    assert_eq!(manager.applied(id).await.unwrap()[0].generation, None);
    ask(&manager, id, Lifecycle::Undelete).await;
    let start = agent.starts(&manager).await.remove(0);
    assert!(start.order.request.changeset_file.contains("none"), "everything was removed");
    agent.ended(&manager, &start.attempt, world.now(), success()).await;
    let back = present().await;
    assert_eq!((back.state, back.retention), (EnvironmentState::Active, None));
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_wide_operation_is_moved_by_batches_of_facts() {
    const STEPS: usize = 300;
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let hooks = (0..STEPS).map(|n| readable(hook(&format!("crm/h{n:03}"), &["lifecycle.upsert"], &[])));
    let mut agent = Agent::open(&manager, hooks.collect()).await;
    let (_, operation) = create(&manager, "prod").await;
    let mut seen = 0;
    while seen < STEPS {
        let starts = agent.starts(&manager).await;
        assert!(!starts.is_empty(), "{seen} of {STEPS}");
        seen += starts.len();
        let facts = starts
            .iter()
            .map(|start| agent.observation(&start.attempt, world.now(), ended_fact(world.now(), success())))
            .collect();
        assert_eq!(manager.agent_observe(&region(), facts).await.unwrap(), []);
    }
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert_eq!(findings(&manager).await, []);
}
