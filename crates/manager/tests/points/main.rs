//! Failpoints that no life of the end-to-end tests passes, since what brings them about takes days or a wrong clock
//! (`tests/e2e/tests/e2e/crashes/points.rs` names these tests): a process ends at each, and the next manager goes on as if
//! nothing had happened.
//!
//! Rows are prepared once and copied. One manager looks at one copy undisturbed. At the other one a process of its own
//! looks, ends where it is told, and a manager that knows nothing but the rows looks again. What both leave must be the same.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::wildcard_imports)] // what tests have in common reads best without its name
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod left;
mod sinks;

use cases::Case;
use common::*;
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::{Arguments, Trial};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tenantry_manager::{LogStore, Manager, ManagerConfig};
use tenantry_store_sqlite::SqliteStore;

/// Tell this program that it is the process that ends: where, and over which rows at which time.
const DIES_AT: &str = "TENANTRY_TEST_DIES_AT";
const ROWS: &str = "TENANTRY_TEST_ROWS";
const NOW: &str = "TENANTRY_TEST_NOW";
const WITH: &str = "TENANTRY_TEST_WITH";
/// So many roles' leases are over by then.
const LATER: SignedDuration = SignedDuration::from_secs(16);

fn main() {
    let given = |name: &str| std::env::var(name).ok();
    if let Some(point) = given(DIES_AT) {
        let case = Case::ALL.into_iter().find(|case| case.point() == point).unwrap();
        return block(dies(case, &given(ROWS).unwrap(), &given(NOW).unwrap(), &given(WITH).unwrap()));
    }
    let tests = Case::ALL
        .into_iter()
        .map(|case| {
            let name = format!("the_next_manager_goes_on_after_{}", case.point().replace('-', "_"));
            Trial::test(name, move || {
                block(goes_on(case));
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn block(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn config() -> ManagerConfig {
    ManagerConfig {
        // Days pass between two calls of the agent; nothing here is about its silence.
        agent_silent_after: SignedDuration::from_hours(10_000),
        purge_reminder: SignedDuration::from_hours(1),
        ..ManagerConfig::default()
    }
}

/// What the process does that ends.
async fn dies(case: Case, rows: &str, now: &str, with: &str) {
    let (rows, now): (&Path, Timestamp) = (Path::new(rows), now.parse().unwrap());
    let store = Arc::new(SqliteStore::open(&rows.join("data")).await.unwrap());
    let logs = LogStore::open(&rows.join("logs")).unwrap();
    let manager = Manager::with_clock(store, logs, config(), Arc::new(move || now));
    case.look(&manager, with).await;
}

/// A world over a copy of another one's rows, at the same time.
fn copy(of: &World) -> World {
    let mut world = World::new();
    world.config = config();
    world.pass(of.now().duration_since(world.now()));
    for part in ["data", "logs"] {
        let (from, to) = (of.folder.path().join(part), world.folder.path().join(part));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    world
}

/// Opens the rows anew, looks (later, so that whoever had a role has lost it), and tells everything that is there then.
async fn look_again(case: Case, world: &World, with: &str) -> Vec<String> {
    world.pass(LATER);
    let store = world.store().await;
    let manager = world.beside(Arc::clone(&store));
    case.look(&manager, with).await;
    let mut rows = left::left(&*store).await;
    rows.extend(case.after(&manager, with).await);
    assert_eq!(findings(&manager).await, [], "{}", case.point());
    drop(manager);
    store.close().await;
    rows
}

async fn goes_on(case: Case) {
    let mut prepared = World::new();
    prepared.config = config();
    let store = prepared.store().await;
    let with = case.prepare(&prepared, &store).await;
    let before = left::left(&*store).await;
    store.close().await;
    drop(store);

    let undisturbed = copy(&prepared);
    let store = undisturbed.store().await;
    case.look(&undisturbed.beside(Arc::clone(&store)), &with).await;
    store.close().await;
    drop(store);
    let wanted = look_again(case, &undisturbed, &with).await;
    assert_ne!(wanted, before, "the look at {} did nothing", case.point());

    let disturbed = copy(&prepared);
    let points = tempfile::tempdir().unwrap();
    std::fs::write(points.path().join("crash"), format!("{} 1\n", case.point())).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .env(DIES_AT, case.point())
        .env(ROWS, disturbed.folder.path())
        .env(NOW, disturbed.now().to_string())
        .env(WITH, &with)
        .env(tenantry_failpoints::VARIABLE, points.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(6), "it ends at {}: {:?} {said}", case.point(), output.status);
    let crashed = std::fs::read_to_string(points.path().join("crashed")).unwrap();
    assert_eq!(crashed, format!("{} 1\n", case.point()));
    assert_eq!(look_again(case, &disturbed, &with).await, wanted, "after {}", case.point());
}
