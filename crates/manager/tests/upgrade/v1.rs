//! What version 1 had begun goes on under this one.
//!
//! `crates/store-sqlite/fixtures/v1-running` is the data folder of a version 1 that was killed in the middle of a
//! night: `load` has succeeded, `calculate` runs, `check` has failed and waits, `report` is blocked, and a second
//! run of the same operation is queued.

use super::common::*;
use jiff::SignedDuration;
use std::path::Path;
use tenantry_engine::StepVerb;
use tenantry_manager::{LogPiece, ReportedHook, StepOptions};
use tenantry_model::*;
use tenantry_store::{OperationFilter, Store as _};
use tenantry_store_sqlite::SqliteStore;

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

/// A world whose data folder is a copy of what version 1 left behind, two months after [`START`].
async fn killed_night() -> (World, Vec<ReportedHook>) {
    let world = World::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store-sqlite/fixtures/v1-running");
    let data = world.folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(fixture.join("tenantry.db"), data.join("tenantry.db")).unwrap();
    copy(&fixture.join("logs"), &world.folder.path().join("logs"));
    world.pass(SignedDuration::from_hours(24 * 70));
    // The region still has the templates that it had.
    let store = SqliteStore::open(&data).await.unwrap();
    let rows = store.read().await.unwrap().hooks(&region()).await.unwrap();
    store.close().await;
    (world, rows.into_iter().map(|row| readable(row.current.unwrap())).collect())
}

pub async fn runs_to_its_end() {
    let (world, hooks) = killed_night().await;
    let manager = world.manager().await;
    let filter = OperationFilter { unfinished: true, ..OperationFilter::default() };
    let mut unfinished = manager.operations(&admin(), filter, &Page::default()).await.unwrap().items;
    let (first, second) = (unfinished.pop().unwrap(), unfinished.pop().unwrap());
    assert_eq!((first.state, second.state), (OperationState::Running, OperationState::Pending));

    let mut agent = Agent::open(&manager, hooks).await;
    // Its process survived the manager; its log and its facts go on where they were.
    let view = manager.operation(first.id).await.unwrap();
    let open = view.attempts.iter().find(|attempt| !attempt.state.is_over()).unwrap();
    assert_eq!(open.id.step, hook_ref("night/calculate"));
    let log = manager.read_log(&open.id, 0, 1000, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(log.bytes.as_ref(), b"calculating\n");
    let piece = LogPiece { attempt: open.id.clone(), offset: 12, data: b"done\n".to_vec(), last: true };
    assert_eq!(manager.agent_logs(&region(), vec![piece]).await.unwrap(), []);
    let fact = ended_fact(world.now(), success());
    let fact = Observation { attempt: open.id.clone(), number: open.observed + 1, at: world.now(), fact };
    assert_eq!(manager.agent_observe(&region(), vec![fact]).await.unwrap(), []);

    // The decision that waited since then is made now.
    let check = hook_ref("night/check");
    manager
        .steer_step(
            &admin(),
            first.id,
            &check,
            StepVerb::Rerun { with_successors: false },
            StepOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(agent.run_all(&manager, world.now()).await[..2], ["night/check", "night/report"]);
    assert_eq!(state(&manager, first.id).await, OperationState::Succeeded);
    let report = hook_ref("night/report");
    let steps = manager.operation(first.id).await.unwrap().steps;
    assert!(steps.iter().all(|step| step.state == StepState::Succeeded), "{steps:?}");
    assert!(steps.iter().any(|step| step.hook == report && step.attempt == 1));

    // And the run that waited for it has had its turn in full.
    let view = manager.operation(second.id).await.unwrap();
    assert_eq!((view.operation.state, view.steps.len()), (OperationState::Succeeded, 4));
    assert_eq!(view.operation.definition, first.definition, "what its name meant is frozen in it");
    assert!(manager.verify_audit(Some(first.environment)).await.unwrap().is_ok());
    assert!(manager.verify_audit(None).await.unwrap().is_ok());
}

pub async fn every_row_reads_back() {
    let (world, _) = killed_night().await;
    let data = world.folder.path().join("data");
    let store = SqliteStore::open(&data).await.unwrap();
    let mut read = store.read().await.unwrap();
    let page = Page::default();
    let operations = read.operations(&OperationFilter::default(), &page).await.unwrap().items;
    assert_eq!(operations.len(), 3);
    for operation in operations {
        assert!(read.environment(operation.environment).await.unwrap().is_some());
        read.steps(operation.id).await.unwrap();
        read.attempts(operation.id).await.unwrap();
    }
    let events = read.events(&tenantry_store::EventFilter::default(), 0, 1000).await.unwrap();
    assert_eq!(events.last().unwrap().position, read.last_event().await.unwrap());
    assert_eq!(
        read.attentions(&tenantry_store::AttentionFilter::default(), &page).await.unwrap().items.len(),
        1
    );
    assert_eq!(read.tokens(&page).await.unwrap().items.len(), 3);
}
