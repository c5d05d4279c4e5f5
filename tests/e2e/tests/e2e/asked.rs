//! Operations that messages of a real NATS server ask a real manager for, which is killed in the middle; and what is refused,
//! on the command line.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tenantry_api_types::v1::{Operation, OperationsQuery};
use tenantry_e2e::{AgentSettings, Hook, Needs, Program, Site, World, eventually, trial};

/// So many messages are published before the manager is killed, and so many while it is away.
const MESSAGES: [std::ops::Range<u32>; 2] = [0..20, 20..30];
/// Nothing of the server may take longer.
const PATIENCE: Duration = Duration::from_mins(1);

pub fn trials() -> Vec<Trial> {
    let name = "operations_that_messages_ask_for_run_once_although_the_manager_is_killed";
    let test = trial(Needs::Minutes, name, asked);
    vec![if server().is_none() { test.with_ignored_flag(true) } else { test }]
}

fn server() -> Option<PathBuf> {
    let testbed = PathBuf::from(std::env::var_os("TENANTRY_TESTBED")?);
    Some(testbed.parent()?.join("nats/nats-server")).filter(|program| program.is_file())
}

/// A client that speaks the server's protocol: lines of text over TCP.
struct Nats {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Nats {
    fn connect(address: SocketAddr) -> Result<Self> {
        let writer = TcpStream::connect(address)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        let mut nats = Self { reader: BufReader::new(writer.try_clone()?), writer };
        ensure!(nats.line()?.starts_with("INFO "), "the server does not introduce itself");
        nats.writer.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB answers 1\r\n")?;
        Ok(nats)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Publishes, and waits for the answer.
    fn ask(&mut self, subject: &str, body: &str) -> Result<Value> {
        let message = format!("PUB {subject} answers {}\r\n{body}\r\n", body.len());
        self.writer.write_all(message.as_bytes())?;
        loop {
            let line = self.line()?;
            if line == "PING" {
                self.writer.write_all(b"PONG\r\n")?;
            } else if let Some(length) = line.strip_prefix("MSG ").and_then(|line| line.rsplit(' ').next()) {
                let mut body = vec![0; length.parse::<usize>()? + 2];
                self.reader.read_exact(&mut body)?;
                let answer: Value = serde_json::from_slice(&body)?;
                ensure!(answer.get("error").is_none(), "{subject}: {answer}");
                return Ok(answer);
            } else {
                ensure!(!line.is_empty() && !line.starts_with("-ERR"), "{subject}: the server says {line:?}");
            }
        }
    }
}

fn event(id: &str, environment: &str) -> String {
    json!({ "specversion": "1.0", "id": id, "source": "urn:crm", "type": "io.tenantry.operation.request.v1",
        "time": Timestamp::now(),
        "data": { "environment": environment, "operation": "crm.reindex", "reason": "asked for" } })
    .to_string()
}

fn by_event(site: &Site) -> Result<Vec<Operation>> {
    let query = OperationsQuery {
        name: Some("crm.reindex".parse()?),
        page_size: Some(1000),
        ..OperationsQuery::default()
    };
    Ok(site.call(site.client().operations(&query))?.items)
}

fn asked(world: &World) -> Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = world.folder().join("nats");
    std::fs::create_dir_all(&folder)?;
    let mut server = Command::new(server().context("no server")?);
    server.args(["-js", "-a", "127.0.0.1", "-p", &address.port().to_string(), "-sd"]).arg(&folder);
    let mut server = Program::start("nats", world.folder(), &mut server)?;
    let mut nats = eventually("the server's first word", || Ok(Nats::connect(address).ok()))?;
    nats.ask(
        "$JS.API.STREAM.CREATE.requests",
        &json!({ "name": "requests", "subjects": ["requests.>"] }).to_string(),
    )?;
    // As tenantry makes it, but for the time after which a message that nobody answers for comes again.
    let consumer = json!({ "stream_name": "requests", "config": { "durable_name": "tenantry",
        "ack_policy": "explicit", "ack_wait": 2_000_000_000_u64 } });
    nats.ask("$JS.API.CONSUMER.DURABLE.CREATE.requests.tenantry", &consumer.to_string())?;

