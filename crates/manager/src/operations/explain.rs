//! Why a hook does or does not run for an environment: the questions a plan asks, one by one, in words.

use super::{Check, CheckResult, Explanation};
use crate::Manager;
use crate::definitions::meaning;
use crate::error::{ManagerError, Result, problems};
use crate::runner::PlanBasis;
use std::collections::BTreeSet;
use tenantry_engine::{Plan, PlanRefusal, RegisteredHook};
use tenantry_hook::Selector;
use tenantry_model::{
    Environment, EnvironmentId, HookRef, OperationDefinition, OperationId, OperationName, StepState,
};
use uuid::Uuid;

impl Manager {
    /// Why a hook does or does not run for an environment.
    pub async fn explain_hook(
        &self,
        hook: &HookRef,
        environment: EnvironmentId,
        operation: &OperationName,
    ) -> Result<Explanation> {
        let now = self.now();
        let mut read = self.store.read().await?;
        let environment = read
            .environment(environment)
            .await?
            .ok_or_else(|| ManagerError::not_found("environment", environment))?;
        let definition = meaning(&mut *read, operation)
            .await?
            .ok_or_else(|| ManagerError::not_found("operation definition", operation))?;
        let also = BTreeSet::from([hook.clone()]);
        let basis = self.plan_basis(&mut *read, &environment, &definition.name, also, now).await?;
        let plan = basis.plan(OperationId(Uuid::nil()), &environment, &definition, now);
        Ok(explain(hook, &environment, &definition, &basis, &plan))
    }
}

fn explain(
    hook: &HookRef,
    environment: &Environment,
    definition: &OperationDefinition,
    basis: &PlanBasis,
    plan: &std::result::Result<Plan, PlanRefusal>,
) -> Explanation {
    let registered = basis.hooks.iter().find(|row| row.hook == *hook);
    let mut checks = vec![region(hook, environment, basis), exists(hook, registered)];
    if let Some(row) = registered {
        checks.push(readable(row));
        checks.push(is_registered(row, definition));
        checks.push(selector(row, environment));
    }
    checks.push(state(environment, definition));
    checks.push(planned(hook, plan));
    let step = plan.as_ref().ok().and_then(|plan| plan.steps.get(hook));
    let waits_for: Vec<HookRef> = step.map(|step| step.after.iter().cloned().collect()).unwrap_or_default();
    if step.is_some() {
        checks.push(order(&waits_for));
    }
    let failed = checks.iter().find(|check| check.result == CheckResult::Fail);
    let runs = failed.is_none() && step.is_some_and(|step| step.state != StepState::Skipped);
    let summary = match failed {
        None if runs => format!("{hook} runs in {} for this environment", definition.name),
        None => format!("{hook} is not part of {} for this environment", definition.name),
        Some(check) => format!("{hook} does not run in {}: {}", definition.name, check.detail),
    };
    Explanation { hook: hook.clone(), operation: definition.name.clone(), runs, summary, checks, waits_for }
}

fn check(name: &'static str, result: CheckResult, detail: impl Into<String>) -> Check {
    Check { name, result, detail: detail.into() }
}

fn region(hook: &HookRef, environment: &Environment, basis: &PlanBasis) -> Check {
    let takes_part = hook.region == environment.region || basis.policy.further_regions.contains(&hook.region);
    if !takes_part {
        let detail = format!(
            "the environment lives in region {}; hooks of {} take no part in its operations",
            environment.region, hook.region
        );
        return check("region", CheckResult::Fail, detail);
    }
    match basis.unready.iter().find(|region| region.name == hook.region) {
        Some(region) => check(
            "region",
            CheckResult::Warn,
            format!("region {}: {}; operations wait until that is over", region.name, region.why),
        ),
        None => check("region", CheckResult::Pass, "the region's agent lives and has reported its hooks"),
    }
}

fn exists(hook: &HookRef, row: Option<&RegisteredHook>) -> Check {
    let Some(row) = row else {
        let detail = format!(
            "region {} has no Job {} with an annotation TENANTRY-DOMAIN/tenant.lifecycle that its agent can see \
             (right domain? right namespace? may the agent read it?)",
            hook.region,
            hook.path()
        );
        return check("exists", CheckResult::Fail, detail);
    };
    match row.absent_since {
        None => check("exists", CheckResult::Pass, "the Job is in its region"),
        Some(_) if row.retired => {
            check("exists", CheckResult::Fail, "it was retired: its removal was declared")
        }
        Some(since) => check(
            "exists",
            CheckResult::Fail,
            format!(
                "the Job is absent since {since}: bring it back, or declare its removal with \
                 tenantry hook retire {hook} --reason …"
            ),
        ),
    }
}

