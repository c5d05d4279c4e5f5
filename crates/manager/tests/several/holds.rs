//! A hold by predicate and plans of another manager at the same moment: a hold that was answered holds everything.

use crate::beside::Beside;
use crate::common::*;
use crate::two_over;
use serde_json::Map;
use tenantry_manager::{Manager, NewHold, NewOperation};
use tenantry_model::*;

const NAME: &str = "crm.reindex";

fn freeze() -> NewHold {
    let predicate = HoldPredicate { namespace: Some("crm".parse().unwrap()), ..HoldPredicate::default() };
    NewHold { predicate, until: None, reason: "freeze".to_owned(), max_steps: None, validate_only: false }
}

pub fn reindex() -> NewOperation {
    NewOperation {
        name: NAME.parse().unwrap(),
        parameters: Map::new(),
        reason: None,
        on_conflict: None,
        scheduled_time: None,
        expected_revision: None,
        validate_only: false,
    }
}

/// An agent with two hooks of `crm.reindex`, one after the other, and environments that have nothing to do.
pub async fn ready(manager: &Manager, names: &[&str]) -> (Agent, Vec<Environment>) {
    prepare(manager).await;
    let hooks = vec![readable(hook("crm/a", &[NAME], &[])), readable(hook("crm/b", &[NAME], &["crm/a"]))];
    let agent = Agent::open(manager, hooks).await;
    let mut environments = Vec::new();
    for name in names {
        environments.push(create(manager, name).await.0);
    }
    (agent, environments)
}

async fn held_steps(manager: &Manager, operation: OperationId) -> usize {
    let view = manager.operation(operation).await.unwrap();
    view.steps.iter().filter(|step| !step.holds.is_empty()).count()
}

/// The plan has read the holds and has not committed when the hold comes: what it starts at once was first, everything
/// else is held.
pub async fn planned_before() {
    let world = World::new();
    let (one, two, url) = two_over(&world).await;
    let (mut agent, environments) = ready(&one, &["prod"]).await;
    let mut beside = Beside::new(&url).await;
    beside.keep("steps").await;
    let (manager, id) = (one.clone(), environments[0].id);
    let planning = tokio::spawn(async move { manager.request_operation(&admin(), id, reindex()).await });
    beside.until_waiting("relation", 1).await;
    let manager = two.clone();
    let holding = tokio::spawn(async move { manager.create_hold(&admin(), freeze()).await });
    beside.until_waiting("advisory", 1).await;
    beside.let_go().await;
    let hold = holding.await.unwrap().unwrap();
    assert_eq!((hold.steps, hold.row.told), (2, true), "answered, and so it holds");
    let operation = requested(planning.await.unwrap().unwrap());
    assert_eq!(held_steps(&two, operation.id).await, 2);
    let first = agent.starts(&one).await.remove(0);
    agent.ended(&one, &first.attempt, world.now(), success()).await;
    assert!(agent.starts(&one).await.is_empty(), "a start would run although it is held");
}

/// The hold's row is written and not committed when the plan begins.
pub async fn planned_after() {
    let world = World::new();
    let (one, two, url) = two_over(&world).await;
    let (agent, environments) = ready(&one, &["prod"]).await;
    let mut beside = Beside::new(&url).await;
    beside.keep("audit").await;
    let manager = two.clone();
    let holding = tokio::spawn(async move { manager.create_hold(&admin(), freeze()).await });
    beside.until_waiting("relation", 1).await;
    let (manager, id) = (one.clone(), environments[0].id);
    let planning = tokio::spawn(async move { manager.request_operation(&admin(), id, reindex()).await });
    beside.until_waiting("advisory", 1).await;
    beside.let_go().await;
    let operation = requested(planning.await.unwrap().unwrap());
    assert!(holding.await.unwrap().unwrap().row.told);
    assert_eq!(held_steps(&two, operation.id).await, 2);
    assert!(agent.starts(&one).await.is_empty(), "a start would run although it is held");
}

/// One manager tells operation after operation; another lifts the hold in between and tells whom it finds held.
pub async fn lifted_meanwhile() {
    let world = World::new();
    let (one, two, url) = two_over(&world).await;
    let (agent, environments) = ready(&one, &["a", "b", "c", "d"]).await;
    let mut operations = Vec::new();
    for environment in &environments {
        operations.push(requested(one.request_operation(&admin(), environment.id, reindex()).await.unwrap()));
    }
    // They are under way; the hold is on their steps as soon as they are told.
    let mut beside = Beside::new(&url).await;
    let manager = one.clone();
    beside.keep("steps").await;
    let holding = tokio::spawn(async move { manager.create_hold(&admin(), freeze()).await });
    beside.until_waiting("relation", 1).await;
    let id = one.holds(&admin(), false, &Page::default()).await.unwrap().items[0].hold.id;
    let manager = two.clone();
    let lifting = tokio::spawn(async move { manager.lift_hold(&admin(), id, None, false).await });
    beside.until_waiting("advisory", 1).await;
    beside.let_go().await;
    holding.await.unwrap().unwrap();
    let lifted = lifting.await.unwrap().unwrap();
    assert!(lifted.row.told && lifted.row.lifted.is_some());
    for operation in operations {
        assert_eq!(held_steps(&two, operation.id).await, 0, "nobody would ever lift it");
    }
    assert_eq!(agent.starts(&two).await.len(), environments.len());
}
