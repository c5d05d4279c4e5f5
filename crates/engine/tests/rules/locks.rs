//! Which operations of an environment may run beside each other.

use crate::bench::operation;
use tenantry_engine::{Admission, admit, startable};
use tenantry_model::ConflictPolicy::{CancelRunning, Queue, Refuse, Replace};
use tenantry_model::LockClass::{self, Exclusive, None, Shared};
use tenantry_model::OperationState::{self, Cancelling, Pending, Planning, Running};
use tenantry_model::{Operation, OperationId};
use uuid::Uuid;

fn id(n: u128) -> OperationId {
    OperationId(Uuid::from_u128(n))
}

fn other(n: u128, lock: LockClass, state: OperationState) -> Operation {
    operation(n, lock, Queue, state)
}

#[test]
fn only_shared_locks_and_no_locks_get_along() {
    let classes = [Exclusive, Shared, None];
    let along = [[false, false, true], [false, true, true], [true, true, true]];
    for (one, row) in classes.into_iter().zip(along) {
        for (two, along) in classes.into_iter().zip(row) {
            for state in [Pending, Planning, Running, Cancelling] {
                let admission = admit(&operation(9, one, Queue, Pending), &[other(1, two, state)]);
                assert_eq!(admission == Admission::Start, along, "{one:?} beside {two:?}");
            }
        }
    }
}

#[test]
fn what_conflicts_waits_or_is_refused_as_its_definition_says() {
    let running = [other(1, Exclusive, Running), other(2, None, Running)];
    assert_eq!(admit(&operation(9, Exclusive, Queue, Pending), &running), Admission::Wait);
    assert_eq!(admit(&operation(9, Shared, Refuse, Pending), &running), Admission::Refuse(vec![id(1)]));
}

#[test]
fn suspend_cancels_what_waits_and_then_what_runs_and_leaves_alone_what_takes_no_lock() {
    let suspend = operation(9, Exclusive, CancelRunning, Pending);
    let unfinished = [
        other(1, Exclusive, Running),
        other(2, Exclusive, Pending),
        other(3, None, Running),
        other(4, Shared, Pending),
    ];
    assert_eq!(admit(&suspend, &unfinished), Admission::WaitAndCancel(vec![id(2), id(4), id(1)]));
    assert_eq!(admit(&suspend, &[other(1, Exclusive, Cancelling)]), Admission::Wait);
    assert_eq!(admit(&suspend, &[]), Admission::Start);
}

#[test]
fn replace_cancels_what_waits_under_the_same_name_and_waits_its_turn() {
    let nightly = operation(9, Exclusive, Replace, Pending);
    let mut upsert = other(3, Exclusive, Pending);
    upsert.name = "lifecycle.upsert".parse().unwrap();
    let unfinished = [other(1, Exclusive, Running), other(2, Exclusive, Pending), upsert.clone()];
    assert_eq!(admit(&nightly, &unfinished), Admission::WaitAndCancel(vec![id(2)]));
    assert_eq!(admit(&nightly, &[other(1, Exclusive, Running), upsert]), Admission::Wait);
    assert_eq!(admit(&nightly, &[]), Admission::Start);
}

#[test]
fn the_oldest_starts_first_and_nothing_starts_beside_a_holder() {
    let queue = [other(3, Exclusive, Pending), other(2, Exclusive, Pending)];
    assert_eq!(startable(&queue), [id(2)]);
    assert_eq!(startable(&[other(1, Exclusive, Cancelling), queue[0].clone()]), []);
}

#[test]
fn shared_operations_start_together_but_do_not_overtake_an_exclusive_one() {
    let queue = [
        other(1, Shared, Running),
        other(2, Shared, Pending),
        other(3, Exclusive, Pending),
        other(4, Shared, Pending),
    ];
    assert_eq!(startable(&queue), [id(2)]);
    assert_eq!(startable(&queue[3..]), [id(4)]);
}

#[test]
fn what_takes_no_lock_waits_for_nobody() {
    assert_eq!(startable(&[other(1, Exclusive, Running), other(2, None, Pending)]), [id(2)]);
}
