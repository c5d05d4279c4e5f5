//! Which operations of one environment may run beside each other (invariant 8).
//!
//! Decided at the centre from rows alone: whether a region answers must never matter here.

use crate::mutants::{self, Mutant};
use tenantry_model::{ConflictPolicy, LockClass, Operation, OperationId, OperationState};

/// What happens to a new operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may start at once.
    Start,
    /// It waits in the queue.
    Wait,
    /// It waits, and these are cancelled, in this order: what waits comes first, so that none of it starts in
    /// between. What runs ends when its attempts are known to be over.
    WaitAndCancel(Vec<OperationId>),
    /// It is refused because of these.
    Refuse(Vec<OperationId>),
}

/// Decides about `new`, given all unfinished operations of its environment (without it), in any order.
#[must_use]
pub fn admit(new: &Operation, unfinished: &[Operation]) -> Admission {
    let conflicting: Vec<&Operation> = in_order(unfinished.iter().filter(|other| conflict(new, other)));
    if conflicting.is_empty() {
        return Admission::Start;
    }
    match new.definition.on_conflict {
        ConflictPolicy::Queue => Admission::Wait,
        ConflictPolicy::Refuse => Admission::Refuse(conflicting.iter().map(|other| other.id).collect()),
        ConflictPolicy::Replace => {
            let displaced = |other: &&&Operation| {
                other.name == new.name
                    && (other.state == OperationState::Pending || mutants::on(Mutant::ReplaceCancelsRunning))
            };
            let waiting: Vec<OperationId> =
                conflicting.iter().filter(displaced).map(|other| other.id).collect();
            if waiting.is_empty() { Admission::Wait } else { Admission::WaitAndCancel(waiting) }
        }
        ConflictPolicy::CancelRunning => {
            let (waiting, running): (Vec<&Operation>, Vec<&Operation>) = conflicting
                .iter()
                .filter(|other| other.state != OperationState::Cancelling)
                .partition(|other| other.state == OperationState::Pending);
            let ending: Vec<OperationId> = waiting.iter().chain(&running).map(|other| other.id).collect();
            if ending.is_empty() || mutants::on(Mutant::SuspendQueues) {
                Admission::Wait
            } else {
                Admission::WaitAndCancel(ending)
            }
        }
    }
}

/// The pending operations that may start now, oldest first, given all unfinished operations of the environment.
/// One that waits and conflicts holds back later ones that conflict with it, so that none starves.
#[must_use]
pub fn startable(unfinished: &[Operation]) -> Vec<OperationId> {
    let mut ahead: Vec<&Operation> = unfinished.iter().filter(|other| other.state.holds_lock()).collect();
    let mut starting = Vec::new();
    for pending in in_order(unfinished.iter().filter(|other| other.state == OperationState::Pending)) {
        let free = !ahead.iter().any(|other| conflict(pending, other));
        if free {
            starting.push(pending.id);
        }
        if free || !mutants::on(Mutant::Overtake) {
            ahead.push(pending);
        }
    }
    starting
}

/// Pairs of operations that hold the environment's lock although they conflict: none, unless rows were damaged.
#[must_use]
pub fn conflicting_holders(unfinished: &[Operation]) -> Vec<(OperationId, OperationId)> {
    let holders: Vec<&Operation> =
        unfinished.iter().filter(|operation| operation.state.holds_lock()).collect();
    let pairs = holders.iter().enumerate().flat_map(|(n, one)| {
        holders[n + 1..].iter().filter(|other| conflict(one, other)).map(|other| (one.id, other.id))
    });
    pairs.collect()
}

fn conflict(one: &Operation, other: &Operation) -> bool {
    use LockClass::{Exclusive, None};
    if mutants::on(Mutant::LockIgnored) {
        return false;
    }
    let (one, other) = (one.definition.lock, other.definition.lock);
    one != None && other != None && (one == Exclusive || other == Exclusive)
}

/// Oldest first; the id decides between two of the same instant.
fn in_order<'a>(operations: impl Iterator<Item = &'a Operation>) -> Vec<&'a Operation> {
    let mut sorted: Vec<_> = operations.collect();
    sorted.sort_by_key(|operation| (operation.created_at, operation.id));
    sorted
}
