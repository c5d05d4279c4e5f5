//! The audit log of a real manager: what an auditor finds when somebody edits the database of a stopped one.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::path::Path;
use tenantry_audit::{BadKind, PublicKey, Report, SignedHead, Verifier};
use tenantry_manager::{AuditConfig, Duty, Manager, Principal};
use tenantry_model::{EnvironmentId, Page};
use tenantry_store::AuditFilter;

/// A world whose manager signs heads and writes them to a folder.
fn world() -> World {
    let mut world = World::new();
    world.config.audit = AuditConfig {
        key_file: Some(world.folder.path().join("audit-key.pem")),
        heads_to: Some(world.folder.path().join("heads")),
        heads_after: 5,
        ..AuditConfig::default()
    };
    std::fs::create_dir(world.folder.path().join("heads")).unwrap();
    world
}

/// Two environments with some history, sealed twice and then changed once more.
async fn history(world: &World) -> EnvironmentId {
    let manager = world.manager().await;
    prepare(&manager).await;
    let all = ["lifecycle.upsert", "lifecycle.suspend", "lifecycle.resume"];
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &all, &[]))]).await;
    let (prod, _) = create(&manager, "prod").await;
    create(&manager, "test").await;
    agent.run_all(&manager, world.now()).await;
    assert_eq!(manager.seal_audit(&admin()).await.unwrap(), Some(1));
    for what in [tenantry_manager::Lifecycle::Suspend, tenantry_manager::Lifecycle::Resume] {
        ask(&manager, prod.id, what).await;
        agent.run_all(&manager, world.now()).await;
    }
    assert_eq!(manager.seal_audit(&admin()).await.unwrap(), Some(2));
    ask(&manager, prod.id, tenantry_manager::Lifecycle::Reconcile).await;
    prod.id
}

async fn keys(manager: &Manager) -> Vec<PublicKey> {
    let pems = manager.audit_keys().await.unwrap();
    pems.iter().flat_map(|key| PublicKey::all_from_pem(&key.pem).unwrap()).collect()
}

async fn verify(manager: &Manager, keys: Vec<PublicKey>, kept: &[SignedHead]) -> Report {
    let mut verifier = Verifier::new(keys);
    for head in kept {
        verifier.head(head);
    }
    let mut export = manager.export_audit();
    loop {
        let lines = export.next().await.unwrap();
        if lines.is_empty() {
            return verifier.finish();
        }
        for line in lines {
            verifier.line(line);
        }
    }
}

/// The heads that the sink holds.
fn kept(folder: &Path) -> Vec<SignedHead> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

