//! The suite that every store must pass, on a real PostgreSQL; ignored where there is none.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use tenantry_postgres_test::server;
use tenantry_store_postgres::{Database, PostgresStore};
use tokio::sync::OnceCell;

/// A database with the tables and nothing else: to copy it takes a fraction of what the migrations take.
static TEMPLATE: OnceCell<Guard> = OnceCell::const_new();

async fn empty() -> (PostgresStore, Guard) {
    let server = server().unwrap();
    let template = TEMPLATE.get_or_init(async || {
        let url = server.database().await.unwrap();
        open(&url).await.close().await;
        Guard(url)
    });
    let url = server.database_like(&template.await.0).await.unwrap();
    (open(&url).await, Guard(url))
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(&Database::new(url, None).unwrap(), true).await.unwrap()
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
    let conclusion = libtest_mimic::run(&Arguments::from_args(), checks);
    if let Some(template) = TEMPLATE.get() {
        let drop = server().unwrap().drop_database(&template.0);
        tokio::runtime::Runtime::new().unwrap().block_on(drop).unwrap();
    }
    conclusion.exit()
}
