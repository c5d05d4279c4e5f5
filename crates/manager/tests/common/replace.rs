//! An operation that waits is replaced by another of its name: by its definition, or by its caller's choice. The same on
//! every store.

use super::*;
use tenantry_manager::NewOperation;

/// Asks for `crm.reindex`.
async fn reindex(
    manager: &Manager,
    environment: EnvironmentId,
    on_conflict: Option<ConflictPolicy>,
) -> Operation {
    let new = NewOperation { on_conflict, ..NewOperation::named("crm.reindex".parse().unwrap()) };
    requested(manager.request_operation(&admin(), environment, new).await.unwrap())
}

async fn states<const N: usize>(manager: &Manager, ids: [OperationId; N]) -> [OperationState; N] {
    let mut states = [OperationState::Pending; N];
    for (at, id) in ids.into_iter().enumerate() {
        states[at] = state(manager, id).await;
    }
    states
}

/// A manager with one hook of `crm.reindex`, over any store.
pub async fn what_waits_is_replaced(world: &World, manager: &Manager) {
    use OperationState::{Cancelled, Pending, Running, Succeeded};
    prepare(manager).await;
    let names = ["lifecycle.upsert", "crm.reindex"];
    let mut agent = Agent::open(manager, vec![readable(hook("crm/tenant", &names, &[]))]).await;
    let (environment, _) = create(manager, "prod").await;
    agent.run_all(manager, world.now()).await;
    let of = environment.id;

    // By the caller's choice: what runs goes on, what waits under another name waits on.
    let running = reindex(manager, of, None).await;
    let waiting = reindex(manager, of, None).await;
    let upsert = ask(manager, of, Lifecycle::Reconcile).await;
    let look = NewOperation {
        on_conflict: Some(ConflictPolicy::Replace),
        validate_only: true,
        ..NewOperation::named("crm.reindex".parse().unwrap())
    };
    let look = manager.request_operation(&admin(), of, look).await.unwrap();
    let OperationAnswer::Preview(preview) = look else { panic!("made one") };
    assert_eq!(preview.cancels, [waiting.id]);
    assert_eq!(states(manager, [running.id, waiting.id]).await, [Running, Pending], "only looked");
    let chosen = reindex(manager, of, Some(ConflictPolicy::Replace)).await;
    assert_eq!(chosen.state, Pending);
    let ids = [running.id, waiting.id, upsert.id, chosen.id];
    assert_eq!(states(manager, ids).await, [Running, Cancelled, Pending, Pending]);
    let replaced = manager.operation(waiting.id).await.unwrap().operation;
    let cancel = replaced.cancel.unwrap();
    assert_eq!((cancel.by, cancel.reason.as_str()), (admin().actor, "crm.reindex takes its place"));
    let log = manager.audit(Some(of), 0, 1000).await.unwrap();
    let target = format!("operations/{}", chosen.id);
    let entry = log.iter().find(|entry| entry.action == "operation.request" && entry.target == target);
    assert_eq!(entry.unwrap().after["cancels"], json!([waiting.id]));

    // By the definition; a caller may still choose to queue.
    let name = "crm.reindex".parse().unwrap();
    let shipped = manager.definition(&name).await.unwrap();
    let replacing = OperationDefinition { on_conflict: ConflictPolicy::Replace, ..shipped };
    manager.put_definition(&admin(), replacing).await.unwrap();
    let queued = reindex(manager, of, Some(ConflictPolicy::Queue)).await;
    assert_eq!(states(manager, [chosen.id, queued.id]).await, [Pending, Pending]);
    let last = reindex(manager, of, None).await;
    let ids = [running.id, chosen.id, queued.id, upsert.id, last.id];
    assert_eq!(states(manager, ids).await, [Running, Cancelled, Cancelled, Pending, Pending]);

    // Those that were replaced never ran, the others run in their order.
    let mut ran = Vec::new();
    loop {
        let starts = agent.starts(manager).await;
        if starts.is_empty() {
            break;
        }
        for start in starts {
            agent.ended(manager, &start.attempt, world.now(), success()).await;
            ran.push(start.attempt.operation);
        }
    }
    assert_eq!(ran, [running.id, upsert.id, last.id]);
    assert_eq!(states(manager, [running.id, upsert.id, last.id]).await, [Succeeded; 3]);
    assert_eq!(findings(manager).await, []);
}