/// What a forger does to the database of a stopped manager; `?1` is the environment's chain.
async fn forge(world: &World, chain: EnvironmentId, statements: &[&'static str]) {
    use sqlx::Connection as _;
    let path = world.folder.path().join("data/tenantry.db");
    let mut database =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    for statement in statements {
        let done = sqlx::query(*statement).bind(chain.to_string()).execute(&mut database).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement} changed nothing");
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn each_way_of_falsifying_the_database_is_found_and_what_was_sealed_before_it_stays_certain() {
    let cases: [(&str, &[&'static str], BadKind, u64); 5] = [
        (
            "changed",
            &[
                "UPDATE audit SET payload = json_set(payload, '$.reason', 'nobody said so') WHERE chain = ?1 AND position = 5",
            ],
            BadKind::Changed,
            5,
        ),
        ("removed", &["DELETE FROM audit WHERE chain = ?1 AND position = 5"], BadKind::Removed, 5),
        (
            "reordered",
            &[
                "UPDATE audit SET position = 1000 WHERE chain = ?1 AND position = 5",
                "UPDATE audit SET position = 5 WHERE chain = ?1 AND position = 6",
                "UPDATE audit SET position = 6 WHERE chain = ?1 AND position = 1000",
            ],
            BadKind::Removed,
            5,
        ),
        ("cut", &["DELETE FROM audit WHERE chain = ?1 AND position >= 5"], BadKind::CutOff, 5),
        (
            "cut, with the note of it",
            &[
                "DELETE FROM audit WHERE chain = ?1 AND position >= 5",
                "UPDATE audit_chains SET position = 4, sealed = 4 WHERE chain = ?1",
            ],
            BadKind::CutOff,
            5,
        ),
    ];
    for (name, statements, kind, position) in cases {
        let world = world();
        let chain = history(&world).await;
        let before = {
            let manager = world.manager().await;
            verify(&manager, keys(&manager).await, &[]).await
        };
        assert!(before.is_intact() && before.heads == 2, "{name}: {before:?}");
        forge(&world, chain, statements).await;
        let manager = world.manager().await;
        let report = verify(&manager, keys(&manager).await, &[]).await;
        assert_eq!(report.bad_chains, 1, "{name}: {report:?}");
        let found = &report.bad[0];
        assert_eq!(found.environment, Some(chain), "{name}");
        let bad = found.first_bad.as_ref().unwrap();
        assert_eq!((bad.kind, bad.position), (kind, position), "{name}: {bad:?}");
        assert_eq!((found.certain_until, found.certain_by), (3, Some(1)), "{name}: {found:?}");
    }
}

/// The forger has the key as well, and removes the heads; those that were carried away tell.
#[tokio::test]
async fn heads_that_were_kept_elsewhere_find_what_a_forger_with_the_key_hides() {
    let world = world();
    let chain = history(&world).await;
    let elsewhere = kept(&world.folder.path().join("heads"));
    assert_eq!(elsewhere.len(), 2);
    forge(
        &world,
        chain,
        &[
            "DELETE FROM audit WHERE chain = ?1 AND position >= 5",
            "UPDATE audit_chains SET position = 4, sealed = 0 WHERE chain = ?1",
            "DELETE FROM audit_heads WHERE ?1 <> ''",
        ],
    )
    .await;
    let manager = world.manager().await;
    manager.seal_audit(&admin()).await.unwrap();
    let keys = keys(&manager).await;
    let believed = verify(&manager, keys.clone(), &[]).await;
    assert!(believed.is_intact(), "without the heads elsewhere nobody could know: {believed:?}");
    let report = verify(&manager, keys, &elsewhere).await;
    assert!(!report.faults.is_empty(), "{report:?}");
    let bad = report.bad[0].first_bad.as_ref().unwrap();
    assert_eq!((bad.kind, bad.position), (BadKind::CutOff, 5));
}

#[tokio::test]
async fn heads_are_signed_by_count_and_by_time_and_only_when_something_moved() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let newest =
        || async { manager.seal_when_due().await.map(|()| kept(&world.folder.path().join("heads")).len()) };
    assert_eq!(newest().await.unwrap(), 1, "the first head comes at once");
    create(&manager, "prod").await;
    assert_eq!(newest().await.unwrap(), 1, "two entries are not enough yet");
    create(&manager, "test").await;
    create(&manager, "demo").await;
    assert_eq!(newest().await.unwrap(), 2, "six are");
    create(&manager, "late").await;
    assert_eq!(newest().await.unwrap(), 2);
    world.pass(SignedDuration::from_mins(6));
    assert_eq!(newest().await.unwrap(), 3, "time has passed");
    world.pass(SignedDuration::from_mins(60));
    assert_eq!(newest().await.unwrap(), 3, "nothing moved");
}

#[tokio::test]
async fn a_head_that_could_not_be_written_is_written_later_without_a_gap() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let folder = world.folder.path().join("heads");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "not a head\n").unwrap();
    let error = manager.seal_audit(&admin()).await.unwrap_err();
    assert!(error.to_string().contains("heads"), "{error}");
    create(&manager, "prod").await;
    manager.seal_audit(&admin()).await.unwrap_err();
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    manager.seal_audit(&admin()).await.unwrap();
    let numbers: Vec<u64> = kept(&folder).iter().map(|head| head.head().unwrap().number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_rotated_key_is_vouched_for_by_the_old_one_whatever_the_moment_of_a_crash() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let file = world.folder.path().join("audit-key.pem");
    let first = {
        let manager = world.manager().await;
        prepare(&manager).await;
        manager.seal_audit(&admin()).await.unwrap();
        let first = keys(&manager).await;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        manager.rotate_audit_key(&admin(), "a test").await.unwrap();
        create(&manager, "prod").await;
        manager.seal_audit(&admin()).await.unwrap();
        let report = verify(&manager, first.clone(), &[]).await;
        assert!(report.is_intact() && report.heads == 3, "{report:?}");
        first
    };
    // Crash after the commit, before the new key took its place: as the files were then.
    let old = world.folder.path().join("old.pem");
    std::fs::copy(&file, &old).unwrap();
    {
        let manager = world.manager().await;
        manager.rotate_audit_key(&admin(), "another").await.unwrap();
    }
    std::fs::rename(&file, world.folder.path().join("audit-key.pem.next")).unwrap();
    std::fs::rename(&old, &file).unwrap();
    // Crash before the commit: a key lies there that nobody announced.
    for crashed in [false, true] {
        if crashed {
            let stray = tenantry_audit::Signer::generate().unwrap().to_pem().unwrap();
            std::fs::write(world.folder.path().join("audit-key.pem.next"), stray).unwrap();
        }
        let manager = world.manager().await;
        create(&manager, if crashed { "second" } else { "first" }).await;
        manager.seal_audit(&admin()).await.unwrap();
        assert!(!world.folder.path().join("audit-key.pem.next").exists());
        let report = verify(&manager, first.clone(), &[]).await;
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.certain_entries, report.entries, "{report:?}");
    }
    let manager = world.manager().await;
    let reason = manager.rotate_audit_key(&Principal::system(), " ").await.unwrap_err();
    assert_eq!(reason.code(), "invalid-request");
}

#[tokio::test]
async fn entries_are_listed_over_all_chains_by_who_what_and_when() {
    let world = world();
    let chain = history(&world).await;
    let manager = world.manager().await;
    let list = |filter: AuditFilter| {
        let manager = manager.clone();
        async move { manager.audit_entries(&filter, &Page::default()).await.unwrap().items }
    };
    let everything = list(AuditFilter::default()).await;
    assert!(everything.iter().any(|entry| entry.environment.is_none()));
    let mine = list(AuditFilter { environment: Some(chain), ..AuditFilter::default() }).await;
    assert!(mine.len() > 5 && mine.iter().all(|entry| entry.environment == Some(chain)));
    let asked =
        list(AuditFilter { action: Some("operation.request".to_owned()), ..AuditFilter::default() }).await;
    assert_eq!(asked.len(), 5, "{asked:?}");
    let by_ann = list(AuditFilter { actor: Some("ann".to_owned()), ..AuditFilter::default() }).await;
    assert!(by_ann.len() < everything.len() && by_ann.len() >= asked.len());
    let later =
        AuditFilter { since: Some(world.now() + SignedDuration::from_secs(1)), ..AuditFilter::default() };
    assert_eq!(list(later).await, []);
}

/// The attention about heads, if one is open.
async fn unwritten(manager: &Manager) -> Option<tenantry_model::Attention> {
    let filter = tenantry_store::AttentionFilter::default();
    let all = manager.attentions(&Principal::system(), filter, &Page::default()).await.unwrap().items;
    all.into_iter().find(|said| said.kind == tenantry_model::AttentionKind::AuditHeads)
}

#[tokio::test]
async fn heads_that_cannot_be_written_are_said_until_they_can() {
    let world = world();
    let sink = world.folder.path().join("heads");
    let manager = world.manager().await;
    prepare(&manager).await;
    assert!(manager.attend_to(Duty::AuditHeads).await.unwrap());
    assert_eq!((kept(&sink).len(), unwritten(&manager).await), (1, None));
    // A folder that is not one any more: root is stopped by no permission.
    std::fs::rename(&sink, world.folder.path().join("away")).unwrap();
    std::fs::write(&sink, "not a head\n").unwrap();
    create_tenants(&manager, "b", 6).await;
    let refused = manager.attend_to(Duty::AuditHeads).await.unwrap_err();
    assert_eq!(refused.code(), "audit-key-unavailable");
    let said = unwritten(&manager).await.expect("it is said");
    assert!(said.message.contains(sink.to_str().unwrap()), "{}", said.message);
    assert!(said.remedy.contains("tenantry audit seal"), "{}", said.remedy);
    manager.attend_to(Duty::AuditHeads).await.unwrap_err();
    assert_eq!(unwritten(&manager).await.map(|again| again.id), Some(said.id), "said once");
    std::fs::remove_file(&sink).unwrap();
    std::fs::rename(world.folder.path().join("away"), &sink).unwrap();
    assert!(manager.attend_to(Duty::AuditHeads).await.unwrap());
    assert_eq!((kept(&sink).len(), unwritten(&manager).await), (2, None), "nothing is missing");
}

async fn create_tenants(manager: &Manager, prefix: &str, count: usize) {
    for n in 0..count {
        let name = format!("{prefix}{n}").parse().unwrap();
        manager.create_tenant(&Principal::system(), name, "T".to_owned()).await.unwrap();
    }
}
