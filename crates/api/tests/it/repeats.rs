//! The same request under the same key, after the manager that carried it out has died: the same answer.

use crate::changes::{Change, changing, key, place};
use crate::harness::{DEADLINE, Got, got};
use crate::site::Site;
use async_trait::async_trait;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tenantry_api_types::v1::{EnvironmentsQuery, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, UpdateEnvironment};
use tenantry_client::{Call, Client, ClientConfig};
use tenantry_model::OperationDefinition;
use tenantry_store::{Read, Result, Signal, Store, Write};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A store that a manager dies over: it lets so many transactions write, and whoever asks for one more waits for ever,
/// as if the process had been stopped there.
struct Dying<S> {
    store: Arc<S>,
    writes: AtomicUsize,
    dead: Notify,
}

impl<S> Dying<S> {
    fn after(writes: usize, store: &Arc<S>) -> Arc<Self> {
        let (store, writes) = (Arc::clone(store), AtomicUsize::new(writes));
        Arc::new(Self { store, writes, dead: Notify::new() })
    }

    async fn outlive(&self) {
        let left = self.writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl<S: Store> Store for Dying<S> {
    async fn read(&self) -> Result<Box<dyn Read + '_>> {
        self.store.read().await
    }
    async fn write(&self) -> Result<Box<dyn Write + '_>> {
        self.outlive().await;
        self.store.write().await
    }
    async fn write_one(&self) -> Result<Box<dyn Write + '_>> {
        self.outlive().await;
        self.store.write_one().await
    }
    async fn changed(&self) {
        self.store.changed().await;
    }
    fn tell(&self, signal: Signal) {
        self.store.tell(signal);
    }
    async fn told(&self, signal: Signal) {
        self.store.told(signal).await;
    }
    async fn ping(&self) -> Result<()> {
        self.store.ping().await
    }
    async fn integrity(&self) -> Result<Vec<String>> {
        self.store.integrity().await
    }
}

impl Site {
    /// Asks a manager that dies after its first transaction; its answer, if it got that far.
    async fn dies(&self, change: &Change, key: &str) -> Option<Got> {
        let store = Dying::after(1, &self.bench.store);
        let server = self.bench.beside(store.clone()).await;
        let asked = got(change.ask(&self.bench.http, &server.url(), "").header(IDEMPOTENCY_KEY, key));
        tokio::select! {
            answer = asked => Some(answer),
            () = store.dead.notified() => None,
            () = tokio::time::sleep(DEADLINE) => panic!("{:?} neither answers nor dies", change.rule),
        }
    }

    async fn again(&self, change: &Change, key: &str) -> Got {
        let url = self.bench.server().url();
        got(change.ask(&self.bench.http, &url, "").header(IDEMPOTENCY_KEY, key)).await
    }
}

#[tokio::test]
async fn every_change_is_answered_again_although_its_manager_died_before_it_answered() {
    let site = place().await;
    for (n, rule) in changing().into_iter().enumerate() {
        let change = site.change(rule, n).await;
        let key = key();
        let first = site.dies(&change, &key).await;
        if let Some(first) = &first {
            assert_eq!(first.status.as_u16(), change.status, "{rule:?}: {first:?}");
            assert!(!first.headers.contains_key(IDEMPOTENCY_REPLAYED), "{rule:?}");
        }
        let again = site.again(&change, &key).await;
        if change.is_secret() {
            let problem = again.is_problem(409, "request-already-applied");
            let made = &first.unwrap().body;
            let id = made["token"]["id"].as_str().unwrap_or("tokens/");
            assert!(problem.detail.contains(id) && problem.detail.contains("revoke"), "{problem:?}");
            continue;
        }
        assert_eq!(again.status.as_u16(), change.status, "{rule:?}: {again:?}");
        if !change.is_harmless() {
            assert_eq!(again.headers[IDEMPOTENCY_REPLAYED], "true", "{rule:?} was carried out twice");
        }
        if let Some(first) = first {
            assert_eq!(again.body, first.body, "{rule:?}");
            for name in ["etag", "location", "content-type"] {
                assert_eq!(again.headers.get(name), first.headers.get(name), "{rule:?} {name}");
            }
        }
        let third = site.again(&change, &key).await;
        assert_eq!((third.status, third.body), (again.status, again.body), "{rule:?}");
        assert_eq!(third.headers[IDEMPOTENCY_REPLAYED], "true", "{rule:?}");
    }
    // Nothing was done twice: what was made is there once.
    let audit = site.bench.get(&site.bench.admin, "/v1/audit?action=token.create&pageSize=1000").await;
    let names: Vec<_> =
        audit.body["items"].as_array().unwrap().iter().map(|entry| entry["after"]["name"].clone()).collect();
    let distinct: std::collections::BTreeSet<String> =
        names.iter().map(ToString::to_string).filter(|name| name.starts_with("\"c")).collect();
    assert_eq!(names.iter().filter(|name| name.as_str().unwrap().starts_with('c')).count(), distinct.len());
}

