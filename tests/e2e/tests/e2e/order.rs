//! Three teams' hooks with dependencies, judged by what the hooks themselves wrote.

use crate::place::{Place, Setup, on_each};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tenantry_api_types::v1::AttentionQuery;
use tenantry_client::StepVerb;
use tenantry_e2e::{World, eventually};
use tenantry_model::AttentionKind;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(on_each("hooks_of_three_teams_run_in_their_order_and_side_by_side", order));
    trials.extend(on_each("a_failed_step_waits_and_after_a_rerun_its_successors_go_on", failing));
    trials
}

fn order(world: &World, place: Place) -> Result<()> {
    let (billing, crm, search) = (world.team("billing")?, world.team("crm")?, world.team("search")?);
    let after = |hook: &tenantry_e2e::Hook| hook.path();
    let accounts = billing.hook("accounts").witness(2, "0");
    let schema = crm.hook("schema").gated_witness("0");
    let seed = crm.hook("seed").witness(1, "0").after(&format!("schema,{}", after(&accounts)));
    let index = search.hook("index").witness(1, "0").after(&after(&seed));
    let alone = search.hook("alone").gated_witness("0");
    let all = [&accounts, &schema, &seed, &index, &alone];
    world.cluster()?.apply(&all.map(tenantry_e2e::Hook::manifest))?;

    let namespaces = [billing.namespace.as_str(), &crm.namespace, &search.namespace];
    let site = Setup::new(place, &namespaces).start(world)?;
    site.wait_for_hooks("eu1", &all.map(tenantry_e2e::Hook::path).each_ref().map(String::as_str))?;
    let id = site.provision("prod", "eu1")?;
    let witness = world.witness();
    // Neither can end before the other is at work: that they run side by side is no matter of speed.
    eventually("two hooks at work side by side", || {
        let at_work = |name| Ok::<_, anyhow::Error>(witness.starts(id, name)? > 0);
        Ok((at_work("schema")? && at_work("alone")?).then_some(()))
    })?;
    ensure!(witness.starts(id, "seed")? == 0, "began before its target ended: {:?}", witness.runs(id)?);
    world.open(&["schema", "alone"])?;
    site.wait_succeeded(id)?;
    witness.check(
        id,
        &[
            ("accounts", &[]),
            ("schema", &[]),
            ("seed", &["schema", "accounts"]),
            ("index", &["seed"]),
            ("alone", &[]),
        ],
    )?;
    ensure!(witness.overlap(id, "schema", "alone")?, "nothing ran side by side: {:?}", witness.runs(id)?);
    ensure!(!witness.overlap(id, "seed", "index")?);
    site.finish()
}

fn failing(world: &World, place: Place) -> Result<()> {
    let (billing, crm) = (world.team("billing")?, world.team("crm")?);
    let accounts = billing.hook("accounts").witness(1, "first:3");
    let tenant = crm.hook("tenant").witness(1, "0").after(&accounts.path());
    let other = crm.hook("other").witness(1, "0");
    let all = [&accounts, &tenant, &other];
    world.cluster()?.apply(&all.map(tenantry_e2e::Hook::manifest))?;
    let namespaces = [billing.namespace.as_str(), crm.namespace.as_str()];
    let site = Setup::new(place, &namespaces).agent("keep-failed", "0s").start(world)?;
    site.wait_for_hooks("eu1", &all.map(tenantry_e2e::Hook::path).each_ref().map(String::as_str))?;

    site.cli(&["tenant", "create", "acme"])?.expect(0)?;
    let waited =
        site.cli(&["env", "create", "acme/prod", "--region", "eu1", "--wait", "-o", "json"])?.expect(7)?;
    let accepted: serde_json::Value = serde_json::from_str(&waited.out)?;
    let id = accepted["operation"]["id"].as_str().context("an id")?.parse()?;
    ensure!(waited.err.contains(&format!("tenantry op rerun {id}")), "{}", waited.err);
    let attempt = site.wait_ended_attempt(id, "accounts")?;
    ensure!(attempt.outcome.as_ref().and_then(|o| o.exit_code) == Some(3), "{attempt:?}");
    eventually("the sibling's end", || {
        Ok(world.witness().runs(id)?.iter().any(|r| r.start.name == "other" && r.end.is_some()).then_some(()))
    })?;
    ensure!(world.witness().starts(id, "tenant")? == 0, "a successor of a step that failed began");
    let attention = site.call(site.client().attention(&AttentionQuery::default()))?.items;
    let waiting =
        attention.iter().find(|item| item.kind == AttentionKind::StepWaiting).context("no attention")?;
    ensure!(waiting.operation == Some(id) && waiting.remedy.contains("rerun"), "{waiting:?}");
    ensure!(site.cli(&["attention"])?.expect(0)?.out.contains(&accounts.path()));

    site.steer(id, "accounts", StepVerb::rerun(), "mended")?;
    site.wait_succeeded(id)?;
    world.witness().check(id, &[("accounts", &[]), ("tenant", &["accounts"]), ("other", &[])])?;
    ensure!(world.witness().starts(id, "accounts")? == 2);
    eventually("the pods' removal", || {
        let pods = world.cluster()?.get(&["pods", "-n", &billing.namespace])?;
        Ok(pods["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    for (number, exit) in [(1, "\"exit\":3"), (2, "\"exit\":0")] {
        let log = site.log_text(id, "accounts", number)?;
        ensure!(log.contains(exit), "attempt {number}: {log}");
        let number = number.to_string();
        let cli =
            site.cli(&["op", "logs", &id.to_string(), &accounts.path(), "--attempt", &number])?.expect(0)?;
        ensure!(cli.out == log, "the command line's log differs: {:?} and {log:?}", cli.out);
    }
    site.finish()
}
