//! Retention by the database's clock: a manager whose own one is years away from it removes nothing.

use crate::common::*;
use crate::duties::stopped;
use crate::two_over;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tenantry_manager::{Duty, Manager};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, EventFilter};

async fn oldest(manager: &Manager) -> u64 {
    manager.events_after(&EventFilter::default(), 0, 1, Duration::ZERO).await.unwrap()[0].position
}

async fn doubts(manager: &Manager) -> Vec<Attention> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap().items;
    all.into_iter().filter(|said| said.kind == AttentionKind::RetentionClock).collect()
}

pub async fn clocks_apart() {
    const DAY: SignedDuration = SignedDuration::from_hours(24);
    let world = World::new();
    // The database's clock is the real one.
    world.pass(Timestamp::now().duration_since(world.now()) - DAY * 31);
    let (one, _, url) = two_over(&world).await;
    prepare(&one).await;
    // No week without an event: before the first run it is they that show that the clock did not jump.
    for (name, days) in [("a", 5), ("b", 5), ("c", 5), ("d", 5), ("e", 5), ("f", 6), ("g", 0)] {
        create(&one, name).await;
        world.pass(DAY * days);
    }
    let first = oldest(&one).await;
    for years in [5, -5] {
        let wrong = stopped(&world, &url, world.now() + DAY * 365 * years).await;
        assert!(wrong.attend_to(Duty::Retention).await.unwrap());
        assert_eq!(oldest(&one).await, first, "nothing goes");
        let said = doubts(&one).await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].message.contains("the database's"), "{said:?}");
        assert!(said[0].remedy.contains("psql"), "{said:?}");
        // No word helps against two clocks of which one must be wrong.
        assert_eq!(wrong.retire(&admin(), true).await.unwrap_err().code(), "retention-clock");
        assert_eq!(oldest(&one).await, first);
    }
    assert!(
        one.attend_to(Duty::Retention).await.unwrap(),
        "nobody waits for the end of the wrong one's lease"
    );
    assert!(oldest(&one).await > first, "what is a month old goes");
    assert_eq!(doubts(&one).await, []);
    assert_eq!(findings(&one).await, []);
}
