//! A store as a file: SQLite and PostgreSQL hold the same rows, there and back; what was changed on the way is refused.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use serde_json::json;
use std::io::Cursor;
use tempfile::TempDir;
use tenantry_model::{AttemptState, OperationState, RunState};
use tenantry_postgres_test::server;
use tenantry_store::{
    CommandKind, EventFilter, Store,
    archive::{self, ArchiveError, Contents, TABLES, Whole},
    conformance::samples::{
        answer, applied, approval, at, attempt, attention, bridge, command, dead_letter, definition, entry,
        environment, event, hold_of, hook, letter, operation, parked, region, schedule, schedule_run, step,
        tenant, text, token, workflow,
    },
};
use tenantry_store_postgres::{Database, PostgresStore};
use tenantry_store_sqlite::SqliteStore;

fn main() {
    let missing = server().is_none();
    let test = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_ignored_flag(missing)
    };
    let tests = vec![
        test("sqlite_to_postgres_and_back_is_the_same", || block(there_and_back())),
        test("both_kinds_have_the_tables_of_the_archive_and_no_others", || block(same_tables())),
        test("a_changed_or_cut_archive_is_refused_whole", || block(damaged())),
        test("a_store_with_rows_takes_no_archive", || block(not_empty())),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn block(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

async fn postgres() -> Database {
    let database = Database::new(&server().unwrap().database().await.unwrap(), None).unwrap();
    PostgresStore::migrate(&database).await.unwrap();
    database
}

async fn sqlite() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (SqliteStore::open(folder.path()).await.unwrap(), folder)
}

async fn export(mut whole: Box<dyn Whole>) -> (Vec<u8>, Contents) {
    archive::export(&mut *whole, Vec::new(), "test", at(0)).await.unwrap()
}

async fn import(whole: Box<dyn Whole>, archive: &[u8]) -> Result<Contents, ArchiveError> {
    archive::import(whole, || Ok(Cursor::new(archive.to_vec()))).await
}

/// A row at least in every table.
async fn fill(store: &dyn Store) {
    let mut home = environment("acme", "prod", "eu1");
    home.aliases = [text("acme.example.com")].into();
    let run = operation(home.id, "lifecycle.upsert", OperationState::Running);
    let execution = attempt(run.id, "eu1/crm/crm-tenant", 1, AttemptState::Running);
    let mut waits = attention("step");
    waits.environment = Some(home.id);
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.put_environment(&home).await.unwrap();
    write
        .put_generation(home.id, 4, &json!({"spec": {"a": "b\u{0}\u{1F600}", "n": u64::MAX}}))
        .await
        .unwrap();
    write.put_applied(home.id, &applied("eu1/crm/crm-tenant", run.id)).await.unwrap();
    write.put_definition(&definition("crm.reindex")).await.unwrap();
    write.put_operation(&run).await.unwrap();
    write.put_timer(run.id, Some(run.created_at)).await.unwrap();
    write.put_step(&step(run.id, "eu1/crm/crm-tenant")).await.unwrap();
    write.put_attempt(&execution).await.unwrap();
    // One whose event is due, one whose event is not delivered any more.
    write.put_workflow(&workflow(run.id, "eu1", 1)).await.unwrap();
    let quiet = tenantry_store::WorkflowRow { deliver_at: None, ..workflow(run.id, "eu1", 2) };
    write.put_workflow(&quiet).await.unwrap();
    write.put_bridge(&bridge(run.id, "eu1/crm/crm-tenant")).await.unwrap();
    write.put_parked_events(&parked("bus", Some(run.environment))).await.unwrap();
    write.put_parked_events(&parked("bus", None)).await.unwrap();
    write.put_dead_letter(&dead_letter("bus", 3, true)).await.unwrap();
    write.put_letter(&letter(1)).await.unwrap();
    write.put_region(&region("eu1")).await.unwrap();
    for name in ["eu1/crm/crm-tenant", "eu1/crm-a/b", "eu-1/crm/x"] {
        write.put_hook(&hook(name)).await.unwrap();
    }
    write.put_command(&command("eu1", &execution.id, CommandKind::Start)).await.unwrap();
    write.put_attention(&waits).await.unwrap();
    for n in 0..1000 {
        write.append_event(&event(Some(home.id), Some(run.id), json!(n))).await.unwrap();
    }
    for position in 1..=3 {
        write.append_audit(&entry(Some(home.id), position)).await.unwrap();
        write.append_audit(&entry(None, position)).await.unwrap();
    }
    let head = tenantry_store::AuditHead { number: 1, document: "{}".to_owned() };
    write.put_audit_head(&head, &[]).await.unwrap();
    write.put_token(&token("ana")).await.unwrap();
    write.put_hold(&hold_of(Some("eu1"))).await.unwrap();
    write.put_approval(&approval(&home, run.id)).await.unwrap();
    write
        .put_replay(run.id, operation(home.id, "lifecycle.upsert", OperationState::Running).id)
        .await
        .unwrap();
    let nightly = schedule("nightly");
    write.put_schedule(&nightly).await.unwrap();
    write.put_schedule_run(&schedule_run(nightly.id, home.id, 40, RunState::Requested)).await.unwrap();
    write.put_idempotent(&answer("k", 5)).await.unwrap();
    write.put_setting("platform-schema", &json!({"type": "object"})).await.unwrap();
    write.commit().await.unwrap();
}

async fn there_and_back() {
    let (first, _folder) = sqlite().await;
    fill(&first).await;
    let (file, exported) = export(first.whole().await.unwrap()).await;
    for table in TABLES {
        assert!(exported.rows[table.name] > 0, "the samples fill {}", table.name);
    }
    let database = postgres().await;
    let imported = import(PostgresStore::whole(&database, true).await.unwrap(), &file).await.unwrap();
    assert_eq!(imported, exported);
    let (again, second) = export(PostgresStore::whole(&database, false).await.unwrap()).await;
    assert_eq!(second, exported, "the same rows");
    // It goes on where the other one stopped.
    let store = PostgresStore::open(&database, false).await.unwrap();
    let last = first.read().await.unwrap().last_event().await.unwrap();
    let mut write = store.write().await.unwrap();
    write.append_event(&event(None, None, json!("next"))).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    let next = read.events(&EventFilter::default(), last, 10).await.unwrap();
    assert_eq!(next.iter().map(|event| event.position).collect::<Vec<_>>(), [last + 1]);
    assert_eq!(
        read.audit_entries(&tenantry_store::AuditFilter::default(), &tenantry_model::Page::default())
            .await
            .unwrap()
            .items
            .len(),
        6,
        "columns that follow from others are there as well"
    );
    let (region, upsert) = (text("eu1"), text("lifecycle.upsert"));
    let hooks = first.read().await.unwrap().hooks(&region).await.unwrap();
    assert_eq!(read.hooks_for(&region, &upsert).await.unwrap(), hooks, "and rows that follow from others");
    let (back, _folder) = sqlite().await;
    assert_eq!(import(back.whole().await.unwrap(), &again).await.unwrap(), exported);
    assert_eq!(back.read().await.unwrap().hooks_for(&region, &upsert).await.unwrap(), hooks);
    assert_eq!(export(back.whole().await.unwrap()).await.1, exported);
}

async fn same_tables() {
    let (sqlite, _folder) = sqlite().await;
    let database = postgres().await;
    for mut whole in [sqlite.whole().await.unwrap(), PostgresStore::whole(&database, false).await.unwrap()] {
        let mut found = whole.tables().await.unwrap();
        found.sort();
        let mut known: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        known.sort_unstable();
        assert_eq!(found, known, "{}: see crates/store/src/archive/tables.rs", whole.kind());
        for table in TABLES {
            let mut found = whole.columns(table.name).await.unwrap().unwrap();
            found.sort();
            let mut known: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            known.sort_unstable();
            assert_eq!(found, known, "{} of {}", table.name, whole.kind());
        }
        assert_eq!(whole.examine().await.unwrap(), Vec::<String>::new());
    }
}

async fn damaged() {
    let (first, _folder) = sqlite().await;
    fill(&first).await;
    let (file, _) = export(first.whole().await.unwrap()).await;
    let text = String::from_utf8(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |skip: usize| {
        let mut kept = lines.clone();
        kept.remove(skip);
        kept.join("\n") + "\n"
    };
    let cases = [
        ("cut in a line", text[..text.len() / 2].to_owned()),
        ("the last line is missing", without(lines.len() - 1)),
        ("a row is missing", without(lines.len() / 2)),
        ("a letter is another one", text.replacen("acme", "acne", 1)),
        ("something follows", format!("{text}[1]\n")),
        ("no archive", "hello\n".to_owned()),
        ("of a later version", text.replacen("\"tenantryArchive\":1", "\"tenantryArchive\":2", 1)),
        ("an unknown table", text.replacen("\"table\":\"tenants\"", "\"table\":\"tenant\"", 1)),
    ];
    let database = postgres().await;
    for (what, changed) in cases {
        assert_ne!(changed, text, "{what}");
        let refused = import(PostgresStore::whole(&database, true).await.unwrap(), changed.as_bytes()).await;
        assert!(
            matches!(refused, Err(ArchiveError::Damaged(_) | ArchiveError::Foreign(_))),
            "{what}: {refused:?}"
        );
        let (_, kept) = export(PostgresStore::whole(&database, false).await.unwrap()).await;
        assert_eq!(kept.rows.values().sum::<u64>(), 0, "{what}: nothing was kept");
    }
}

async fn not_empty() {
    let (first, _folder) = sqlite().await;
    fill(&first).await;
    let (file, _) = export(first.whole().await.unwrap()).await;
    let refused = import(first.whole().await.unwrap(), &file).await;
    assert!(matches!(refused, Err(ArchiveError::NotEmpty("tenants"))), "{refused:?}");
}
