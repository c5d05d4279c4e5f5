//! Runs that a person asks for.

use super::*;
use tenantry_manager::{AskedRun, Backfill};

fn range(from: &str, until: &str) -> Backfill {
    Backfill {
        from: at(from),
        until: at(until),
        reason: "the night was lost".to_owned(),
        validate_only: false,
    }
}

async fn backfill(night: &Night, backfill: Backfill) -> tenantry_manager::Result<Vec<AskedRun>> {
    night.manager.backfill_schedule(&admin(), &name("nightly"), backfill).await
}

#[tokio::test]
async fn a_backfill_runs_each_time_of_its_range_once_and_in_order() {
    let mut night = Night::new().await;
    night.schedule(NewSchedule { overlap: Overlap::Skip, ..night.nightly() }).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    night.run_all().await;
    night.go_to("2026-09-22T12:00:00Z").await;
    let wanted = range("2026-09-18T00:00:00Z", "2026-09-22T00:00:00Z");
    let dry = backfill(&night, Backfill { validate_only: true, ..wanted.clone() }).await.unwrap();
    let listed: Vec<(String, bool)> =
        dry.iter().map(|run| (run.scheduled_time.strftime("%d").to_string(), run.is_new())).collect();
    let expected = [("18", true), ("19", true), ("20", true), ("21", false)];
    assert_eq!(listed, expected.map(|(day, new)| (day.to_owned(), new)));
    assert_eq!(night.runs().await.len(), 1, "a dry run makes nothing");
    assert_eq!(backfill(&night, wanted.clone()).await.unwrap(), dry);
    night.manager.run_schedules().await.unwrap();
    let running = night.operations().await.iter().filter(|operation| !operation.state.is_final()).count();
    assert_eq!(running, 1, "one after the other, whatever the overlap policy");
    night.run_all().await;
    let days = ["2026-09-21", "2026-09-18", "2026-09-19", "2026-09-20"];
    assert_eq!(night.times().await, days.map(|day| format!("{day}T20:00:00Z")));
    assert!(backfill(&night, wanted).await.unwrap().iter().all(|run| !run.is_new()));
    night.run_all().await;
    assert_eq!(night.operations().await.len(), 4, "a second one finds everything done");
}

#[tokio::test]
async fn a_skipped_time_can_be_run_afterwards() {
    let mut night = Night::new().await;
    night.schedule(NewSchedule { overlap: Overlap::Skip, ..night.nightly() }).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    night.go_to("2026-09-22T20:00:00Z").await;
    night.run_all().await;
    assert_eq!(night.runs().await[1].1, RunState::Skipped);
    let asked = backfill(&night, range("2026-09-22T20:00:00Z", "2026-09-22T20:00:00Z")).await.unwrap();
    assert_eq!((asked.len(), asked[0].before), (1, Some(RunState::Skipped)));
    night.manager.run_schedules().await.unwrap();
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-21T20:00:00Z", "2026-09-22T20:00:00Z"]);
    assert_eq!(night.waiting().await, []);
}

#[tokio::test]
async fn a_backfill_is_bounded_and_its_range_must_make_sense() {
    let night = Night::new().await;
    night.schedule(NewSchedule { cron: "* * * * *".to_owned(), ..night.nightly() }).await;
    let refused = [
        (range("2026-09-01T00:00:00Z", "2026-09-20T00:00:00Z"), "more than 1000 runs"),
        (range("2026-09-20T00:00:00Z", "2026-09-19T00:00:00Z"), "must not be before"),
        (range("2027-09-20T00:00:00Z", "2027-09-21T00:00:00Z"), "must have passed"),
        (range("2026-09-20T00:00:01Z", "2026-09-20T00:00:02Z"), "no time"),
    ];
    for (wanted, why) in refused {
        let error = backfill(&night, wanted).await.unwrap_err();
        assert_eq!(error.code(), "invalid-request");
        assert!(error.to_string().contains(why), "{error}");
    }
    // The future is the schedule's own, also at the end of a range.
    let until_tomorrow = range("2026-09-21T14:10:00Z", "2026-09-22T00:00:00Z");
    let asked = backfill(&night, Backfill { validate_only: true, ..until_tomorrow }).await.unwrap();
    assert_eq!(asked.len(), 4, "14:10 to 14:13");
}

#[tokio::test]
async fn run_now_runs_a_paused_schedule_for_all_its_environments_and_keeps_its_next_time() {
    let mut night = Night::new().await;
    more(&night.manager, 3, "bronze").await;
    let target = selector("tier in (bronze)", 10);
    night.schedule(NewSchedule { target, ..night.nightly() }).await;
    night.manager.pause_schedule(&admin(), &name("nightly"), "holidays".to_owned()).await.unwrap();
    let dry = night.manager.run_schedule(&admin(), &name("nightly"), None, true).await.unwrap();
    assert_eq!((dry.len(), night.operations().await.len()), (3, 0));
    night.manager.run_schedule(&admin(), &name("nightly"), Some("now".to_owned()), false).await.unwrap();
    night.manager.run_schedules().await.unwrap();
    night.run_all().await;
    assert_eq!(night.operations().await.len(), 3);
    assert_eq!(night.manager.schedule(&name("nightly")).await.unwrap().next_time, None);
}
