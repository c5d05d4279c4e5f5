//! Deadlines of scheduled runs: at risk, missed, and settled.

use super::*;
use tenantry_manager::StepOptions;

/// Five nights of which `load` took an hour and `report` half an hour, then tonight's run, which has begun at 20:00.
async fn after_five_nights(deadline: &str) -> Night {
    let mut night = Night::new().await;
    let deadline = Some(deadline.parse().unwrap());
    night.schedule(NewSchedule { deadline, ..night.nightly() }).await;
    for day in 21..=25 {
        night.go_to(&format!("2026-09-{day}T20:00:00Z")).await;
        for minutes in [60, 30] {
            let start = night.agent.starts(&night.manager).await.remove(0);
            night.agent.running(&night.manager, &start.attempt, night.world.now()).await;
            night.world.pass(SignedDuration::from_mins(minutes));
            night.agent.ended(&night.manager, &start.attempt, night.world.now(), success()).await;
        }
    }
    assert_eq!(night.operations().await.len(), 5);
    night.go_to("2026-09-26T20:00:00Z").await;
    night
}

async fn watch(night: &Night, time: &str) -> Vec<AttentionKind> {
    night.go_to(time).await;
    night.manager.watch_deadlines().await.unwrap();
    night.waiting().await
}

#[tokio::test]
async fn a_run_that_will_miss_its_deadline_is_said_before_and_when_it_has() {
    // 23:30 in Berlin is 21:30 UTC: exactly when past runs have ended.
    let mut night = after_five_nights("23:30").await;
    let start = night.agent.starts(&night.manager).await.remove(0);
    night.agent.running(&night.manager, &start.attempt, night.world.now()).await;
    assert_eq!(watch(&night, "2026-09-26T20:50:00Z").await, []);
    // `load` has outlasted every past run: ten more minutes are expected, then half an hour of `report`.
    assert_eq!(watch(&night, "2026-09-26T21:10:00Z").await, [AttentionKind::DeadlineAtRisk]);
    let all = night.manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let said = &all.items[0];
    assert!(said.message.contains("night/load → night/report"), "{}", said.message);
    assert!(said.operation.is_some() && said.remedy.contains("tenantry op get"), "{}", said.remedy);
    assert_eq!(watch(&night, "2026-09-26T21:29:00Z").await, [AttentionKind::DeadlineAtRisk]);
    assert_eq!(watch(&night, "2026-09-26T21:31:00Z").await, [AttentionKind::DeadlineMissed]);
    assert_eq!(watch(&night, "2026-09-26T21:32:00Z").await, [AttentionKind::DeadlineMissed]);
    night.agent.ended(&night.manager, &start.attempt, night.world.now(), success()).await;
    night.run_all().await;
    assert_eq!(night.waiting().await, [], "its end settles it");
    let runs = night.manager.schedule_runs(&name("nightly"), &Page::default()).await.unwrap().items;
    assert!(runs[0].missed && runs[0].deadline_at == Some(at("2026-09-26T21:30:00Z")));
    assert!(!runs[1].missed);
}

#[tokio::test]
async fn a_risk_that_is_gone_is_settled() {
    let mut night = after_five_nights("23:30").await;
    let start = night.agent.starts(&night.manager).await.remove(0);
    night.agent.running(&night.manager, &start.attempt, night.world.now()).await;
    assert_eq!(watch(&night, "2026-09-26T21:05:00Z").await, [AttentionKind::DeadlineAtRisk]);
    night.agent.ended(&night.manager, &start.attempt, night.world.now(), success()).await;
    let report = night.agent.starts(&night.manager).await.remove(0);
    night.agent.running(&night.manager, &report.attempt, night.world.now()).await;
    // A person shortens what is left.
    let why = |reason: &str| StepOptions { reason: Some(reason.to_owned()), ..StepOptions::default() };
    let kill = tenantry_engine::StepVerb::Kill;
    night
        .manager
        .steer_step(&admin(), report.attempt.operation, &report.attempt.step, kill, why("by hand"))
        .await
        .unwrap();
    night.agent.ended(&night.manager, &report.attempt, night.world.now(), failure()).await;
    let confirm = tenantry_engine::StepVerb::Confirm { outputs: BTreeMap::new() };
    night
        .manager
        .steer_step(&admin(), report.attempt.operation, &report.attempt.step, confirm, why("sent by mail"))
        .await
        .unwrap();
    assert_eq!(night.waiting().await, []);
    assert!(!night.manager.schedule_runs(&name("nightly"), &Page::default()).await.unwrap().items[0].missed);
}

#[tokio::test]
async fn a_run_that_has_not_begun_is_at_risk_too() {
    let mut night = after_five_nights("23:30").await;
    // The run of the 26th is stuck, so that of the 27th waits; its deadline is seen before it has any step.
    let stuck = night.agent.starts(&night.manager).await.remove(0);
    night.agent.running(&night.manager, &stuck.attempt, night.world.now()).await;
    assert_eq!(watch(&night, "2026-09-27T20:00:00Z").await, [AttentionKind::DeadlineMissed]);
    assert_eq!(watch(&night, "2026-09-27T20:20:00Z").await, [AttentionKind::DeadlineMissed]);
    night.agent.ended(&night.manager, &stuck.attempt, night.world.now(), success()).await;
    assert_eq!(night.agent.run_all(&night.manager, night.world.now()).await, ["night/report"]);
    night.manager.run_schedules().await.unwrap();
    // Begun at 20:20 with an hour and a half before it: 21:50 and no earlier.
    assert_eq!(watch(&night, "2026-09-27T20:21:00Z").await, [AttentionKind::DeadlineAtRisk]);
}

#[tokio::test]
async fn a_run_that_ended_late_before_anybody_looked_is_said_all_the_same() {
    let mut night = after_five_nights("8h").await;
    let start = night.agent.starts(&night.manager).await.remove(0);
    night.world.pass(SignedDuration::from_hours(9));
    night.agent.ended(&night.manager, &start.attempt, night.world.now(), success()).await;
    night.run_all().await;
    assert_eq!(night.waiting().await, []);
    let filter = AttentionFilter { settled: true, ..AttentionFilter::default() };
    let all = night.manager.attentions(&admin(), filter, &Page::default()).await.unwrap().items;
    assert!(all.iter().any(|one| one.kind == AttentionKind::DeadlineMissed && one.settled_at.is_some()));
}
