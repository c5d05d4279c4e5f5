//! Each step of the examples is run again although it succeeded: in the middle of its operation, and when all other steps
//! are done; alone, so that what used its outputs becomes stale and follows, and with its successors. Hooks are
//! idempotent, and what they leave is what an undisturbed run leaves.

use crate::life::{Example, RISK, SAAS, copied};
use crate::matrix::same_left;
use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tenantry_api_types::v1::{Operation, RerunStep, Step};
use tenantry_client::StepVerb;
use tenantry_e2e::{Needs, Site, World, trial, within};
use tenantry_model::{OperationId, OperationState, StepState};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(Needs::Minutes, "each_step_of_the_saas_example_may_run_again_after_its_success", |world| {
            repeated(world, &SAAS)
        }),
        trial(Needs::Minutes, "each_step_of_a_night_of_risk_may_run_again_after_its_success", |world| {
            repeated(world, &RISK)
        }),
    ]
}

/// Keeps an operation open until the test lets it end (or its folder is gone): nothing that is run again has to be in
/// time.
const DOOR: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: door
  namespace: door
  annotations: {tenantry.io/tenant.lifecycle: "OPERATIONS"}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: hook
          image: local/tools:1
          command: [sh, -c, 'until [ -e "$0/$LIFECYCLE_OPERATION_ID" ] || [ ! -d "$0" ]; do sleep 0.2; done', DOORS]
"#;

const OPERATIONS: &str = "lifecycle.upsert,lifecycle.suspend,lifecycle.resume,lifecycle.backup,lifecycle.restore,\
                          lifecycle.decommission,crm.reindex,risk.nightly";

/// How far an operation is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its step has not succeeded yet.
    Begun,
    /// It was run again as soon as it had.
    Middle,
    /// It was run again when everything else was done.
    End,
    /// The door is open.
    Open,
}

struct Disturbed {
    id: OperationId,
    phase: Phase,
}

fn repeated(world: &World, example: &Example) -> Result<()> {
    let templates = world.folder().join("templates");
    let hooks = copied(example, &templates)?;
    let doors = world.folder().join("doors");
    std::fs::create_dir_all(&doors)?;
    let door = DOOR.replace("DOORS", &doors.display().to_string()).replace("OPERATIONS", OPERATIONS);
    std::fs::write(templates.join("door.yaml"), door)?;
    let site = example.site(&world.folder().join("site"), &templates, &[])?;
    site.wait_for_hooks(crate::life::REGION, &["door/door"])?;
    let mut environments = vec!["calm".to_owned()];
    for hook in &hooks {
        environments.extend([format!("alone-{hook}"), format!("with-{hook}")]);
    }
    let mut again = BTreeMap::new();
    for act in example.life {
        act_in_all(&site, example, act, &environments, &doors, &mut again)?;
    }
    same_left(&site, example, &environments)?;
    act_in_all(&site, example, example.end, &environments, &doors, &mut again)?;
    same_left(&site, example, &environments)?;
    let missing: Vec<&String> = environments[1..].iter().filter(|name| !again.contains_key(*name)).collect();
    ensure!(missing.is_empty(), "nothing ran again in {missing:?}");
    eprintln!(
        "repeated: {} environments; steps that ran again: {}",
        environments.len(),
        again.values().sum::<usize>()
    );
    site.finish()
}

fn act_in_all(
    site: &Site,
    example: &Example,
    act: &'static [&'static str],
    environments: &[String],
    doors: &Path,
    again: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let mut open = BTreeMap::new();
    for environment in environments {
        let id = example.begin(site, act, environment)?;
        open.insert(environment.clone(), Disturbed { id, phase: Phase::Begun });
    }
    within(Duration::from_mins(10), format!("the end of {act:?}"), || {
        let mut ended = Vec::new();
        for (environment, disturbed) in &mut open {
            let operation = site.operation(disturbed.id)?;
            if operation.done {
                ensure!(operation.state == OperationState::Succeeded, "{environment}: {operation:#?}");
                ended.push(environment.clone());
            } else {
                let door = doors.join(disturbed.id.to_string());
                *again.entry(environment.clone()).or_default() +=
                    disturb(site, environment, disturbed, &operation, &door)?;
            }
        }
        for environment in ended {
            open.remove(&environment);
        }
        Ok(open.is_empty().then_some(()))
    })?;
    again.retain(|_, count| *count > 0);
    Ok(())
}

/// One look at an operation; answers how many steps it runs again.
fn disturb(
    site: &Site,
    environment: &str,
    disturbed: &mut Disturbed,
    operation: &Operation,
    door: &Path,
) -> Result<usize> {
    let steps: Vec<&Step> =
        operation.steps.iter().flatten().filter(|step| step.hook.name.as_str() != "door").collect();
    if let Some(step) = steps.iter().find(|step| step.waiting) {
        anyhow::bail!("{environment}: {} waits for a decision: {step:#?}", step.hook);
    }
    let is_over = |step: &Step| step.state.is_done() && !step.stale;
    let (kind, name) = environment.split_once('-').unwrap_or((environment, ""));
    let chosen = steps.iter().find(|step| format!("{}-{}", step.hook.namespace, step.hook.name) == name);
    let rerun = |step: &Step, with_successors: bool| -> Result<usize> {
        let verb = StepVerb::Rerun(RerunStep { with_successors, ..RerunStep::default() });
        site.steer(operation.id, &step.hook.path().to_string(), verb, "once more").map(|_| 1)
    };
    // What the selector left out never runs.
    let chosen = chosen.filter(|step| step.state != StepState::Skipped);
    if let Some(step) = chosen.filter(|step| is_over(step) && disturbed.phase == Phase::Begun) {
        disturbed.phase = Phase::Middle;
        return rerun(step, kind == "with");
    }
    // What used the outputs of a step that ran again, in order.
    let is_next = |step: &&&Step| {
        step.stale
            && step.state.is_done()
            && step
                .after
                .iter()
                .all(|before| steps.iter().all(|other| other.hook != *before || is_over(other)))
    };
    if let Some(step) = steps.iter().find(is_next) {
        ensure!(kind == "alone", "{environment}: {} is stale, although successors begin again", step.hook);
        return rerun(step, false);
    }
    // Nothing but the door may be planned: the example has no hook for this operation.
    if operation.state != OperationState::Running || !steps.iter().all(|step| is_over(step)) {
        return Ok(0);
    }
    match (disturbed.phase, chosen) {
        (Phase::Middle, Some(step)) => {
            disturbed.phase = Phase::End;
            return rerun(step, kind == "with");
        }
        (Phase::End, Some(step)) => {
            ensure!(step.attempt >= 3, "{environment}: {} has run {} times", step.hook, step.attempt);
        }
        _ => {}
    }
    if disturbed.phase != Phase::Open {
        std::fs::write(door, "").with_context(|| format!("open {}", door.display()))?;
        disturbed.phase = Phase::Open;
    }
    Ok(0)
}
