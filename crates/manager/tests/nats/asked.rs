//! Operations that messages of a stream ask for.

use crate::common::*;
use crate::guarded::Guard;
use crate::{DEADLINE, Server};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context, stream};
use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tenantry_events::{NatsSource, SourceConfig};
use tenantry_manager::{Inbox, LogStore, Manager, OPERATION_REQUEST};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, OperationFilter, Read, Signal, Store, StoreError, Write};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A message that nobody has answered for comes again after this time.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// A server with streams for both ways, a manager's rows, an environment, and a token.
pub struct Place {
    pub world: World,
    server: Server,
    address: SocketAddr,
    folder: tempfile::TempDir,
    program: PathBuf,
    guard: Option<Guard>,
}

impl Place {
    async fn new(program: PathBuf) -> Self {
        Self::behind(program, None).await
    }

    /// With a guard the server lets nobody in without a key.
    pub async fn behind(program: PathBuf, guard: Option<Guard>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = guard.as_ref().map(|guard| guard.config.as_path());
        let server = Server::start_with(&program, address, folder.path(), config).await;
        let place = Self { world: World::new(), server, address, folder, program, guard };
        let reader = place.reader().await;
        for name in ["requests", "tenantry"] {
            let stream = stream::Config {
                name: name.to_owned(),
                subjects: vec![format!("{name}.>")],
                ..stream::Config::default()
            };
            reader.create_stream(stream).await.unwrap();
        }
        place
    }

    pub fn url(&self) -> String {
        // A certificate names a host.
        match self.guard {
            Some(_) => format!("tls://localhost:{}", self.address.port()),
            None => format!("nats://{}", self.address),
        }
    }

    pub async fn reader(&self) -> Context {
        let mut options = async_nats::ConnectOptions::new();
        if let Some(guard) = &self.guard {
            options = options.credentials_file(&guard.credentials).await.unwrap();
            options = options.add_root_certificates(guard.root.clone());
        }
        jetstream::new(options.connect(self.url()).await.unwrap())
    }

