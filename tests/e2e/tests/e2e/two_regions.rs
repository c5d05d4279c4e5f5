//! Two regions' agents, and credentials that are valid, but the other region's: nothing of one region can be touched or
//! learnt with what belongs to the other, nothing that was seen is lost, and it is said clearly.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tenantry_api_types::agent::{
    FinishRequest, InventoryRequest, LeaseRequest, LogChunk, LogsRequest, ObservationsRequest, SessionRequest,
};
use tenantry_api_types::v1::HooksQuery;
use tenantry_client::agent::{AgentClient, AgentClientError};
use tenantry_e2e::{AgentSettings, Answer, Hook, Needs, Site, World, eventually, trial};
use tenantry_model::{AgentSessionId, AttemptId, Executor, Fact, HookRef, Observation, OperationId, Outcome};
use uuid::Uuid;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "agents_with_each_others_credentials_are_refused_and_lose_nothing", swapped),
        trial(Needs::Minutes, "one_regions_credential_opens_nothing_of_another_region", foreign),
    ]
}

const REGIONS: [(&str, &str); 2] = [("eu1", "alpha"), ("us1", "beta")];

/// Each region with a hook of its own that waits for its gate.
fn site(world: &World) -> Result<Site> {
    let mut site = Site::start(world, &[])?;
    for (region, name) in REGIONS {
        let templates = templates(world, region);
        std::fs::create_dir_all(&templates)?;
        let hook = Hook::new("team", name).local_gated_witness(&world.folder().join("witness"), "0");
        std::fs::write(templates.join("hook.yaml"), hook.manifest().to_string())?;
        site.add_region(region, AgentSettings::process(&templates))?;
        site.wait_for_hooks(region, &[&hook.path()])?;
    }
    Ok(site)
}

fn templates(world: &World, region: &str) -> PathBuf {
    world.folder().join(format!("templates-{region}"))
}

fn credential_file(site: &Site, region: &str) -> PathBuf {
    site.agent_folder(region).join("credential")
}

fn hooks_of(site: &Site, region: &str) -> Result<Vec<String>> {
    let query = HooksQuery { region: Some(region.parse()?), ..HooksQuery::default() };
    let hooks = site.call(site.client().hooks(&query))?.items;
    Ok(hooks.iter().map(|hook| format!("{} {:?}", hook.hook.path(), hook.state)).collect())
}

fn exchange(site: &Site) -> Result<()> {
    let [one, other] = REGIONS.map(|(region, _)| credential_file(site, region));
    let (first, second) = (std::fs::read(&one)?, std::fs::read(&other)?);
    std::fs::write(one, second)?;
    std::fs::write(other, first)?;
    Ok(())
}

fn swapped(world: &World) -> Result<()> {
    let mut site = site(world)?;
    for text in ["wrong-region", "cannot reach the manager", "silent"] {
        site.expect_log(text);
    }
    let before = [hooks_of(&site, "eu1")?, hooks_of(&site, "us1")?];
    let ids = [site.provision("prod", "eu1")?, site.provision("test", "us1")?];
    for (id, (_, name)) in ids.iter().zip(REGIONS) {
        eventually("the hook at work", || Ok((world.witness().starts(id, name)? > 0).then_some(())))?;
    }
    for (region, _) in REGIONS {
        site.kill_agent(region)?;
    }
    exchange(&site)?;
    for (region, _) in REGIONS {
        site.start_agent(region)?;
    }
    for ((region, _), (other, _)) in REGIONS.into_iter().zip([REGIONS[1], REGIONS[0]]) {
        let log = eventually(format!("the refusal in the log of {region}"), || {
            let log = site.agent_log(region)?;
            Ok(log.contains("wrong-region").then_some(log))
        })?;
        let said = format!("the agent serves region {region}, its credential is of region {other}");
        ensure!(log.contains(&said), "{log}");
        let secret = std::fs::read_to_string(credential_file(&site, region))?;
        ensure!(!log.contains(secret.trim()), "the credential is in the log");
    }
    // Both hooks end while nobody can say so: what the agents saw waits for the right credential.
    world.open(&["alpha", "beta"])?;
    for (id, (_, name)) in ids.iter().zip(REGIONS) {
        eventually(format!("the end of {name}"), || {
            Ok(world.witness().runs(id)?.iter().any(|run| run.end.is_some()).then_some(()))
        })?;
    }
    for id in ids {
        let operation = site.operation(id)?;
        let ended = operation.steps.iter().flatten().flat_map(|step| &step.attempts);
        ensure!(ended.filter(|attempt| attempt.outcome.is_some()).count() == 0, "{operation:?}");
    }
    ensure!(before == [hooks_of(&site, "eu1")?, hooks_of(&site, "us1")?], "a region's hooks have changed");

    for (region, _) in REGIONS {
        site.kill_agent(region)?;
    }
    exchange(&site)?;
    for (region, _) in REGIONS {
        site.start_agent(region)?;
    }
    for (id, (_, name)) in ids.iter().zip(REGIONS) {
        site.wait_succeeded(*id)?;
        world.witness().check(id, &[(name, &[])])?;
        ensure!(world.witness().starts(id, name)? == 1, "{name} ran again");
        ensure!(site.log_text(*id, name, 1)?.contains(&format!("{name} is at work")), "the log is lost");
    }
    site.finish()
}

