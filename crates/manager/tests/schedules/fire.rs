//! A time that comes becomes one operation, and only one.

use super::*;
use std::time::Duration;
use tenantry_store::EventFilter;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_time_that_comes_runs_the_operation_with_its_scheduled_time() {
    let mut night = Night::new().await;
    let schedule = night.schedule(night.nightly()).await;
    assert_eq!(schedule.next_time, Some(at("2026-09-21T20:00:00Z")));
    night.go_to("2026-09-21T19:59:59Z").await;
    assert_eq!(night.times().await, [""; 0]);
    night.go_to("2026-09-21T20:00:02Z").await;
    let operation = night.operations().await.remove(0);
    assert_eq!(operation.scheduled_time, Some(at("2026-09-21T20:00:00Z")));
    assert_eq!(operation.requested_by.name, "schedule nightly");
    assert_eq!(operation.parameters["portfolio"], "main");
    let start = night.agent.starts(&night.manager).await.remove(0);
    assert_eq!(start.order.request.scheduled_time, operation.scheduled_time);
    night.agent.ended(&night.manager, &start.attempt, night.world.now(), success()).await;
    assert_eq!(night.run_all().await, ["night/report"]);
    assert_eq!(night.runs().await, [("21".to_owned(), RunState::Ended)]);
    let now = night.manager.schedule(&name("nightly")).await.unwrap();
    assert_eq!(
        (now.last_time, now.next_time),
        (Some(at("2026-09-21T20:00:00Z")), Some(at("2026-09-22T20:00:00Z")))
    );
    assert_eq!(now.revision, schedule.revision, "firing is no change of the schedule");
    assert_eq!(night.waiting().await, []);
    let audit = night.manager.audit(Some(night.environment.id), 0, 100).await.unwrap();
    assert!(
        audit
            .iter()
            .any(|entry| entry.actor.name == "schedule nightly" && entry.action == "operation.request")
    );
}

#[tokio::test]
async fn an_absence_over_three_times_is_caught_up_as_the_policy_says() {
    let cases = [
        (CatchUp::None, vec![], vec![AttentionKind::ScheduleLate, AttentionKind::ScheduleSkipped]),
        (
            CatchUp::Latest,
            vec!["2026-09-23T20:00:00Z"],
            vec![AttentionKind::ScheduleLate, AttentionKind::ScheduleSkipped],
        ),
        (
            CatchUp::All,
            vec!["2026-09-21T20:00:00Z", "2026-09-22T20:00:00Z", "2026-09-23T20:00:00Z"],
            vec![AttentionKind::ScheduleLate],
        ),
    ];
    for (policy, expected, told) in cases {
        let mut night = Night::new().await;
        night.schedule(NewSchedule { catch_up: policy, ..night.nightly() }).await;
        night.go_to("2026-09-24T08:00:00Z").await;
        night.run_all().await;
        assert_eq!(night.times().await, expected, "{policy:?}");
        let mut kinds = night.waiting().await;
        kinds.sort();
        assert_eq!(kinds, told, "{policy:?}");
        // The next time on time settles what was said.
        night.go_to("2026-09-24T20:00:00Z").await;
        night.run_all().await;
        assert_eq!(night.times().await.last().unwrap(), "2026-09-24T20:00:00Z");
        assert_eq!(night.waiting().await, [], "{policy:?}");
    }
}