    /// As it is made by tenantry, but for the time.
    pub async fn consumer(&self) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some("tenantry".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..pull::Config::default()
        };
        let stream = self.reader().await.get_stream("requests").await.unwrap();
        stream.get_or_create_consumer("tenantry", config).await.unwrap()
    }

    async fn restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.program, self.address, self.folder.path()).await;
    }

    /// Environments that can be asked for an operation, and a token in its file.
    pub async fn set_up(&self, manager: &Manager) {
        prepare(manager).await;
        let hook = hook("crm/a", &["lifecycle.upsert", "crm.reindex"], &[]);
        let mut agent = Agent::open(manager, vec![readable(hook)]).await;
        for name in ["a", "b", "c", "d", "e"] {
            create(manager, name).await;
        }
        agent.run_all(manager, self.world.now()).await;
        self.new_token(manager).await;
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    async fn new_token(&self, manager: &Manager) -> TokenId {
        let (role, all) = (Role::Operator, vec![Scope::All]);
        let issued = manager.create_token(&admin(), "intake".to_owned(), role, all, None).await.unwrap();
        std::fs::write(self.token_file(), issued.secret.expose_secret()).unwrap();
        issued.token.id
    }

    pub fn settings(&self) -> SourceConfig {
        SourceConfig {
            url: self.url(),
            stream: "requests".to_owned(),
            consumer: "tenantry".to_owned(),
            subject: None,
            authorities: self.guard.as_ref().map(|guard| guard.root.clone()),
            credentials: self.guard.as_ref().map(|guard| guard.credentials.clone()),
        }
    }

    fn source(&self) -> NatsSource {
        NatsSource::new(self.settings()).unwrap()
    }

    /// A manager's intake, until it is aborted.
    pub fn takes(&self, manager: Manager) -> JoinHandle<()> {
        let inbox = Inbox { source: self.source(), token_file: self.token_file() };
        tokio::spawn(async move { manager.take_messages(inbox, CancellationToken::new()).await })
    }

    fn event(&self, id: usize, environment: &str) -> String {
        json!({ "specversion": "1.0", "id": id.to_string(), "source": "urn:crm", "type": OPERATION_REQUEST,
            "time": self.world.now(), "data": { "environment": environment, "operation": "crm.reindex" } })
        .to_string()
    }

    /// Events with these numbers, each for one of the environments.
    pub async fn publish(&self, ids: std::ops::Range<usize>) {
        let reader = self.reader().await;
        for id in ids {
            let environment = format!("acme/{}", ["a", "b", "c", "d", "e"][id % 5]);
            let body = self.event(id, &environment);
            reader.publish("requests.crm", body.into()).await.unwrap().await.unwrap();
        }
    }

    /// The consumer has been told of all messages.
    pub async fn all_answered(&self) {
        let mut consumer = self.consumer().await;
        let begun = Instant::now();
        loop {
            let info = consumer.info().await.unwrap();
            if info.num_pending == 0 && info.num_ack_pending == 0 {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{info:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How often each event has started an operation.
pub async fn started(manager: &Manager) -> BTreeMap<String, usize> {
    let filter = OperationFilter { name: Some("crm.reindex".parse().unwrap()), ..OperationFilter::default() };
    let page = Page { after: None, limit: 1000 };
    let mut events = BTreeMap::new();
    for operation in manager.operations(&admin(), filter, &page).await.unwrap().items {
        *events.entry(operation.cause.unwrap().id).or_default() += 1;
    }
    events
}

pub async fn at_least(manager: &Manager, count: usize) -> BTreeMap<String, usize> {
    let begun = Instant::now();
    loop {
        let events = started(manager).await;
        if events.len() >= count {
            return events;
        }
        assert!(begun.elapsed() < DEADLINE, "{} of {count} events were carried out", events.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn each_of(count: usize) -> BTreeMap<String, usize> {
    (0..count).map(|id| (id.to_string(), 1)).collect()
}

async fn open(manager: &Manager, kind: AttentionKind) -> Vec<String> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().filter(|row| row.kind == kind).map(|row| row.message).collect()
}

/// Waits until people are told of what is taken, or of what is not.
pub async fn told(manager: &Manager, kind: AttentionKind, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let messages = open(manager, kind).await;
        if messages.len() == count {
            return messages;
        }
        assert!(begun.elapsed() < DEADLINE, "{kind:?}: {messages:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn each_once(program: PathBuf) {
    let mut place = Place::new(program).await;
    let store = place.world.store().await;
    let manager = place.world.beside(Arc::clone(&store));
    place.set_up(&manager).await;
    place.consumer().await;
    place.publish(0..25).await;

    // Two managers share the work. One is gone in the middle of something, and then the server.
    let first = place.takes(place.world.beside(Arc::clone(&store)));
    let second = place.takes(place.world.beside(Arc::clone(&store)));
    at_least(&manager, 7).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    at_least(&manager, 12).await;
    place.restart().await;
    place.publish(25..50).await;
    // The same events once more, as a sender does who was not told that the stream has them.
    place.publish(20..30).await;
    let third = place.takes(place.world.beside(Arc::clone(&store)));
    assert_eq!(at_least(&manager, 50).await, each_of(50));
    place.all_answered().await;
    assert_eq!(started(&manager).await, each_of(50), "each event has started one operation");
    assert_eq!(manager.letters(&Page::default()).await.unwrap().items, []);
    assert_eq!(findings(&manager).await, []);
    second.abort();
    third.abort();
}

pub async fn refused(program: PathBuf) {
    let place = Place::new(program).await;
    let manager = place.world.manager().await;
    place.set_up(&manager).await;
    place.consumer().await;
    let reader = place.reader().await;
    for body in ["environment=acme%2Fa".to_owned(), place.event(100, "acme/none")] {
        reader.publish("requests.bad", body.into()).await.unwrap().await.unwrap();
    }
    place.publish(0..3).await;
    let taking = place.takes(manager.clone());
    assert_eq!(at_least(&manager, 3).await, each_of(3));
    place.all_answered().await;
    let letters = manager.letters(&Page::default()).await.unwrap().items;
    let shown: Vec<_> = letters.iter().map(|row| (row.place.as_str(), row.code.as_str())).collect();
    assert_eq!(shown, [("requests/1", "event-invalid"), ("requests/2", "not-found")]);
    assert_eq!((letters[1].event.as_deref(), letters[1].subject.as_str()), (Some("100"), "requests.bad"));
    assert!(letters[1].problem.contains("acme/none"), "{:?}", letters[1]);
    assert_eq!(letters[0].body, "environment=acme%2Fa");
    assert_eq!(told(&manager, AttentionKind::MessageRefused, 1).await.len(), 1);
    taking.abort();
}

/// A store that is away until somebody says otherwise; it counts who was turned away.
struct Away<S> {
    store: Arc<S>,
    gone: AtomicBool,
    refusals: AtomicUsize,
}

impl<S> Away<S> {
    fn here(&self) -> Result<(), StoreError> {
        if !self.gone.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refusals.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::Unavailable { what: "connect".to_owned(), source: "refused".into() })
    }
}

#[async_trait]
impl<S: Store> Store for Away<S> {
    async fn read(&self) -> tenantry_store::Result<Box<dyn Read + '_>> {
        self.here()?;
        self.store.read().await
    }
    async fn write(&self) -> tenantry_store::Result<Box<dyn Write + '_>> {
        self.here()?;
        self.store.write().await
    }
    async fn write_one(&self) -> tenantry_store::Result<Box<dyn Write + '_>> {
        self.here()?;
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
    async fn ping(&self) -> tenantry_store::Result<()> {
        self.store.ping().await
    }
    async fn integrity(&self) -> tenantry_store::Result<Vec<String>> {
        self.store.integrity().await
    }
}

fn logs(world: &World) -> LogStore {
    LogStore::open(&Path::new(world.folder.path()).join("logs")).unwrap()
}

pub async fn away(program: PathBuf) {
    let place = Place::new(program).await;
    let store = place.world.store().await;
    let manager = place.world.beside(Arc::clone(&store));
    place.set_up(&manager).await;
    place.consumer().await;
    place.publish(0..5).await;
    // One that would be refused as well: not while nobody can tell.
    place.reader().await.publish("requests.bad", "{}".into()).await.unwrap().await.unwrap();

    let gone = Arc::new(Away { store, gone: AtomicBool::new(true), refusals: AtomicUsize::new(0) });
    let taking = place.takes(place.world.over(Arc::clone(&gone) as Arc<dyn Store>, logs(&place.world)));
    let begun = Instant::now();
    while gone.refusals.load(Ordering::SeqCst) < 3 {
        assert!(begun.elapsed() < DEADLINE, "nobody has tried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(started(&manager).await.len(), 0);
    assert_eq!(manager.letters(&Page::default()).await.unwrap().items, []);
    gone.gone.store(false, Ordering::SeqCst);
    assert_eq!(at_least(&manager, 5).await, each_of(5));
    place.all_answered().await;
    let letters = manager.letters(&Page::default()).await.unwrap().items;
    assert_eq!(letters.iter().map(|row| row.place.as_str()).collect::<Vec<_>>(), ["requests/6"]);

    // Whoever revokes the token stops the intake, and nothing is lost meanwhile.
    let all = manager.tokens(&Page::default()).await.unwrap().items;
    let token = all.iter().find(|token| token.name == "intake").unwrap().id;
    manager.revoke_token(&admin(), token, None).await.unwrap();
    place.publish(5..8).await;
    let why = told(&manager, AttentionKind::InboxDown, 1).await;
    assert!(why[0].contains("nats:requests/tenantry") && why[0].contains("token"), "{why:?}");
    assert_eq!(
        (started(&manager).await.len(), manager.letters(&Page::default()).await.unwrap().items.len()),
        (5, 1)
    );
    place.new_token(&manager).await;
    assert_eq!(at_least(&manager, 8).await, each_of(8));
    place.all_answered().await;
    told(&manager, AttentionKind::InboxDown, 0).await;
    assert_eq!(findings(&manager).await, []);
    taking.abort();
}

pub async fn unfit(program: PathBuf) {
    let place = Place::new(program).await;
    let stream = place.reader().await.get_stream("requests").await.unwrap();
    let source = place.source();
    for config in [
        pull::Config { max_deliver: 3, ack_policy: AckPolicy::Explicit, ..pull::Config::default() },
        pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() },
    ] {
        let config = pull::Config { durable_name: Some("tenantry".to_owned()), ..config };
        stream.create_consumer(config).await.unwrap();
        let why = source.look(1, Duration::from_secs(1)).await.err().unwrap();
        assert!(why.contains("could lose messages") && why.contains("tenantry"), "{why}");
        stream.delete_consumer("tenantry").await.unwrap();
    }
    // One of its own making is fit, and is found again.
    for _ in 0..2 {
        let mut messages = source.look(1, Duration::from_millis(100)).await.unwrap();
        assert!(messages.next().await.is_none());
        source.forget().await;
    }
}
