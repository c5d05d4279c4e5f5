//! What receivers of events have not taken.

use super::samples::{dead_letter, parked};
use crate::{ParkedRow, Store};
use std::sync::Arc;
use tenantry_model::{EnvironmentId, Page};
use uuid::Uuid;

/// What belongs to no environment is a row as well.
pub async fn parked_events_come_by_environment_and_apart_by_sink<S: Store>(store: Arc<S>) {
    let of = |n| Some(EnvironmentId(Uuid::from_u128(n)));
    let mut write = store.write().await.unwrap();
    for (sink, environment) in [("bus", of(2)), ("bus", None), ("bus", of(1)), ("crm", of(1))] {
        write.put_parked_events(&parked(sink, environment)).await.unwrap();
    }
    let moved = ParkedRow { after: 9, tries: 0, not_before: None, problem: None, ..parked("bus", of(2)) };
    write.put_parked_events(&moved).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    let wanted = [parked("bus", None), parked("bus", of(1)), moved];
    assert_eq!(read.parked_events("bus").await.unwrap(), wanted);
    assert_eq!(read.parked_events("crm").await.unwrap(), [parked("crm", of(1))]);
    drop(read);
    let mut write = store.write().await.unwrap();
    write.delete_parked_events("bus", None).await.unwrap();
    write.delete_parked_events("bus", of(1)).await.unwrap();
    write.delete_parked_events("bus", of(3)).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.parked_events("bus").await.unwrap().len(), 1);
    assert_eq!(read.parked_events("crm").await.unwrap().len(), 1, "another sink's stay");
}

/// By number, not by text.
pub async fn dead_letters_come_by_position_in_pages<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for position in [10, 9, 100] {
        write.put_dead_letter(&dead_letter("bus", position, false)).await.unwrap();
    }
    write.put_dead_letter(&dead_letter("crm", 5, false)).await.unwrap();
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.count_dead_letters("bus").await.unwrap(), 3);
    assert_eq!(read.count_dead_letters("none").await.unwrap(), 0);
    let mut page = Page { after: None, limit: 2 };
    let first = read.dead_letters("bus", &page).await.unwrap();
    assert_eq!(first.items, [dead_letter("bus", 9, false), dead_letter("bus", 10, false)]);
    page.after = first.next;
    let second = read.dead_letters("bus", &page).await.unwrap();
    assert_eq!((second.items, second.next), (vec![dead_letter("bus", 100, false)], None));
    assert_eq!(read.dead_letter("crm", 5).await.unwrap(), Some(dead_letter("crm", 5, false)));
    assert_eq!(read.dead_letter("crm", 9).await.unwrap(), None);
}

/// Until it is gone, or wanted no more.
pub async fn the_first_dead_letter_that_is_wanted_is_found<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for (position, wanted) in [(1, false), (2, true), (3, true)] {
        write.put_dead_letter(&dead_letter("bus", position, wanted)).await.unwrap();
    }
    write.put_dead_letter(&dead_letter("crm", 1, true)).await.unwrap();
    assert_eq!(write.wanted_dead_letter("bus").await.unwrap(), Some(dead_letter("bus", 2, true)));
    assert!(write.delete_dead_letter("bus", 2).await.unwrap());
    assert!(!write.delete_dead_letter("bus", 2).await.unwrap());
    assert_eq!(write.wanted_dead_letter("bus").await.unwrap(), Some(dead_letter("bus", 3, true)));
    write.put_dead_letter(&dead_letter("bus", 3, false)).await.unwrap();
    assert_eq!(write.wanted_dead_letter("bus").await.unwrap(), None);
    assert_eq!(write.wanted_dead_letter("crm").await.unwrap(), Some(dead_letter("crm", 1, true)));
}
