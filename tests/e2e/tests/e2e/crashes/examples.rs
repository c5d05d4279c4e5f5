//! The examples' lives, each in its site: manager and agent end, and a person gives a command again.

use super::{
    EXPECTED_LOG, Failpoints, LIMIT, Lived, OF_ONE_NAME, Story, VARIABLE, crashes, patiently, points,
};
use crate::life::{Act, Example, Left, RISK, SAAS, left_by, rows_of};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Stdio;
use tenantry_api_types::v1::{Operation, OperationsQuery};
use tenantry_e2e::{Site, World, within};
use tenantry_model::OperationState;

const ENVIRONMENT: &str = "prod";

/// What a command says whose request may have been carried out, or may not: a person looks.
const UNHEARD: [&str; 2] = ["request-already-applied", "cannot be reached"];

pub fn saas(world: &World) -> Result<()> {
    both(world, &SAAS)
}

pub fn risk(world: &World) -> Result<()> {
    both(world, &RISK)
}

fn both(world: &World, example: &Example) -> Result<()> {
    crashes(
        world,
        &Story {
            passes: points::EXAMPLES,
            wanted: &|_| OF_ONE_NAME,
            ends: 10,
            at_once: 2,
            live: &|folder, plan| live(folder, example, plan),
        },
    )
}

/// A life in a site of its own, with these ends.
fn live(folder: &Path, example: &Example, plan: &[String]) -> Result<Lived> {
    let failpoints = Failpoints::new(folder, plan)?;
    let variable = failpoints.variable();
    let mut site = example.site(&folder.join("site"), &example.templates(), &[(VARIABLE, &variable)])?;
    if !plan.is_empty() {
        for text in EXPECTED_LOG {
            site.expect_log(text);
        }
    }
    failpoints.begin()?;

    let mut unheard = 0;
    for act in example.life.iter().chain(example.more) {
        unheard += carry_out(&mut site, example, act)?;
    }
    let environments = [ENVIRONMENT.to_owned()];
    let mut left = |site: &Site| -> Result<Left> {
        Ok(left_by(site, example, &environments)?.remove(ENVIRONMENT).unwrap_or_default())
    };
    settle(&mut site)?;
    let before = patiently(&mut site, "what is left", &mut left)?;
    unheard += carry_out(&mut site, example, example.end)?;
    // What follows an end (reports, releases) may still pass failpoints; then they are switched off.
    quiet(&mut site)?;
    failpoints.end(&mut site)?;
    settle(&mut site)?;
    // What the hooks left before the environment's end, and after it; then what clients see.
    let mut end_state = Vec::new();
    for left in [before, left(&site)?] {
        end_state.extend(left.into_iter().flat_map(|(file, text)| [file, text]));
    }
    end_state.extend(rows_of(&site, &example.full(ENVIRONMENT), crate::life::REGION)?);
    site.cli(&["audit", "verify"])?.expect(0)?;
    site.cli(&["check", "--deep"])?.expect(0)?;
    site.finish()?;
    Ok(failpoints.lived(unheard, end_state))
}

/// Does it as a person would: a command whose answer is not heard is followed by a look, and given again if nothing
/// came of it. Answers how often no answer was heard.
fn carry_out(site: &mut Site, example: &Example, act: Act) -> Result<usize> {
    let mut unheard = 0;
    loop {
        settle(site)?;
        let before = patiently(site, "the operations", operations)?.len();
        let mut command = example.command(site, act, ENVIRONMENT);
        let mut child = command.arg("--wait").stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        within(LIMIT, format!("the end of {act:?}"), || {
            site.revive()?;
            Ok(child.try_wait()?)
        })?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        settle(site)?;
        let after = patiently(site, "the operations", operations)?;
        ensure!(after.len() <= before + 1, "{act:?} was carried out twice: {after:?}");
        if output.status.success() {
            ensure!(after.len() == before + 1, "{act:?} says it is done, and nothing is there");
            return Ok(unheard);
        }
        ensure!(UNHEARD.iter().any(|text| said.contains(text)), "{act:?}: {said}");
        unheard += 1;
        if after.len() == before + 1 {
            return Ok(unheard);
        }
    }
}

/// All operations of the site.
fn operations(site: &Site) -> Result<Vec<Operation>> {
    Ok(site.call(site.client().operations(&OperationsQuery::default()))?.items)
}

/// Waits until manager and agent are there and nothing is under way; all that was done succeeded.
fn settle(site: &mut Site) -> Result<()> {
    let mut last = None;
    within(LIMIT, "the end of what is under way", || {
        site.revive()?;
        let Ok(all) = operations(site) else { return Ok(None) };
        if let Some(bad) = all.iter().find(|one| one.done && one.state != OperationState::Succeeded) {
            bail!("{bad:#?}");
        }
        let Some(open) = all.iter().find(|one| !one.done) else { return Ok(Some(())) };
        let open = site.operation(open.id).ok();
        if let Some(step) = open.iter().flat_map(|open| open.steps.iter().flatten()).find(|step| step.waiting)
        {
            bail!("a step waits for a person, and nobody did anything wrong: {step:#?}");
        }
        last = open;
        Ok(None)
    })
    .with_context(|| format!("open: {last:#?}"))
}

/// Waits until the agent has nothing left to do, so that what follows the last operation is passed as well.
fn quiet(site: &mut Site) -> Result<()> {
    let region = crate::life::REGION.parse()?;
    within(LIMIT, "the end of all commands", || {
        site.revive()?;
        let open = site.call(site.client().open_commands(&region));
        Ok(open.is_ok_and(|open| open.items.is_empty()).then_some(()))
    })
}
