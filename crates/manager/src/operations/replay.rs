//! An operation again: the same inputs, the same versions of the hooks (or those in force now), from chosen steps on.
//!
//! Everything that would keep the replay from running is found out when it is asked for; the plan itself is made when
//! the operation has its lock, like every other.

use super::request::{Wish, check_reason};
use super::{OperationAnswer, ReplayWish};
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::runner::PlanBasis;
use crate::work::Work;
use crate::{Manager, Principal};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tenantry_engine::{Plan, PlanRefusal, Rejected, ReplayInput, Run, VersionsOf};
use tenantry_failpoints::Point;
use tenantry_model::{
    ChangedInput, Converges, HookRef, Operation, OperationId, Replay, ReplayVersions, StepState,
};

/// Why an operation cannot be replayed as asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There would be no plan.
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Refused(PlanRefusal),
    /// The versions that ran are not in their region any more.
    #[error(
        "the region no longer has the version that ran of: {}; replay with the versions in force now \
         (versions: current, --current-hooks)",
        .0.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    TemplateGone(Vec<HookRef>),
    /// The environment as it was is not kept any more.
    #[error("generation {0} of the environment, which the original applied, is not kept any more")]
    InputsGone(u64),
}

fn remedy(refusal: &PlanRefusal) -> &'static str {
    match refusal {
        PlanRefusal::Gone(_) => {
            "; bring them back, or replay with the versions in force now (versions: current, --current-hooks)"
        }
        PlanRefusal::Deselected(steps) if steps.iter().any(|step| step.selects_now) => {
            "; replay with the versions in force now, which plans anew (versions: current, --current-hooks)"
        }
        PlanRefusal::Deselected(_) => {
            "; begin with a step before or after it, or change the labels or the selector"
        }
        _ => "",
    }
}

impl ReplayError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(PlanRefusal::UnknownSteps(_)) => "replay-unknown-step",
            Self::Refused(PlanRefusal::Deselected(_)) => "replay-deselected",
            Self::Refused(PlanRefusal::Gone(_)) => "replay-hook-gone",
            Self::Refused(_) => "replay-refused",
            Self::TemplateGone(_) => "replay-template-gone",
            Self::InputsGone(_) => "replay-inputs-gone",
        }
    }
}

impl Manager {
    /// Requests a new operation that repeats one that has ended.
    pub async fn replay_operation(
        &self,
        who: &Principal,
        original: OperationId,
        wish: ReplayWish,
    ) -> Result<OperationAnswer> {
        if wish.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(ManagerError::Rejected(Rejected::ReasonRequired("replay")));
        }
        check_reason(wish.reason.as_deref())?;
        repeating(|| async {
            let mut work = self.begin_one(who).await?;
            work.lock_of(original).await?;
            let (operation, unfinished) = work.draft_replay(original, wish.clone()).await?;
            let plan = work.check_replay(&operation).await?;
            if wish.validate_only {
                let preview = work.preview_of(operation, &unfinished, Ok(plan)).await?;
                return Ok(OperationAnswer::Preview(Box::new(preview)));
            }
            work.tx.put_replay(original, operation.id).await?;
            let operation = work.request_drafted(operation, &unfinished).await?;
            let answer = OperationAnswer::Requested(Box::new(operation));
            work.accept(&answer, Point::OperationReplay).await?;
            Ok(answer)
        })
        .await
    }
}

