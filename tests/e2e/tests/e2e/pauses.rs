//! Programs that stand still (SIGSTOP) for longer than what they were lent: others take it over, and the sleeper finds
//! that out before it does any harm. Real leases are waited for: only time itself ends them.

use crate::faults::{began, local_chain, ran_once_each};
use crate::several::{REGION, ask_for, site};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tenantry_api_types::agent::LEASE_SECONDS;
use tenantry_api_types::v1::CreateTenant;
use tenantry_client::{Call, Client, ClientConfig};
use tenantry_e2e::{Needs, Postgres, Program, Site, World, eventually, on_postgres, tenantry, trial, within};

pub fn trials() -> Vec<Trial> {
    let test = |name, test: fn(&World) -> Result<()>| on_postgres(trial(Needs::Minutes, name, test));
    vec![
        test("a_manager_stopped_past_its_roles_comes_back_without_them", past_roles),
        test("what_a_manager_was_writing_when_it_was_stopped_is_refused_when_it_wakes_up", mid_write),
        test("an_agent_stopped_past_its_lease_repeats_nothing_that_another_has_done", past_lease),
    ]
}

const ALL: [&str; 4] = ["first", "second", "third", "beside"];

/// How often a manager's log says this of the role that judges silent regions.
fn said(site: &Site, manager: usize, what: &str) -> Result<usize> {
    let log = site.manager_log(manager)?;
    Ok(log.lines().filter(|line| line.contains(what) && line.contains("\"regions\"")).count())
}

const HAS: &str = "this manager has the role";
const LOST: &str = "another manager has taken over";

fn past_roles(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let flags = ["--agent-silent", "4s", "--log", "info,tenantry_manager::roles=debug"];
    let site = site(world, &postgres, &postgres.database()?, 2, &flags)?;
    // Calls that were under way at the sleeper, and transactions in the middle of which it fell asleep.
    for text in ["\"code\":\"store-unavailable\"", "\"status\":503", "session-expired", "a loop met an error"]
    {
        site.expect_log(text);
    }
    let holder = eventually("a manager with the role", || {
        Ok((0..2).find(|manager| said(&site, *manager, HAS).is_ok_and(|times| times > 0)))
    })?;
    let other = 1 - holder;
    let one = site.provision("one", REGION)?;
    began(&world.witness(), one, "first")?;
    ensure!(said(&site, other, HAS)? == 0, "both have the role");

    site.signal_nth_manager(holder, Signal::STOP)?;
    world.open(&["first"])?;
    began(&world.witness(), one, "second")?;
    eventually("the role's way to the other manager", || Ok((said(&site, other, HAS)? == 1).then_some(())))?;
    let two = ask_for(&site, other, "two")?;
    world.open(&["second"])?;
    began(&world.witness(), two, "second")?;

    site.signal_nth_manager(holder, Signal::CONT)?;
    eventually("the sleeper's notice that its role is gone", || {
        Ok((said(&site, holder, LOST)? == 1).then_some(()))
    })?;
    let three = ask_for(&site, holder, "three")?;
    world.open(&ALL)?;
    for id in [one, two, three] {
        site.wait_succeeded(id)?;
        ran_once_each(world, id)?;
    }
    ensure!(said(&site, holder, HAS)? == 1 && said(&site, other, LOST)? == 0, "the role went to and fro");
    site.finish()
}

fn mid_write(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let database = postgres.database()?;
    let mut site = site(world, &postgres, &database, 2, &[])?;
    for text in ["\"code\":\"store-unavailable\"", "\"status\":503", "session-expired", "a loop met an error"]
    {
        site.expect_log(text);
    }
    let one = site.provision("one", REGION)?;
    began(&world.witness(), one, "first")?;
    // What is open now is the other one's.
    site.kill_nth_manager(1)?;
    let over = Arc::<AtomicBool>::default();
    let writer = write_tenants(patient(&site)?, &over);
    eventually("a stop in the middle of a write", || {
        site.signal_nth_manager(0, Signal::STOP)?;
        // One whose next word was under way already ends at once.
        while let Some(age) = postgres.oldest_open_write(&database)? {
            if age > Duration::from_millis(500) {
                return Ok(Some(()));
            }
        }
        site.signal_nth_manager(0, Signal::CONT)?;
        Ok(None)
    })?;

    site.start_nth_manager(1)?;
    let two = ask_for(&site, 1, "two")?;
    world.open(&["first"])?;
    for id in [one, two] {
        began(&world.witness(), id, "second")?;
    }
    over.store(true, Ordering::SeqCst);
    eventually("the server's end of the sleeper's transaction", || {
        let oldest = postgres.oldest_open_write(&database)?;
        Ok(oldest.is_none_or(|age| age < Duration::from_secs(1)).then_some(()))
    })?;
    site.signal_nth_manager(0, Signal::CONT)?;
    let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    world.open(&ALL)?;
    for id in [one, two] {
        site.wait_succeeded(id)?;
        ran_once_each(world, id)?;
    }
    let log = site.manager_log(0)?;
    ensure!(log.contains("another manager has taken over"), "it did not notice its sleep:\n{log}");
    // The server's word, not the manager's: a write of which it knows that nothing was committed it repeats and says nothing.
    let refused = postgres.log()?;
    ensure!(refused.contains("due to idle-in-transaction timeout"), "nothing was refused:\n{refused}");
    let list = site.cli(&["tenant", "list", "-o", "json"])?.expect(0)?.out;
    for (tenant, done) in written {
        ensure!(
            list.contains(&format!("\"{tenant}\"")) == done,
            "{tenant}, written: {done}; there are {list}"
        );
    }
    site.cli(&["audit", "verify"])?.expect(0)?;
    site.finish()
}

