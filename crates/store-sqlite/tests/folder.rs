//! The data folder: one process at a time, versions, damage.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tenantry_model::{AttemptState, OperationState, Page};
use tenantry_store::{
    AuditEntry, CommandKind, EventFilter, Store as _, StoreError,
    conformance::samples::{
        applied, attempt, attention, command, entry, environment, event, hook, operation, region, step,
        tenant, text, token,
    },
};
use tenantry_store_sqlite::SqliteStore;

async fn database(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.join("tenantry.db")).connect().await.unwrap()
}

async fn execute(folder: &Path, sql: &'static str) {
    let mut connection = database(folder).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn put_tenant(store: &SqliteStore, name: &str) {
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant(name)).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn a_second_store_on_the_same_folder_is_refused_with_the_first_ones_pid() {
    let folder = TempDir::new().unwrap();
    let first = SqliteStore::open(folder.path()).await.unwrap();
    let refusal = match SqliteStore::open(folder.path()).await {
        Err(error @ StoreError::InUse(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refusal.contains(folder.path().to_str().unwrap()), "{refusal}");
    assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
    put_tenant(&first, "acme").await;
    first.close().await;
    drop(first);
    // What a killed process leaves behind looks the same: a lock file that nobody locks.
    assert!(folder.path().join("tenantry.lock").exists());
    let next = SqliteStore::open(folder.path()).await.unwrap();
    assert!(next.read().await.unwrap().tenant(&text("acme")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_folder_is_made_and_is_its_owners_only() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("a/b");
    let store = SqliteStore::open(&inner).await.unwrap();
    put_tenant(&store, "acme").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for entry in fs::read_dir(&inner).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    match SqliteStore::open(&blocked.join("data")).await {
        Err(StoreError::Unavailable { what, .. }) => {
            assert!(what.contains(blocked.to_str().unwrap()), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn migrations_run_twice_without_harm() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        let store = SqliteStore::open(folder.path()).await.unwrap();
        assert_eq!(store.read().await.unwrap().tenants(&Page::default()).await.unwrap().items.len(), round);
        put_tenant(&store, &format!("t{round}")).await;
        store.close().await;
    }
}

#[tokio::test]
async fn data_of_a_newer_version_is_left_alone() {
    let folder = TempDir::new().unwrap();
    SqliteStore::open(folder.path()).await.unwrap().close().await;
    execute(
        folder.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    match SqliteStore::open(folder.path()).await {
        Err(error @ StoreError::TooNew { found: 9999, .. }) => {
            assert!(error.to_string().contains("use a newer tenantry"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_that_is_none_is_said_to_be_damaged() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("tenantry.db"), "this is no database ".repeat(100)).unwrap();
    match SqliteStore::open(folder.path()).await {
        Err(StoreError::Unavailable { what, .. }) => assert!(what.contains("damaged"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_that_does_not_read_back_is_named() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    put_tenant(&store, "acme").await;
    let home = environment("acme", "prod", "eu1");
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    drop(store);
    execute(
        folder.path(),
        "UPDATE environments SET payload = replace(payload, '\"active\"', '\"levitating\"');
         UPDATE tenants SET payload = '{'",
    )
    .await;
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let mut read = store.read().await.unwrap();
    let error = read.environment(home.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { table: "environments", .. }), "{error:?}");
    assert!(error.to_string().contains(&home.id.to_string()), "{error}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains("levitating"), "{source}");
    let error = read.tenants(&Page::default()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { table: "tenants", key, .. } if key == "acme"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_operation_without_its_environment_is_refused_and_named() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let orphan = operation(environment("acme", "prod", "eu1").id, "crm.reindex", OperationState::Running);
    let mut write = store.write().await.unwrap();
    let error = write.put_operation(&orphan).await.unwrap_err().to_string();
    assert!(error.contains(&orphan.id.to_string()) && error.contains("does not exist"), "{error}");
    drop(write);
    let mut write = store.write().await.unwrap();
    write.put_step(&step(orphan.id, "eu1/crm/a")).await.unwrap();
    let error = write.commit().await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    let error = store.ping().await.unwrap_err().to_string();
    assert!(error.contains("closed"), "{error}");
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/tenantry.db")
}

/// Writes `fixtures/v1`: done once, by hand (`cargo test -p tenantry-store-sqlite -- --ignored`), when a version is
/// released; afterwards the file is history and stays as it is.
#[tokio::test]
#[ignore = "writes the fixture of this version"]
async fn write_the_fixture() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let mut home = environment("acme", "prod", "eu1");
    home.aliases = [text("acme.example.com")].into();
    let run = operation(home.id, "lifecycle.upsert", OperationState::Running);
    let execution = attempt(run.id, "eu1/crm/crm-tenant", 1, AttemptState::Running);
    let mut waits = attention("step");
    waits.environment = Some(home.id);
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.put_generation(home.id, 4, &serde_json::json!({"spec": {}})).await.unwrap();
    write.put_applied(home.id, &applied("eu1/crm/crm-tenant", run.id)).await.unwrap();
    write.put_operation(&run).await.unwrap();
    write.put_timer(run.id, Some(run.created_at)).await.unwrap();
    write.put_step(&step(run.id, "eu1/crm/crm-tenant")).await.unwrap();
    write.put_attempt(&execution).await.unwrap();
    write.put_region(&region("eu1")).await.unwrap();
    write.put_hook(&hook("eu1/crm/crm-tenant")).await.unwrap();
    write.put_command(&command("eu1", &execution.id, CommandKind::Start)).await.unwrap();
    write.put_attention(&waits).await.unwrap();
    write.append_event(&event(Some(home.id), Some(run.id), serde_json::json!({}))).await.unwrap();
    write.append_audit(&entry(Some(home.id), 1)).await.unwrap();
    write.put_token(&token("ana")).await.unwrap();
    write.put_setting("platform-schema", &serde_json::json!({"type": "object"})).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    drop(store);
    execute(folder.path(), "PRAGMA journal_mode = DELETE; VACUUM").await;
    fs::create_dir_all(fixture().parent().unwrap()).unwrap();
    fs::copy(folder.path().join("tenantry.db"), fixture()).unwrap();
}

#[tokio::test]
async fn a_data_folder_of_version_1_opens_and_reads() {
    let folder = TempDir::new().unwrap();
    fs::copy(fixture(), folder.path().join("tenantry.db")).unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let mut read = store.read().await.unwrap();
    let home = read.environment_by_alias(&text("acme.example.com")).await.unwrap().unwrap();
    assert_eq!(read.tenant(&home.tenant).await.unwrap(), Some(tenant("acme")));
    assert!(read.generation(home.id, 4).await.unwrap().is_some());
    assert_eq!(read.applied(home.id).await.unwrap().len(), 1);
    let run = read.unfinished(home.id).await.unwrap().remove(0);
    assert_eq!(read.due(run.created_at, 10).await.unwrap(), [run.id]);
    assert_eq!(read.steps(run.id).await.unwrap().len(), 1);
    let execution = read.attempts(run.id).await.unwrap().remove(0);
    assert_eq!(read.regions().await.unwrap().len(), 1);
    assert_eq!(read.hooks(&text("eu1")).await.unwrap().len(), 1);
    assert_eq!(read.commands(&text("eu1"), 10).await.unwrap()[0].attempt, execution.id);
    assert_eq!(
        read.attentions(&tenantry_store::AttentionFilter::default(), &Page::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(read.events(&EventFilter::default(), 0, 10).await.unwrap()[0].environment, Some(home.id));
    // Version 1 did not note the request.
    let first = AuditEntry { request: None, ..entry(Some(home.id), 1) };
    assert_eq!(read.audit_head(Some(home.id)).await.unwrap(), Some(first));
    assert_eq!(read.tokens(&Page::default()).await.unwrap().items[0].name, "ana");
    assert!(read.setting("platform-schema").await.unwrap().is_some());
    drop(read);
    put_tenant(&store, "beta").await;
}
