//! A server that can be reached and still cannot be used: read-only, without a table, with a full disk. Each has a message
//! that says what to do, nothing is half done, and the same store goes on when the server is well again.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use std::{path::Path, process::Command, time::Duration};
use tenantry_model::Page;
use tenantry_postgres_test::server;
use tenantry_store::{
    EventFilter, Result, Store, StoreError,
    conformance::samples::{event, tenant},
};
use tenantry_store_postgres::{Database, PostgresStore};

fn main() {
    let missing = server().is_none();
    let ours = !missing && std::env::var_os("TENANTRY_TEST_POSTGRES").is_none();
    let tests = vec![
        Trial::test("a_database_that_became_read_only", || {
            block(read_only());
            Ok(())
        })
        .with_ignored_flag(missing),
        Trial::test("a_table_that_somebody_dropped", || {
            block(dropped());
            Ok(())
        })
        .with_ignored_flag(missing),
        Trial::test("a_transaction_that_stood_still_before_its_commit", || {
            block(stood_still());
            Ok(())
        })
        .with_ignored_flag(missing),
        Trial::test("a_full_disk", || {
            block(full());
            Ok(())
        })
        .with_ignored_flag(!ours || !may_mount()),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn block(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// Sessions get what was set when they begin; so do all after a restart, or a switch to a standby.
const END_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// A store, and somebody who runs the server.
async fn world() -> (PostgresStore, PgConnection, String) {
    let url = server().unwrap().database().await.unwrap();
    let store = PostgresStore::open(&Database::new(&url, None).unwrap(), true).await.unwrap();
    let options: PgConnectOptions = url.parse().unwrap();
    (store, options.connect().await.unwrap(), url)
}

async fn run(other: &mut PgConnection, sql: &str) {
    other.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
}

async fn put(store: &PostgresStore, name: &str) -> Result<()> {
    let mut write = store.write().await?;
    write.put_tenant(&tenant(name)).await?;
    write.append_event(&event(None, None, serde_json::json!({}))).await?;
    write.commit().await
}

/// Whether tenant and event are there: both or none.
async fn is_there(store: &PostgresStore, name: &str) -> bool {
    let mut read = store.read().await.unwrap();
    let events = read.events(&EventFilter::default(), 0, 1000).await.unwrap().len();
    let tenants = read.tenants(&Page { after: None, limit: 1000 }).await.unwrap().items;
    assert_eq!(events, tenants.len(), "one is there without the other");
    tenants.iter().any(|tenant| tenant.name.as_str() == name)
}

fn says(error: &StoreError, text: &str) {
    assert!(matches!(error, StoreError::Unavailable { what, .. } if what.contains(text)), "{error}");
}

async fn read_only() {
    let (store, mut other, url) = world().await;
    put(&store, "before").await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    run(&mut other, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    run(&mut other, END_OTHERS).await;
    let error = put(&store, "meanwhile").await.unwrap_err();
    says(&error, "the database is read-only");
    store.ping().await.unwrap();
    assert!(is_there(&store, "before").await && !is_there(&store, "meanwhile").await);
    run(&mut other, &format!("SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    run(&mut other, END_OTHERS).await;
    put(&store, "after").await.unwrap();
    assert!(is_there(&store, "after").await);
}

/// The server has ended its session before it heard the commit, so that nobody need look what became of it.
async fn stood_still() {
    let (store, _, url) = world().await;
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("late")).await.unwrap();
    let open = async || server().unwrap().oldest_open_write(&url).await.unwrap().is_some();
    assert!(open().await);
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while open().await {
        assert!(tokio::time::Instant::now() < deadline, "the server bears it");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let error = write.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("stopped or starved"), "{error}");
    assert!(!is_there(&store, "late").await);
    put(&store, "next").await.unwrap();
}

async fn dropped() {
    let (store, mut other, url) = world().await;
    put(&store, "before").await.unwrap();
    run(&mut other, "ALTER TABLE events RENAME TO somewhere").await;
    let error = put(&store, "meanwhile").await.unwrap_err();
    says(&error, "a table or column is missing");
    run(&mut other, "ALTER TABLE somewhere RENAME TO events").await;
    put(&store, "after").await.unwrap();
    assert!(is_there(&store, "after").await && !is_there(&store, "meanwhile").await);
    // One that starts says so as well, instead of failing later.
    run(&mut other, "DROP TABLE leases").await;
    let error = PostgresStore::open(&Database::new(&url, None).unwrap(), true).await.unwrap_err();
    says(&error, "leases");
    says(&error, "restore");
}

/// Some megabytes of memory as a disk.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let options = ["-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs"];
        let done = Command::new("mount").args(options).arg(folder.path()).output().ok()?;
        done.status.success().then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn may_mount() -> bool {
    Disk::mount().is_some()
}

/// The whole folder's way is open to the server's user.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}

async fn full() {
    let disk = Disk::mount().unwrap();
    let (store, mut other, url) = world().await;
    put(&store, "before").await.unwrap();
    let space = format!("s{}", url.rsplit('/').next().unwrap());
    let place = disk.0.path().join("space");
    std::fs::create_dir(&place).unwrap();
    open_to_all(disk.0.path());
    open_to_all(&place);
    let owner = Command::new("chown").arg("postgres").arg(&place).status().unwrap();
    assert!(owner.success());
    run(&mut other, &format!("CREATE TABLESPACE {space} LOCATION '{}'", place.display())).await;
    run(&mut other, &format!("ALTER TABLE events SET TABLESPACE {space}")).await;
    // Somebody else fills the disk to its last block.
    std::fs::write(disk.0.path().join("ballast"), vec![1_u8; 64 << 20]).unwrap_err();
    let mut refused = None;
    for n in 0..2000 {
        if let Err(error) = put(&store, &format!("t{n}")).await {
            refused = Some((n, error));
            break;
        }
    }
    let (n, error) = refused.expect("the disk is full");
    says(&error, "the database's disk is full");
    assert!(!is_there(&store, &format!("t{n}")).await, "nothing half done");
    std::fs::remove_file(disk.0.path().join("ballast")).unwrap();
    put(&store, "after").await.unwrap();
    assert!(is_there(&store, "after").await);
    drop(store);
    run(&mut other, "ALTER TABLE events SET TABLESPACE pg_default").await;
    run(&mut other, &format!("DROP TABLESPACE {space}")).await;
}
