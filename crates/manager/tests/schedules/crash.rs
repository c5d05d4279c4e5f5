//! A process that dies at any moment, and two that act at the same time: each time runs once for each environment.

use super::*;
use jiff::ToSpan;
use std::collections::BTreeSet;

/// Every run's key, and that no operation was made twice for one.
async fn distinct(manager: &Manager) -> BTreeSet<(EnvironmentId, Timestamp)> {
    let all = operations(manager).await;
    let keys: BTreeSet<_> =
        all.iter().map(|operation| (operation.environment, operation.scheduled_time.unwrap())).collect();
    assert_eq!(keys.len(), all.len(), "a time ran twice");
    keys
}

#[tokio::test]
async fn a_process_that_dies_at_any_moment_neither_loses_nor_doubles_a_run() {
    let mut night = Night::new().await;
    more(&night.manager, 1, "gold-too").await;
    // As many nights as it takes, so in a zone whose days all have 24 hours.
    let (cron, time_zone) = ("0 20 * * *".to_owned(), "UTC".to_owned());
    let target = selector("", 10);
    let new = NewSchedule { target, cron, time_zone, catch_up: CatchUp::All, ..night.nightly() };
    night.schedule(new).await;
    let Night { world, store, manager, agent, .. } = &mut night;
    let (mut day, mut survived, mut deaths) = (at("2026-09-21T20:00:00Z"), 0, 0);
    for polls in 0.. {
        world.pass(day.duration_since(world.now()));
        // Each firing is four transactions: the schedule's, and one for each environment, besides reading.
        match die_after(polls, manager.run_schedules()).await {
            Some(done) => {
                done.unwrap();
                survived += 1;
            }
            None => deaths += 1,
        }
        // Another process over the same rows; it has no memory of the first.
        *manager = world.beside(Arc::clone(store));
        manager.run_schedules().await.unwrap();
        let keys = distinct(manager).await;
        let tonight = keys.iter().filter(|(_, time)| *time == day).count();
        assert_eq!(tonight, 2, "after {polls} polls: each environment has its run of {day}");
        agent.run_all(manager, world.now()).await;
        day += 24.hours();
        if survived == 3 {
            break;
        }
    }
    assert!(deaths >= 5, "only {deaths} deaths");
    let ended = operations(manager).await.iter().filter(|operation| operation.state.is_final()).count();
    assert_eq!(ended, operations(manager).await.len());
}

#[tokio::test]
async fn a_process_that_dies_while_a_queue_moves_on_leaves_none_behind() {
    let mut night = Night::new().await;
    night.schedule(NewSchedule { catch_up: CatchUp::All, ..night.nightly() }).await;
    night.go_to("2026-09-26T12:00:00Z").await;
    let Night { world, store, manager, agent, .. } = &mut night;
    for polls in 0..40 {
        for start in agent.starts(manager).await {
            agent.ended(manager, &start.attempt, world.now(), success()).await;
        }
        let _ = die_after(polls % 37, manager.run_schedules()).await;
        *manager = world.beside(Arc::clone(store));
    }
    let ran = night.run_all().await;
    println!("left for the end: {} steps", ran.len());
    let manager = &night.manager;
    assert_eq!(distinct(manager).await.len(), 5);
    assert!(operations(manager).await.iter().all(|operation| operation.state == OperationState::Succeeded));
}

#[tokio::test]
async fn two_managers_over_one_store_fire_a_time_once() {
    let mut night = Night::new().await;
    more(&night.manager, 4, "silver").await;
    night.schedule(NewSchedule { target: selector("", 10), ..night.nightly() }).await;
    let (one, two) = (night.manager.clone(), night.world.beside(Arc::clone(&night.store)));
    for day in 0..5 {
        let time = at("2026-09-21T20:00:00Z") + SignedDuration::from_hours(24 * day);
        night.world.pass(time.duration_since(night.world.now()));
        let (first, second) = tokio::join!(one.run_schedules(), two.run_schedules());
        first.unwrap();
        second.unwrap();
        night.agent.run_all(&two, night.world.now()).await;
    }
    assert_eq!(distinct(&one).await.len(), 5 * 5);
}
