//! A manager that is away for a while: what is told of a log, and when its end is.

use super::{super::outbox, *};
use std::collections::BTreeMap;

struct World {
    told: Arc<Told>,
    contact: watch::Sender<bool>,
    attempt: AttemptId,
    // What is put in stays there: nothing carries it away.
    _carrier: outbox::Carrier,
}

fn world() -> World {
    let (outbox, carrier) = outbox::new();
    let contact = watch::Sender::new(true);
    let attempt = AttemptId {
        operation: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap(),
        step: "eu1/crm/a".parse().unwrap(),
        number: 1,
    };
    World {
        told: Told::new(outbox, contact.subscribe(), Stdout::to(std::io::sink())),
        contact,
        attempt,
        _carrier: carrier,
    }
}

fn ended() -> Fact {
    Fact::Ended {
        started_at: None,
        ended_at: Timestamp::UNIX_EPOCH,
        outcome: Outcome::default(),
        images: BTreeMap::new(),
    }
}

fn text(bytes: usize) -> Bytes {
    Bytes::from(vec![b'.'; bytes])
}

impl World {
    fn log(&self) -> Log {
        self.told.with(&self.attempt, |record| record.log)
    }
    fn is_over(&self) -> bool {
        self.told.with(&self.attempt, |record| record.over)
    }
}

#[tokio::test]
async fn a_log_that_is_told_whole_is_followed_by_the_end() {
    let world = world();
    let observer = world.told.observer(&world.attempt);
    observer.log(&world.attempt, 0, text(10)).await;
    // Told again, as after a stream that broke.
    observer.log(&world.attempt, 5, text(10)).await;
    observer.log_end(&world.attempt, 15).await;
    observer.fact(&world.attempt, ended()).await;
    assert_eq!((world.log().queued, world.log().ended, world.is_over()), (15, true, true));
}

#[tokio::test]
async fn without_contact_the_log_goes_on_and_its_end_waits_until_it_is_read_again() {
    let world = world();
    world.contact.send_replace(false);
    let observer = world.told.observer(&world.attempt);
    // More than there is room for: it does not wait.
    for at in 0..8 {
        let offset = at * Outbox::PIECE as u64;
        observer.log(&world.attempt, offset, text(Outbox::PIECE)).await;
    }
    let end = 8 * Outbox::PIECE as u64;
    assert_eq!((world.log().printed, world.log().queued), (end, end / 2));
    assert!(world.log().behind);
    observer.log_end(&world.attempt, end).await;
    observer.fact(&world.attempt, ended()).await;
    assert!(!world.log().ended && !world.is_over(), "the manager lacks half of the log");

    assert!(world.told.with(&world.attempt, Record::read_again));
    let again = world.told.observer(&world.attempt);
    assert_eq!(world.told.known(&world.attempt).log_from, end / 2);
    observer.log(&world.attempt, end, text(1)).await;
    observer.log_end(&world.attempt, end).await;
    assert!(!world.log().ended, "the first reader is passed over");
    // There is room for nothing more, so the rest is only looked at from here on.
    world.told.with(&world.attempt, |record| record.log.queued = end);
    again.log_end(&world.attempt, end).await;
    again.fact(&world.attempt, ended()).await;
    assert!(world.log().ended && world.is_over());
}

#[tokio::test]
async fn with_contact_a_log_waits_for_room() {
    let world = world();
    let observer = world.told.observer(&world.attempt);
    let all = observer.log(&world.attempt, 0, text(5 * Outbox::PIECE));
    assert!(tokio::time::timeout(Duration::from_millis(50), all).await.is_err());
    assert_eq!(world.log().queued, 4 * Outbox::PIECE as u64);
    assert!(!world.log().behind);
}

#[tokio::test]
async fn what_was_never_started_has_an_empty_log() {
    let world = world();
    world.told.never_started(&world.attempt, Outcome::default());
    assert!(world.log().ended && world.is_over());
}
