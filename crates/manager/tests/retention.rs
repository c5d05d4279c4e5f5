//! Retention over a real store and real logs: what is old goes, what is needed stays, a crash leaves nothing for ever.

#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::time::Duration;
use tenantry_manager::{Lifecycle, LogPiece, Manager, Principal, RetentionConfig, Retired};
use tenantry_model::{EnvironmentId, Operation, OperationId};
use tenantry_store::{EventFilter, Store as _};
use tenantry_store_sqlite::SqliteStore;

const ALL: [&str; 3] = ["lifecycle.upsert", "lifecycle.backup", "lifecycle.restore"];

fn world() -> World {
    let mut world = World::new();
    let days = |days: i64| Some(SignedDuration::from_hours(24 * days));
    world.config.retention = RetentionConfig {
        operations: days(30),
        newest: 2,
        logs: days(10),
        events: days(5),
        attention: days(5),
        ..RetentionConfig::default()
    };
    world
}

/// Runs one operation to its end, with a log.
async fn run(
    world: &World,
    manager: &Manager,
    agent: &mut Agent,
    id: EnvironmentId,
    what: Lifecycle,
) -> Operation {
    let operation = ask(manager, id, what).await;
    for start in agent.starts(manager).await {
        let piece =
            LogPiece { attempt: start.attempt.clone(), offset: 0, data: b"done\n".to_vec(), last: true };
        manager.agent_logs(&region(), vec![piece]).await.unwrap();
        agent.ended(manager, &start.attempt, world.now(), success()).await;
    }
    // The release of its object.
    agent.starts(manager).await;
    operation
}

async fn there(manager: &Manager, id: OperationId) -> bool {
    manager.operation(id).await.is_ok()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_needed_stays() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, first) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let id = environment.id;
    let backup = run(&world, &manager, &mut agent, id, Lifecycle::Backup).await;
    let restore = run(&world, &manager, &mut agent, id, Lifecycle::Restore { backup: Some(backup.id) }).await;
    let mut upserts = Vec::new();
    for _ in 0..5 {
        upserts.push(run(&world, &manager, &mut agent, id, Lifecycle::Reconcile).await.id);
    }
    assert_eq!(manager.preview_retention().await.unwrap(), Retired::default(), "nothing is old yet");

    world.pass(SignedDuration::from_hours(24 * 11));
    let waits = ask(&manager, id, Lifecycle::Reconcile).await;
    let preview = manager.preview_retention().await.unwrap();
    let gone = manager.retire(&admin()).await.unwrap();
    assert_eq!((gone.operations, gone.logs, gone.orphans), (0, 7, 0), "{gone:?}");
    assert_eq!((preview.operations, preview.logs, preview.more), (0, 7, false));
    assert!(gone.events > 20 && preview.events == gone.events, "{preview:?} {gone:?}");
    let attempt = manager.operation(upserts[0]).await.unwrap().attempts.remove(0).id;
    let log = manager.read_log(&attempt, 0, 1000, Duration::ZERO).await.unwrap();
    assert!(log.end && log.bytes.starts_with("… the log was removed".as_bytes()), "{log:?}");

    world.pass(SignedDuration::from_hours(24 * 30));
    let gone = manager.retire(&admin()).await.unwrap();
    assert!(!there(&manager, first).await && !there(&manager, upserts[0]).await);
    assert_eq!(gone.operations, 5, "of seven upserts the newest two stay");
    for id in [backup.id, restore.id, upserts[4], waits.id] {
        assert!(there(&manager, id).await, "{id}");
    }
    assert_eq!(manager.retire(&admin()).await.unwrap().operations, 0, "a second time there is nothing");
    assert_eq!(findings(&manager).await, []);
    let audit = manager.audit(None, 0, 100).await.unwrap();
    let noted: Vec<_> = audit.iter().filter(|entry| entry.action == "retention.run").collect();
    assert_eq!(noted.len(), 2);
    assert_eq!(noted[1].after["operations"], 5);
}

#[tokio::test]
async fn events_that_a_registered_reader_has_not_read_stay() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    create(&manager, "prod").await;
    drop(manager);
    {
        let store = SqliteStore::open(&world.folder.path().join("data")).await.unwrap();
        let mut write = store.write().await.unwrap();
        write.put_setting("event-readers", &serde_json::json!({ "fast": 9, "slow": 2 })).await.unwrap();
        write.commit().await.unwrap();
    }
    let manager = world.manager().await;
    world.pass(SignedDuration::from_hours(24 * 20));
    assert_eq!(manager.retire(&admin()).await.unwrap().events, 2);
    let left = manager.events_after(&EventFilter::default(), 0, 1, Duration::ZERO).await.unwrap();
    assert_eq!(left[0].position, 3);
}

#[tokio::test]
async fn logs_that_a_crash_left_behind_are_swept() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let operation = run(&world, &manager, &mut agent, environment.id, Lifecycle::Reconcile).await;
    drop(manager);
    {
        // As after a crash between the rows and the logs.
        let store = SqliteStore::open(&world.folder.path().join("data")).await.unwrap();
        let mut write = store.write().await.unwrap();
        write.delete_operation(operation.id).await.unwrap();
        write.commit().await.unwrap();
    }
    let manager = world.manager().await;
    let folder = world.folder.path().join("logs").join(operation.id.to_string());
    assert!(folder.is_dir());
    assert_eq!(findings(&manager).await.iter().filter(|finding| finding.check == "log-orphan").count(), 1);
    assert_eq!(manager.preview_retention().await.unwrap().orphans, 1);
    assert_eq!(manager.retire(&Principal::system()).await.unwrap().orphans, 1);
    assert!(!folder.exists());
    assert_eq!(findings(&manager).await, []);
}
