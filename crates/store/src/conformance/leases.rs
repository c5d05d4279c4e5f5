//! Work that exists once: leases with fencing numbers, and timers that are claimed.

use super::samples::{at, environment, operation, tenant, text};
use crate::{Fence, Store, StoreError};
use std::{sync::Arc, time::Duration};
use tenantry_model::OperationState;
use tokio::time::timeout;

async fn take<S: Store>(store: &S, holder: &str, now: i64, until: i64) -> Option<Fence> {
    let mut write = store.write_one().await.unwrap();
    let fence = write.take_lease("schedules", holder, at(now), at(until)).await.unwrap();
    write.commit().await.unwrap();
    fence
}

/// Whoever has it keeps it under the same number; the next holder gets a higher one.
pub async fn a_lease_has_one_holder_until_its_end<S: Store>(store: Arc<S>) {
    let first = take(&*store, "a", 0, 10).await.unwrap();
    assert_eq!(take(&*store, "b", 9, 19).await, None, "held");
    assert_eq!(take(&*store, "a", 9, 19).await, Some(first.clone()), "kept");
    assert_eq!(take(&*store, "b", 10, 20).await, None, "kept until 19");
    let second = take(&*store, "b", 19, 29).await.unwrap();
    assert!(second.fencing > first.fencing, "{first:?} {second:?}");
    let third = take(&*store, "a", 40, 50).await.unwrap();
    assert!(third.fencing > second.fencing, "an old holder is a new one");
    let mut write = store.write().await.unwrap();
    let other = write.take_lease("retention", "b", at(40), at(50)).await.unwrap();
    assert!(other.is_some(), "another work is another lease");
}

/// A process that slept past its lease.
pub async fn a_holder_that_was_replaced_is_refused_and_writes_nothing<S: Store>(store: Arc<S>) {
    let old = take(&*store, "a", 0, 10).await.unwrap();
    let mut write = store.write_one().await.unwrap();
    // Its time is over, but nobody has taken it.
    write.check_lease(&old).await.unwrap();
    drop(write);
    let new = take(&*store, "b", 10, 20).await.unwrap();
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("late")).await.unwrap();
    match write.check_lease(&old).await {
        Err(StoreError::LeaseLost(name)) => assert_eq!(name, "schedules"),
        other => panic!("{other:?}"),
    }
    drop(write);
    assert!(store.read().await.unwrap().tenant(&text("late")).await.unwrap().is_none());
    let mut write = store.write_one().await.unwrap();
    write.check_lease(&new).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(take(&*store, "a", 30, 40).await.map(|fence| fence.fencing > new.fencing), Some(true));
}

/// What was checked still holds at the commit.
pub async fn a_lease_cannot_pass_on_while_a_write_shows_it<S: Store>(store: Arc<S>) {
    let old = take(&*store, "a", 0, 10).await.unwrap();
    let mut write = store.write_one().await.unwrap();
    write.check_lease(&old).await.unwrap();
    let taker = tokio::spawn({
        let store = Arc::clone(&store);
        async move { take(&*store, "b", 10, 20).await }
    });
    let ended = async {
        while !taker.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_millis(300), ended).await.is_err(), "it waits");
    write.commit().await.unwrap();
    let new = timeout(Duration::from_secs(10), taker).await.unwrap().unwrap().unwrap();
    assert!(new.fencing > old.fencing);
}

/// An orderly end does not make others wait.
pub async fn a_lease_that_is_given_back_is_free_at_once<S: Store>(store: Arc<S>) {
    let old = take(&*store, "a", 0, 10).await.unwrap();
    let mut write = store.write_one().await.unwrap();
    write.give_back_lease(&old).await.unwrap();
    write.commit().await.unwrap();
    let new = take(&*store, "b", 1, 11).await.unwrap();
    let mut write = store.write_one().await.unwrap();
    write.give_back_lease(&old).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(take(&*store, "a", 2, 12).await, None, "what has passed on is left alone");
    assert!(new.fencing > old.fencing);
}

/// Earliest first, each to one manager; what its manager did not move is due again at the end of the claim.
pub async fn due_timers_are_claimed_by_one_and_due_again_later<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let rows: Vec<_> = (0..30).map(|_| operation(home.id, "crm.reindex", OperationState::Running)).collect();
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    for (row, due) in rows.iter().zip((0..30).rev()) {
        write.put_operation(row).await.unwrap();
        write.put_timer(row.id, Some(at(due))).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let store = Arc::clone(&store);
        claims.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let mut write = store.write_one().await.unwrap();
                let part = write.claim_due(at(24), at(60), 4).await.unwrap();
                write.commit().await.unwrap();
                if part.is_empty() {
                    return mine;
                }
                mine.extend(part);
            }
        });
    }
    let mut claimed = Vec::new();
    while let Some(mine) = claims.join_next().await {
        claimed.extend(mine.unwrap());
    }
    claimed.sort();
    // A claim may pass over what another one holds at that moment, but nothing is claimed twice or left for ever.
    let mut expected: Vec<_> = rows[5..].iter().map(|row| row.id).collect();
    expected.sort();
    assert_eq!(claimed, expected);
    let mut write = store.write_one().await.unwrap();
    assert_eq!(write.claim_due(at(28), at(60), 2).await.unwrap(), [rows[4].id, rows[3].id], "earliest first");
    assert_eq!(write.next_due().await.unwrap(), Some(at(27)));
    assert_eq!(write.due(at(60), 100).await.unwrap().len(), 30, "those that were claimed are due again then");
}

/// Timers after the given time, and no other, are due at the other one.
pub async fn timers_that_are_far_ahead_can_be_hastened<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let rows: Vec<_> = (0..3).map(|_| operation(home.id, "crm.reindex", OperationState::Running)).collect();
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    for (row, due) in rows.iter().zip([10, 100, 1000]) {
        write.put_operation(row).await.unwrap();
        write.put_timer(row.id, Some(at(due))).await.unwrap();
    }
    assert_eq!(write.hasten_timers(at(100), at(5)).await.unwrap(), 1);
    assert_eq!(write.hasten_timers(at(100), at(5)).await.unwrap(), 0);
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    for (row, due) in rows.iter().zip([10, 100, 5]) {
        assert_eq!(read.timer(row.id).await.unwrap(), Some(at(due)));
    }
}
