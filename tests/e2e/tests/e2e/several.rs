//! Several managers over one PostgreSQL, as programs: one dies and the others go on; the rows move between the kinds of
//! store; a manager that cannot have its store says why.

use crate::faults::{began, ended, local_chain, ran_once_each, tolerate_absence};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::path::Path;
use tenantry_e2e::{AgentSettings, Answer, Hook, Needs, Postgres, Site, World, on_postgres, tenantry, trial};
use tenantry_model::OperationId;

pub fn trials() -> Vec<Trial> {
    let test = |name, test: fn(&World) -> Result<()>| on_postgres(trial(Needs::Minutes, name, test));
    vec![
        test("one_of_two_managers_is_killed_and_the_other_ends_everything", killed),
        test("a_store_moves_from_postgresql_to_sqlite_and_back", moved),
        test("a_store_that_moves_in_the_middle_of_an_operation_and_back_loses_nothing", moved_meanwhile),
        test("a_manager_that_cannot_have_its_store_says_why", refused),
    ]
}

const ALL: [&str; 4] = ["first", "second", "third", "beside"];
pub const REGION: &str = "eu1";

/// So many managers on one database, and the chain of hooks as processes of one agent.
pub fn site(
    world: &World,
    postgres: &Postgres,
    database: &str,
    managers: usize,
    flags: &[&str],
) -> Result<Site> {
    let mut site = Site::start_several(world, postgres, database, managers, flags)?;
    tolerate_absence(&site);
    let (hooks, templates) = local_chain(world)?;
    // It knows the balancer only.
    site.add_region(REGION, AgentSettings::process(&templates))?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks(REGION, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(site)
}

/// The command line as a client of this manager itself.
fn cli(site: &Site, manager: usize, args: &[&str]) -> Result<Answer> {
    Answer::of(site.command(args).env("TENANTRY_URL", site.url_of(manager)?))
}

/// Asks this manager for an environment; answers the operation that provisions it.
pub fn ask_for(site: &Site, manager: usize, name: &str) -> Result<OperationId> {
    let name = format!("acme/{name}");
    let made = cli(site, manager, &["env", "create", &name, "--region", REGION, "-o", "json"])?.expect(0)?;
    let made: serde_json::Value = serde_json::from_str(&made.out)?;
    Ok(made["operation"]["id"].as_str().context("an operation")?.parse()?)
}

fn killed(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let mut site = site(world, &postgres, &postgres.database()?, 2, &[])?;
    let witness = world.witness();
    cli(&site, 1, &["tenant", "create", "acme"])?.expect(0)?;
    let (one, two) = (ask_for(&site, 0, "one")?, ask_for(&site, 1, "two")?);
    for (id, name) in [(one, "first"), (one, "beside"), (two, "first"), (two, "beside")] {
        began(&witness, id, name)?;
    }

    site.kill_nth_manager(0)?;
    world.open(&["first", "beside"])?;
    let three = ask_for(&site, 1, "three")?;
    for id in [one, two, three] {
        began(&witness, id, "second")?;
    }
    world.open(&["second"])?;
    began(&witness, three, "third")?;
    site.start_nth_manager(0)?;
    let four = ask_for(&site, 0, "four")?;
    world.open(&ALL)?;
    cli(&site, 0, &["op", "watch", &four.to_string()])?.expect(0)?;

    for id in [one, two, three, four] {
        site.wait_succeeded(id)?;
        ran_once_each(world, id)?;
    }
    for manager in [0, 1] {
        // Also of what it did not take in itself.
        for id in [one, two, three, four] {
            let log = cli(&site, manager, &["op", "logs", &id.to_string(), "team/second"])?.expect(0)?;
            ensure!(log.out.contains("second is at work"), "manager {manager}, {id}: {log:?}");
        }
        cli(&site, manager, &["audit", "verify"])?.expect(0)?;
        cli(&site, manager, &["check", "--deep"])?.expect(0)?;
    }
    site.finish()
}

/// `tenantry store …`, about the store that the settings name.
fn store(settings: &[String], words: &[&str]) -> Result<Answer> {
    Answer::of(tenantry().arg("store").args(words).args(settings))
}

/// What an export or import says of the rows, whichever store they are in.
fn content(answer: &Answer) -> Result<&str> {
    let (_, after) = answer.out.split_once("content sha256 ").context("no content")?;
    after.split(',').next().context("no content")
}

fn moved(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let first = postgres.database()?;
    let mut site = site(world, &postgres, &first, 1, &[])?;
    world.open(&ALL)?;
    let one = site.provision("one", REGION)?;
    site.wait_succeeded(one)?;

    let at_first = postgres.settings(&first, postgres.address);
    let migrated = store(&at_first, &["migrate"])?.expect(0)?.out;
    let (now, before) = migrated.split_once(" (before: ").context("versions")?;
    ensure!(now.ends_with(before.trim_end_matches(")\n")), "{migrated}");
    let counted = store(&at_first, &["check"])?.expect(0)?.out;
    ensure!(counted.lines().any(|line| line.trim() == "4  steps"), "{counted}");
    site.stop_managers()?;

    let folder = world.folder().join("moved");
    let at_folder = ["--data".to_owned(), folder.display().to_string()];
    let archive = world.folder().join("from-postgres").display().to_string();
    let exported = store(&at_first, &["export", &archive])?.expect(0)?;
    let imported = store(&at_folder, &["import", &archive])?.expect(0)?;
    ensure!(content(&exported)? == content(&imported)?, "{exported:?} {imported:?}");
    let again = store(&at_folder, &["import", &archive])?.expect(3)?;
    ensure!(again.err.contains("empty"), "{again:?}");
    copy_folder(&world.folder().join("site/logs"), &folder.join("logs"))?;
    store(&at_folder, &["check"])?.expect(0)?;
    let at_rest = ["check", "--deep", "--data", &folder.display().to_string()].map(str::to_owned);
    Answer::of(tenantry().args(at_rest))?.expect(0)?;

    // The agent's credential, the operation and its log have moved as well.
    site.move_store(0, vec![], &folder)?;
    site.start_nth_manager(0)?;
    let log = site.log_text(one, "first", 1)?;
    ensure!(log.contains("first is at work"), "{log}");
    let two = site.provision("two", REGION)?;
    site.wait_succeeded(two)?;
    site.stop_managers()?;

    let second = postgres.database()?;
    let at_second = postgres.settings(&second, postgres.address);
    let archive = world.folder().join("from-sqlite").display().to_string();
    let exported = store(&at_folder, &["export", &archive])?.expect(0)?;
    let imported = store(&at_second, &["import", &archive])?.expect(0)?;
    ensure!(content(&exported)? == content(&imported)?, "{exported:?} {imported:?}");
    store(&at_second, &["check"])?.expect(0)?;
    site.move_store(0, at_second, &world.folder().join("site/data-0"))?;
    site.start_nth_manager(0)?;
    let three = site.provision("three", REGION)?;
    for id in [one, two, three] {
        site.wait_succeeded(id)?;
        ran_once_each(world, id)?;
    }
    site.cli(&["audit", "verify"])?.expect(0)?;
    site.finish()
}

/// The agent and its hooks go on while nobody is there, and report to the store that comes next.
fn moved_meanwhile(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let mut site = Site::start(world, &[])?;
    tolerate_absence(&site);
    let (hooks, templates) = local_chain(world)?;
    site.add_region(REGION, AgentSettings::process(&templates))?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks(REGION, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    let witness = world.witness();
    let id = site.provision("one", REGION)?;
    began(&witness, id, "first")?;
    began(&witness, id, "beside")?;
    let queued = site.cli(&["env", "reconcile", "acme/one", "--reason", "later", "-o", "json"])?.expect(0)?;
    let queued: serde_json::Value = serde_json::from_str(&queued.out)?;
    let queued: OperationId = queued["operation"]["id"].as_str().context("an operation")?.parse()?;
    site.stop_managers()?;

    // Over the move `first` ends, and nobody hears it.
    world.open(&["first"])?;
    ended(&witness, id, "first")?;
    let data = world.folder().join("site/data");
    let at_data = ["--data".to_owned(), data.display().to_string()];
    let database = postgres.database()?;
    let at_server = postgres.settings(&database, postgres.address);
    carried(world, "to-postgres", &at_data, &at_server)?;
    site.move_store(0, at_server.clone(), &data)?;
    site.start_nth_manager(0)?;
    began(&witness, id, "second")?;
    site.stop_managers()?;

    world.open(&["second"])?;
    ended(&witness, id, "second")?;
    let back = world.folder().join("back");
    let at_back = ["--data".to_owned(), back.display().to_string()];
    carried(world, "to-sqlite", &at_server, &at_back)?;
    copy_folder(&data.join("logs"), &back.join("logs"))?;
    copy_folder(&data.join("audit-key.pem"), &back.join("audit-key.pem"))?;
    let at_rest = ["check", "--deep", "--data", &at_back[1]].map(str::to_owned);
    Answer::of(tenantry().args(at_rest))?.expect(0)?;
    site.move_store(0, vec![], &back)?;
    site.start_nth_manager(0)?;
    began(&witness, id, "third")?;
    world.open(&ALL)?;

    for operation in [id, queued] {
        let ended = site.wait_succeeded(operation)?;
        ran_once_each(world, operation)?;
        let numbers = ended.steps.iter().flatten().map(|step| (step.attempt, step.attempts.len()));
        ensure!(numbers.clone().all(|numbers| numbers == (1, 1)), "{:?}", numbers.collect::<Vec<_>>());
        for name in ALL {
            let log = site.log_text(operation, name, 1)?;
            ensure!(log.contains(&format!("{name} is at work")), "{operation} {name}: {log}");
        }
    }
    site.cli(&["audit", "verify"])?.expect(0)?;
    site.finish()
}

/// Everything from one store into another, which then holds the same.
fn carried(world: &World, name: &str, from: &[String], to: &[String]) -> Result<()> {
    let archive = world.folder().join(name).display().to_string();
    let exported = store(from, &["export", &archive])?.expect(0)?;
    let imported = store(to, &["import", &archive])?.expect(0)?;
    ensure!(content(&exported)? == content(&imported)?, "{exported:?} {imported:?}");
    store(to, &["check"])?.expect(0).map(drop)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    Answer::of(std::process::Command::new("cp").arg("-a").arg(from).arg(to))?.expect(0).map(drop)
}

fn refused(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let database = postgres.database()?;
    let site = site(world, &postgres, &database, 1, &[])?;
    let folder = world.folder().join("other");
    let manager = |settings: &[String]| {
        let mut command = tenantry();
        command.args(["manager", "--listen", "127.0.0.1:0", "--data"]).arg(&folder).args(settings);
        Answer::of(&mut command)
    };
    let other_logs = manager(&postgres.settings(&database, postgres.address))?.expect(3)?;
    let logs = folder.join("logs").display().to_string();
    for words in ["the logs of this store are in another folder than", &logs, "--logs-folder"] {
        ensure!(other_logs.err.contains(words), "{words}: {}", other_logs.err);
    }

    let here = postgres.address;
    let wrong: [(String, i32, &str); 5] = [
        (format!("mysql://ann:geheim@{here}/{database}"), 2, "a URL that begins with postgres://"),
        (
            "postgres://ann:geheim@db:port/tenantry".to_owned(),
            3,
            "no URL like postgres://USER@HOST:PORT/NAME",
        ),
        (format!("postgres://ann:geheim@{here}/{database}"), 3, "refuses user or password"),
        ("postgres://ann:geheim@127.0.0.1:1/tenantry".to_owned(), 3, "check that it runs and can be reached"),
        (format!("postgres://tester@{here}/nothing"), 3, "there is no such database"),
    ];
    for (url, code, words) in wrong {
        let mut settings = vec!["--store".to_owned(), url.clone()];
        if url.contains("tester") {
            let file = postgres.password_file.display().to_string();
            settings.extend(["--store-password-file".to_owned(), file]);
        }
        for answer in [manager(&settings)?, store(&settings, &["check"])?] {
            let answer = answer.expect(code).with_context(|| url.clone())?;
            ensure!(answer.err.contains(words), "{url}: {}", answer.err);
            ensure!(!answer.err.contains("geheim"), "a password is shown: {}", answer.err);
        }
    }
    site.finish()
}
