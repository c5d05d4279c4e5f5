//! Isolation, roll-back, wake-ups.

use super::samples::{tenant, text};
use crate::{Signal, Store};
use std::{sync::Arc, time::Duration};
use tenantry_model::TenantName;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_mins(1);

async fn sees<S: Store>(store: &S, name: &str) -> bool {
    let name: TenantName = text(name);
    store.read().await.unwrap().tenant(&name).await.unwrap().is_some()
}

/// DESIGN §9: a transaction is all or nothing.
pub async fn what_is_not_committed_is_invisible_and_gone_after_a_drop<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    assert!(write.tenant(&text("acme")).await.unwrap().is_some(), "a transaction sees its own writes");
    assert!(!sees(&*store, "acme").await, "others do not see them");
    drop(write);
    assert!(!sees(&*store, "acme").await, "a drop rolls back");
    let mut write = store.write().await.unwrap();
    assert!(write.tenant(&text("acme")).await.unwrap().is_none(), "also for the next writer");
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.commit().await.unwrap();
    assert!(sees(&*store, "acme").await, "a commit shows them");
}

/// One consistent state, whatever is committed meanwhile.
pub async fn a_read_transaction_sees_one_state_until_its_end<S: Store>(store: Arc<S>) {
    let mut read = store.read().await.unwrap();
    assert!(read.tenant(&text("acme")).await.unwrap().is_none());
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.commit().await.unwrap();
    assert!(read.tenant(&text("acme")).await.unwrap().is_none(), "the earlier state");
    drop(read);
    assert!(sees(&*store, "acme").await);
}

/// A request that is given up at any point must not keep the writer.
pub async fn a_cancelled_write_leaves_the_store_usable<S: Store>(store: Arc<S>) {
    for polls in 0..40_u32 {
        let work = async {
            let mut write = store.write().await.unwrap();
            write.put_tenant(&tenant("lost")).await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut work = Box::pin(work);
        for _ in 0..polls {
            let _ = futures_poll(work.as_mut()).await;
        }
        drop(work);
        let mut write = timeout(DEADLINE, store.write()).await.expect("the writer is free").unwrap();
        assert!(write.tenant(&text("lost")).await.unwrap().is_none(), "nothing was kept");
    }
}

/// Polls once and lets others go on.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    let done =
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_ready()))
            .await;
    tokio::task::yield_now().await;
    done
}

/// Read, add one, write: no addition is lost.
pub async fn concurrent_writers_come_one_after_the_other<S: Store>(store: Arc<S>) {
    let mut first = store.write().await.unwrap();
    first.put_tenant(&tenant("acme")).await.unwrap();
    first.commit().await.unwrap();
    let before = tenant("acme").revision;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for _ in 0..10 {
                let mut write = store.write().await.unwrap();
                let mut row = write.tenant(&text("acme")).await.unwrap().unwrap();
                row.revision += 1;
                write.put_tenant(&row).await.unwrap();
                write.commit().await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let row = store.read().await.unwrap().tenant(&text("acme")).await.unwrap().unwrap();
    assert_eq!(row.revision, before + 80);
}

/// The wake-up counts from the call of `changed`: call it, look, then await it, and nothing is slept through.
pub async fn a_commit_wakes_those_who_asked_before_it<S: Store>(store: Arc<S>) {
    let changed = store.changed();
    let mut write = store.write().await.unwrap();
    write.put_tenant(&tenant("acme")).await.unwrap();
    write.commit().await.unwrap();
    // Well below the poll interval, which would wake it too.
    timeout(Duration::from_secs(2), changed).await.expect("the commit was not slept through");
}

/// The poll behind the signal.
pub async fn without_a_commit_a_sleeper_wakes_after_the_poll_interval<S: Store>(store: Arc<S>) {
    timeout(Duration::from_secs(30), store.changed()).await.expect("at the latest after the poll interval");
}

/// For readiness.
pub async fn the_store_answers_a_ping<S: Store>(store: Arc<S>) {
    store.ping().await.unwrap();
}

/// Told while its loop was busy, it is heard when the loop waits; several count as one.
pub async fn a_signal_is_kept_until_somebody_waits_for_it<S: Store>(store: Arc<S>) {
    store.tell(Signal::Schedules);
    store.tell(Signal::Schedules);
    let long = Duration::from_mins(1);
    tokio::time::timeout(long, store.told(Signal::Schedules)).await.expect("it was kept");
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.told(Signal::Schedules).await }
    });
    store.tell(Signal::Schedules);
    tokio::time::timeout(long, waiting).await.expect("it is heard").unwrap();
}
