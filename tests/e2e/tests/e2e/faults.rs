//! Parts that die, stop or cannot be reached in the middle of an operation: it ends as it would have. The witness
//! shows no lost step, no jumped dependency, no overlap.

use crate::place::{self, OVER_ARGO, Setup};
use anyhow::Result;
use libtest_mimic::Trial;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenantry_e2e::{AgentSettings, Hook, Needs, Proxy, Site, Witness, World, eventually, trial, within};
use tenantry_model::OperationId;

/// `first` → `second` → `third`, and `beside` beside them.
const ORDER: [(&str, &[&str]); 4] =
    [("first", &[]), ("second", &["first"]), ("third", &["second"]), ("beside", &[])];

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "an_agent_killed_at_every_step_on_a_laptop_loses_nothing", |world| {
            agent_killed(world, &Place::Laptop)
        }),
        trial(Needs::Minutes, "a_manager_killed_at_every_step_on_a_laptop_loses_nothing", |world| {
            manager_killed(world, &Place::Laptop)
        }),
        trial(Needs::Minutes, "up_killed_in_the_middle_finds_its_hooks_again", up_killed),
        trial(Needs::Cluster, "an_agent_killed_at_every_step_in_a_cluster_loses_nothing", |world| {
            agent_killed(world, &Place::Cluster)
        }),
        trial(Needs::Cluster, "a_manager_killed_at_every_step_in_a_cluster_loses_nothing", |world| {
            manager_killed(world, &Place::Cluster)
        }),
        trial(Needs::Cluster, "agent_and_manager_killed_together_lose_nothing", both_killed),
        trial(Needs::Cluster, "an_agent_that_is_cut_off_finishes_what_it_began_and_reports_later", partition),
        trial(Needs::Cluster, "a_manager_that_stands_still_past_its_leases_starts_nothing_twice", standstill),
        trial(
            Needs::OwnCluster(&[]),
            "an_api_server_that_stops_in_the_middle_delays_and_loses_nothing",
            api_server,
        ),
        trial(Needs::Argo, format!("a_manager_killed_at_every_step_loses_nothing{OVER_ARGO}"), |world| {
            manager_killed(world, &Place::Argo)
        }),
    ]
}

enum Place {
    Laptop,
    Cluster,
    Argo,
}

