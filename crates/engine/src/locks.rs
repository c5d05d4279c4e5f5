//! Which operations of one environment may run beside each other (invariant 8).

use tenantry_model::{Operation, OperationId};

/// What happens to a new operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may start at once.
    Start,
    /// It waits in the queue.
    Wait,
    /// It waits, and these are cancelled first.
    WaitAndCancel(Vec<OperationId>),
    /// It is refused because of these.
    Refuse(Vec<OperationId>),
}

/// Decides about `new`, given all unfinished operations of its environment (without it).
#[must_use]
pub fn admit(new: &Operation, unfinished: &[Operation]) -> Admission {
    let _ = (new, unfinished);
    todo!("comes with the engine's first code")
}

/// The pending operations that may start now, oldest first, given all unfinished operations of the environment.
/// One that waits and conflicts holds back later ones that conflict with it, so that none starves.
#[must_use]
pub fn startable(unfinished: &[Operation]) -> Vec<OperationId> {
    let _ = unfinished;
    todo!("comes with the engine's first code")
}
