//! Schedules and their runs.

use super::samples::{at, schedule, schedule_run, text};
use crate::{RunKey, Store, StoreError};
use std::sync::Arc;
use tenantry_model::{EnvironmentId, Page, RunState, Schedule, ScheduleRun};
use uuid::Uuid;

fn environment() -> EnvironmentId {
    EnvironmentId(Uuid::now_v7())
}

async fn put<S: Store>(store: &S, schedules: &[Schedule], runs: &[ScheduleRun]) {
    let mut write = store.write().await.unwrap();
    for schedule in schedules {
        write.put_schedule(schedule).await.unwrap();
    }
    for run in runs {
        write.put_schedule_run(run).await.unwrap();
    }
    write.commit().await.unwrap();
}

/// Unique while it exists.
pub async fn a_schedule_reads_back_and_its_name_is_taken<S: Store>(store: Arc<S>) {
    let mut first = schedule("nightly");
    put(&*store, &[first.clone(), schedule("weekly"), schedule("archive")], &[]).await;
    "another".clone_into(&mut first.description);
    put(&*store, std::slice::from_ref(&first), &[]).await;
    let mut write = store.write().await.unwrap();
    assert_eq!(write.lock_schedule(first.id).await.unwrap(), Some(first.clone()));
    match write.put_schedule(&schedule("nightly")).await {
        Err(StoreError::Duplicate(what)) => assert!(what.contains("nightly"), "{what}"),
        other => panic!("{other:?}"),
    }
    drop(write);
    let mut read = store.read().await.unwrap();
    assert_eq!(read.schedule(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(read.schedule_by_name(&text("nightly")).await.unwrap(), Some(first));
    assert_eq!(read.schedule_by_name(&text("nobody")).await.unwrap(), None);
    let names: Vec<String> =
        read.schedules().await.unwrap().into_iter().map(|schedule| schedule.name.to_string()).collect();
    assert_eq!(names, ["archive", "nightly", "weekly"]);
}

/// A paused one has no next time and is never due.
pub async fn schedules_whose_time_has_come_are_found_earliest_first<S: Store>(store: Arc<S>) {
    let due = |name: &str, seconds: Option<i64>| Schedule { next_time: seconds.map(at), ..schedule(name) };
    assert_eq!(store.read().await.unwrap().next_schedule().await.unwrap(), None);
    let all = [due("b", Some(20)), due("a", Some(10)), due("c", Some(30)), due("d", None)];
    put(&*store, &all, &[]).await;
    let mut read = store.read().await.unwrap();
    let names = |found: Vec<Schedule>| -> Vec<String> {
        found.into_iter().map(|schedule| schedule.name.to_string()).collect()
    };
    assert_eq!(names(read.due_schedules(at(20), 10).await.unwrap()), ["a", "b"]);
    assert_eq!(names(read.due_schedules(at(99), 2).await.unwrap()), ["a", "b"]);
    assert_eq!(names(read.due_schedules(at(9), 10).await.unwrap()), [""; 0]);
    assert_eq!(read.next_schedule().await.unwrap(), Some(at(10)));
}

/// What makes a time run once.
pub async fn a_run_is_added_once_for_its_schedule_environment_and_time<S: Store>(store: Arc<S>) {
    let (schedule, environment) = (schedule("nightly").id, environment());
    let first = schedule_run(schedule, environment, 5, RunState::Due);
    let again = schedule_run(schedule, environment, 5, RunState::Skipped);
    let mut write = store.write().await.unwrap();
    assert!(write.add_schedule_run(&first).await.unwrap());
    assert!(!write.add_schedule_run(&again).await.unwrap());
    assert!(
        write.add_schedule_run(&schedule_run(schedule, self::environment(), 5, RunState::Due)).await.unwrap()
    );
    assert!(write.add_schedule_run(&schedule_run(schedule, environment, 6, RunState::Due)).await.unwrap());
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.schedule_run(&RunKey::of(&first)).await.unwrap(), Some(first.clone()));
    let nobody = RunKey { scheduled_time: at(7), ..RunKey::of(&first) };
    assert_eq!(read.schedule_run(&nobody).await.unwrap(), None);
}

/// Each list holds its state only.
pub async fn runs_are_found_by_state_operation_and_deadline<S: Store>(store: Arc<S>) {
    let (schedule, environment) = (schedule("nightly").id, environment());
    let run = |seconds, state| schedule_run(schedule, environment, seconds, state);
    let mut due = run(30, RunState::Due);
    due.operation = None;
    let mut early = run(3, RunState::Due);
    (early.operation, early.schedule) = (None, super::samples::schedule("other").id);
    let mut waiting = run(20, RunState::Waiting);
    waiting.operation = None;
    let requested = run(10, RunState::Requested);
    let second = run(11, RunState::Requested);
    let mut without_deadline = run(12, RunState::Requested);
    without_deadline.deadline_at = None;
    let ended = run(1, RunState::Ended);
    let all = [&due, &early, &waiting, &requested, &second, &without_deadline, &ended].map(Clone::clone);
    put(&*store, &[], &all).await;
    let mut read = store.read().await.unwrap();
    assert_eq!(read.due_schedule_runs(10).await.unwrap(), [early.clone(), due.clone()]);
    assert_eq!(read.due_schedule_runs(1).await.unwrap(), [early]);
    let open = read.open_schedule_runs(schedule, environment, 10).await.unwrap();
    assert_eq!(open, [requested.clone(), second.clone(), without_deadline, waiting, due]);
    assert_eq!(
        read.open_schedule_runs(schedule, environment, 1).await.unwrap(),
        std::slice::from_ref(&requested)
    );
    assert_eq!(read.schedule_run_of(ended.operation.unwrap()).await.unwrap(), Some(ended));
    let page = Page { after: None, limit: 1 };
    let first = read.watched_schedule_runs(&page).await.unwrap();
    assert_eq!(first.items, [requested]);
    let rest = read.watched_schedule_runs(&Page { after: first.next, limit: 10 }).await.unwrap();
    assert_eq!((rest.items, rest.next), (vec![second], None));
}

/// Exactly once, whatever the pages' size.
pub async fn a_schedules_runs_come_newest_first_through_pages<S: Store>(store: Arc<S>) {
    let id = schedule("nightly").id;
    let mut all = Vec::new();
    for seconds in 0..15 {
        for _ in 0..2 {
            all.push(schedule_run(id, environment(), seconds, RunState::Ended));
        }
    }
    let foreign = schedule_run(schedule("other").id, environment(), 3, RunState::Ended);
    put(&*store, &[], &[all.clone(), vec![foreign]].concat()).await;
    all.sort_by_key(|run| std::cmp::Reverse((run.scheduled_time, run.environment)));
    let mut read = store.read().await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = read.schedule_runs(id, &Page { after, limit: 7 }).await.unwrap();
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, all);
}

