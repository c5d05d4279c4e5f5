//! Making, changing, pausing and deleting.

use super::*;
use tenantry_manager::ScheduleChange;

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_said_and_nothing_is_made() {
    let night = Night::new().await;
    let good = night.nightly();
    let with = |change: &dyn Fn(&mut NewSchedule)| {
        let mut new = good.clone();
        change(&mut new);
        new
    };
    let cases = [
        (with(&|new| new.cron = "0 0 30 2 *".to_owned()), "cron-never-fires", "never fires"),
        (with(&|new| new.cron = "* * * * * *".to_owned()), "cron-too-often", "one minute"),
        (with(&|new| new.cron = "tonight".to_owned()), "cron-invalid", "five fields"),
        (with(&|new| new.time_zone = "Europe/Berln".to_owned()), "time-zone-unknown", "Europe/Berlin"),
        (with(&|new| new.target = selector("tier in (", 5)), "invalid-request", "/target/selector/labels"),
        (with(&|new| new.target = selector("", 0)), "invalid-request", "1 to 1000"),
        (with(&|new| new.target = selector("", 1001)), "invalid-request", "1 to 1000"),
        (
            with(&|new| new.operation = "lifecycle.decommission".parse().unwrap()),
            "invalid-request",
            "lifecycle.backup",
        ),
        (
            with(&|new| new.operation = "lifecycle.nothing".parse().unwrap()),
            "invalid-request",
            "lifecycle.backup",
        ),
        (with(&|new| new.description = "x".repeat(1001)), "invalid-request", "1000 characters"),
        (
            with(&|new| {
                new.target =
                    ScheduleTarget::Environment("0192d9a4-0000-7000-8000-000000000001".parse().unwrap());
            }),
            "not-found",
            "environment",
        ),
    ];
    for (new, code, why) in cases {
        let error = night.manager.create_schedule(&admin(), new).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let checked = NewSchedule { validate_only: true, ..good.clone() };
    assert!(night.manager.create_schedule(&admin(), checked).await.unwrap().next_time.is_some());
    assert_eq!(night.manager.schedules(&admin()).await.unwrap(), []);
    night.schedule(good.clone()).await;
    assert_eq!(night.manager.create_schedule(&admin(), good).await.unwrap_err().code(), "already-exists");
}

#[tokio::test]
async fn a_change_states_the_revision_it_saw_and_moves_the_next_time() {
    let night = Night::new().await;
    let made = night.schedule(night.nightly()).await;
    let cron = |cron: &str| ScheduleChange { cron: Some(cron.to_owned()), ..ScheduleChange::default() };
    let update = |expected, change| {
        let manager = &night.manager;
        async move { manager.update_schedule(&admin(), &name("nightly"), expected, change).await }
    };
    let changed = update(Some(made.revision), cron("0 23 * * *")).await.unwrap();
    assert_eq!((changed.revision, changed.next_time), (made.revision + 1, Some(at("2026-09-21T21:00:00Z"))));
    assert_eq!(update(Some(made.revision), cron("0 1 * * *")).await.unwrap_err().code(), "revision-mismatch");
    assert_eq!(update(None, cron("0 0 31 6 *")).await.unwrap_err().code(), "cron-never-fires");
    let same = update(None, ScheduleChange::default()).await.unwrap();
    assert_eq!(same, changed, "no change, no new revision");
    let audit = night.manager.audit(None, 0, 100).await.unwrap();
    let actions: Vec<&str> = audit
        .iter()
        .map(|entry| entry.action.as_str())
        .filter(|action| action.starts_with("schedule."))
        .collect();
    assert_eq!(actions, ["schedule.create", "schedule.update"]);
    assert!(night.manager.verify_audit(None).await.unwrap().is_ok());
}

#[tokio::test]
async fn what_comes_during_a_pause_is_left_out_for_good() {
    let mut night = Night::new().await;
    night.schedule(NewSchedule { catch_up: CatchUp::All, ..night.nightly() }).await;
    let paused =
        night.manager.pause_schedule(&admin(), &name("nightly"), "holidays".to_owned()).await.unwrap();
    assert_eq!((paused.next_time, paused.paused.unwrap().reason.as_str()), (None, "holidays"));
    night.go_to("2026-09-24T12:00:00Z").await;
    assert_eq!(night.runs().await, []);
    let resumed = night.manager.resume_schedule(&admin(), &name("nightly"), None).await.unwrap();
    assert_eq!(resumed.next_time, Some(at("2026-09-24T20:00:00Z")));
    let again = night.manager.resume_schedule(&admin(), &name("nightly"), None).await.unwrap();
    assert_eq!(again.revision, resumed.revision, "twice changes nothing");
    night.go_to("2026-09-24T20:00:00Z").await;
    night.run_all().await;
    assert_eq!(night.times().await, ["2026-09-24T20:00:00Z"]);
}

#[tokio::test]
async fn a_deleted_schedule_takes_what_waits_with_it_and_leaves_what_runs() {
    let mut night = Night::new().await;
    night.schedule(night.nightly()).await;
    night.go_to("2026-09-21T20:00:00Z").await;
    night.go_to("2026-09-22T20:00:00Z").await;
    night.manager.delete_schedule(&admin(), &name("nightly"), None).await.unwrap();
    assert_eq!(night.manager.schedule(&name("nightly")).await.unwrap_err().code(), "not-found");
    night.run_all().await;
    night.go_to("2026-09-23T20:00:00Z").await;
    let all = night.operations().await;
    assert_eq!((all.len(), all[0].state), (1, OperationState::Succeeded));
    // Its name is free, and the new one knows nothing of the old one's runs.
    night.schedule(night.nightly()).await;
    assert_eq!(night.runs().await, []);
}
