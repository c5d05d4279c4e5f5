//! The one function that moves an operation.

use crate::{Event, Moment, Rejected, Run, Transition};

/// Applies one event. Nothing but `run`, `event` and `moment` decides what comes out.
pub fn apply(run: &Run, event: &Event, moment: Moment) -> Result<Transition, Rejected> {
    let _ = (run, event, moment);
    todo!("comes with the engine's first code")
}