/// A client of the first manager itself that waits for its answer and asks once.
fn patient(site: &Site) -> Result<Client> {
    let config = ClientConfig {
        request_timeout: Duration::from_mins(5),
        retry_for: Duration::ZERO,
        ..ClientConfig::new(site.url_of(0)?).with_token(site.token.clone())
    };
    Ok(Client::new(&config)?)
}

/// Makes one tenant after the other, and tells of each that was answered whether it was made.
fn write_tenants(client: Client, over: &Arc<AtomicBool>) -> JoinHandle<Result<Vec<(String, bool)>>> {
    let over = Arc::clone(over);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut written = Vec::new();
        for n in (0..).take_while(|_| !over.load(Ordering::SeqCst)) {
            let name = format!("t{n:05}");
            let body = CreateTenant { name: name.parse()?, display_name: None };
            let done = match runtime.block_on(client.create_tenant(&body, &Call::default())) {
                Ok(_) => true,
                // On a slow machine the sleep is longer than anybody waits.
                Err(error) if error.code().is_none() => continue,
                Err(error) => {
                    ensure!(error.code() == Some("store-unavailable"), "{name}: {error}");
                    false
                }
            };
            written.push((name, done));
        }
        Ok(written)
    })
}

fn past_lease(world: &World) -> Result<()> {
    let postgres = Postgres::start(world)?;
    let site = site(world, &postgres, &postgres.database()?, 2, &["--agent-silent", "4s"])?;
    site.expect_log("session-superseded");
    site.expect_log("session-expired");
    // Its open call takes the commands, and nobody reads the answer.
    site.signal_agent(REGION, Signal::STOP)?;
    let stopped = Instant::now();
    let one = site.provision("one", REGION)?;
    let region = REGION.parse()?;
    let open = || site.call(site.client().open_commands(&region));
    eventually("a command in the hands of the agent that stands still", || {
        Ok(open()?.items.iter().any(|command| command.leased_by.is_some()).then_some(()))
    })?;
    ensure!(world.witness().runs(one)?.is_empty(), "a stopped agent began something");

    let mut second = second_agent(world, &site)?;
    world.open(&ALL)?;
    site.wait_succeeded(one)?;
    eventually("the end of the second agent's commands", || Ok(open()?.items.is_empty().then_some(())))?;
    let status = second.terminate()?;
    ensure!(status.success(), "the second agent ended with {status}:\n{}", second.tail());

    let over = stopped + Duration::from_secs(LEASE_SECONDS.unsigned_abs() + 2);
    within(Duration::from_mins(5), "the end of all leases", || Ok((Instant::now() > over).then_some(())))?;
    site.signal_agent(REGION, Signal::CONT)?;
    eventually("the refusal of what it reports under its old session", || {
        // Superseded, or expired since: its region fell silent once more when the second agent ended.
        Ok(site.agent_log(REGION)?.contains("the session is over").then_some(()))
    })?;
    eventually("another session of the first agent", || {
        let begun = site.agent_log(REGION)?.matches("session begun").count();
        Ok((begun == 2).then_some(()))
    })?;
    let two = site.provision("two", REGION)?;
    site.wait_succeeded(two)?;
    for id in [one, two] {
        ran_once_each(world, id)?;
    }
    site.finish()
}

/// Another agent of the same region, on another machine so to speak: it shares no file with the first.
fn second_agent(world: &World, site: &Site) -> Result<Program> {
    let folder = world.folder().join("second");
    std::fs::create_dir_all(&folder)?;
    let (_, templates) = local_chain(world)?;
    let mut command = tenantry();
    command.arg("agent").arg("--folder").arg(folder.join("agent")).args(["--log-format", "json"]);
    command.args(["--manager-url", &site.url(), "--join-token", &site.join_token(REGION)?]);
    command.args(["--executor", "process", "--templates"]).arg(templates);
    Program::start("second-agent", &folder, &mut command).context("the second agent")
}
