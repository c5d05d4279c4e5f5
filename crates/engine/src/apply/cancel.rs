//! The operation is to end early: on request, or because a step failed with `on-failure: fail`.
//!
//! Nothing new starts from then on; the operation is over when every attempt is known (or declared) to be over.

use super::draft::Draft;
use super::{over, pause, start};
use crate::rows::Rows;
use crate::{Action, Rejected};
use tenantry_model::{Actor, Attempt, Cancel, HookRef, KillCause, KillRequest, OperationState, StepState};

pub(super) fn apply(draft: &mut Draft<'_>, by: &Actor, reason: &str) -> Result<(), Rejected> {
    if reason.trim().is_empty() {
        return Err(Rejected::ReasonRequired("cancel"));
    }
    let cancel = Cancel { by: by.clone(), reason: reason.to_owned(), becomes: OperationState::Cancelled };
    match draft.operation().state {
        OperationState::Pending | OperationState::Planning => {
            let operation = draft.operation_mut();
            operation.note = Some(note(&cancel));
            operation.cancel = Some(cancel);
            over::end(draft, OperationState::Cancelled);
        }
        OperationState::Running | OperationState::Paused => begin(draft, note(&cancel), cancel),
        // It is ending already: asking twice is asking once.
        OperationState::Cancelling => {}
        state => return Err(Rejected::OperationState { what: "cancel", state }),
    }
    Ok(())
}

/// A step failed for good and its author wants the operation to fail with it.
pub(super) fn fail(draft: &mut Draft<'_>, note: String) {
    let cancel = Cancel { by: Actor::system(), reason: note.clone(), becomes: OperationState::Failed };
    begin(draft, note, cancel);
}

fn note(cancel: &Cancel) -> String {
    format!("cancelled by {}: {}", cancel.by.name, cancel.reason)
}

fn begin(draft: &mut Draft<'_>, note: String, cancel: Cancel) {
    let request = KillRequest {
        by: cancel.by.clone(),
        reason: cancel.reason.clone(),
        cause: KillCause::Cancel,
        at: draft.now(),
    };
    let operation = draft.operation_mut();
    operation.state = OperationState::Cancelling;
    operation.note = Some(note);
    operation.cancel = Some(cancel);
    pause::no_longer_paused(draft);
    let hooks: Vec<HookRef> = draft.run().steps().keys().cloned().collect();
    for hook in hooks {
        let Some(mut step) = draft.take_step(&hook) else { continue };
        start::no_longer_stale(draft, &mut step);
        start::no_longer_reported_held(draft, &mut step);
        step.restarting = false;
        match step.state {
            StepState::Blocked | StepState::Ready => {
                step.state = StepState::Cancelled;
                step.not_before = None;
                step.ended_at = Some(draft.now());
                draft.put_step(step);
            }
            StepState::Running => {
                if let Some(attempt) =
                    draft.open_attempt(&step).filter(|attempt| attempt.kill.is_none()).cloned()
                {
                    kill(draft, attempt, request.clone());
                }
                draft.put_step(step);
            }
            _ => {
                start::no_longer_waiting(draft, &mut step);
                draft.put_step(step);
            }
        }
    }
}

/// Asks the region to end an attempt. It is unknown until the region looked (invariant 2).
pub(super) fn kill(draft: &mut Draft<'_>, mut attempt: Attempt, request: KillRequest) {
    let action = Action::Kill { attempt: attempt.id.clone(), cause: request.cause };
    attempt.unknown_since.get_or_insert(request.at);
    attempt.kill = Some(request);
    draft.put_attempt(attempt);
    draft.act(action);
}
