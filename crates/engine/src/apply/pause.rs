//! The operation is paused and resumed: no new steps start in between, all else goes on.

use super::draft::Draft;
use super::start;
use crate::attention::keys;
use crate::rows::Rows;
use crate::{Action, Rejected};
use tenantry_model::{Actor, OperationState, Pause};

pub(super) fn pause(draft: &mut Draft<'_>, by: &Actor, reason: &str) -> Result<(), Rejected> {
    if reason.trim().is_empty() {
        return Err(Rejected::ReasonRequired("pause"));
    }
    expect(draft, OperationState::Running, "pause")?;
    let pause = Pause { by: by.clone(), reason: reason.to_owned(), at: draft.now(), reported: false };
    let operation = draft.operation_mut();
    operation.state = OperationState::Paused;
    operation.pause = Some(pause);
    Ok(())
}

/// Starts what became ready meanwhile.
pub(super) fn resume(draft: &mut Draft<'_>) -> Result<(), Rejected> {
    expect(draft, OperationState::Paused, "resume")?;
    draft.operation_mut().state = OperationState::Running;
    no_longer_paused(draft);
    for hook in draft.live_hooks() {
        start::advance(draft, &hook);
    }
    Ok(())
}

pub(super) fn no_longer_paused(draft: &mut Draft<'_>) {
    if draft.operation().pause.is_none() {
        return;
    }
    let operation = draft.operation_mut();
    let reported = operation.pause.take().is_some_and(|pause| pause.reported);
    let key = keys::operation_paused(operation.id);
    if reported {
        draft.act(Action::Settle { key });
    }
}

fn expect(draft: &Draft<'_>, wanted: OperationState, what: &'static str) -> Result<(), Rejected> {
    let state = draft.operation().state;
    if state == wanted { Ok(()) } else { Err(Rejected::OperationState { what, state }) }
}
