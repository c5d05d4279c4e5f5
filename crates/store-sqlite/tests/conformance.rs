//! The suite that every store must pass, on SQLite.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use tempfile::TempDir;
use tenantry_store_sqlite::SqliteStore;

async fn empty() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (SqliteStore::open(folder.path()).await.unwrap(), folder)
}

tenantry_store::conformance_tests!(empty);
