//! Events on their way to a stream of a real NATS server, which is killed in the middle; and operations that messages of a
//! stream ask for. Ignored where the test bed's part `nats` is not built.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::wildcard_imports)] // what tests have in common reads best without its name
#![allow(clippy::unwrap_used)] // in tests a panic is the message

#[path = "nats/asked.rs"]
mod asked;
mod common;
#[path = "nats/guarded.rs"]
mod guarded;

use async_nats::jetstream::{self, Context, stream};
use common::*;
use futures::StreamExt as _;
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tenantry_events::{CloudEvent, NatsConfig, NatsSink};
use tenantry_manager::{Manager, Outlet, Round, Wants};
use tenantry_store::EventFilter;

/// Longest wait for what has to happen by itself.
const DEADLINE: Duration = Duration::from_mins(2);

/// One of these tests, given the server's program.
type Test = fn(PathBuf) -> Pin<Box<dyn Future<Output = ()>>>;

fn main() {
    let program = program();
    let missing = program.is_none();
    if missing {
        eprintln!("TENANTRY_TESTBED names no test bed with the part nats: these tests are ignored");
    }
    let test = |name: &str, run: Test| {
        let program = program.clone();
        let trial = Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(run(program.unwrap()));
            Ok(())
        });
        trial.with_ignored_flag(missing)
    };
    let mut tests = vec![
        test("a_server_killed_in_the_middle_has_each_event_once_and_in_order", |program| {
            Box::pin(async move { killed_in_the_middle(&program).await })
        }),
        test("each_message_starts_one_operation_although_the_server_and_a_manager_are_killed", |program| {
            Box::pin(asked::each_once(program))
        }),
        test("a_refused_message_is_kept_with_the_reason_and_the_others_go_on", |program| {
            Box::pin(asked::refused(program))
        }),
        test("no_message_is_lost_or_refused_while_the_store_is_away_or_the_token_is_revoked", |program| {
            Box::pin(asked::away(program))
        }),
        test("a_consumer_that_could_lose_messages_is_not_used", |program| Box::pin(asked::unfit(program))),
    ];
    tests.push(guarded_test(program));
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

/// Ignored where there is no `openssl` either.
fn guarded_test(program: Option<PathBuf>) -> Trial {
    let authority = |name| tenantry_postgres_test::authority(name).unwrap();
    let all = program.zip(authority("those who run the bus").zip(authority("somebody else")));
    let missing = all.is_none();
    let trial =
        Trial::test("a_server_that_wants_tls_and_a_key_is_served_both_ways_and_refusals_say_why", || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let (program, (authority, foreign)) = all.unwrap();
            runtime.block_on(guarded::guarded(program, authority, foreign));
            Ok(())
        });
    trial.with_ignored_flag(missing)
}

fn program() -> Option<PathBuf> {
    let testbed = PathBuf::from(std::env::var_os("TENANTRY_TESTBED")?);
    Some(testbed.parent()?.join("nats/nats-server")).filter(|program| program.is_file())
}

/// A server that ends with the test.
struct Server(Child);

impl Server {
    async fn start(program: &Path, address: SocketAddr, folder: &Path) -> Self {
        Self::start_with(program, address, folder, None).await
    }

