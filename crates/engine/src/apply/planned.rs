//! The plan is made, or refused.

use super::draft::Draft;
use super::{over, start};
use crate::attention::{self, keys};
use crate::rows::Rows;
use crate::{Action, Plan, PlanRefusal, Rejected};
use jiff::Timestamp;
use tenantry_model::OperationState;

/// Takes the steps in and starts those that wait for nothing.
pub(super) fn apply(draft: &mut Draft<'_>, plan: &Plan) -> Result<(), Rejected> {
    planning(draft, "taking in a plan")?;
    let operation = draft.operation_mut();
    operation.state = OperationState::Running;
    operation.note = None;
    let (id, key) = (operation.id, keys::plan_refused(operation.environment, &operation.name));
    draft.act(Action::Settle { key });
    for entry in &plan.quarantined {
        draft.act(Action::Raise(attention::quarantined(entry)));
    }
    for step in plan.steps.values() {
        let mut step = step.clone();
        step.operation = id;
        if step.is_done() {
            step.ended_at = Some(draft.now());
        }
        draft.put_step(step);
    }
    for hook in plan.steps.keys() {
        start::advance(draft, hook);
    }
    Ok(())
}

/// Ends the operation, unless the cause may go away by itself: then says when to plan again.
pub(super) fn refuse(draft: &mut Draft<'_>, refusal: &PlanRefusal) -> Result<Option<Timestamp>, Rejected> {
    planning(draft, "refusing a plan")?;
    draft.operation_mut().note = Some(refusal.to_string());
    if let PlanRefusal::AbsentForNow { until, .. } = refusal {
        return Ok(Some(*until));
    }
    draft.operation_mut().problem = Some(refusal.code().to_owned());
    let raised = attention::plan_refused(draft.operation(), refusal);
    draft.act(Action::Raise(raised));
    over::end(draft, OperationState::Failed);
    Ok(None)
}

fn planning(draft: &Draft<'_>, what: &'static str) -> Result<(), Rejected> {
    let state = draft.operation().state;
    if state == OperationState::Planning { Ok(()) } else { Err(Rejected::OperationState { what, state }) }
}