    let templates = world.folder().join("templates");
    std::fs::create_dir_all(&templates)?;
    let hook = Hook::new("crm", "reindex").tenant("lifecycle", "lifecycle.upsert,crm.reindex");
    let hook = hook.local_witness(&world.folder().join("witness"), 0, "0");
    std::fs::write(templates.join("hook.yaml"), hook.manifest().to_string())?;
    let (inbox, token) = (world.folder().join("inbox.yaml"), world.folder().join("inbox-token"));
    // The token comes once there is a manager to make it.
    std::fs::write(&token, "")?;
    let document =
        json!({ "tokenFile": token, "nats": { "url": format!("nats://{address}"), "stream": "requests" } });
    std::fs::write(&inbox, document.to_string())?;
    let mut site = Site::start(world, &["--event-inbox", &inbox.display().to_string()])?;
    site.expect_log("a message was refused");
    site.expect_log("cannot reach the manager");
    site.add_region("eu1", AgentSettings::process(&templates))?;
    site.wait_for_hooks("eu1", &["crm/reindex"])?;
    let provisioned = site.provision("prod", "eu1")?;
    site.wait_succeeded(provisioned)?;
    let environment = site.operation(provisioned)?.environment.to_string();
    let made = site.cli(&["token", "create", "intake", "--role", "operator", "--scope", "all"])?.expect(0)?;
    std::fs::write(&token, made.out.trim())?;

    let [first, second] = MESSAGES;
    for n in first {
        nats.ask("requests.crm", &event(&n.to_string(), &environment))?;
    }
    eventually("the first operations", || Ok((by_event(&site)?.len() >= 5).then_some(())))?;
    site.kill_manager()?;
    for n in second.clone() {
        nats.ask("requests.crm", &event(&n.to_string(), &environment))?;
    }
    nats.ask("requests.crm", &event("refused", "acme/later"))?;
    site.start_manager()?;
    let wanted = second.end as usize;
    let operations = eventually("all operations, at their end", || {
        let all = by_event(&site)?;
        let ended = all.iter().filter(|operation| operation.done).count();
        Ok((ended >= wanted).then_some(all))
    })?;
    let mut events: BTreeMap<String, usize> = BTreeMap::new();
    for operation in &operations {
        let cause = operation.cause.clone().context("an operation without its event")?;
        ensure!(cause.source == "urn:crm" && operation.requested_by.name == "intake", "{operation:?}");
        *events.entry(cause.id).or_default() += 1;
        ensure!(world.witness().starts(operation.id, "reindex")? == 1, "{operation:?}");
    }
    let each: BTreeMap<String, usize> = (0..second.end).map(|n| (n.to_string(), 1)).collect();
    ensure!(events == each, "each message has started one operation: {events:?}");

    refused(&site)?;
    let stopped = site.finish();
    server.kill()?;
    stopped
}

/// What a person sees of the one that was refused, and does about it.
fn refused(site: &Site) -> Result<()> {
    let list = || -> Result<Vec<Value>> {
        let listed = site.cli(&["event", "inbox", "list", "-o", "json"])?.expect(0)?;
        Ok(serde_json::from_str(&listed.out)?)
    };
    let letters =
        eventually("the refused message", || Ok(Some(list()?).filter(|letters| !letters.is_empty())))?;
    ensure!(
        letters.len() == 1 && letters[0]["event"] == "refused" && letters[0]["code"] == "not-found",
        "{letters:?}"
    );
    let id = letters[0]["id"].as_str().context("an id")?;
    let shown = site.cli(&["event", "inbox", "show", id])?.expect(0)?;
    ensure!(shown.out.contains("acme/later") && shown.out.contains("urn:crm"), "{}", shown.out);
    let attention = site.cli(&["attention"])?;
    ensure!(attention.out.contains(&format!("tenantry event inbox retry {id}")), "{attention:?}");
    // The command that it names, at once and when what was wrong is repaired.
    let again = site.cli(&["event", "inbox", "retry", id])?;
    ensure!(again.code != Some(0) && again.err.contains("acme/later"), "{again:?}");
    let later = site.provision("later", "eu1")?;
    site.wait_succeeded(later)?;
    site.cli(&["event", "inbox", "retry", id, "--dry-run"])?.expect(0)?;
    let done =
        site.cli(&["event", "inbox", "retry", id, "--reason", "it is there now", "-o", "json"])?.expect(0)?;
    let done: Value = serde_json::from_str(&done.out)?;
    site.wait_succeeded(done["operation"]["id"].as_str().context("an operation")?.parse()?)?;
    ensure!(list()?.is_empty(), "it is still there");
    let empty =
        site.cli(&["event", "inbox", "discard", "--reason", "there is none", "-o", "json"])?.expect(0)?;
    ensure!(serde_json::from_str::<Value>(&empty.out)?["messages"] == json!([]), "{empty:?}");
    Ok(())
}