#[tokio::test]
async fn the_nights_in_which_the_clock_is_set_have_one_run() {
    // (zone, line, evening before, steps of ten minutes, expected)
    let nights = [
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T20:00:00Z", vec!["2026-10-25T00:30:00Z"]),
        ("Europe/Berlin", "30 2 * * *", "2027-03-27T20:00:00Z", vec!["2027-03-28T01:00:00Z"]),
        ("America/New_York", "30 1 * * *", "2026-11-01T02:00:00Z", vec!["2026-11-01T05:30:00Z"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00Z", vec!["2026-10-03T15:30:00Z"]),
        (
            "Europe/Berlin",
            "30 * * * *",
            "2026-10-24T23:50:00Z",
            vec![
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:30:00Z",
                "2026-10-25T03:30:00Z",
            ],
        ),
    ];
    for (zone, cron, evening, expected) in nights {
        let mut night = Night::new().await;
        night.world.pass(at(evening).duration_since(night.world.now()));
        let (cron, time_zone) = (cron.to_owned(), zone.to_owned());
        night.schedule(NewSchedule { cron, time_zone, ..night.nightly() }).await;
        let steps = if expected.len() > 1 { 24 } else { 48 };
        for _ in 0..steps {
            let next = night.world.now() + SignedDuration::from_mins(10);
            night.go_to(&next.to_string()).await;
            night.run_all().await;
        }
        assert_eq!(night.times().await, expected, "{zone} {evening}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_back_never_fires_a_time_twice() {
    let mut night = Night::new().await;
    night.schedule(NewSchedule { catch_up: CatchUp::All, ..night.nightly() }).await;
    night.go_to("2026-09-22T20:00:01Z").await;
    night.run_all().await;
    assert_eq!(night.times().await.len(), 2);
    night.go_to("2026-09-21T19:59:00Z").await;
    for time in ["2026-09-21T20:00:01Z", "2026-09-22T20:00:01Z", "2026-09-23T19:59:59Z"] {
        night.go_to(time).await;
        night.run_all().await;
    }
    assert_eq!(night.times().await.len(), 2);
    // A change meanwhile does not open the past either.
    night.go_to("2026-09-21T12:00:00Z").await;
    let change =
        tenantry_manager::ScheduleChange { cron: Some("0 21 * * *".to_owned()), ..Default::default() };
    let changed = night.manager.update_schedule(&admin(), &name("nightly"), None, change).await.unwrap();
    assert_eq!(changed.next_time, Some(at("2026-09-23T19:00:00Z")));
}

#[tokio::test]
async fn a_selector_is_resolved_at_each_firing_and_its_cap_stops_everything() {
    let mut night = Night::new().await;
    let silver = more(&night.manager, 2, "silver").await;
    let target = selector("tier=silver", 3);
    night.schedule(NewSchedule { target, parameters: no_parameters(), ..night.nightly() }).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    let mut ran: Vec<EnvironmentId> =
        night.operations().await.iter().map(|operation| operation.environment).collect();
    ran.sort();
    assert_eq!(ran, silver);
    night.run_all().await;
    // One more matches from now on, another two are too many.
    let mut new = new_environment("late");
    new.labels = BTreeMap::from([("tier".to_owned(), "silver".to_owned())]);
    night.manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
    night.go_to("2026-09-22T20:00:00Z").await;
    night.run_all().await;
    assert_eq!(night.operations().await.len(), 5);
    for name in ["much", "too-much"] {
        let mut new = new_environment(name);
        new.labels = BTreeMap::from([("tier".to_owned(), "silver".to_owned())]);
        night.manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
    }
    night.go_to("2026-09-23T20:00:00Z").await;
    assert_eq!(night.operations().await.len(), 5, "more than its cap: nobody runs");
    assert_eq!(night.waiting().await, [AttentionKind::ScheduleSkipped]);
    let change =
        tenantry_manager::ScheduleChange { target: Some(selector("tier=silver", 5)), ..Default::default() };
    night.manager.update_schedule(&admin(), &name("nightly"), None, change).await.unwrap();
    night.go_to("2026-09-24T20:00:00Z").await;
    assert_eq!((night.operations().await.len(), night.waiting().await), (10, vec![]));
}

#[tokio::test]
async fn a_time_that_the_environment_refuses_is_skipped_and_said() {
    let mut night = Night::new().await;
    let definition = OperationDefinition {
        from_states: [EnvironmentState::Suspended].into(),
        ..OperationDefinition::undefined("risk.nightly".parse().unwrap())
    };
    night.manager.put_definition(&admin(), definition).await.unwrap();
    night.schedule(night.nightly()).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    assert_eq!(night.runs().await, [("21".to_owned(), RunState::Skipped)]);
    let attention =
        night.manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let skipped = &attention.items[0];
    assert_eq!(skipped.kind, AttentionKind::ScheduleSkipped);
    assert!(
        skipped.message.contains("acme/prod") && skipped.message.contains("Active"),
        "{}",
        skipped.message
    );
    assert!(
        skipped.remedy.contains("schedule backfill nightly --from 2026-09-21T20:00:00Z"),
        "{}",
        skipped.remedy
    );
    let definition = OperationDefinition::undefined("risk.nightly".parse().unwrap());
    night.manager.put_definition(&admin(), definition).await.unwrap();
    night.go_to("2026-09-22T20:00:00Z").await;
    night.run_all().await;
    assert_eq!((night.times().await.len(), night.waiting().await), (1, vec![]));
    let events = night.manager.events_after(&EventFilter::default(), 0, 1000, Duration::ZERO).await.unwrap();
    for kind in [
        "schedule.changed",
        "schedule.fired",
        "schedule.run-changed",
        "attention.raised",
        "attention.settled",
    ] {
        assert!(events.iter().any(|event| event.kind == format!("io.tenantry.{kind}.v1")), "{kind}");
    }
}

#[tokio::test]
async fn the_loops_fire_without_a_caller_and_wake_for_a_new_schedule() {
    let night = Night::new().await;
    let shutdown = CancellationToken::new();
    let loops = tokio::spawn({
        let (manager, shutdown) = (night.manager.clone(), shutdown.clone());
        async move { manager.run(shutdown).await }
    });
    // Due at once: the clock stands at the time when the schedule is made a moment before it.
    night.world.pass(at("2026-09-21T19:59:59.999Z").duration_since(night.world.now()));
    night.schedule(night.nightly()).await;
    night.world.pass(SignedDuration::from_secs(1));
    let long = Duration::from_secs(20);
    let started = night.manager.agent_lease(&region(), night.agent.session, 10, long).await.unwrap();
    assert_eq!(started.len(), 1);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), loops).await.unwrap().unwrap();
}
