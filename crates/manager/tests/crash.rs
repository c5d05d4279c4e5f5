//! A manager that dies after any committed transaction: the next one over the same rows goes on.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::time::Duration;
use tenantry_manager::Lifecycle;
use tenantry_model::*;
use tenantry_store::EventFilter;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn an_operation_ends_as_it_would_have_although_the_manager_dies_after_every_transaction() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let upsert = ["lifecycle.upsert"];
    let mut first = hook("crm/a", &upsert, &[]);
    first.policy.retries = 1;
    let hooks = vec![readable(first), readable(hook("crm/b", &upsert, &["crm/a"]))];
    let mut agent = Agent::open(&manager, hooks).await;
    let (environment, operation) = create(&manager, "prod").await;
    let second = ask(&manager, environment.id, Lifecycle::Reconcile).await;
    drop(manager);

    let mut outcomes = vec![failure()].into_iter();
    let mut ran = Vec::new();
    for _ in 0..60 {
        // Each of the agent's calls meets a manager that knows nothing but rows.
        let manager = world.manager().await;
        manager.run_due().await.unwrap();
        drop(manager);
        let manager = world.manager().await;
        let leased = manager.agent_lease(&region(), agent.session, 1, Duration::ZERO).await.unwrap();
        drop(manager);
        let Some(command) = leased.into_iter().next() else {
            world.pass(SignedDuration::from_secs(10));
            let manager = world.manager().await;
            if state(&manager, second.id).await == OperationState::Succeeded {
                break;
            }
            continue;
        };
        let manager = world.manager().await;
        agent.finish(&manager, command.id).await;
        drop(manager);
        if command.kind == tenantry_store::CommandKind::Start {
            let fact = ended_fact(world.now(), outcomes.next().unwrap_or_else(success));
            let fact = agent.observation(&command.attempt, world.now(), fact);
            // Reported twice, to two managers.
            for _ in 0..2 {
                let manager = world.manager().await;
                manager.agent_observe(&region(), vec![fact.clone()]).await.unwrap();
            }
            ran.push((
                command.attempt.operation,
                command.attempt.step.path().to_string(),
                command.attempt.number,
            ));
        }
    }
    let manager = world.manager().await;
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert_eq!(state(&manager, second.id).await, OperationState::Succeeded);
    let expected: Vec<_> = [
        (operation, "crm/a", 1),
        (operation, "crm/a", 2),
        (operation, "crm/b", 1),
        (second.id, "crm/a", 1),
        (second.id, "crm/b", 1),
    ]
    .into_iter()
    .map(|(id, step, number)| (id, step.to_owned(), number))
    .collect();
    assert_eq!(ran, expected);
    assert!(manager.verify_audit(Some(environment.id)).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_command_that_was_leased_and_never_finished_is_given_out_again() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    create(&manager, "prod").await;
    let first = agent.lease(&manager).await;
    assert_eq!((first.len(), agent.lease(&manager).await.len()), (1, 0));
    drop(manager);
    let manager = world.manager().await;
    assert!(agent.lease(&manager).await.is_empty());
    world.pass(SignedDuration::from_secs(30));
    agent.lease(&manager).await;
    world.pass(SignedDuration::from_secs(40));
    let again = agent.lease(&manager).await;
    assert_eq!((again.len(), again[0].id), (1, first[0].id));
}

#[tokio::test]
async fn events_of_an_environment_carry_versions_that_never_go_back() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let filter = EventFilter { environment: Some(environment.id), operation: None };
    let events = manager.events_after(&filter, 0, 1000, Duration::ZERO).await.unwrap();
    let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
    assert!(versions.is_sorted() && versions[0] >= 1, "{versions:?}");
    let now = manager.environment(&tenantry_manager::EnvironmentKey::Id(environment.id)).await.unwrap();
    assert_eq!(versions.last(), Some(&now.version));
    let kinds: std::collections::BTreeSet<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    for kind in ["environment", "operation", "step", "attempt"] {
        assert!(kinds.contains(format!("io.tenantry.{kind}.changed.v1").as_str()), "{kinds:?}");
    }
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn the_loops_bring_a_retry_on_without_a_caller() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut template = hook("crm/a", &["lifecycle.upsert"], &[]);
    template.policy.retries = 1;
    let mut agent = Agent::open(&manager, vec![readable(template)]).await;
    create(&manager, "prod").await;
    let start = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    world.pass(SignedDuration::from_secs(40));
    let shutdown = CancellationToken::new();
    let loops = tokio::spawn({
        let (manager, shutdown) = (manager.clone(), shutdown.clone());
        async move { manager.run(shutdown).await }
    });
    // The first attempt's release comes as well, often before.
    let start = async {
        loop {
            let some =
                manager.agent_lease(&region(), agent.session, 10, Duration::from_secs(20)).await.unwrap();
            if some.iter().any(|command| command.attempt.number == 2) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), start).await.expect("a second attempt is started");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), loops).await.unwrap().unwrap();
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn two_managers_over_one_store_never_act_on_what_the_other_has_changed() {
    let world = World::new();
    let managers = world.managers(2).await;
    let (one, two) = (&managers[0], &managers[1]);
    prepare(one).await;
    let upsert = ["lifecycle.upsert"];
    let hooks = ["crm/a", "crm/b", "crm/c"].map(|path| readable(hook(path, &upsert, &[])));
    let last = readable(hook("crm/z", &upsert, &["crm/a", "crm/b", "crm/c"]));
    let mut agent = Agent::open(one, hooks.into_iter().chain([last]).collect()).await;
    let (_, operation) = create(one, "prod").await;
    let starts = agent.starts(two).await;
    for (start, manager) in starts.iter().zip([one, two, one]) {
        agent.ended(manager, &start.attempt, world.now(), success()).await;
    }
    let last = agent.starts(two).await.remove(0);
    assert_eq!(last.attempt.step, hook_ref("crm/z"));
    agent.ended(two, &last.attempt, world.now(), success()).await;
    assert_eq!(state(one, operation).await, OperationState::Succeeded);
}
