//! The largest graphs that are allowed, through everything: inventory in pages, plan, store, protocol, API, streams, command
//! line. The agent runs nothing and answers at once. What each part took is printed; nothing is judged by it.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::{
    CreateRegion, HoldStep, OperationsQuery, ReleaseStep, RerunStep, RunOperation, VerbPreview,
};
use tenantry_client::{Call, Steered, StepVerb};
use tenantry_e2e::instant::{Answer, InstantAgent};
use tenantry_e2e::{Hook, Needs, Postgres, Site, World, on_postgres, trial, within};
use tenantry_model::{EnvironmentId, HookRef, OperationId, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "five_thousand_steps_and_a_chain_of_a_thousand_run_on_sqlite", |world| {
            run(world, Site::start(world, &[])?)
        }),
        on_postgres(trial(
            Needs::Minutes,
            "five_thousand_steps_and_a_chain_of_a_thousand_run_on_postgresql",
            |world| {
                let postgres = Postgres::start(world)?;
                run(world, Site::start_on(&world.folder().join("site"), &postgres, &[], &[])?)
            },
        )),
    ]
}

const REGION: &str = "eu1";
/// The most steps that an operation may have (docs/operations/limits.md).
const MOST: usize = 5000;
/// Beside each other in the wide graph.
const WIDTH: usize = 1000;
const LINKS: usize = 1000;
const WIDE: &str = "large.wide";
const CHAIN: &str = "large.chain";
const TOO_LARGE: &str = "large.too-large";

fn name(n: usize) -> String {
    format!("s{n:04}")
}

/// Five layers of a thousand, in which each step waits for three; the first thousand of them are a chain in another
/// operation; and one hook more makes a third operation too large.
fn templates() -> Vec<Value> {
    let mut all: Vec<Hook> = (0..MOST)
        .map(|n| {
            let mut operations = format!("{WIDE},{TOO_LARGE}");
            let mut hook = Hook::new("large", &name(n));
            if n < LINKS {
                operations.push_str(&format!(",{CHAIN}"));
            }
            if (1..LINKS).contains(&n) {
                hook = hook.tenant(&format!("after.{CHAIN}"), &name(n - 1));
            }
            if n >= WIDTH {
                let above = |k: usize| name((n / WIDTH - 1) * WIDTH + (n + k) % WIDTH);
                hook = hook.after(&(0..3).map(above).collect::<Vec<_>>().join(","));
            }
            hook.tenant("lifecycle", &operations)
        })
        .collect();
    all.push(Hook::new("large", "one-more").tenant("lifecycle", TOO_LARGE));
    all.iter().map(Hook::manifest).collect()
}

struct Place<'w> {
    world: &'w World,
    site: Site,
    environment: EnvironmentId,
    agent: InstantAgent,
}

/// Prints what something took.
fn timed<T>(what: &str, done: impl FnOnce() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let answer = done().with_context(|| what.to_owned())?;
    eprintln!("{what}: {:.2} s", began.elapsed().as_secs_f64());
    Ok(answer)
}

fn run(world: &World, site: Site) -> Result<()> {
    let region = REGION.parse()?;
    site.call(site.client().create_region(&CreateRegion { name: REGION.parse()? }, &Call::default()))?;
    let token = site.join_token(REGION)?;
    let agent = timed("5,001 hooks reported and read", || {
        let agent = InstantAgent::start(&site.url(), token, &templates(), Answer::Succeeds)?;
        within(Duration::from_mins(5), "the inventory", || {
            ensure!(!agent.has_ended(), "the agent broke off");
            let region = site.call(site.client().region(&region))?;
            Ok((region.alive && region.inventory_complete).then_some(()))
        })?;
        Ok(agent)
    })?;
    let first = site.create_environment("prod", REGION, serde_json::json!({}))?;
    site.wait_succeeded(first.operation.context("no operation")?.id)?;
    let mut place = Place { world, site, environment: first.environment.id, agent };
    place.refuses_what_is_too_large()?;
    place.chain()?;
    place.wide()?;
    let Place { site, agent, .. } = place;
    agent.stop()?;
    // It has no life that `finish` could end; its region is silent by then or is not.
    site.expect_log("has no living agent");
    site.finish()
}

