//! What events have changed about an operation is put at once, and what a unit of work needs of it is read in few calls.

use super::samples::{applied, at, attempt, command, environment, operation, session, step, text};
use crate::{CommandKind, Lease, Moved, Store, TimerChange};
use std::sync::Arc;
use tenantry_model::{AttemptState, CommandId, EnvironmentId, HookRef, OperationId, OperationState};
use uuid::Uuid;

const HOOKS: [&str; 2] = ["eu1/billing/accounts", "eu1/crm/crm-tenant"];

fn nothing(id: OperationId, environment: EnvironmentId) -> Moved {
    Moved {
        id,
        environment,
        operation: None,
        steps: Vec::new(),
        attempts: Vec::new(),
        applied: Vec::new(),
        commands: Vec::new(),
        timer: TimerChange::None,
    }
}

/// Rows that are there, rows that are not, and rows that stay.
pub async fn what_events_have_moved_is_put_at_once<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let mut operation = operation(home.id, "crm.reindex", OperationState::Running);
    let id = operation.id;
    let mut steps = HOOKS.map(|hook| step(id, hook));
    let mut attempts = HOOKS.map(|hook| attempt(id, hook, 1, AttemptState::Running));
    let applied = HOOKS.map(|hook| applied(hook, id));
    let mut commands = attempts.each_ref().map(|row| command("eu1", &row.id, CommandKind::Start));
    commands[1].lease = Some(Lease { session: session(), until: at(99) });
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.commit().await.unwrap();

    let mut write = store.write_one().await.unwrap();
    write.lock_environment(home.id).await.unwrap();
    let all = Moved {
        operation: Some(operation.clone()),
        steps: steps.to_vec(),
        attempts: attempts.to_vec(),
        applied: applied.to_vec(),
        commands: commands.to_vec(),
        timer: TimerChange::Due(at(30)),
        ..nothing(id, home.id)
    };
    write.put_moved(&all).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.operation(id).await.unwrap().as_ref(), Some(&operation));
    assert_eq!(read.steps(id).await.unwrap(), steps);
    assert_eq!(read.attempts(id).await.unwrap(), attempts);
    assert_eq!(read.applied(home.id).await.unwrap(), applied);
    assert_eq!(read.commands(&text("eu1"), 10).await.unwrap(), commands);
    assert_eq!(read.timer(id).await.unwrap(), Some(at(30)));
    drop(read);

    operation.revision += 1;
    operation.state = OperationState::Succeeded;
    steps[1].attempt += 1;
    attempts[0].state = AttemptState::Succeeded;
    let again = Moved {
        operation: Some(operation.clone()),
        steps: vec![steps[1].clone()],
        attempts: vec![attempts[0].clone()],
        // An equal one that is not done.
        commands: vec![command("eu1", &attempts[0].id, CommandKind::Start)],
        timer: TimerChange::Gone,
        ..nothing(id, home.id)
    };
    let mut write = store.write_one().await.unwrap();
    assert_eq!(write.lock_environment_of(id).await.unwrap().as_ref(), Some(&home));
    write.put_moved(&again).await.unwrap();
    write.put_moved(&nothing(id, home.id)).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.operation(id).await.unwrap(), Some(operation));
    assert!(read.unfinished(home.id).await.unwrap().is_empty());
    assert_eq!(read.steps(id).await.unwrap(), steps);
    assert_eq!(read.attempts(id).await.unwrap(), attempts);
    assert_eq!(read.commands(&text("eu1"), 10).await.unwrap(), commands);
    assert_eq!(read.timer(id).await.unwrap(), None);

    let hooks: [HookRef; 2] = [text(HOOKS[1]), text("eu1/crm/other")];
    assert_eq!(read.applied_hooks(home.id, &hooks).await.unwrap(), &applied[1..]);
    drop(read);
    let mut write = store.write_one().await.unwrap();
    assert_eq!(write.lock_environment_of(OperationId(Uuid::nil())).await.unwrap(), None);
}

/// As with one row.
pub async fn nothing_is_moved_without_an_environment<S: Store>(store: Arc<S>) {
    let operation = operation(EnvironmentId(Uuid::nil()), "crm.reindex", OperationState::Running);
    let moved = Moved { operation: Some(operation.clone()), ..nothing(operation.id, operation.environment) };
    let mut write = store.write().await.unwrap();
    assert!(write.put_moved(&moved).await.is_err());
}

/// Of their region only; one that is done already changes nothing.
pub async fn several_commands_are_finished_at_once<S: Store>(store: Arc<S>) {
    let rows = [1, 2, 3]
        .map(|number| attempt(OperationId(Uuid::nil()), HOOKS[1], number, AttemptState::Running))
        .map(|row| command("eu1", &row.id, CommandKind::Start));
    let mut write = store.write().await.unwrap();
    for row in &rows {
        write.put_command(row).await.unwrap();
    }
    let ids = [rows[0].id, rows[2].id, CommandId(Uuid::nil())];
    write.finish_commands(&text("eu2"), &ids).await.unwrap();
    assert_eq!(write.commands(&text("eu1"), 10).await.unwrap(), rows);
    write.finish_commands(&text("eu1"), &ids).await.unwrap();
    write.finish_commands(&text("eu1"), &[]).await.unwrap();
    assert_eq!(write.commands(&text("eu1"), 10).await.unwrap(), &rows[1..2]);
}