/// Whoever holds one region's credential, and all ids of the other region.
struct Holder {
    client: AgentClient,
    session: AgentSessionId,
    runtime: tokio::runtime::Runtime,
}

impl Holder {
    fn new(site: &Site, region: &str) -> Result<Self> {
        let credential = std::fs::read_to_string(credential_file(site, region))?;
        let client = AgentClient::new(&site.url(), credential.trim().to_owned().into(), &[])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let session = AgentSessionId(Uuid::now_v7());
        let request = SessionRequest { session, executor: Executor::Process, version: "test".to_owned() };
        let answer = runtime.block_on(client.session(&request))?;
        ensure!(answer.open_attempts.iter().all(|open| open.attempt.step.region.as_str() == region));
        Ok(Self { client, session, runtime })
    }

    fn call<T>(&self, call: impl Future<Output = Result<T, AgentClientError>>) -> Result<T> {
        Ok(self.runtime.block_on(call)?)
    }

    fn lease(&self) -> Result<Vec<tenantry_api_types::agent::LeasedCommand>> {
        let request = LeaseRequest { session: self.session, limit: 100, wait_seconds: 1, unanswered: false };
        Ok(self.call(self.client.lease(&request))?.commands)
    }

    /// Says that the attempt has failed and sends text as its log; answers what the manager does not know.
    fn meddle(&self, attempt: &AttemptId) -> Result<(Vec<AttemptId>, Vec<AttemptId>)> {
        let ended = Fact::Ended {
            started_at: None,
            ended_at: Timestamp::now(),
            outcome: Outcome {
                reason: None,
                exit_code: Some(0),
                message: "forged".to_owned(),
                outputs: BTreeMap::new(),
            },
            images: BTreeMap::new(),
        };
        let observations =
            vec![Observation { attempt: attempt.clone(), number: 99, at: Timestamp::now(), fact: ended }];
        let request = ObservationsRequest { session: self.session, observations };
        let facts = self.call(self.client.observations(&request))?.unknown;
        let chunk =
            LogChunk { attempt: attempt.clone(), offset: 0, data: "Zm9yZ2VkCg==".to_owned(), last: true };
        let request = LogsRequest { session: self.session, chunks: vec![chunk] };
        Ok((facts, self.call(self.client.logs(&request))?.unknown))
    }
}

