//! The operation got its lock.

use super::draft::Draft;
use crate::Rejected;
use crate::rows::Rows;
use tenantry_model::OperationState;

pub(super) fn apply(draft: &mut Draft<'_>, generation: u64) -> Result<(), Rejected> {
    let state = draft.operation().state;
    if state != OperationState::Pending {
        return Err(Rejected::OperationState { what: "starting to plan", state });
    }
    let now = draft.now();
    let operation = draft.operation_mut();
    operation.state = OperationState::Planning;
    operation.generation = generation;
    operation.started_at = Some(now);
    Ok(())
}