    async fn start_with(program: &Path, address: SocketAddr, folder: &Path, config: Option<&Path>) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let child = Command::new(program)
            .args(["-js", "-a", "127.0.0.1", "-p", &address.port().to_string(), "-sd"])
            .arg(folder)
            .args(config.iter().flat_map(|path| [Path::new("-c"), path]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self(child);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let waits = begun.elapsed() < DEADLINE && server.0.try_wait().unwrap().is_none();
            let said = || std::fs::read_to_string(folder.join("log")).unwrap();
            assert!(waits, "the server does not listen: {}", said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rounds until nothing is left, with the pauses cut short.
async fn settle(world: &World, manager: &Manager, outlet: &Outlet) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < DEADLINE, "the sink never comes to rest");
        match manager.publish_round(outlet).await.unwrap() {
            Round::Moved => {}
            Round::Wait(time) => {
                // The connection mends itself in a time of its own.
                world.pass(time);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Round::Idle => return,
        }
    }
}

async fn stored(context: &Context) -> Vec<(String, async_nats::HeaderMap, CloudEvent)> {
    let mut stream = context.get_stream("tenantry").await.unwrap();
    let count = stream.info().await.unwrap().state.messages;
    let consumer = stream
        .create_consumer(jetstream::consumer::pull::OrderedConfig { ..Default::default() })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap().take(usize::try_from(count).unwrap());
    let mut all = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let event = serde_json::from_slice(&message.payload).unwrap();
        all.push((message.subject.to_string(), message.headers.clone().unwrap(), event));
    }
    all
}

async fn killed_in_the_middle(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://{address}");
    let mut server = Server::start(program, address, folder.path()).await;
    let reader = jetstream::new(async_nats::connect(&url).await.unwrap());
    let config = stream::Config {
        name: "tenantry".to_owned(),
        subjects: vec!["tenantry.>".to_owned()],
        ..stream::Config::default()
    };
    reader.create_stream(config).await.unwrap();

    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let config = NatsConfig { url, prefix: "tenantry".to_owned(), authorities: None, credentials: None };
    let sink = Arc::new(NatsSink::new("bus", config).unwrap());
    let outlet = Outlet { sink, wants: Wants::Types(Vec::new()), to: "nats".to_owned() };
    settle(&world, &manager, &outlet).await;
    let before = manager.last_event().await.unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        create(&manager, name).await;
    }
    agent.run_all(&manager, world.now()).await;
    // Some are there, and more are on their way when it dies; of those nobody can tell whether they are stored.
    manager.publish_round(&outlet).await.unwrap();
    for n in 0.. {
        let mut round = std::pin::pin!(manager.publish_round(&outlet));
        if stand_still_after(12, round.as_mut()).await.is_none() {
            server.kill();
            round.await.unwrap();
            break;
        }
        // The server was faster than that.
        assert!(n < 100, "each round was over too soon");
        create(&manager, &format!("more-{n}")).await;
    }
    // It may have died after the last word of the round: there is something left in any case.
    create(&manager, "f").await;
    let begun = Instant::now();
    while !matches!(manager.publish_round(&outlet).await.unwrap(), Round::Wait(_)) {
        assert!(begun.elapsed() < DEADLINE, "nobody notices that the server is gone");
    }
    let mut server = Server::start(program, address, folder.path()).await;
    settle(&world, &manager, &outlet).await;

    // A manager that forgot what it delivered: the stream throws the same ids away.
    let first = stored(&reader).await.len();
    let from = tenantry_manager::ReplayFrom::Position(before + 1);
    manager.replay_events(&admin(), "bus", from, None).await.unwrap();
    settle(&world, &manager, &outlet).await;

    let all = stored(&reader).await;
    assert_eq!(all.len(), first, "within the stream's window a replay adds nothing");
    let outbox = manager.events_after(&EventFilter::default(), before, 1000, Duration::ZERO).await.unwrap();
    // Of its own troubles a sink is not told.
    let own = |key: &str| key.ends_with("/bus");
    let wanted: Vec<u64> = outbox
        .iter()
        .filter(|event| !own(event.data["key"].as_str().unwrap_or_default()))
        .map(|event| event.position)
        .collect();
    let position = |event: &CloudEvent| event.sequence.as_deref().unwrap().parse::<u64>().unwrap();
    let mut came: Vec<u64> = all.iter().map(|(_, _, event)| position(event)).collect();
    let mut last: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for (subject, headers, event) in &all {
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), event.id);
        assert_eq!(
            headers.get("content-type").unwrap().as_str(),
            "application/cloudevents+json; charset=utf-8"
        );
        let key = event.partitionkey.as_deref().unwrap_or("none");
        let kind = event.kind.strip_prefix("io.tenantry.").unwrap();
        assert_eq!(*subject, format!("tenantry.{key}.{kind}"));
        if let Some(before) = last.insert(event.partitionkey.clone(), position(event)) {
            assert!(before < position(event), "{subject}: {} came after {before}", position(event));
        }
    }
    came.sort_unstable();
    assert_eq!(came, wanted, "each event of the outbox, and each once");
    assert_eq!(
        manager.event_sinks().await.unwrap()[0].dead_letters,
        0,
        "a server that is away costs no event its tries"
    );
    server.kill();
}
