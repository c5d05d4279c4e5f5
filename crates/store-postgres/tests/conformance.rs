//! The suite that every store must pass, on a real PostgreSQL; ignored where there is none.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use tenantry_postgres_test::server;
use tenantry_store_postgres::{Database, PostgresStore};

async fn empty() -> (PostgresStore, Guard) {
    let url = server().unwrap().database().await.unwrap();
    (PostgresStore::open(&Database::new(&url, None).unwrap(), true).await.unwrap(), Guard(url))
}

/// Removes the database: a server that others own keeps nothing.
struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        let url = self.0.clone();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                server().unwrap().drop_database(&url).await.unwrap();
            });
        });
    }
}

fn main() {
    let missing = server().is_none();
    let checks: Vec<Trial> = tenantry_store::conformance_tests!(empty, each_as_trial);
    let checks = checks.into_iter().map(|check| check.with_ignored_flag(missing)).collect();
    libtest_mimic::run(&Arguments::from_args(), checks).exit()
}
