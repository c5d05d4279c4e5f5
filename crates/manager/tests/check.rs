//! `check` finds nothing in good data, and each planted fault by its name.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::path::Path;
use std::sync::Arc;
use tenantry_api_types::v1::Finding;
use tenantry_engine::{StepVerb, VerbKind};
use tenantry_manager::{
    AuditConfig, Lifecycle, LogPiece, LogStore, Manager, ManagerConfig, NewHold, NewSchedule, ReplayWish,
    StepOptions,
};
use tenantry_model::{CatchUp, HoldPredicate, Overlap, Page, RunState, ScheduleTarget};
use tenantry_store_sqlite::SqliteStore;

/// Five environments: `done` has finished its operation, in `again` it was replayed, of `timed` a schedule has one run
/// that has ended, one that goes on and one that waits; in `busy` a step runs, another is held and a second operation
/// waits for the lock; in `stuck` a step waits for a person, and the verb for a second one. There are logs and a signed
/// head.
async fn good() -> World {
    let mut world = World::new();
    world.config.audit =
        AuditConfig { key_file: Some(world.folder.path().join("audit-key.pem")), ..AuditConfig::default() };
    world.config.four_eyes = [VerbKind::Confirm].into();
    // Minutes pass between two calls of the agent; nothing here is about its silence.
    world.config.agent_silent_after = SignedDuration::from_hours(10);
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
    let (_, original) = create(&manager, "again").await;
    agent.run_all(&manager, world.now()).await;
    let again = ReplayWish { reason: Some("once more".to_owned()), ..ReplayWish::default() };
    manager.replay_operation(&admin(), original, again).await.unwrap();
    agent.run_all(&manager, world.now()).await;
    timed(&world, &manager, &mut agent).await;
    let predicate = HoldPredicate {
        hook: Some("crm/c".parse().unwrap()),
        region: Some(region()),
        ..HoldPredicate::default()
    };
    let reason = "freeze".to_owned();
    let hold = NewHold { predicate, until: None, reason, max_steps: None, validate_only: false };
    manager.create_hold(&admin(), hold).await.unwrap();
    let (busy, _) = create(&manager, "busy").await;
    let first = agent.starts(&manager).await.remove(0);
    let text = b"a line of a log\n".to_vec();
    let piece = LogPiece { attempt: first.attempt.clone(), offset: 0, data: text, last: true };
    manager.agent_logs(&region(), vec![piece]).await.unwrap();
    agent.ended(&manager, &first.attempt, world.now(), success()).await;
    let running = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &running.attempt, world.now()).await;
    ask(&manager, busy.id, Lifecycle::Reconcile).await;
    let (_, stuck) = create(&manager, "stuck").await;
    let failing = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &failing.attempt, world.now(), failure()).await;
    let by_hand = StepVerb::Confirm { outputs: [].into() };
    let options = StepOptions { reason: Some("by hand".to_owned()), ..StepOptions::default() };
    manager.steer_step(&admin(), stuck, &hook_ref("crm/a"), by_hand, options).await.unwrap();
    manager.seal_audit(&admin()).await.unwrap();
    world
}

