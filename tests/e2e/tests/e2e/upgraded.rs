//! Real programs on what the version before this one left in the middle of a night (`crates/manager/tests/upgrade/scene.rs`):
//! `tenantry store migrate` migrates, the manager and a real agent go on, and a person steers it to its end.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tenantry_e2e::{
    Answer, LogCheck, Needs, Postgres, Program, World, eventually, on_postgres, repository, tenantry, trial,
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "what_the_version_before_left_on_sqlite_goes_on_with_real_programs", on_sqlite),
        on_postgres(trial(
            Needs::Minutes,
            "what_the_version_before_left_on_postgresql_is_migrated_by_real_programs",
            from_postgresql,
        )),
    ]
}

/// The newest fixture of an older schema than this version's: which one, and what it holds unpacked.
fn unpacked(world: &World, kind: &str) -> Result<(u32, PathBuf)> {
    let numbers = |folder: &str| -> Result<Vec<String>> {
        let entries = std::fs::read_dir(repository().join(folder))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().chars().take(4).collect())).collect()
    };
    let now = numbers("crates/store-sqlite/migrations")?.into_iter().max().context("no migration")?;
    let fixtures = repository().join("crates/manager/fixtures");
    let older = numbers("crates/manager/fixtures")?.into_iter().filter(|number| *number < now);
    let newest = older.max().context("no fixture")?;
    let folder = world.folder().join("left");
    std::fs::create_dir_all(&folder)?;
    let archive = fixtures.join(&newest).join(format!("{kind}.tar.gz"));
    Answer::of(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder))?.expect(0)?;
    Ok((newest.parse()?, folder))
}

fn store(words: &[&str], settings: &[String]) -> Result<Answer> {
    Answer::of(tenantry().arg("store").args(words).args(settings))
}

/// What `tenantry store migrate` says: the schema's version now, and before.
fn migrated(settings: &[String]) -> Result<(u32, u32)> {
    let said = store(&["migrate"], settings)?.expect(0)?.out;
    let words = said.trim().strip_prefix("schema version ").and_then(|rest| rest.strip_suffix(')'));
    let (now, before) = words.and_then(|words| words.split_once(" (before: ")).context(said.clone())?;
    Ok((now.parse()?, before.parse()?))
}

/// It migrates the first time, and finds nothing to do the second time.
fn migrates(settings: &[String], from: u32) -> Result<()> {
    let (now, before) = migrated(settings)?;
    ensure!(before == from && now > before, "{now} (before: {before})");
    ensure!(migrated(settings)? == (now, now), "it has migrated twice");
    store(&["check"], settings)?.expect(0).map(drop)
}

/// A manager on a port, and the administrator of then.
struct Manager {
    program: Program,
    url: String,
    token: String,
}

impl Manager {
    fn start(world: &World, left: &Path, settings: &[String]) -> Result<Self> {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        let mut command = tenantry();
        command.args(["manager", "--listen", &address, "--log-format", "json"]).args(settings);
        let mut program = Program::start("manager", world.folder(), &mut command)?;
        eventually("the manager's start", || {
            program.check_alive()?;
            Ok(std::net::TcpStream::connect(&address).ok())
        })?;
        let token = std::fs::read_to_string(left.join("admin-token"))?;
        Ok(Self { program, url: format!("http://{address}"), token })
    }

    fn cli(&self, args: &[&str]) -> Result<Answer> {
        let mut command = tenantry();
        Answer::of(command.args(args).env("TENANTRY_URL", &self.url).env("TENANTRY_TOKEN", &self.token))
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.cli(&[args, &["-o", "json"]].concat())?.expect(0)?.out)?)
    }

    /// Ids of the unfinished operations of this name.
    fn unfinished(&self, name: &str) -> Result<Vec<String>> {
        let listed = self.json(&["op", "list", "--unfinished", "--name", name])?;
        let items = listed.as_array().context("a list")?;
        Ok(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect())
    }

    fn step(&self, operation: &str, path: &str) -> Result<Value> {
        let shown = self.json(&["op", "get", operation])?;
        let steps = shown["steps"].as_array().context("steps")?;
        let step = steps.iter().find(|step| step["hook"] == format!("eu1/{path}"));
        step.cloned().with_context(|| format!("no step {path} in {shown}"))
    }

    fn wait_step(&self, operation: &str, path: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        let mut last = Value::Null;
        eventually(format!("{path} of {operation}"), || {
            last = self.step(operation, path)?;
            Ok(is(&last).then_some(()))
        })
        .with_context(|| format!("it is {last}"))
    }

    fn end(mut self, expected: &[&str]) -> Result<()> {
        let status = self.program.terminate()?;
        ensure!(status.success(), "the manager ended with {status}");
        let mut check = LogCheck::default();
        for text in expected {
            check.expect(text);
        }
        check.check(&self.program.log)
    }
}