impl Work<'_> {
    async fn draft_replay(
        &mut self,
        id: OperationId,
        asked: ReplayWish,
    ) -> Result<(Operation, Vec<Operation>)> {
        let original =
            self.tx.operation(id).await?.ok_or_else(|| ManagerError::not_found("operation", id))?;
        if !original.state.is_final() {
            let state = original.state;
            return Err(ManagerError::Rejected(Rejected::OperationState { what: "replay", state }));
        }
        let (parameters, changed) = change(&original.parameters, asked.set);
        let wish = Wish {
            name: original.name.clone(),
            parameters,
            reason: asked.reason,
            on_conflict: asked.on_conflict,
            scheduled_time: original.scheduled_time,
            cause: None,
        };
        let (mut operation, unfinished) = self.draft(wish).await?;
        operation.replay = Some(Replay { of: id, from: asked.from, versions: asked.versions, changed });
        // What brings the environment somewhere goes to where it is wanted now; what only works on it gets the same
        // environment again.
        if operation.definition.converges == Converges::No {
            operation.generation = original.generation;
        }
        Ok((operation, unfinished))
    }

    /// The plan by what is known now, or why there would be none.
    async fn check_replay(&mut self, operation: &Operation) -> Result<Plan> {
        let id = self.environment()?.id;
        let generation = operation.generation;
        if self.environment()?.generation != generation && self.tx.generation(id, generation).await?.is_none()
        {
            return Err(ManagerError::Replay(ReplayError::InputsGone(generation)));
        }
        let environment = self.environment_at(generation).await?;
        let basis = self.basis_of(operation, &environment).await?;
        let plan = match self.make_plan(operation, &environment, &basis).await? {
            Ok(plan) => plan,
            Err(refusal) => return Err(ManagerError::Replay(ReplayError::Refused(refusal))),
        };
        let gone: Vec<HookRef> = plan
            .steps
            .values()
            .filter(|step| step.state == StepState::Blocked && !basis.has(&step.hook, &step.template_hash))
            .map(|step| step.hook.clone())
            .collect();
        if gone.is_empty() { Ok(plan) } else { Err(ManagerError::Replay(ReplayError::TemplateGone(gone))) }
    }

    /// The plan of an operation: made anew, or from the one that it replays.
    pub(crate) async fn make_plan(
        &mut self,
        operation: &Operation,
        environment: &tenantry_model::Environment,
        basis: &PlanBasis,
    ) -> Result<std::result::Result<Plan, PlanRefusal>> {
        let fresh = || basis.plan(operation.id, environment, &operation.definition, self.now);
        let Some(replay) = &operation.replay else { return Ok(fresh()) };
        let versions = match replay.versions {
            ReplayVersions::Frozen => VersionsOf::Original(&basis.hooks),
            ReplayVersions::Current => match fresh() {
                Ok(plan) => VersionsOf::Plan(plan, &basis.hooks),
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let of = replay.of;
        let row = self.tx.operation(of).await?.ok_or_else(|| ManagerError::not_found("operation", of))?;
        let (steps, attempts) = (self.tx.steps(of).await?, self.tx.attempts(of).await?);
        let original = Run::new(row, steps, attempts, self.manager.rules());
        if original.steps().is_empty() {
            return Ok(Err(PlanRefusal::Empty));
        }
        let plan = tenantry_engine::replay(ReplayInput {
            operation: operation.id,
            original: &original,
            from: &replay.from,
            versions,
            environment,
            holds: &basis.holds,
            now: self.now,
        });
        Ok(plan.and_then(|plan| basis.within_limits(plan, environment)))
    }
}

/// The parameters with what is set differently; `null` takes one away. What is set to what it was is no change.
fn change(
    original: &Map<String, Value>,
    set: Map<String, Value>,
) -> (Map<String, Value>, BTreeMap<String, ChangedInput>) {
    let mut parameters = original.clone();
    let mut changed = BTreeMap::new();
    for (name, value) in set {
        let after = (!value.is_null()).then_some(value);
        let before = original.get(&name).cloned();
        match &after {
            Some(value) => parameters.insert(name.clone(), value.clone()),
            None => parameters.remove(&name),
        };
        if before != after {
            changed.insert(name, ChangedInput { before, after });
        }
    }
    (parameters, changed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_names_what_was_before_and_leaves_out_what_stays() {
        let original = json!({"date": "2026-11-20", "seed": 7, "note": "x"}).as_object().cloned().unwrap();
        let set = json!({"date": "2026-11-21", "seed": 7, "note": null, "none": null});
        let (parameters, changed) = change(&original, set.as_object().cloned().unwrap());
        assert_eq!(Value::Object(parameters), json!({"date": "2026-11-21", "seed": 7}));
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["date", "note"]);
        assert_eq!(changed["note"], ChangedInput { before: Some(json!("x")), after: None });
    }
}