/// Every minute for one environment: three minutes pass.
async fn timed(world: &World, manager: &Manager, agent: &mut Agent) {
    let (environment, _) = create(manager, "timed").await;
    agent.run_all(manager, world.now()).await;
    let new = NewSchedule {
        name: "minutely".parse().unwrap(),
        description: String::new(),
        operation: "lifecycle.upsert".parse().unwrap(),
        parameters: serde_json::Map::new(),
        target: ScheduleTarget::Environment(environment.id),
        cron: "* * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        catch_up: CatchUp::Latest,
        overlap: Overlap::Queue,
        deadline: None,
        validate_only: false,
    };
    manager.create_schedule(&admin(), new).await.unwrap();
    for minute in 0..3 {
        world.pass(SignedDuration::from_mins(1));
        manager.run_schedules().await.unwrap();
        match minute {
            0 => drop(agent.run_all(manager, world.now()).await),
            1 => drop(agent.starts(manager).await),
            _ => {}
        }
    }
    let runs = manager.schedule_runs(&"minutely".parse().unwrap(), &Page::default()).await.unwrap().items;
    let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Waiting, RunState::Requested, RunState::Ended]);
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
    (
        "bridge-step",
        "INSERT INTO bridges (operation, hook, payload) VALUES ($operation('busy'), 'eu1/crm/z', json_object(
             'operation', $operation('busy'), 'hook', 'eu1/crm/z', 'round', 1,
             'session', '01a1fe80-0000-7000-8000-000000000001', 'seenAt', '2026-01-01T00:00:00Z'))",
    ),
    (
        "unreadable",
        "INSERT INTO workflows (operation, region, round, payload) VALUES ($operation('busy'), 'eu1', 1, '{}')",
    ),
    ("attention-missing", "DELETE FROM attentions"),
    (
        "attention-cause",
        "UPDATE steps SET payload = json_set(payload, '$.waiting', json('false')) WHERE hook = 'eu1/crm/a' AND operation = $operation('stuck')",
    ),
    (
        "attention-missing",
        "INSERT INTO letters (id, at, payload) VALUES ('01a1fe80-0000-7000-8000-000000000001', 1, '{}')",
    ),
    (
        "attention-missing",
        "INSERT INTO settings (key, payload) VALUES ('event-readers', '{\"portal\": 1}');
         INSERT INTO dead_letters (sink, position, wanted, payload) VALUES ('portal', 1, 0, '{}')",
    ),
    ("attention-cause", "UPDATE attentions SET operation = null, payload = json_set(payload, '$.operation', null, '$.hook', null, '$.region', null, '$.key', 'refused-messages')"),
    ("attention-cause", "UPDATE attentions SET operation = null, payload = json_set(payload, '$.operation', null, '$.hook', null, '$.region', null, '$.key', 'dead-letter/portal')"),
    ("attention-cause", "UPDATE attentions SET operation = null, payload = json_set(payload, '$.operation', '01a1fe80-0000-7000-8000-000000000001')"),
    ("event-version", "UPDATE events SET payload = json_set(payload, '$.version', 1000) WHERE environment = $environment('done')"),
    ("event-version", "DELETE FROM environments WHERE name = 'stuck'"),
    ("audit-chain", "UPDATE audit SET payload = json_set(payload, '$.target', 'other') WHERE chain = '' AND position = 2"),
    ("audit-chain", "DELETE FROM audit WHERE chain = '' AND position = (SELECT max(position) FROM audit WHERE chain = '')"),
    ("audit-heads", "UPDATE audit_heads SET payload = replace(payload, 'position', 'positiom')"),
    ("log-orphan", "DELETE FROM operations WHERE id = $operation('busy')"),
    // A schedule's run and its operation.
    (
        "schedule-run",
        "UPDATE schedule_runs SET operation = NULL, payload = json_set(payload, '$.operation', '01a1fe80-0000-7000-8000-000000000001') WHERE state = 'requested'",
    ),
    ("schedule-run", "UPDATE schedule_runs SET payload = json_set(payload, '$.state', 'requested') WHERE state = 'ended'"),
    ("schedule-run", "UPDATE schedule_runs SET payload = json_set(payload, '$.state', 'ended') WHERE state = 'requested'"),
    ("schedule-run", "UPDATE schedule_runs SET payload = json_set(payload, '$.operation', null) WHERE state = 'ended'"),
    ("schedule-run", "DELETE FROM schedule_runs WHERE state = 'requested'"),
    (
        "schedule-run",
        "UPDATE operations SET payload = json_set(payload, '$.scheduledTime', '2020-01-01T00:00:00Z') WHERE id = (SELECT operation FROM schedule_runs WHERE state = 'ended')",
    ),
    (
        "schedule-run",
        "UPDATE schedule_runs SET state = 'skipped', payload = json_set(payload, '$.state', 'skipped', '$.note', null) WHERE state = 'waiting'",
    ),
    (
        "schedule-run",
        "UPDATE schedule_runs SET state = 'due', payload = json_set(payload, '$.state', 'due') WHERE state = 'waiting';
         DELETE FROM schedules",
    ),
    (
        "schedule-twice",
        "INSERT INTO operations (id, environment, tenant, region, name, state, finished, payload)
         SELECT '01a1fe80-0000-7000-8000-000000000001', environment, tenant, region, name, state, finished,
             json_set(payload, '$.id', '01a1fe80-0000-7000-8000-000000000001')
         FROM operations WHERE id = (SELECT operation FROM schedule_runs WHERE state = 'ended')",
    ),
    ("schedule-record", "DELETE FROM schedule_runs WHERE at = (SELECT max(at) FROM schedule_runs)"),
    ("schedule-next", "UPDATE schedules SET payload = json_set(payload, '$.nextTime', json_extract(payload, '$.lastTime'))"),
    (
        "schedule-next",
        "UPDATE schedules SET payload = json_set(payload, '$.paused', json('{\"by\": {\"kind\": \"system\", \"name\": \"x\"}, \"reason\": \"x\", \"at\": \"2026-01-01T00:00:00Z\"}'))",
    ),
    (
        "schedule-behind",
        "UPDATE schedules SET payload = json_set(payload, '$.lastTime', '2026-01-01T00:00:00Z', '$.nextTime', '2026-01-01T00:01:00Z')",
    ),
    (
        "schedule-queue",
        "UPDATE schedule_runs SET state = 'ended', payload = json_set(payload, '$.state', 'ended') WHERE state = 'requested'",
    ),
    // What steers from outside.
    ("approval-orphan", "DELETE FROM operations WHERE id = $operation('stuck')"),
    ("replay-link", "DELETE FROM replays"),
    ("replay-link", "INSERT INTO replays (original, replay) VALUES ($ended('done'), '01a1fe80-0000-7000-8000-000000000001')"),
    (
        "replay-link",
        "UPDATE operations SET payload = json_set(payload, '$.replay.of', '01a1fe80-0000-7000-8000-000000000001') WHERE id = (SELECT replay FROM replays)",
    ),
    ("hold-gone", "DELETE FROM holds"),
    (
        "hold-gone",
        "UPDATE holds SET open = 0, payload = json_set(payload, '$.told', json('true'), '$.lifted', json('{\"by\": {\"kind\": \"system\", \"name\": \"x\"}, \"reason\": null, \"at\": \"2026-01-01T00:00:00Z\"}'))",
    ),
    ("hold-region", "UPDATE holds SET region = 'mars', payload = json_set(payload, '$.hold.predicate.region', 'mars')"),
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
