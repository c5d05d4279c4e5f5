//! The ledger over restarts, damage, rewrites and a manager that forgot.
#![allow(clippy::unwrap_used)] // in tests a panic is the message

use super::*;
use std::io::Write;

fn attempt(number: u32) -> AttemptId {
    let operation = "0192d3a0-0000-7000-8000-000000000000".parse().unwrap();
    AttemptId { operation, step: "eu1/crm/a".parse().unwrap(), number }
}

fn unknown(why: &str) -> Fact {
    Fact::Unknown { why: why.to_owned() }
}

fn numbers(ledger: &Ledger) -> Vec<u64> {
    ledger.unsent(100).iter().map(|o| o.number).collect()
}

#[tokio::test]
async fn numbers_and_unsent_facts_survive_a_restart_and_a_torn_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for why in ["a", "b", "b", "c"] {
        ledger.fact(&attempt(1), unknown(why), Timestamp::UNIX_EPOCH);
    }
    assert_eq!(numbers(&ledger), [1, 2, 3], "the repeated one is dropped");
    ledger.acknowledge(&ledger.unsent(1));
    ledger.sync().await.unwrap();
    drop(ledger);
    let path = folder.path().join("attempts.jsonl");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"entry\":\"fa").unwrap();

    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(numbers(&ledger), [2, 3]);
    ledger.fact(&attempt(1), unknown("d"), Timestamp::UNIX_EPOCH);
    drop(ledger);
    assert_eq!(numbers(&Ledger::open(folder.path()).unwrap()), [2, 3, 4]);
}

#[test]
fn a_damaged_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("attempts.jsonl"), "{}\n").unwrap();
    let Err(refused) = Ledger::open(folder.path()) else { panic!("it was taken") };
    assert!(matches!(refused, AgentError::Damaged { line: 1, .. }), "{refused}");
}

#[test]
fn a_rewritten_file_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for number in 1..=3 {
        ledger.change(&attempt(number), |record| record.kill = Some(KillCause::Cancel));
        ledger.fact(&attempt(number), unknown("x"), Timestamp::UNIX_EPOCH);
    }
    ledger.acknowledge(&ledger.unsent(1));
    rewrite(&mut ledger.state());
    let before = ledger.state().records.clone();
    ledger.fact(&attempt(2), unknown("after"), Timestamp::UNIX_EPOCH);
    let after = Ledger::open(folder.path()).unwrap();
    assert_eq!(after.state().records.get(&attempt(1)), before.get(&attempt(1)));
    assert_eq!(numbers(&after), [1, 1, 2]);
}

#[test]
fn a_manager_that_was_restored_hears_the_newest_fact_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.fact(&attempt(1), unknown("a"), Timestamp::UNIX_EPOCH);
    ledger.fact(&attempt(1), unknown("b"), Timestamp::UNIX_EPOCH);
    ledger.acknowledge(&ledger.unsent(10));
    ledger.reconcile(&attempt(1), Uuid::nil(), 2);
    assert!(numbers(&ledger).is_empty(), "it knows");
    ledger.reconcile(&attempt(1), Uuid::nil(), 1);
    assert_eq!(numbers(&ledger), [2], "it has forgotten");
    ledger.reconcile(&attempt(1), Uuid::nil(), 1);
    assert_eq!(numbers(&ledger), [2], "and is told once");
}

#[test]
fn numbers_go_on_where_the_manager_is_when_the_folder_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    assert!(ledger.reconcile(&attempt(1), Uuid::nil(), 7).existed);
    ledger.fact(&attempt(1), unknown("a"), Timestamp::UNIX_EPOCH);
    assert_eq!(numbers(&ledger), [8]);
}

#[test]
fn nothing_is_taken_in_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let outcome = crate::orders::outcome(tenantry_model::FailureReason::Killed, "x");
    ledger.fact(&attempt(1), Fact::NotStarted { outcome }, Timestamp::UNIX_EPOCH);
    ledger.fact(&attempt(1), unknown("late"), Timestamp::UNIX_EPOCH);
    assert_eq!(numbers(&ledger), [1]);
}

#[test]
fn a_deadline_counts_from_the_containers_start_and_ends_with_a_kill() {
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let mut record = Record {
        start_tried: Some(at(100)),
        timeout: Some(SignedDuration::from_secs(50)),
        ..Record::default()
    };
    assert_eq!(record.deadline(), Some(at(150)));
    record.running_since = Some(at(120));
    assert_eq!(record.deadline(), Some(at(170)));
    record.kill = Some(KillCause::Operator);
    assert_eq!(record.deadline(), None);
}

#[test]
fn the_next_deadline_is_the_earliest_of_those_that_still_count() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let begun = Timestamp::now();
    let next = |ledger: &Ledger| ledger.next_deadline().map(|(_, attempt)| attempt);
    for (number, timeout) in [(1, 3000), (2, 1000), (3, 2000)] {
        ledger.change(&attempt(number), |record| {
            record.start_tried = Some(begun);
            record.timeout = Some(SignedDuration::from_secs(timeout));
        });
    }
    assert_eq!(next(&ledger), Some(attempt(2)));
    ledger.change(&attempt(2), |record| record.kill = Some(KillCause::Timeout));
    assert_eq!(next(&ledger), Some(attempt(3)));
    let outcome = crate::orders::outcome(tenantry_model::FailureReason::Killed, "x");
    ledger.fact(&attempt(3), Fact::NotStarted { outcome }, begun);
    assert_eq!(next(&ledger), Some(attempt(1)));
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(next(&ledger), Some(attempt(1)), "also after a restart");
    ledger.change(&attempt(1), |record| record.released = Some(begun));
    assert_eq!(next(&ledger), None);
}

#[test]
fn a_deadline_by_a_clock_that_was_set_is_within_the_attempts_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let (hour, timeout) = (SignedDuration::from_hours(1), SignedDuration::from_secs(1000));
    // Begun in a time to come: the clock was set back since. Begun long ago: over.
    for (number, begun) in [(1, Timestamp::now() + hour), (2, Timestamp::now() - hour)] {
        ledger.change(&attempt(number), |record| {
            record.start_tried = Some(begun);
            record.timeout = Some(timeout);
        });
    }
    let (at, first) = ledger.next_deadline().unwrap();
    assert!(first == attempt(2) && at <= Instant::now());
    ledger.change(&attempt(2), |record| record.kill = Some(KillCause::Timeout));
    let (at, last) = ledger.next_deadline().unwrap();
    assert_eq!(last, attempt(1));
    assert!(at <= Instant::now() + std::time::Duration::try_from(timeout).unwrap());
}
