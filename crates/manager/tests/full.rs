//! Signed heads whose folder, or file, is on a disk that is full: somebody is told once, no head is lost or torn, and the export
//! goes on by itself. Without the right to mount these tests count as ignored.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::wildcard_imports)] // what tests have in common reads best without its name
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;
#[path = "../../store-sqlite/tests/mount/mod.rs"]
mod mount;

use common::*;
use libtest_mimic::{Arguments, Trial};
use mount::{Mount, may_mount};
use std::path::Path;
use tenantry_audit::SignedHead;
use tenantry_manager::{AuditConfig, Duty, Lifecycle, Manager};
use tenantry_model::{AttentionKind, Page};
use tenantry_store::AttentionFilter;

fn main() {
    let mounts = may_mount();
    let test = |name: &str, place: &'static str| {
        let run = move || {
            tokio::runtime::Runtime::new().map_err(|error| error.to_string())?.block_on(sealed(place));
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!mounts)
    };
    let tests = vec![
        test("heads_go_on_into_a_folder_whose_disk_was_full", "heads/"),
        test("heads_go_on_into_a_file_whose_disk_was_full", "heads.jsonl"),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

/// The numbers of the heads that are kept, each whole.
fn kept(place: &Path) -> Vec<u64> {
    let texts: Vec<String> = if place.is_dir() {
        let mut files: Vec<_> =
            std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    } else {
        let text = std::fs::read_to_string(place).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let number = |text: &String| serde_json::from_str::<SignedHead>(text).unwrap().head().unwrap().number;
    texts.iter().map(number).collect()
}

async fn told(manager: &Manager) -> Vec<String> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap().items;
    let heads = all.into_iter().filter(|attention| attention.kind == AttentionKind::AuditHeads);
    heads.map(|attention| attention.message).collect()
}

async fn sealed(place: &str) {
    let disk = Mount::disk("128k").unwrap();
    let place = disk.path().join(place);
    let mut world = World::new();
    world.config.audit = AuditConfig {
        key_file: Some(world.folder.path().join("audit-key.pem")),
        heads_to: Some(place.clone()),
        heads_after: 1,
        ..AuditConfig::default()
    };
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent =
        Agent::open(&manager, vec![readable(hook("crm/tenant", &["lifecycle.upsert"], &[]))]).await;
    let (prod, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    assert!(manager.attend_to(Duty::AuditHeads).await.unwrap());
    let before = kept(&place);
    assert!(!before.is_empty());

    disk.fill().unwrap();
    let mut rounds = 0;
    // The last page of a file has some room left.
    while rounds < 3 || told(&manager).await.is_empty() {
        rounds += 1;
        assert!(rounds < 30, "the disk does not fill up");
        ask(&manager, prod.id, Lifecycle::Reconcile).await;
        agent.run_all(&manager, world.now()).await;
        // What it could not do is said; the work of everybody else goes on.
        let _ = manager.attend_to(Duty::AuditHeads).await;
    }
    let said = told(&manager).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(place.to_str().unwrap()) && said[0].contains("No space left"), "{said:?}");

    disk.free().unwrap();
    assert!(manager.attend_to(Duty::AuditHeads).await.unwrap());
    assert_eq!(told(&manager).await, Vec::<String>::new());
    let after = kept(&place);
    assert!(after.len() >= before.len() + 3, "{before:?} {after:?}");
    assert_eq!(after, (1..=after.len() as u64).collect::<Vec<_>>(), "none is missing and none is torn");
    assert!(manager.verify_audit(Some(prod.id)).await.unwrap().is_ok());
    assert_eq!(findings(&manager).await, []);
}
