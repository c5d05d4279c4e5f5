//! Each step of the examples on a laptop fails before its work, and after it, so that its work is repeated. What the
//! hooks leave is what an undisturbed run leaves.

use crate::life::{Example, RISK, SAAS, left_by, wrapped};
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenantry_api_types::v1::RerunStep;
use tenantry_client::StepVerb;
use tenantry_e2e::{Needs, Site, World, trial, within};
use tenantry_model::{AttemptState, OperationState};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "each_step_of_the_saas_example_may_fail_and_be_repeated", |world| {
            failing_steps(world, &SAAS)
        }),
        trial(Needs::Minutes, "each_step_of_a_night_of_risk_may_fail_and_be_repeated", |world| {
            failing_steps(world, &RISK)
        }),
    ]
}

fn failing_steps(world: &World, example: &Example) -> Result<()> {
    let templates = world.folder().join("templates");
    let marks = world.folder().join("planted");
    std::fs::create_dir_all(&marks)?;
    let hooks = wrapped(example, &templates, &marks)?;
    let site = example.site(&world.folder().join("site"), &templates, &[])?;
    let mut environments = vec!["calm".to_owned()];
    for hook in &hooks {
        environments.extend([format!("before-{hook}"), format!("after-{hook}")]);
    }
    let mut failed = BTreeSet::new();
    for act in example.life {
        act_in_all(&site, example, act, &environments, &mut failed)?;
    }
    same_left(&site, example, &environments)?;
    act_in_all(&site, example, example.end, &environments, &mut failed)?;
    same_left(&site, example, &environments)?;
    // Each hook failed once before and once after its work in at least one operation.
    let missing: Vec<&String> = environments[1..].iter().filter(|name| !failed.contains(*name)).collect();
    ensure!(missing.is_empty(), "nothing failed in {missing:?}");
    eprintln!("matrix: {} environments, each step failed before and after its work", environments.len());
    site.finish()
}

/// All environments at once: their operations know nothing of each other.
fn act_in_all(
    site: &Site,
    example: &Example,
    act: &'static [&'static str],
    environments: &[String],
    failed: &mut BTreeSet<String>,
) -> Result<()> {
    let mut open = BTreeMap::new();
    for environment in environments {
        open.insert(environment.clone(), example.begin(site, act, environment)?);
    }
    within(Duration::from_mins(10), format!("the end of {act:?}"), || {
        let mut again = BTreeMap::new();
        for (environment, id) in &open {
            let operation = site.operation(*id)?;
            for step in operation.steps.iter().flatten() {
                // Also one that a retry has mended already.
                if step.attempts.iter().any(|attempt| attempt.state == AttemptState::Failed) {
                    failed.insert(environment.clone());
                }
                if step.waiting {
                    let rerun = StepVerb::Rerun(RerunStep::default());
                    site.steer(*id, &step.hook.path().to_string(), rerun, "mended")?;
                }
            }
            match operation.state {
                OperationState::Succeeded => {}
                // A step with `on-failure: fail`: the whole operation is asked for again.
                OperationState::Failed => {
                    again.insert(environment.clone(), example.begin(site, act, environment)?);
                }
                _ => drop(again.insert(environment.clone(), *id)),
            }
        }
        open = again;
        Ok(open.is_empty().then_some(()))
    })
}

/// Every environment has what the first of them has.
pub fn same_left(site: &Site, example: &Example, environments: &[String]) -> Result<()> {
    let left = left_by(site, example, environments)?;
    let calm = left.get(&environments[0]).context("the undisturbed one")?;
    for (environment, files) in &left {
        ensure!(files == calm, "{environment} left\n{files:#?}\nand an undisturbed run\n{calm:#?}");
    }
    Ok(())
}