impl Place<'_> {
    fn wish(operation: &str) -> Result<RunOperation> {
        Ok(RunOperation {
            operation: operation.parse()?,
            reason: None,
            parameters: serde_json::Map::new(),
            on_conflict: None,
            expected_state: None,
            scheduled_time: None,
        })
    }

    fn begin(&self, operation: &str) -> Result<OperationId> {
        let (call, wish) = (Call::default(), Self::wish(operation)?);
        let asked = self.site.client().run_operation(self.environment, &wish, &call);
        Ok(self.site.call(asked)?.operation.context("no operation")?.id)
    }

    fn preview(&self, operation: &str) -> Result<tenantry_api_types::v1::Preview> {
        let (call, wish) = (Call { validate_only: true, ..Call::default() }, Self::wish(operation)?);
        let asked = self.site.client().run_operation(self.environment, &wish, &call);
        self.site.call(asked)?.preview.context("no preview")
    }

    fn refuses_what_is_too_large(&mut self) -> Result<()> {
        let preview = self.preview(TOO_LARGE)?;
        let refusal = preview.refusal.with_context(|| format!("a plan of {} steps", preview.steps.len()))?;
        ensure!(refusal.code == "plan-too-large", "{refusal:?}");
        ensure!(refusal.detail == "the plan has 5001 steps; at most 5000 are allowed", "{refusal:?}");
        let id = self.begin(TOO_LARGE)?;
        self.site.expect_refused(id);
        let refused = self.site.wait_done(id)?;
        ensure!(refused.state == OperationState::Failed, "{refused:?}");
        ensure!(refused.problem.as_deref() == Some("plan-too-large"), "{refused:?}");
        ensure!(refused.steps.is_some_and(|steps| steps.is_empty()), "a refused plan has no steps");
        Ok(())
    }

    /// Lists carry no steps: who looks often does not take the manager's time.
    fn wait_until_ended(&self) -> Result<()> {
        let query = OperationsQuery { unfinished: true, page_size: Some(1), ..OperationsQuery::default() };
        within(Duration::from_mins(15), "the end of all operations", || {
            Ok(self.site.call(self.site.client().operations(&query))?.items.is_empty().then_some(()))
        })
    }

    fn chain(&self) -> Result<()> {
        let ended = timed("a chain of 1,000, one start after the other", || {
            let id = self.begin(CHAIN)?;
            self.wait_until_ended()?;
            self.site.wait_succeeded(id)
        })?;
        ensure!(ended.steps.is_some_and(|steps| steps.len() == LINKS), "another number of steps");
        Ok(())
    }

    fn wide(&self) -> Result<()> {
        let plan = timed("what 5,000 steps would do (validateOnly)", || self.preview(WIDE))?;
        ensure!(plan.steps.len() == MOST && plan.refusal.is_none(), "{} steps", plan.steps.len());
        let last = HookRef::new(REGION.parse()?, format!("large/{}", name(MOST - 1)).parse()?);
        let hold = HoldStep::default();

        let before = self.agent.started.load(std::sync::atomic::Ordering::SeqCst);
        let began = Instant::now();
        let id = timed("asked for 5,000 steps: planned, 1,000 begun", || self.begin(WIDE))?;
        // Caught before its turn comes: a graph that is done but for one step is looked at in peace.
        timed("held one of them", || self.verb(id, &last, StepVerb::Hold(hold)).map(drop))?;
        let mut lines = self.watch(id, "lines")?;
        let mut events = self.watch_json(id)?;
        within(Duration::from_mins(15), "the agent's 4,999 answers", || {
            let answered = self.agent.started.load(std::sync::atomic::Ordering::SeqCst);
            Ok((answered - before >= MOST as u64 - 1).then_some(()))
        })?;
        self.site.wait_for(id, "all steps but one", |operation| {
            let done = operation.steps.iter().flatten().filter(|step| step.state.is_done()).count();
            (done == MOST - 1).then_some(())
        })?;
        eprintln!("4,999 of 5,000 steps: {:.2} s", began.elapsed().as_secs_f64());

        let shown = timed("op get as JSON", || self.cli(&["op", "get", &id.to_string(), "-o", "json"]))?;
        eprintln!("… of {} bytes", shown.len());
        let shown: Value = serde_json::from_str(&shown)?;
        ensure!(
            shown["steps"].as_array().is_some_and(|steps| steps.len() == MOST),
            "op get leaves steps out"
        );
        let table = timed("op get as a table", || self.cli(&["op", "get", &id.to_string()]))?;
        ensure!(
            table.lines().filter(|line| line.trim_start().starts_with("large/s")).count() == MOST,
            "{table}"
        );

        let first = HookRef::new(REGION.parse()?, format!("large/{}", name(0)).parse()?);
        let all = StepVerb::Rerun(RerunStep { with_successors: true, ..RerunStep::default() });
        let preview = timed("what a rerun with successors would do", || self.preview_verb(id, &first, all))?;
        ensure!(preview.reset.len() > 10, "{preview:?}");
        timed("released the last", || {
            self.verb(id, &last, StepVerb::Release(ReleaseStep::default())).map(drop)
        })?;
        self.site.wait_succeeded(id)?;

        // Whoever watched has seen each step end.
        timed("the end of op watch", || {
            ensure!(lines.wait()?.success() && events.wait()?.success(), "op watch failed");
            Ok(())
        })?;
        let text = std::fs::read_to_string(self.world.folder().join("lines"))?;
        let ended: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once("  large/")?.1.strip_suffix(" succeeded"))
            .collect();
        let ended: BTreeSet<&str> = ended.into_iter().filter(|name| !name.contains(' ')).collect();
        ensure!(ended.len() == MOST, "op watch has seen {} steps succeed", ended.len());
        let text = std::fs::read_to_string(self.world.folder().join("json"))?;
        let mut ended = BTreeSet::new();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line)?;
            if event["type"] == "io.tenantry.step.changed.v1" && event["data"]["state"] == "succeeded" {
                ended.insert(event["data"]["step"].as_str().context("a step")?.to_owned());
            }
        }
        ensure!(ended.len() == MOST, "the stream has told of {} steps that succeeded", ended.len());
        Ok(())
    }

    fn verb(&self, id: OperationId, step: &HookRef, verb: StepVerb) -> Result<Steered> {
        let verb = verb.with(Some("a test".to_owned()), None);
        self.site.call(self.site.client().steer(id, step, &verb, &Call::default()))
    }

    fn preview_verb(&self, id: OperationId, step: &HookRef, verb: StepVerb) -> Result<VerbPreview> {
        let verb = verb.with(Some("a test".to_owned()), None);
        let call = Call { validate_only: true, ..Call::default() };
        match self.site.call(self.site.client().steer(id, step, &verb, &call))? {
            Steered::Preview(preview) => Ok(*preview),
            other => anyhow::bail!("no preview: {other:?}"),
        }
    }

    fn cli(&self, args: &[&str]) -> Result<String> {
        Ok(self.site.cli(args)?.expect(0)?.out)
    }

    fn watch(&self, id: OperationId, file: &str) -> Result<Child> {
        self.start_into(self.site.command(&["op", "watch", &id.to_string()]), file)
    }

    fn watch_json(&self, id: OperationId) -> Result<Child> {
        self.start_into(self.site.command(&["op", "watch", &id.to_string(), "-o", "json"]), "json")
    }

    fn start_into(&self, mut command: Command, file: &str) -> Result<Child> {
        let out = std::fs::File::create(self.world.folder().join(file))?;
        Ok(command.stdout(out).stderr(Stdio::inherit()).spawn()?)
    }
}