fn readable(row: &RegisteredHook) -> Check {
    if row.current.is_some() {
        return check("readable", CheckResult::Pass, "it is suspended and keeps to the contract");
    }
    let found = problems(&row.problems);
    if row.last_good.is_some() {
        let detail = format!("this version is quarantined, the last good one runs instead: {found}");
        return check("readable", CheckResult::Warn, detail);
    }
    check("readable", CheckResult::Fail, format!("it cannot be read and has no good version: {found}"))
}

fn is_registered(row: &RegisteredHook, definition: &OperationDefinition) -> Check {
    let Some(version) = row.current.as_ref().or(row.last_good.as_ref()) else {
        return check("registered", CheckResult::Unknown, "no version can be read");
    };
    if version.operations.contains(&definition.name) {
        return check("registered", CheckResult::Pass, format!("it names {}", definition.name));
    }
    let names: Vec<String> = version.operations.iter().map(ToString::to_string).collect();
    let detail = format!("its annotation names {}, not {}", names.join(", "), definition.name);
    check("registered", CheckResult::Fail, detail)
}

fn selector(row: &RegisteredHook, environment: &Environment) -> Check {
    let Some(version) = row.current.as_ref().or(row.last_good.as_ref()) else {
        return check("selector", CheckResult::Unknown, "no version can be read");
    };
    match version.selector.parse::<Selector>() {
        Err(error) => check("selector", CheckResult::Fail, format!("it cannot be read: {error}")),
        Ok(selector) if selector.matches(&environment.labels) => {
            let detail = if version.selector.is_empty() {
                "it has none: every environment is selected".to_owned()
            } else {
                format!("{} matches the environment's labels", version.selector)
            };
            check("selector", CheckResult::Pass, detail)
        }
        Ok(_) => {
            let labels: Vec<String> =
                environment.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let detail = format!("{} does not match the labels {}", version.selector, labels.join(","));
            check("selector", CheckResult::Fail, detail)
        }
    }
}

fn state(environment: &Environment, definition: &OperationDefinition) -> Check {
    // As the API spells it.
    let state = serde_json::to_value(environment.state).unwrap_or_default();
    let state = state.as_str().unwrap_or_default();
    if definition.from_states.contains(&environment.state) {
        let detail = format!("{} is possible while the environment is {state}", definition.name);
        return check("state", CheckResult::Pass, detail);
    }
    let detail = format!("{} is not possible while the environment is {state}", definition.name);
    check("state", CheckResult::Fail, detail)
}

fn planned(hook: &HookRef, plan: &std::result::Result<Plan, PlanRefusal>) -> Check {
    let plan = match plan {
        Err(refusal) => {
            return check("planned", CheckResult::Fail, format!("the operation would be refused: {refusal}"));
        }
        Ok(plan) => plan,
    };
    if let Some(bad) = plan.quarantined.iter().find(|bad| bad.hook == *hook) {
        let found = problems(&bad.problems);
        return if bad.last_good_in_force {
            check("planned", CheckResult::Warn, format!("its last good version is planned: {found}"))
        } else {
            check("planned", CheckResult::Fail, format!("it is left out of plans: {found}"))
        };
    }
    match plan.steps.get(hook) {
        Some(step) if step.state == StepState::Skipped => {
            check("planned", CheckResult::Fail, "its step counts as done: the selector leaves it out")
        }
        Some(_) => check("planned", CheckResult::Pass, "it is a step of the plan"),
        None => check("planned", CheckResult::Fail, "it is no step of the plan"),
    }
}

fn order(waits_for: &[HookRef]) -> Check {
    if waits_for.is_empty() {
        return check("order", CheckResult::Pass, "it waits for nobody");
    }
    let names: Vec<String> = waits_for.iter().map(ToString::to_string).collect();
    check("order", CheckResult::Pass, format!("it waits for {}", names.join(", ")))
}