fn foreign(world: &World) -> Result<()> {
    let mut site = site(world)?;
    // The test speaks with both regions' credentials for a while.
    for text in ["session-superseded", "silent", "cannot reach the manager"] {
        site.expect_log(text);
    }
    let running = site.provision("running", "eu1")?;
    eventually("alpha at work", || Ok((world.witness().starts(running, "alpha")? > 0).then_some(())))?;
    let known = site.wait_for(running, "the attempt to be seen running", |operation| {
        let attempt = operation.steps.iter().flatten().flat_map(|step| &step.attempts).next()?;
        (attempt.state == tenantry_model::AttemptState::Running).then_some(())
    });
    known?;
    for (region, _) in REGIONS {
        site.kill_agent(region)?;
    }
    let waiting = site.provision("waiting", "eu1")?;
    let alpha = HookRef { region: "eu1".parse()?, namespace: "team".parse()?, name: "alpha".parse()? };
    let hash =
        site.operation(running)?.steps.iter().flatten().next().context("a step")?.template_hash.clone();
    let of_eu = AttemptId { operation: running, step: alpha.clone(), number: 1 };

    let us = Holder::new(&site, "us1")?;
    // eu1's start command is there, and is learnt with eu1's own credential only.
    ensure!(us.lease()?.is_empty(), "us1 was given a command of eu1");
    let eu = Holder::new(&site, "eu1")?;
    let commands = eu.lease()?;
    ensure!(
        commands.iter().any(|command| command.attempt.operation == waiting),
        "eu1 has no command: {commands:?}"
    );
    // Not even by its id can another region say that it is done.
    let ids = commands.iter().map(|command| command.id).collect();
    us.call(us.client.finish(&FinishRequest { session: us.session, commands: ids }))?;
    // A real attempt of eu1 and one that nobody ever made get the same answer.
    let nobodys = AttemptId { operation: OperationId(Uuid::now_v7()), step: alpha.clone(), number: 1 };
    for attempt in [&of_eu, &nobodys] {
        let (facts, logs) = us.meddle(attempt)?;
        ensure!(facts == [attempt.clone()] && logs == [attempt.clone()], "{facts:?} {logs:?}");
    }
    // The same attempt under a step that would be us1's own.
    let own = HookRef { region: "us1".parse()?, ..alpha };
    let (facts, logs) = us.meddle(&AttemptId { step: own, ..of_eu.clone() })?;
    ensure!(facts.len() == 1 && logs.len() == 1, "{facts:?} {logs:?}");
    // What eu1's hooks consist of is not named to us1, and eu1's session is nobody else's.
    let inventory = |session| InventoryRequest {
        session,
        begin: true,
        end: true,
        present: Vec::new(),
        absent: Vec::new(),
    };
    let keep = us.call(us.client.inventory(&inventory(us.session)))?.keep;
    ensure!(!keep.contains(&hash), "us1 learns a template of eu1: {keep:?}");
    let refused = us.call(us.client.inventory(&inventory(eu.session))).err().context("taken for eu1")?;
    ensure!(refused.to_string().contains("409"), "{refused:#}");
    ensure!(hooks_of(&site, "eu1")? == ["team/alpha Ready"], "{:?}", hooks_of(&site, "eu1")?);
    // Nor is it a way into the public API.
    let credential = std::fs::read_to_string(credential_file(&site, "us1"))?;
    for args in [vec!["op", "list"], vec!["env", "list"], vec!["hook", "list"], vec!["token", "list"]] {
        let mut command = site.command(&args);
        let answer = Answer::of(command.env("TENANTRY_TOKEN", credential.trim()))?.expect(3)?;
        ensure!(answer.out.is_empty() && !answer.err.contains(&running.to_string()), "{answer:?}");
    }

    for (region, _) in REGIONS {
        site.start_agent(region)?;
    }
    world.open(&["alpha", "beta"])?;
    for id in [running, waiting] {
        let operation = site.wait_succeeded(id)?;
        world.witness().check(id, &[("alpha", &[])])?;
        ensure!(world.witness().starts(id, "alpha")? == 1, "alpha ran again");
        ensure!(!format!("{operation:?}").contains("forged"), "{operation:?}");
        ensure!(!site.log_text(id, "alpha", 1)?.contains("forged"));
    }
    site.wait_for_hooks("us1", &["team/beta"])?;
    let beta = site.provision("other", "us1")?;
    site.wait_succeeded(beta)?;
    site.finish()
}