#[tokio::test]
async fn a_request_that_comes_twice_at_the_same_moment_is_carried_out_once_and_both_are_answered() {
    let site = place().await;
    for (n, rule) in changing().into_iter().enumerate() {
        let change = site.change(rule, n).await;
        if change.is_secret() || change.is_harmless() {
            continue;
        }
        let key = key();
        let answers = futures::future::join_all((0..3).map(|_| site.again(&change, &key))).await;
        let fresh =
            answers.iter().filter(|answer| !answer.headers.contains_key(IDEMPOTENCY_REPLAYED)).count();
        assert_eq!(fresh, 1, "{rule:?}: {answers:?}");
        for answer in &answers {
            assert_eq!(answer.status.as_u16(), change.status, "{rule:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn what_a_key_kept_holds_no_secret() {
    let site = place().await;
    let mut secrets = Vec::new();
    for (n, rule) in changing().into_iter().enumerate() {
        let change = site.change(rule, n).await;
        if !change.is_secret() {
            continue;
        }
        let key = key();
        let made = site.again(&change, &key).await.body;
        let secret = made["secret"].as_str().or(made["token"].as_str()).unwrap().to_owned();
        assert!(secret.starts_with("tnt_"), "{made}");
        secrets.push((key, secret));
    }
    assert_eq!(secrets.len(), 2);
    let everything = site.bench.files();
    let is_there = |text: &str| everything.windows(text.len()).any(|part| part == text.as_bytes());
    for (key, secret) in secrets {
        assert!(is_there(&key), "what was kept under the key is in what was looked through");
        // tnt_, the id, and the half that nobody may know (which may hold underscores).
        let half = secret.splitn(3, '_').nth(2).unwrap();
        assert!(half.len() > 40 && !is_there(half), "a secret is kept");
    }
}

#[tokio::test]
async fn who_looks_again_and_repeats_a_change_gets_the_answer_of_the_one_that_was_made() {
    let site = place().await;
    site.bench.tenant("beta").await;
    let ask = async |etag: &str, name: &str| {
        let request = site.bench.ask(&site.bench.admin, reqwest::Method::PATCH, "/v1/tenants/beta");
        got(request
            .header(IDEMPOTENCY_KEY, "one")
            .header("if-match", etag)
            .json(&json!({ "displayName": name })))
        .await
    };
    assert_eq!(ask("\"1\"", "b").await.status, 200);
    let again = ask("\"1\"", "b").await;
    assert_eq!((again.status.as_u16(), &again.headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    assert_eq!(again.headers[IDEMPOTENCY_REPLAYED], "true");
    let looked = ask("\"2\"", "b").await;
    assert_eq!((looked.status.as_u16(), &looked.headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    ask("\"1\"", "c").await.is_problem(422, "idempotency-key-reused");
}

/// A proxy that loses the answer of every first connection of two: the request gets through and is carried out, and
/// when the server begins to answer, the connection breaks.
async fn losing(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                if number % 2 == 1 {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                    return;
                }
                let (mut from, _to) = client.split();
                let (mut answer, mut ask) = server.split();
                let mut byte = [0; 1];
                tokio::select! {
                    _ = tokio::io::copy(&mut from, &mut ask) => {}
                    _ = answer.read(&mut byte) => {}
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_client_whose_connection_breaks_gets_the_answer_of_the_one_change_that_it_made() {
    let site = place().await;
    let admin = site.bench.admin();
    let made = site.bench.environment("prod").await.environment;
    site.bench.tenant("beta").await;
    let target = site.bench.server().address().to_string();
    // A client for each call: none finds a connection that is open already.
    let client = async || {
        let config = ClientConfig::new(losing(target.clone()).await).with_token(&*site.bench.admin);
        Client::new(&config).unwrap()
    };
    let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let change = UpdateEnvironment { labels: Some(labels), ..UpdateEnvironment::default() };
    let etag = admin.environment(made.id).await.unwrap().etag;
    let changed = client().await.update_environment(made.id, &change, &Call::if_match(etag)).await.unwrap();
    assert_eq!((changed.environment.generation, changed.operation.is_some()), (2, true));
    let now = admin.environment(made.id).await.unwrap();
    assert_eq!((now.generation, &now.etag), (2, &changed.environment.etag), "it was carried out once");

    let definition = OperationDefinition::undefined("crm.once".parse().unwrap());
    let stored = client().await.put_definition(&definition, &Call::default()).await.unwrap();
    let beta = "beta".parse().unwrap();
    let etag = admin.tenant(&beta).await.unwrap().etag;
    client().await.delete_tenant(&beta, &Call::if_match(etag)).await.unwrap();
    assert_eq!(admin.tenant(&beta).await.unwrap_err().code(), Some("not-found"));
    let call = Call::if_match(stored.etag);
    client().await.delete_definition(&definition.name, &call).await.unwrap();
    let wish = crate::harness::wish("acme", "second", "eu1");
    client().await.create_environment(&wish, &Call::default()).await.unwrap();
    assert_eq!(admin.environments(&EnvironmentsQuery::default()).await.unwrap().items.len(), 2);
}