/// A site with the chain of hooks in region eu1.
fn site(world: &World, place: &Place, flags: &[&str], proxied: bool) -> Result<(Site, Option<Proxy>)> {
    if let Place::Argo = place {
        let team = world.team("team")?;
        let hooks = chain(&team.namespace, |hook| hook.gated_witness("0"));
        world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
        // Exact: `second` does not wait for `beside`.
        let setup = Setup::new(place::Place::Argo, &[&team.namespace]).manager(flags).exact();
        return Ok((setup.start(world)?, None));
    }
    let mut site = Site::start(world, flags)?;
    let (hooks, agent) = match place {
        Place::Laptop => {
            let (hooks, templates) = local_chain(world)?;
            (hooks, AgentSettings::process(&templates))
        }
        Place::Cluster | Place::Argo => {
            let team = world.team("team")?;
            let hooks = chain(&team.namespace, |hook| hook.gated_witness("0"));
            world.cluster()?.apply(&hooks.iter().map(Hook::manifest).collect::<Vec<_>>())?;
            (hooks, AgentSettings::kubernetes(&world.cluster()?.kubeconfig, &[&team.namespace]))
        }
    };
    let proxy = proxied.then(|| Proxy::start(site.address)).transpose()?;
    let agent = match &proxy {
        Some(proxy) => agent.through(proxy.address),
        None => agent,
    };
    site.add_region("eu1", agent)?;
    let paths: Vec<String> = hooks.iter().map(Hook::path).collect();
    site.wait_for_hooks("eu1", &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok((site, proxy))
}

/// Each is at work until the test lets it end.
fn chain(namespace: &str, witness: impl Fn(Hook) -> Hook) -> Vec<Hook> {
    let hooks = ORDER.iter().map(|(name, after)| match after.first() {
        Some(target) => Hook::new(namespace, name).after(target),
        None => Hook::new(namespace, name),
    });
    hooks.map(witness).collect()
}

fn write_templates(folder: &Path, hooks: &[Hook]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for hook in hooks {
        let name = hook.path().replace('/', "-");
        std::fs::write(folder.join(format!("{name}.yaml")), hook.manifest().to_string())?;
    }
    Ok(())
}

pub fn began(witness: &Witness, id: OperationId, name: &str) -> Result<()> {
    eventually(format!("the begin of {name}"), || Ok((witness.starts(id, name)? > 0).then_some(())))
}

pub fn ended(witness: &Witness, id: OperationId, name: &str) -> Result<()> {
    eventually(format!("the end of {name}"), || {
        let runs = witness.runs(id)?;
        Ok(runs.iter().any(|run| run.start.name == name && run.end.is_some()).then_some(()))
    })
}

/// Every step ran exactly once: nothing was in doubt that a restart could not clear up.
fn once_each(world: &World, site: Site, id: OperationId) -> Result<()> {
    world.open(&["first", "second", "third", "beside"])?;
    site.wait_succeeded(id)?;
    ran_once_each(world, id)?;
    site.finish()
}

/// The witness saw each step of the chain once, in its order.
pub fn ran_once_each(world: &World, id: OperationId) -> Result<()> {
    let witness = world.witness();
    witness.check(id, &ORDER)?;
    for (name, _) in ORDER {
        anyhow::ensure!(witness.starts(id, name)? == 1, "{name} ran more than once: {:?}", witness.runs(id)?);
    }
    Ok(())
}

fn agent_killed(world: &World, place: &Place) -> Result<()> {
    let (mut site, _) = site(world, place, &[], false)?;
    let id = site.provision("prod", "eu1")?;
    // At once, while commands are on their way.
    site.kill_agent("eu1")?;
    site.start_agent("eu1")?;
    for name in ["first", "second", "third"] {
        began(&world.witness(), id, name)?;
        site.kill_agent("eu1")?;
        // It ends while nobody looks.
        world.open(&[name])?;
        ended(&world.witness(), id, name)?;
        site.start_agent("eu1")?;
    }
    once_each(world, site, id)
}

fn manager_killed(world: &World, place: &Place) -> Result<()> {
    let (mut site, _) = site(world, place, &[], false)?;
    tolerate_absence(&site);
    let id = site.provision("prod", "eu1")?;
    site.kill_manager()?;
    site.start_manager()?;
    for name in ["first", "second", "third"] {
        began(&world.witness(), id, name)?;
        site.kill_manager()?;
        world.open(&[name])?;
        ended(&world.witness(), id, name)?;
        site.start_manager()?;
    }
    once_each(world, site, id)
}

fn both_killed(world: &World) -> Result<()> {
    let (mut site, _) = site(world, &Place::Cluster, &[], false)?;
    tolerate_absence(&site);
    let id = site.provision("prod", "eu1")?;
    world.open(&["first"])?;
    began(&world.witness(), id, "second")?;
    site.kill_manager()?;
    site.kill_agent("eu1")?;
    world.open(&["second"])?;
    ended(&world.witness(), id, "second")?;
    site.start_manager()?;
    site.start_agent("eu1")?;
    once_each(world, site, id)
}

fn partition(world: &World) -> Result<()> {
    let (site, proxy) = site(world, &Place::Cluster, &["--agent-silent", "4s"], true)?;
    tolerate_absence(&site);
    site.expect_log("session-expired");
    let id = site.provision("prod", "eu1")?;
    world.open(&["first"])?;
    began(&world.witness(), id, "second")?;
    began(&world.witness(), id, "beside")?;
    let Some(proxy) = proxy else { anyhow::bail!("no proxy") };
    proxy.cut();
    world.open(&["second", "beside"])?;
    ended(&world.witness(), id, "second")?;
    ended(&world.witness(), id, "beside")?;
    site.wait_for(id, "the region's silence to show", |operation| {
        let steps = operation.steps.iter().flatten();
        steps.flat_map(|step| &step.attempts).any(|attempt| attempt.unknown_since.is_some()).then_some(())
    })?;
    anyhow::ensure!(world.witness().starts(id, "third")? == 0, "a step began without its command");
    proxy.mend();
    once_each(world, site, id)
}

fn standstill(world: &World) -> Result<()> {
    let (site, _) = site(world, &Place::Cluster, &["--agent-silent", "4s"], false)?;
    tolerate_absence(&site);
    // The long poll that stood still is answered too late.
    site.expect_log("\"status\":503");
    site.expect_log("session-expired");
    let id = site.provision("prod", "eu1")?;
    began(&world.witness(), id, "first")?;
    site.signal_manager(Signal::STOP)?;
    world.open(&["first"])?;
    ended(&world.witness(), id, "first")?;
    // Longer than a lease: the agent's own clock is what matters, so time itself is what is waited for.
    let until = std::time::Instant::now()
        + Duration::from_secs(tenantry_api_types::agent::LEASE_SECONDS.unsigned_abs() + 2);
    within(Duration::from_mins(5), "the end of all leases", || {
        Ok((std::time::Instant::now() > until).then_some(()))
    })?;
    site.signal_manager(Signal::CONT)?;
    once_each(world, site, id)
}

fn api_server(world: &World) -> Result<()> {
    let (site, _) = site(world, &Place::Cluster, &[], false)?;
    site.expect_log("kube");
    let cluster = world.cluster()?;
    let id = site.provision("prod", "eu1")?;
    world.open(&["first"])?;
    began(&world.witness(), id, "second")?;
    cluster.steer("stop", "apiserver")?;
    world.open(&["second"])?;
    ended(&world.witness(), id, "second")?;
    cluster.steer("start", "apiserver")?;
    cluster.wait_for_api()?;
    listed_again(&site)?;
    once_each(world, site, id)
}

/// The agent watched from a version that the new API server does not have in its memory: 410 Gone. So the end of the
/// step came by a new listing.
fn listed_again(site: &Site) -> Result<()> {
    const GONE: &str = "too old resource version";
    for kind in ["Pod", "Job"] {
        eventually(format!("a new listing of kind {kind}"), || {
            let log = site.agent_log("eu1")?;
            let of_kind = format!("\"kind\":\"{kind}\"");
            let lines = log.lines().filter(|line| line.contains(&of_kind));
            let mut lines = lines.skip_while(|line| !line.contains(GONE));
            let gone = lines.next();
            let again = lines.find(|line| line.contains("listed again"));
            Ok(gone.and(again).map(drop))
        })?;
    }
    Ok(())
}

/// An agent may say that it cannot reach its manager, when that is so.
pub fn tolerate_absence(site: &Site) {
    for text in ["cannot reach the manager", "silent"] {
        site.expect_log(text);
    }
}

/// The chain as processes: its hooks and the folder of their templates.
pub fn local_chain(world: &World) -> Result<(Vec<Hook>, PathBuf)> {
    let templates = world.folder().join("templates");
    let hooks = chain("team", |hook| hook.local_gated_witness(&world.folder().join("witness"), "0"));
    write_templates(&templates, &hooks)?;
    Ok((hooks, templates))
}

fn up_killed(world: &World) -> Result<()> {
    use anyhow::Context;
    let folder = world.folder().join("up");
    std::fs::create_dir_all(&folder)?;
    let (_, templates) = local_chain(world)?;
    let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
    let start = || {
        let mut command = tenantry_e2e::tenantry();
        command.arg("up").arg("--data").arg(folder.join("data")).arg("--templates").arg(&templates);
        command.args(["--listen", &address, "--log-format", "json", "--env-file"]).arg(folder.join("env"));
        tenantry_e2e::Program::start("up", &folder, &mut command)
    };
    let mut up = start()?;
    let variables =
        eventually("the file with the token", || Ok(std::fs::read_to_string(folder.join("env")).ok()))?;
    let client = |args: &[&str]| {
        let mut command = tenantry_e2e::tenantry();
        for (name, value) in variables.lines().filter_map(|line| line.split_once('=')) {
            command.env(name, value);
        }
        tenantry_e2e::Answer::of(command.args(args))
    };
    client(&["tenant", "create", "acme"])?.expect(0)?;
    let made = client(&["env", "create", "acme/prod", "--region", "local", "-o", "json"])?.expect(0)?;
    let made: serde_json::Value = serde_json::from_str(&made.out)?;
    let id: OperationId = made["operation"]["id"].as_str().context("an id")?.parse()?;
    for name in ["first", "second"] {
        began(&world.witness(), id, name)?;
        up.kill()?;
        world.open(&[name])?;
        up = start()?;
    }
    world.open(&["third", "beside"])?;
    client(&["op", "watch", &id.to_string()])?.expect(0)?;
    world.witness().check(id, &ORDER)?;
    for (name, _) in ORDER {
        anyhow::ensure!(world.witness().starts(id, name)? == 1, "{name} ran more than once");
    }
    anyhow::ensure!(up.terminate()?.success());
    tenantry_e2e::LogCheck::default().check(&up.log)
}
