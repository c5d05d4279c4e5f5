//! `examples/nightly-risk`, as it stands in the repository: a bank's night of fourteen hooks, whose figures must agree
//! with a reference that was made with forty times the paths on other random numbers.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tenantry_api_types::v1::{CancelOperation, CreateEnvironment, CreateTenant, Operation, RunOperation};
use tenantry_client::{Call, OperationVerb};
use tenantry_e2e::{AgentSettings, Needs, Site, World, repository, trial};
use tenantry_model::{EnvironmentId, OperationId, StepState};

pub const SPACE: &str = "northbank-risk";

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "a_night_of_risk_agrees_with_its_reference", agrees),
        trial(Needs::Minutes, "a_bad_quote_fails_exactly_its_scenario", bad_quote),
    ]
}

/// What `reference.json` holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    pub business_date: String,
    /// Relative; three and a half standard errors of a night's 10,000 paths.
    tolerance: f64,
    pub scenarios: BTreeMap<String, Figures>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    var99: f64,
    es975: f64,
    delta_normal: f64,
}

pub fn example() -> PathBuf {
    repository().join("examples/nightly-risk")
}

pub fn reference() -> Result<Reference> {
    Ok(serde_json::from_str(&std::fs::read_to_string(example().join("reference.json"))?)?)
}

/// A site with the example's definition and environment, its hooks run as local processes.
struct Bank {
    site: Site,
    environment: EnvironmentId,
    volumes: PathBuf,
}

impl Bank {
    fn open(world: &World) -> Result<Self> {
        let mut site = Site::start(world, &[])?;
        let root = world.folder().join("root");
        let settings = AgentSettings::process(&example()).flag("root", &root.display().to_string());
        site.add_region("local", settings)?;
        site.wait_for_hooks("local", &["northbank-risk/load-positions", "northbank-risk/report"])?;
        let environment = customer(&site, "local")?;
        Ok(Self { site, environment, volumes: root.join("volumes").join(SPACE) })
    }

    fn night(&self, date: &str) -> Result<OperationId> {
        night(&self.site, self.environment, date)
    }

    /// What the vendor of market data delivers for a date.
    fn deliver(&self, date: &str, quotes: &str) -> Result<()> {
        let feed = self.volumes.join("feed");
        std::fs::create_dir_all(&feed)?;
        Ok(std::fs::write(feed.join(format!("{date}.json")), quotes)?)
    }
}

/// The customer with the example's definition, in a region.
pub fn customer(site: &Site, region: &str) -> Result<EnvironmentId> {
    let definition = example().join("definition.yaml").display().to_string();
    site.cli(&["definition", "apply", "-f", &definition])?.expect(0)?;
    let tenant = CreateTenant { name: "northbank".parse()?, display_name: None };
    site.call(site.client().create_tenant(&tenant, &Call::default()))?;
    customer_named(site, region, "risk")
}

/// One more of the customer's environments.
pub fn customer_named(site: &Site, region: &str, name: &str) -> Result<EnvironmentId> {
    let body: CreateEnvironment = serde_json::from_value(serde_json::json!({
        "tenant": "northbank", "name": name, "region": region, "spec": {"settings": {"paths": 10_000}}
    }))?;
    let created = site.call(site.client().create_environment(&body, &Call::default()))?;
    site.wait_succeeded(created.operation.context("no operation")?.id)?;
    Ok(created.environment.id)
}

pub fn night(site: &Site, environment: EnvironmentId, date: &str) -> Result<OperationId> {
    let body = RunOperation {
        operation: "risk.nightly".parse()?,
        reason: None,
        parameters: serde_json::Map::new(),
        on_conflict: None,
        expected_state: None,
        scheduled_time: Some(format!("{date}T21:00:00Z").parse()?),
    };
    let accepted = site.call(site.client().run_operation(environment, &body, &Call::default()))?;
    Ok(accepted.operation.context("no operation")?.id)
}

pub fn outputs<'a>(operation: &'a Operation, step: &str) -> Result<&'a BTreeMap<String, String>> {
    let steps = operation.steps.as_deref().unwrap_or_default();
    let found = steps.iter().find(|found| found.hook.name.as_str() == step);
    Ok(&found.with_context(|| format!("no step {step}"))?.outputs)
}

pub fn number(outputs: &BTreeMap<String, String>, key: &str) -> Result<f64> {
    Ok(outputs.get(key).with_context(|| format!("no {key} in {outputs:?}"))?.parse()?)
}

