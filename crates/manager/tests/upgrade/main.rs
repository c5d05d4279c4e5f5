//! Data that an older version wrote: what it had begun goes on under this one, on SQLite and on PostgreSQL.
//!
//! `crates/manager/fixtures/NUMBER` is what the version with that schema left (`scene.rs`), written by that version itself:
//! `TENANTRY_FIXTURES=FOLDER cargo test --locked --workspace --test upgrade -- this_version` (docs/testing.md).

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used, clippy::wildcard_imports)] // in tests a panic is the message; `common` is their prelude

#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod onward;
mod place;
mod scene;
mod v1;

use libtest_mimic::{Arguments, Trial};
use place::{FOLDER, Place, SERVER};
use tenantry_postgres_test::server;

fn main() {
    let test = |name: String, run: Box<dyn FnOnce() + Send>| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let mut tests = vec![
        test(
            "an_operation_that_version_1_began_runs_to_its_end".to_owned(),
            Box::new(|| block(v1::runs_to_its_end())),
        ),
        test(
            "every_row_of_version_1_reads_back_after_the_upgrade".to_owned(),
            Box::new(|| block(v1::every_row_reads_back())),
        ),
        test(
            "the_version_before_this_one_has_left_a_fixture".to_owned(),
            Box::new(fixture::the_version_before_has_one),
        ),
    ];
    for kind in [FOLDER, SERVER] {
        let missing = kind == SERVER && server().is_none();
        let here = test(
            format!("what_this_version_leaves_on_{kind}_goes_on"),
            Box::new(move || block(this_version(kind))),
        );
        tests.push(here.with_ignored_flag(missing));
        for version in fixture::versions() {
            let name = format!("what_version_{version}_left_on_{kind}_goes_on_after_the_upgrade");
            let run = Box::new(move || block(older_version(kind, version)));
            tests.push(test(name, run).with_ignored_flag(missing));
        }
    }
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

/// What the scene leaves is kept as a fixture if somebody asks for it, and goes on here in any case: the writer of the next
/// version's fixture works.
async fn this_version(kind: &'static str) {
    let place = Place::new(kind).await;
    let alive = scene::play(&place).await;
    let left = fixture::pack(&place);
    drop(alive);
    if let Some(folder) = fixture::wanted() {
        fixture::keep(&folder, kind, &left);
    }
    let place = Place::new(kind).await;
    fixture::unpack(&place, &left).await;
    onward::go_on(&place).await;
}

async fn older_version(kind: &'static str, version: u32) {
    let place = Place::new(kind).await;
    fixture::unpack(&place, &fixture::read(version, kind)).await;
    onward::go_on(&place).await;
}
