//! A manager's clock that jumps years ahead and back.

use super::*;
use tenantry_manager::Duty;

#[tokio::test]
async fn a_clock_that_was_years_ahead_does_not_stop_a_schedule_for_years() {
    let mut night = Night::new().await;
    night.schedule(night.nightly()).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    night.run_all().await;
    // Somebody sets the machine's year; agent and manager go on.
    night.world.pass(at("2036-03-01T12:00:00Z").duration_since(night.world.now()));
    night.agent.lease(&night.manager).await;
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-21T20:00:00Z", "2036-02-29T21:00:00Z"]);
    night.go_to("2026-09-22T09:00:00Z").await;
    let all = night.manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let said = all.items.iter().find(|said| said.kind == AttentionKind::ScheduleClock).unwrap();
    assert!(said.message.contains("2036-02-29 22:00"), "{}", said.message);
    assert!(said.remedy.contains("tenantry schedule runs nightly"), "{}", said.remedy);
    let schedule = night.manager.schedule(&name("nightly")).await.unwrap();
    assert_eq!(schedule.next_time, Some(at("2026-09-22T20:00:00Z")));
    night.run_all().await;
    night.go_to("2026-09-22T20:00:00Z").await;
    night.run_all().await;
    let mut times = night.times().await;
    times.sort();
    assert_eq!(times, ["2026-09-21T20:00:00Z", "2026-09-22T20:00:00Z", "2036-02-29T21:00:00Z"]);
    assert!(!night.waiting().await.contains(&AttentionKind::ScheduleClock), "its next time settles it");
    assert_eq!(findings(&night.manager).await, []);
}

#[tokio::test]
async fn an_operation_that_would_be_looked_at_again_in_years_is_looked_at_now() {
    let mut night = Night::new().await;
    night.schedule(night.nightly()).await;
    // The year is wrong, and seen with it the agent is silent: the operation waits for the region, and a timer for it.
    night.go_to("2046-03-01T12:00:00Z").await;
    assert_eq!(night.operations().await[0].state, OperationState::Planning);
    night.go_to("2026-09-21T15:00:00Z").await;
    assert!(night.agent.starts(&night.manager).await.is_empty());
    assert!(night.manager.attend_to(Duty::Expiry).await.unwrap());
    night.manager.run_due().await.unwrap();
    assert_eq!(night.run_all().await, ["night/load", "night/report"]);
}