/// Every scenario's figures lie within the reference's tolerance; the analytic one has no noise.
pub fn check_figures(operation: &Operation) -> Result<()> {
    let reference = reference()?;
    ensure!(reference.scenarios.len() == 8);
    for (name, wanted) in &reference.scenarios {
        let found = outputs(operation, &format!("scenario-{name}"))?;
        ensure!(found["businessDate"] == reference.business_date, "{found:?}");
        for (key, wanted, tolerance) in [
            ("var99", wanted.var99, reference.tolerance),
            ("es975", wanted.es975, reference.tolerance),
            ("deltaNormal", wanted.delta_normal, 1e-6),
        ] {
            let off = number(found, key)? / wanted - 1.0;
            ensure!(off.abs() < tolerance, "{name}: {key} is {off:+.4} off the reference {wanted}");
        }
    }
    Ok(())
}

fn agrees(world: &World) -> Result<()> {
    let bank = Bank::open(world)?;
    let date = reference()?.business_date;
    let first = bank.site.wait_succeeded(bank.night(&date)?)?;
    ensure!(first.steps.as_ref().is_some_and(|steps| steps.len() == 14), "{:?}", first.steps);
    check_figures(&first)?;
    let sum = outputs(&first, "aggregate")?;
    ensure!(sum["worstScenario"] == "volatility-up" && sum["byHand"] == "0", "{sum:?}");
    ensure!(sum["var99"] == outputs(&first, "scenario-base")?["var99"], "{sum:?}");
    let report = outputs(&first, "report")?;
    let page = std::fs::read_to_string(Path::new(&report["report"]))?;
    ensure!(page.starts_with(&format!("# Market risk of northbank, {date}\n")), "{page}");
    ensure!(page.contains("| **volatility-up** |"), "{page}");

    // Hooks are idempotent: the same night again gives the same page, another night another one.
    let again = bank.site.wait_succeeded(bank.night(&date)?)?;
    ensure!(outputs(&again, "report")? == report);
    let next = bank.site.wait_succeeded(bank.night("2026-03-04")?)?;
    ensure!(outputs(&next, "report")?["sha256"] != report["sha256"]);
    // Saturday's run belongs to Friday.
    let saturday = bank.site.wait_succeeded(bank.night("2026-03-07")?)?;
    ensure!(outputs(&saturday, "load-positions")?["businessDate"] == "2026-03-06");
    bank.site.finish()
}

fn bad_quote(world: &World) -> Result<()> {
    let bank = Bank::open(world)?;
    let cases = [
        (
            "2026-03-10",
            r#"{"volatility-up": {"EURJPY.vol": {"value": -0.19}}}"#,
            "scenario-volatility-up",
            "scenario volatility-up of 2026-03-10: EURJPY.vol is -0.19: a volatility must be positive",
        ),
        (
            "2026-03-11",
            r#"{"rates-up": {"SPX": {"value": 5500, "asOf": "2026-03-06"}}}"#,
            "scenario-rates-up",
            "scenario rates-up of 2026-03-11: SPX is stale: it is of 2026-03-06",
        ),
    ];
    for (date, delivered, step, message) in cases {
        bank.deliver(date, delivered)?;
        let id = bank.night(date)?;
        bank.site.wait_ended_attempt(id, step)?;
        // The others do not wait for the one that failed.
        let operation = bank.site.wait_for(id, "the end of the other scenarios", |operation| {
            let steps = operation.steps.as_deref()?;
            let others = steps.iter().filter(|s| s.hook.name.as_str().starts_with("scenario-"));
            others
                .clone()
                .all(|s| s.attempts.last().is_some_and(|a| a.outcome.is_some()))
                .then(|| operation.clone())
        })?;
        let failed: BTreeSet<&str> = operation
            .steps
            .iter()
            .flatten()
            .filter(|step| step.state == StepState::Failed)
            .map(|step| step.hook.name.as_str())
            .collect();
        ensure!(failed == BTreeSet::from([step]), "{failed:?} failed on {date}");
        let log = bank.site.log_text(id, step, 1)?;
        ensure!(log.contains(message) && log.contains("rerun this step"), "{log}");
        let body = CancelOperation { reason: "seen".to_owned(), expected_state: None };
        bank.site.call(bank.site.client().steer_operation(
            id,
            &OperationVerb::Cancel(body),
            &Call::default(),
        ))?;
        bank.site.wait_done(id)?;
    }
    // A file of the vendor that cannot be read stops the night where it is read, before anything is calculated.
    bank.deliver("2026-03-12", "{")?;
    let id = bank.night("2026-03-12")?;
    bank.site.wait_ended_attempt(id, "load-market-data")?;
    let log = bank.site.log_text(id, "load-market-data", 1)?;
    ensure!(log.contains("2026-03-12.json cannot be read"), "{log}");
    let body = CancelOperation { reason: "seen".to_owned(), expected_state: None };
    bank.site.call(bank.site.client().steer_operation(id, &OperationVerb::Cancel(body), &Call::default()))?;
    bank.site.wait_done(id)?;
    bank.site.finish()
}
