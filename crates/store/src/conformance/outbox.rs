//! The outbox: a reader that keeps a position sees every event once, in one order.

use super::samples::{answer, event};
use crate::{EventFilter, Store};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tenantry_model::{EnvironmentId, OperationId};
use tokio::time::timeout;
use uuid::Uuid;

/// Later commits get higher positions; a rolled-back one gets none.
pub async fn positions_grow_in_the_order_of_commits<S: Store>(store: Arc<S>) {
    let mut last = 0;
    for n in 0..20 {
        let mut write = store.write().await.unwrap();
        write.append_event(&event(None, None, json!([n, 0]))).await.unwrap();
        write.append_event(&event(None, None, json!([n, 1]))).await.unwrap();
        if n % 3 == 0 {
            drop(write);
        } else {
            write.commit().await.unwrap();
        }
        let mut read = store.read().await.unwrap();
        let new = read.events(&EventFilter::default(), last, 10).await.unwrap();
        if n % 3 == 0 {
            assert_eq!(new, [], "a rolled-back one is nowhere");
            continue;
        }
        assert_eq!(new.iter().map(|event| &event.data).collect::<Vec<_>>(), [&json!([n, 0]), &json!([n, 1])]);
        assert!(last < new[0].position && new[0].position < new[1].position, "{last}, {new:?}");
        last = new[1].position;
        assert_eq!(read.last_event().await.unwrap(), last);
    }
}

/// Writers commit at once, a reader follows: nothing turns up behind its position.
pub async fn a_reader_with_a_checkpoint_never_skips_an_event<S: Store>(store: Arc<S>) {
    const WRITERS: u64 = 6;
    const EACH: u64 = 25;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for n in 0..EACH {
                // Both kinds, beside each other; some write more than others between their event and their end.
                let mut write = if writer == 0 { store.write() } else { store.write_one() }.await.unwrap();
                write.append_event(&event(None, None, json!([writer, n]))).await.unwrap();
                for row in 0..writer {
                    write.put_idempotent(&answer(&format!("{writer}/{n}/{row}"), 1)).await.unwrap();
                }
                write.commit().await.unwrap();
            }
        });
    }
    let follow = async {
        let (mut seen, mut position) = (Vec::new(), 0);
        while (seen.len() as u64) < WRITERS * EACH {
            let changed = store.changed();
            let events =
                store.read().await.unwrap().events(&EventFilter::default(), position, 7).await.unwrap();
            if events.is_empty() {
                changed.await;
            }
            for event in events {
                assert!(event.position > position, "in order");
                position = event.position;
                seen.push(event.data);
            }
        }
        seen
    };
    let seen = timeout(Duration::from_mins(2), follow).await.expect("no event was skipped");
    for writer in 0..WRITERS {
        let of_writer: Vec<_> = seen.iter().filter(|data| data[0] == json!(writer)).cloned().collect();
        assert_eq!(
            of_writer,
            (0..EACH).map(|n| json!([writer, n])).collect::<Vec<_>>(),
            "each once, in order"
        );
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

/// By environment, by operation, by both, after a position, at most so many.
pub async fn filters_narrow_events<S: Store>(store: Arc<S>) {
    let environments = [EnvironmentId(Uuid::now_v7()), EnvironmentId(Uuid::now_v7())];
    let operations = [OperationId(Uuid::now_v7()), OperationId(Uuid::now_v7())];
    let mut write = store.write().await.unwrap();
    for n in 0..40_usize {
        let environment = (n % 4 > 0).then(|| environments[n % 2]);
        let operation = (n % 4 > 1).then(|| operations[n % 2]);
        write.append_event(&event(environment, operation, json!(n))).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    for environment in [None, Some(environments[0]), Some(environments[1])] {
        for operation in [None, Some(operations[0]), Some(operations[1])] {
            let filter = EventFilter { environment, operation };
            let all = read.events(&EventFilter::default(), 0, 1000).await.unwrap();
            let expected: Vec<_> = all
                .into_iter()
                .filter(|event| environment.is_none() || event.environment == environment)
                .filter(|event| operation.is_none() || event.operation == operation)
                .collect();
            assert_eq!(read.events(&filter, 0, 1000).await.unwrap(), expected, "{filter:?}");
            if let Some(first) = expected.first() {
                let rest = read.events(&filter, first.position, 2).await.unwrap();
                assert_eq!(rest, expected[1..expected.len().min(3)], "after a position, at most two");
            }
        }
    }
}
