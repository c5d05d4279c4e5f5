//! A time that comes while an earlier run goes on.

use super::*;
use tenantry_manager::{Lifecycle, OperationVerb};

fn shown(runs: &[(&str, RunState)]) -> Vec<(String, RunState)> {
    runs.iter().map(|(day, state)| ((*day).to_owned(), *state)).collect()
}

/// A schedule whose run of the 21st has begun and goes on.
async fn going(policy: Overlap) -> Night {
    let night = Night::new().await;
    night.schedule(NewSchedule { overlap: policy, ..night.nightly() }).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    assert_eq!(state(&night.manager, night.operations().await[0].id).await, OperationState::Running);
    night
}

#[tokio::test]
async fn skip_leaves_the_time_out_and_says_so_until_the_next_run() {
    let mut night = going(Overlap::Skip).await;
    night.go_to("2026-09-22T20:00:00Z").await;
    assert_eq!(night.runs().await, shown(&[("21", RunState::Requested), ("22", RunState::Skipped)]));
    assert_eq!(night.waiting().await, [AttentionKind::ScheduleSkipped]);
    night.run_all().await;
    night.go_to("2026-09-23T20:00:00Z").await;
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-21T20:00:00Z", "2026-09-23T20:00:00Z"]);
    assert_eq!(night.waiting().await, []);
}

#[tokio::test]
async fn queue_waits_for_those_before_it_one_by_one() {
    let mut night = going(Overlap::Queue).await;
    night.go_to("2026-09-22T20:00:00Z").await;
    night.go_to("2026-09-23T20:00:00Z").await;
    let two = [("21", RunState::Requested), ("22", RunState::Waiting), ("23", RunState::Waiting)];
    assert_eq!(night.runs().await, shown(&two));
    assert_eq!(
        night.operations().await.len(),
        1,
        "what waits is a row, not an operation that holds others back"
    );
    night.agent.run_all(&night.manager, night.world.now()).await;
    assert_eq!(
        night.runs().await[1].1,
        RunState::Due,
        "due in the transaction in which the one before it ended"
    );
    night.manager.run_schedules().await.unwrap();
    let next = [("21", RunState::Ended), ("22", RunState::Requested), ("23", RunState::Waiting)];
    assert_eq!(night.runs().await, shown(&next));
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-21T20:00:00Z", "2026-09-22T20:00:00Z", "2026-09-23T20:00:00Z"]);
    assert!(night.runs().await.iter().all(|(_, state)| *state == RunState::Ended));
}

#[tokio::test]
async fn replace_keeps_the_newest_of_those_that_wait() {
    let mut night = going(Overlap::Replace).await;
    night.go_to("2026-09-22T20:00:00Z").await;
    night.go_to("2026-09-23T20:00:00Z").await;
    let now = [("21", RunState::Requested), ("22", RunState::Skipped), ("23", RunState::Waiting)];
    assert_eq!(night.runs().await, shown(&now));
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-21T20:00:00Z", "2026-09-23T20:00:00Z"]);
    assert_eq!(night.waiting().await, [], "the replaced one is said until another has run");
}

#[tokio::test]
async fn replace_takes_the_place_of_a_run_whose_operation_has_no_lock_yet_and_of_nothing_else() {
    let mut night = Night::new().await;
    // Something else holds the environment; a person's request waits for it as well.
    let upsert = hook("crm/slow", &["lifecycle.upsert"], &[]);
    let load = hook("night/load", &["risk.nightly"], &[]);
    night.agent.inventory(&night.manager, vec![readable(upsert), readable(load)]).await;
    ask(&night.manager, night.environment.id, Lifecycle::Reconcile).await;
    night.schedule(NewSchedule { overlap: Overlap::Replace, ..night.nightly() }).await;
    let by_hand = tenantry_manager::NewOperation::named("risk.nightly".parse().unwrap());
    let by_hand =
        requested(night.manager.request_operation(&admin(), night.environment.id, by_hand).await.unwrap());
    night.go_to("2026-09-21T20:00:00Z").await;
    night.go_to("2026-09-22T20:00:00Z").await;
    let all = night.operations().await;
    let states: Vec<OperationState> = all.iter().map(|operation| operation.state).collect();
    assert_eq!(states, [OperationState::Pending, OperationState::Cancelled, OperationState::Pending]);
    assert_eq!(all[0].id, by_hand.id, "what a person asked for waits on");
    assert_eq!(night.runs().await, shown(&[("21", RunState::Ended), ("22", RunState::Requested)]));
    night.run_all().await;
    assert_eq!(state(&night.manager, all[2].id).await, OperationState::Succeeded);
}

#[tokio::test]
async fn a_run_that_fails_lets_the_next_one_begin() {
    let mut night = going(Overlap::Queue).await;
    night.go_to("2026-09-22T20:00:00Z").await;
    let first = night.operations().await[0].id;
    let expected = tenantry_manager::ExpectedOperation::default();
    let (cancel, reason) = (OperationVerb::Cancel, Some("enough".to_owned()));
    night.manager.steer_operation(&admin(), first, cancel, reason, expected, false).await.unwrap();
    for start in night.agent.starts(&night.manager).await {
        night.agent.ended(&night.manager, &start.attempt, night.world.now(), failure()).await;
    }
    assert_eq!(state(&night.manager, first).await, OperationState::Cancelled);
    night.run_all().await;
    assert_eq!(night.runs().await, shown(&[("21", RunState::Ended), ("22", RunState::Ended)]));
    assert_eq!(night.operations().await[1].state, OperationState::Succeeded);
}