fn on_sqlite(world: &World) -> Result<()> {
    let (from, left) = unpacked(world, "sqlite")?;
    let settings = ["--data".to_owned(), left.join("data").display().to_string()];
    let at_rest = || Answer::of(tenantry().args(["check", "--deep"]).args(&settings));
    let early = at_rest()?.expect(3)?;
    ensure!(early.err.contains(&format!("schema version {from}")), "{early:?}");
    migrates(&settings, from)?;
    at_rest()?.expect(0)?;

    let manager = Manager::start(world, &left, &settings)?;
    let [night] = &manager.unfinished("risk.nightly")?[..1] else { unreachable!() };
    // It is months later: that is said, and nothing is removed by a clock that moved so far.
    let running = manager.step(night, "night/calculate")?;
    ensure!(running["state"] == "running", "{running}");

    // Its region's agent is a new one: it has the templates, and nothing of what ran.
    let join = manager.json(&["region", "join-token", "eu1"])?;
    let mut command = tenantry();
    command.arg("agent").arg("--folder").arg(world.folder().join("agent")).args(["--log-format", "json"]);
    command.args(["--join-token", join["token"].as_str().context("a token")?, "--manager-url", &manager.url]);
    command.args(["--executor", "process", "--templates"]).arg(left.join("templates"));
    let mut agent = Program::start("agent", world.folder(), &mut command)?;
    for path in ["night/archive", "night/copy"] {
        manager.wait_step(night, path, |step| step["state"] == "succeeded" && step["attempt"] == 1)?;
    }
    steer(&manager, night)?;
    for name in ["risk.nightly", "lifecycle.upsert"] {
        eventually(format!("the end of every {name}"), || {
            Ok(manager.unfinished(name)?.is_empty().then_some(()))
        })?;
    }
    let ended = manager.json(&["op", "get", night])?;
    ensure!(ended["state"] == "succeeded", "{ended}");
    manager.cli(&["env", "undelete", "acme/old", "--reason", "back", "--wait"])?.expect(0)?;
    manager.cli(&["audit", "verify"])?.expect(0)?;
    manager.cli(&["check", "--deep"])?.expect(0)?;
    ensure!(agent.terminate()?.success());
    LogCheck::default().check(&agent.log)?;
    manager.end(&["retention waits", "silent"])
}

/// What a person does for a night whose region has forgotten what ran.
fn steer(manager: &Manager, night: &str) -> Result<()> {
    let op = |verb: &str, path: &str| {
        manager.cli(&["op", verb, night, path, "--reason", "after the upgrade"])?.expect(0)
    };
    let log = manager.cli(&["op", "logs", night, "night/calculate"])?.expect(0)?;
    ensure!(log.out.contains("calculating 4000 paths"), "{log:?}");
    // The agent has looked and found nothing of it: that proves that it is over, or a person says so.
    let found = |step: &Value| step["waiting"] == true || step["attempts"][0]["unknownSince"].is_string();
    manager.wait_step(night, "night/calculate", found)?;
    if manager.step(night, "night/calculate")?["waiting"] != true {
        op("declare-lost", "night/calculate")?;
    }
    for path in ["night/calculate", "night/check"] {
        op("rerun", path)?;
        manager.wait_step(night, path, |step| step["state"] == "succeeded" && step["attempt"] == 2)?;
    }
    let second = manager.json(&["token", "create", "second", "--role", "operator"])?;
    let second = second["secret"].as_str().context("a token")?.to_owned();
    let asked = manager.json(&["approval", "list"])?;
    let asked = asked[0]["id"].as_str().context("what waits for a second person")?;
    let mut approve = tenantry();
    approve.args(["approval", "approve", asked]).env("TENANTRY_URL", &manager.url);
    Answer::of(approve.env("TENANTRY_TOKEN", second))?.expect(0)?;
    manager.wait_step(night, "night/book", |step| step["state"] == "confirmed")?;
    ensure!(manager.step(night, "night/publish")?["state"] == "ready", "held since then");
    op("release", "night/publish")?;
    manager.wait_step(night, "night/report", |step| step["state"] == "succeeded")?;
    ensure!(manager.step(night, "mail/send")?["held"] == true, "the hold by predicate");
    let holds = manager.json(&["hold", "list"])?;
    let hold = holds[0]["id"].as_str().context("the hold")?;
    manager.cli(&["hold", "lift", hold, "--reason", "it has moved"])?.expect(0)?;
    manager.wait_step(night, "mail/send", |step| step["state"] == "succeeded")
}

fn from_postgresql(world: &World) -> Result<()> {
    let (from, left) = unpacked(world, "postgresql")?;
    let postgres = Postgres::start(world)?;
    let database = postgres.database()?;
    let password = std::fs::read_to_string(&postgres.password_file)?;
    let url = format!("postgres://tester@{}/{database}", postgres.address);
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &url, "--file"]);
    Answer::of(psql.arg(left.join("rows.sql")).env("PGPASSWORD", password.trim_end()))?.expect(0)?;
    let at = postgres.settings(&database, postgres.address);
    migrates(&at, from)?;
    let settings = [&at[..], &["--data".to_owned(), left.join("data").display().to_string()]].concat();
    let manager = Manager::start(world, &left, &settings)?;
    let night = manager.unfinished("risk.nightly")?.pop().context("the night")?;
    let log = manager.cli(&["op", "logs", &night, "night/calculate"])?.expect(0)?;
    ensure!(log.out.contains("calculating 4000 paths"), "{log:?}");
    manager.cli(&["audit", "verify"])?.expect(0)?;
    manager.cli(&["check", "--deep"])?.expect(0)?;
    manager.cli(&["op", "cancel", &night, "--reason", "another night"])?.expect(0)?;
    manager.end(&["retention waits", "silent"])
}
