//! A server with a certificate: who is checked, and what is said when the check fails. One test after the other, since
//! they change the one server. Ignored where there is no PostgreSQL of this process or no `openssl`.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use std::{path::Path, time::Duration};
use tenantry_postgres_test::{Authority, authority, server};
use tenantry_store::{Store as _, StoreError};
use tenantry_store_postgres::{Database, PostgresStore};

fn main() {
    let ours = server().is_some() && std::env::var_os("TENANTRY_TEST_POSTGRES").is_none();
    let authority = if ours { authority("those who run the database").unwrap() } else { None };
    let missing = authority.is_none();
    let test = Trial::test("the_servers_certificate_is_checked_as_the_url_says", move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(checked(&authority.unwrap()));
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test.with_ignored_flag(missing)]).exit();
}

fn url(database: &str, mode: &str, root: Option<&Path>) -> String {
    let root = root.map(|root| format!("&sslrootcert={}", root.display())).unwrap_or_default();
    format!("{database}?sslmode={mode}{root}")
}

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&Database::new(url, None).unwrap(), true).await
}

/// Opens until the server has read its settings, which takes it a moment.
async fn open_soon(url: &str) -> PostgresStore {
    let opened = async {
        loop {
            match open(url).await {
                Ok(store) => return store,
                Err(error) => {
                    eprintln!("not yet: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), opened).await.expect("the server speaks TLS")
}

async fn refused(url: &str, says: &str) {
    let error = open(url).await.expect_err(url);
    let StoreError::Unavailable { what, .. } = &error else { panic!("{error:?}") };
    assert!(what.contains(says), "{what}");
}

async fn checked(ours: &Authority) {
    let server = server().unwrap();
    let plain = server.database().await.unwrap();
    let named = plain.replace("127.0.0.1", "localhost");
    let root = ours.root();
    let full = url(&named, "verify-full", Some(&root));
    refused(&full, "the server speaks no TLS").await;

    server.speak_tls(ours, &["localhost"]).await.unwrap();
    let store = open_soon(&full).await;
    store.ping().await.unwrap();
    let write = store.write().await.unwrap();
    write.commit().await.unwrap();
    // Every session of the store, also those that tell and hear.
    let options: PgConnectOptions = plain.parse().unwrap();
    let mut look = options.connect().await.unwrap();
    let sessions: Vec<bool> = sqlx::query_scalar(
        "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
         WHERE a.datname = current_database() AND a.application_name LIKE 'tenantry%'",
    )
    .fetch_all(&mut look)
    .await
    .unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|tls| *tls), "{sessions:?}");
    drop(store);

    // Another authority, no authority, another name, no file.
    let theirs = authority("somebody else").unwrap().unwrap();
    refused(&url(&named, "verify-full", Some(&theirs.root())), "sslrootcert=FILE").await;
    refused(&url(&named, "verify-full", None), "sslrootcert=FILE").await;
    refused(&url(&plain, "verify-full", Some(&root)), "is for another name").await;
    refused(&url(&named, "verify-full", Some(Path::new("/nowhere/ca.pem"))), "cannot be read").await;
    // Without the name the rest is still checked.
    open(&url(&plain, "verify-ca", Some(&root))).await.unwrap();
    refused(&url(&plain, "verify-ca", Some(&theirs.root())), "sslrootcert=FILE").await;
    // And the password is in no message.
    let error = open(&url(&plain, "verify-full", Some(&root))).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("password with"), "{error:?}");
}
