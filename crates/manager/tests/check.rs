//! `check` finds nothing in good data, and each planted fault by its name.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use std::path::Path;
use std::sync::Arc;
use tenantry_api_types::v1::Finding;
use tenantry_manager::{AuditConfig, Lifecycle, LogPiece, LogStore, Manager, ManagerConfig};
use tenantry_store_sqlite::SqliteStore;

/// Three environments: `done` has finished its operation, in `busy` a step runs, another is blocked and a second
/// operation waits for the lock, and in `stuck` a step waits for a person. There are logs and a signed head.
async fn good() -> World {
    let mut world = World::new();
    world.config.audit =
        AuditConfig { key_file: Some(world.folder.path().join("audit-key.pem")), ..AuditConfig::default() };
    let manager = world.manager().await;
    prepare(&manager).await;
    let upsert = ["lifecycle.upsert"];
    let mut second = hook("crm/b", &upsert, &["crm/a"]);
    second.policy.timeout = Some(jiff::SignedDuration::from_hours(1));
    let hooks = vec![
        readable(hook("crm/a", &upsert, &[])),
        readable(second),
        readable(hook("crm/c", &upsert, &["crm/b"])),
    ];
    let mut agent = Agent::open(&manager, hooks).await;
    create(&manager, "done").await;
    agent.run_all(&manager, world.now()).await;
    let (busy, _) = create(&manager, "busy").await;
    let first = agent.starts(&manager).await.remove(0);
    let text = b"a line of a log\n".to_vec();
    let piece = LogPiece { attempt: first.attempt.clone(), offset: 0, data: text, last: true };
    manager.agent_logs(&region(), vec![piece]).await.unwrap();
    agent.ended(&manager, &first.attempt, world.now(), success()).await;
    let running = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &running.attempt, world.now()).await;
    ask(&manager, busy.id, Lifecycle::Reconcile).await;
    create(&manager, "stuck").await;
    let failing = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &failing.attempt, world.now(), failure()).await;
    manager.seal_audit(&admin()).await.unwrap();
    world
}

