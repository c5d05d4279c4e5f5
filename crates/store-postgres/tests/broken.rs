//! The connection breaks in the middle of each kind of statement: what was answered is there, what was refused is not,
//! and the store goes on.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use libtest_mimic::{Arguments, Trial};
use serde_json::json;
use std::time::Duration;
use tenantry_model::{AttemptId, EnvironmentId, OperationId};
use tenantry_postgres_test::{Proxy, Server, When, server};
use tenantry_store::{
    CommandKind, EventFilter, Result, Store, StoreError,
    conformance::samples::{answer, at, command, environment, event, session, text, token},
};
use tenantry_store_postgres::{Database, PostgresStore};
use tokio::time::timeout;
use uuid::Uuid;

/// Longest wait for what has to happen by itself.
const DEADLINE: Duration = Duration::from_mins(1);

fn main() {
    // Half a minute: each breaks a connection, and waits for the next.
    let missing = std::env::var_os("TENANTRY_LONG").is_none() || server().is_none();
    let mut tests = Vec::new();
    for (class, sql) in [
        ("begin", "BEGIN"),
        ("read", "FROM tenants"),
        ("write", "INSERT INTO versions"),
        ("lock", "FOR NO KEY UPDATE"),
        ("lease", "UPDATE commands"),
        ("claim", "INSERT INTO idempotency"),
        ("outbox", "pg_advisory_xact_lock(7483, 2)"),
        ("events", "INSERT INTO events"),
        ("commit", "COMMIT"),
    ] {
        for when in [When::Before, When::After] {
            let name = format!("{class}_{when:?}").to_lowercase();
            tests.push(Trial::test(name, move || {
                block(cut(sql, when));
                Ok(())
            }));
        }
    }
    for (class, sql) in [("listen", "LISTEN"), ("notify", "SELECT pg_notify")] {
        tests.push(Trial::test(class, move || {
            block(wakes(sql));
            Ok(())
        }));
    }
    for when in [When::Before, When::After, When::Never] {
        let name = format!("a_token_is_read_past_a_connection_that_breaks_{when:?}").to_lowercase();
        tests.push(Trial::test(name, move || {
            block(lone(when));
            Ok(())
        }));
    }
    tests.push(Trial::test("a_connection_that_says_nothing_is_passed_over", || {
        block(silent());
        Ok(())
    }));
    tests.push(Trial::test("connections_that_say_nothing_are_not_lost_to_the_pool", || {
        block(abandoned());
        Ok(())
    }));
    tests.push(Trial::test("every_session_is_ended", || {
        block(ended());
        Ok(())
    }));
    tests.push(Trial::test("a_server_that_is_back_is_ready_at_the_first_question", || {
        block(back());
        Ok(())
    }));
    let tests = tests.into_iter().map(|test| test.with_ignored_flag(missing)).collect();
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

/// A store behind a proxy, and one without: two managers.
struct World {
    url: String,
    proxy: Proxy,
    direct: PostgresStore,
    home: EnvironmentId,
    version: u64,
}

impl World {
    async fn new() -> Self {
        let server = server().unwrap();
        let url = server.database().await.unwrap();
        let direct = PostgresStore::open(&Database::new(&url, None).unwrap(), true).await.unwrap();
        let home = environment("acme", "prod", "eu1");
        let mut write = direct.write().await.unwrap();
        write.put_environment(&home).await.unwrap();
        write.commit().await.unwrap();
        let proxy = Proxy::start(server.address().unwrap()).await.unwrap();
        Self { url, proxy, direct, home: home.id, version: home.version }
    }

    async fn behind_proxy(&self) -> PostgresStore {
        let address = server().unwrap().address().unwrap().to_string();
        let url = format!("{}?sslmode=disable", self.url.replace(&address, &self.proxy.address.to_string()));
        PostgresStore::open(&Database::new(&url, None).unwrap(), false).await.unwrap()
    }
}

/// A unit of work with every kind of statement; `key` tells later whether it is there.
async fn unit(store: &PostgresStore, home: EnvironmentId, key: &str) -> Result<()> {
    let mut write = store.write_one().await?;
    assert!(write.tenant(&text("acme")).await?.is_none());
    let row = write.lock_environment(home).await?.unwrap();
    let attempt =
        AttemptId { operation: OperationId(Uuid::now_v7()), step: text("eu1/crm/crm-tenant"), number: 1 };
    write.put_command(&command("eu1", &attempt, CommandKind::Start)).await?;
    assert_eq!(write.lease_commands(&text("eu1"), session(), at(0), at(10), 1).await?.len(), 1);
    write.raise_version(&row).await?;
    write.append_event(&event(Some(home), None, json!(key))).await?;
    write.put_idempotent(&answer(key, 1)).await?;
    write.commit().await
}

async fn cut(sql: &'static str, when: When) {
    let world = World::new().await;
    let store = world.behind_proxy().await;
    unit(&store, world.home, "warm").await.unwrap();
    world.proxy.cut_at(sql, when);
    let done = timeout(DEADLINE, unit(&store, world.home, "cut")).await.expect("it does not hang");
    assert!(world.proxy.has_cut(), "the unit has such a statement");
    let there = world.direct.read().await.unwrap().idempotent("cut").await.unwrap().is_some();
    match (&done, sql, when) {
        (Ok(()), "BEGIN", _) => assert!(there, "begun again on another connection"),
        (Err(StoreError::Unknown { .. }), "COMMIT", when) => assert_eq!(there, when == When::After),
        (Err(StoreError::Unavailable { what, .. }), _, _) => {
            assert!(!there && what.contains("connection"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    timeout(DEADLINE, unit(&store, world.home, "next")).await.expect("it goes on").unwrap();
    // Nothing is lost, nothing is doubled, and all parts of a unit are there or none.
    let mut read = world.direct.read().await.unwrap();
    let keys: Vec<_> = if there { vec!["warm", "cut", "next"] } else { vec!["warm", "next"] };
    let events = read.events(&EventFilter::default(), 0, 100).await.unwrap();
    assert_eq!(events.iter().map(|event| event.data.as_str().unwrap()).collect::<Vec<_>>(), keys);
    let version = read.environment(world.home).await.unwrap().unwrap().version;
    assert_eq!(version, world.version + keys.len() as u64);
    assert_eq!(read.commands(&text("eu1"), 100).await.unwrap().len(), keys.len());
}

/// A connection that breaks while it begins to listen, or tells: soon each hears the other again, without its poll.
async fn wakes(sql: &'static str) {
    let world = World::new().await;
    world.proxy.cut_at(sql, When::Before);
    let store = world.behind_proxy().await;
    let (teller, hearer): (&PostgresStore, &PostgresStore) =
        if sql == "LISTEN" { (&world.direct, &store) } else { (&store, &world.direct) };
    let heard = async {
        for n in 0.. {
            let changed = hearer.changed();
            unit(teller, world.home, &format!("{sql} {n}")).await.unwrap();
            // Well below the poll interval, which would wake it too.
            if timeout(Duration::from_secs(2), changed).await.is_ok() && world.proxy.has_cut() {
                return;
            }
        }
    };
    timeout(DEADLINE, heard).await.expect("it hears again");
}

/// What is read outside of a transaction: nobody is refused because a connection broke, or was forgotten.
async fn lone(when: When) {
    let world = World::new().await;
    let token = token("laptop");
    let mut write = world.direct.write().await.unwrap();
    write.put_token(&token).await.unwrap();
    write.commit().await.unwrap();
    let store = world.behind_proxy().await;
    unit(&store, world.home, "warm").await.unwrap();
    world.proxy.cut_at("FROM tokens", when);
    let second = timeout(DEADLINE, store.token(token.id)).await.expect("it does not hang").unwrap();
    assert!(world.proxy.has_cut());
    assert_eq!(second, Some(token));
}

/// Forgotten by a firewall: another connection of the pool is as good.
async fn silent() {
    let world = World::new().await;
    let store = world.behind_proxy().await;
    unit(&store, world.home, "warm").await.unwrap();
    world.proxy.cut_at("BEGIN", When::Never);
    timeout(DEADLINE, store.ping()).await.expect("it does not hang").unwrap();
    assert!(world.proxy.has_cut());
}

/// Whoever asked has gone, in the middle of statements that nobody will answer: as often as the pool has connections, and
/// once more.
async fn abandoned() {
    let world = World::new().await;
    let store = world.behind_proxy().await;
    for _ in 0..8 {
        world.proxy.cut_at("FROM tenants", When::Never);
        let (mut read, name) = (store.read().await.unwrap(), text("acme"));
        let taken = async {
            while !world.proxy.has_cut() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = read.tenant(&name) => panic!("{answer:?}"),
            () = taken => {}
        }
    }
    timeout(DEADLINE, store.ping()).await.expect("it does not hang").unwrap();
}

/// As by a restart of the server: all pooled connections are broken, and no caller notices.
async fn ended() {
    let world = World::new().await;
    for n in 0..4 {
        unit(&world.direct, world.home, &format!("before {n}")).await.unwrap();
    }
    server().unwrap().end_sessions(&world.url).await.unwrap();
    let left = async {
        // The driver may still hold answers that it has read; an error must be one of the connection.
        for n in 0.. {
            match unit(&world.direct, world.home, &format!("after {n}")).await {
                Ok(()) => return,
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(DEADLINE, left).await.expect("it goes on");
}

/// Connections of its former life are passed over: a balancer that asks must not take every manager out for them.
async fn back() {
    let server = Server::own().unwrap().unwrap();
    let database = Database::new(&server.database().await.unwrap(), None).unwrap();
    let store = PostgresStore::open(&database, true).await.unwrap();
    let open = [store.read().await.unwrap(), store.read().await.unwrap(), store.read().await.unwrap()];
    drop(open);
    store.ping().await.unwrap();
    server.stop_at_once().unwrap();
    server.start_again().unwrap();
    let recovered = async { while PostgresStore::migrate(&database).await.is_err() {} };
    timeout(DEADLINE, recovered).await.expect("the server recovers");
    store.ping().await.unwrap();
}