/// What has an operation is history and stays.
pub async fn deleting_a_schedule_takes_what_has_not_begun<S: Store>(store: Arc<S>) {
    let only = schedule("nightly");
    let states = [RunState::Due, RunState::Waiting, RunState::Requested, RunState::Ended, RunState::Skipped];
    let runs: Vec<_> =
        (0..).zip(states).map(|(n, state)| schedule_run(only.id, environment(), n, state)).collect();
    put(&*store, std::slice::from_ref(&only), &runs).await;
    let mut write = store.write().await.unwrap();
    assert!(write.delete_schedule(only.id).await.unwrap());
    assert!(!write.delete_schedule(only.id).await.unwrap());
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.schedule(only.id).await.unwrap(), None);
    let left = read.schedule_runs(only.id, &Page::default()).await.unwrap().items;
    let left: Vec<RunState> = left.into_iter().map(|run| run.state).collect();
    assert_eq!(left, [RunState::Skipped, RunState::Ended, RunState::Requested]);
    put(&*store, &[schedule("nightly")], &[]).await;
}

/// The oldest first, a few at a time.
pub async fn old_runs_are_removed_in_bounded_bites_and_open_ones_stay<S: Store>(store: Arc<S>) {
    let id = schedule("nightly").id;
    let mut runs: Vec<_> = (0..10).map(|n| schedule_run(id, environment(), n, RunState::Ended)).collect();
    runs.push(schedule_run(id, environment(), 0, RunState::Requested));
    runs.push(schedule_run(id, environment(), 0, RunState::Waiting));
    put(&*store, &[], &runs).await;
    let mut write = store.write().await.unwrap();
    assert_eq!(write.expire_schedule_runs(at(8), 5).await.unwrap(), 5);
    assert_eq!(write.schedule_run(&RunKey::of(&runs[4])).await.unwrap(), None);
    assert!(write.schedule_run(&RunKey::of(&runs[5])).await.unwrap().is_some());
    assert_eq!(write.expire_schedule_runs(at(8), 5).await.unwrap(), 3);
    assert_eq!(write.expire_schedule_runs(at(8), 5).await.unwrap(), 0);
    write.commit().await.unwrap();
    let left = store.read().await.unwrap().schedule_runs(id, &Page::default()).await.unwrap();
    assert_eq!(left.items.len(), 4);
}