async fn check(folder: &Path) -> Vec<Finding> {
    let store = SqliteStore::open_to_look(&folder.join("data")).await.unwrap();
    let logs = LogStore::open(&folder.join("logs")).unwrap();
    findings(&Manager::new(Arc::new(store), logs, ManagerConfig::default())).await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn plant(folder: &Path, statements: &str) {
    use sqlx::Connection as _;
    let path = folder.join("data/tenantry.db");
    let url = format!("sqlite://{}", path.display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut database).await.unwrap();
    for statement in statements.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let sql = statement
            .replace("$operation(", "(SELECT o.id FROM operations o JOIN environments e ON e.id = o.environment WHERE o.state = 'running' AND e.name = ")
            .replace("$ended(", "(SELECT o.id FROM operations o JOIN environments e ON e.id = o.environment WHERE o.finished = 1 AND e.name = ")
            .replace("$pending(", "(SELECT o.id FROM operations o JOIN environments e ON e.id = o.environment WHERE o.state = 'pending' AND e.name = ")
            .replace("$environment(", "(SELECT id FROM environments WHERE name = ");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut database).await;
        let done = done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert!(done.rows_affected() > 0, "{statement} changed nothing");
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn good_data_has_no_findings_at_rest_and_beside_the_work() {
    let world = good().await;
    assert_eq!(check(world.folder.path()).await, []);
    assert_eq!(findings(&world.manager().await).await, []);
}

/// Name of the check, what to plant (`$operation('busy')`: the operation that runs there).
const PLANTED: &[(&str, &str)] = &[
    (
        "open-attempts",
        "UPDATE attempts SET ended = 0, payload = json_set(payload, '$.state', 'running') WHERE step = 'eu1/crm/a' AND operation = $operation('busy')",
    ),
    (
        "open-attempts",
        "UPDATE steps SET payload = json_set(payload, '$.state', 'running') WHERE hook = 'eu1/crm/a' AND operation = $ended('done')",
    ),
    ("attempt-numbers", "DELETE FROM attempts WHERE step = 'eu1/crm/a' AND operation = $ended('done')"),
    ("attempt-step", "DELETE FROM steps WHERE hook = 'eu1/crm/a' AND operation = $ended('done')"),
    ("step-edge", "DELETE FROM steps WHERE hook = 'eu1/crm/a' AND operation = $ended('done')"),
    (
        "attempt-end",
        "UPDATE attempts SET payload = json_set(payload, '$.outcome', null) WHERE step = 'eu1/crm/a' AND operation = $ended('done')",
    ),
    (
        "step-succeeded",
        "UPDATE attempts SET payload = json_set(payload, '$.state', 'failed') WHERE step = 'eu1/crm/a' AND operation = $ended('done')",
    ),
    (
        "dependency-jumped",
        "UPDATE steps SET payload = json_set(payload, '$.state', 'blocked') WHERE hook = 'eu1/crm/a' AND operation = $operation('busy')",
    ),
    (
        "step-forgotten",
        "UPDATE steps SET payload = json_set(payload, '$.after', json('[]')) WHERE hook = 'eu1/crm/c' AND operation = $operation('busy')",
    ),
    ("operation-end", "UPDATE operations SET payload = json_set(payload, '$.endedAt', null) WHERE id = $ended('done')"),
    (
        "operation-start",
        "UPDATE operations SET payload = json_set(payload, '$.startedAt', null) WHERE id = $operation('busy')",
    ),
    (
        "operation-steps",
        "UPDATE operations SET payload = json_set(payload, '$.state', 'planning') WHERE id = $operation('busy')",
    ),
    (
        "operation-succeeded",
        "UPDATE steps SET payload = json_set(payload, '$.state', 'cancelled') WHERE hook = 'eu1/crm/c' AND operation = $ended('done')",
    ),
    (
        "operation-over",
        "UPDATE steps SET payload = json_set(payload, '$.state', 'blocked') WHERE hook = 'eu1/crm/c' AND operation = $ended('done')",
    ),
    (
        "operation-generation",
        "UPDATE operations SET payload = json_set(payload, '$.generation', 9) WHERE id = $ended('done')",
    ),
    ("operation-environment", "DELETE FROM environments WHERE name = 'done'"),
    ("timer", "DELETE FROM timers WHERE operation = $operation('busy')"),
    ("timer", "INSERT INTO timers (operation, due) VALUES ($ended('done'), 1)"),
    ("lock-holders", "UPDATE operations SET payload = json_set(payload, '$.state', 'planning') WHERE id = $pending('busy')"),
    ("lock-forgotten", "UPDATE operations SET finished = 1 WHERE id = $operation('busy')"),
    ("applied-generation", "UPDATE applied SET payload = json_set(payload, '$.generation', 7) WHERE environment = $environment('done')"),
    ("generation-view", "DELETE FROM generations WHERE environment = $environment('done')"),
    ("purged-with-data", "UPDATE environments SET payload = json_set(payload, '$.state', 'purged') WHERE name = 'done'"),
    ("purged-with-work", "UPDATE environments SET payload = json_set(payload, '$.state', 'purged') WHERE name = 'stuck'"),
    (
        "command-attempt",
        "INSERT INTO commands (id, region, operation, step, number, kind, body, given_out) VALUES ('01a1fe80-0000-7000-8000-000000000001', 'eu1', $operation('busy'), 'eu1/crm/a', 9, 'start', '{}', 0)",
    ),
    (
        "command-late",
        "INSERT INTO commands (id, region, operation, step, number, kind, body, given_out) VALUES ('01a1fe80-0000-7000-8000-000000000001', 'eu1', $ended('done'), 'eu1/crm/a', 1, 'start', '{}', 0);
         UPDATE attempts SET payload = json_set(payload, '$.endedAt', '2020-01-01T00:00:00Z') WHERE operation = $ended('done')",
    ),
    ("attention-missing", "DELETE FROM attentions"),
    (
        "attention-cause",
        "UPDATE steps SET payload = json_set(payload, '$.waiting', json('false')) WHERE hook = 'eu1/crm/a' AND operation = $operation('stuck')",
    ),
    ("attention-cause", "UPDATE attentions SET operation = null, payload = json_set(payload, '$.operation', '01a1fe80-0000-7000-8000-000000000001')"),
    ("event-version", "UPDATE events SET payload = json_set(payload, '$.version', 1000) WHERE environment = $environment('done')"),
    ("event-version", "DELETE FROM environments WHERE name = 'stuck'"),
    ("audit-chain", "UPDATE audit SET payload = json_set(payload, '$.target', 'other') WHERE chain = '' AND position = 2"),
    ("audit-chain", "DELETE FROM audit WHERE chain = '' AND position = (SELECT max(position) FROM audit WHERE chain = '')"),
    ("audit-heads", "UPDATE audit_heads SET payload = replace(payload, 'position', 'positiom')"),
    ("log-orphan", "DELETE FROM operations WHERE id = $operation('busy')"),
    ("unreadable", "UPDATE operations SET payload = '{}' WHERE id = $ended('done')"),
    ("database", "DELETE FROM operations WHERE id = $operation('stuck')"),
];

#[tokio::test]
async fn each_planted_fault_is_named() {
    let world = good().await;
    for (name, statements) in PLANTED {
        let scratch = tempfile::tempdir().unwrap();
        copy(world.folder.path(), scratch.path());
        plant(scratch.path(), statements).await;
        let findings = check(scratch.path()).await;
        assert!(findings.iter().any(|finding| finding.check == *name), "{name}: {statements}\n{findings:#?}");
        assert!(findings.iter().all(|finding| !finding.remedy.is_empty() && !finding.row.is_empty()));
    }
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_so_is_a_damaged_database() {
    let world = good().await;
    let folder = world.folder.path();
    let segment = segments(&folder.join("logs")).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[20] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let findings = check(folder).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].check, "log-segment");
    assert!(findings[0].message.contains("move it away"), "{findings:?}");

    // Out of the write-ahead log, into the file.
    SqliteStore::open(&folder.join("data")).await.unwrap().close().await;
    let database = folder.join("data/tenantry.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0x5a);
    std::fs::write(&database, bytes).unwrap();
    let findings = check(folder).await;
    let named = findings.iter().any(|finding| ["database", "unreadable"].contains(&finding.check.as_str()));
    assert!(named, "{findings:?}");
    assert!(findings.iter().any(|finding| finding.remedy.contains("backup")), "{findings:?}");
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(segments(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_folder_at_rest_is_taken_and_not_made() {
    let world = good().await;
    let running = world.manager().await;
    let error = SqliteStore::open_to_look(&world.folder.path().join("data")).await.unwrap_err();
    assert!(error.to_string().contains("in use by process"), "{error}");
    drop(running);
    let nothing = tempfile::tempdir().unwrap();
    let error = SqliteStore::open_to_look(nothing.path()).await.unwrap_err();
    assert!(error.to_string().contains("holds no database"), "{error}");
    assert_eq!(std::fs::read_dir(nothing.path()).unwrap().count(), 0);
}
