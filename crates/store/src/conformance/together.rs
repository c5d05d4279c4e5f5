//! Several writers at a time, each about its own environment, and what they have in common.

use super::samples::{answer, at, attention, environment, event, hook, tenant, text};
use crate::{HookRow, Store, StoreError};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenantry_model::TemplateHash;
use tokio::time::timeout;

/// Read under the lock, add one, write: no addition is lost, and what was read is what the last one wrote.
pub async fn writes_about_one_environment_come_one_after_the_other<S: Store>(store: Arc<S>) {
    const WRITERS: u64 = 6;
    const EACH: u64 = 10;
    let homes = [environment("acme", "one", "eu1"), environment("acme", "two", "eu1")];
    let mut write = store.write().await.unwrap();
    for home in &homes {
        write.put_environment(home).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (store, id) = (Arc::clone(&store), homes[usize::from(n % 2 == 1)].id);
        writers.spawn(async move {
            for _ in 0..EACH {
                let mut write = store.write_one().await.unwrap();
                let row = write.lock_environment(id).await.unwrap().unwrap();
                let raised = write.raise_version(&row).await.unwrap();
                let mut row = write.environment(id).await.unwrap().unwrap();
                assert_eq!(row.version, raised);
                row.revision += 1;
                write.put_environment(&row).await.unwrap();
                write.append_event(&event(Some(id), None, json!(raised))).await.unwrap();
                write.commit().await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let mut read = store.read().await.unwrap();
    for home in homes {
        let row = read.environment(home.id).await.unwrap().unwrap();
        let done = WRITERS / 2 * EACH;
        assert_eq!((row.version, row.revision), (home.version + done, home.revision + done));
        let filter = crate::EventFilter { environment: Some(home.id), operation: None };
        let versions: Vec<_> =
            read.events(&filter, 0, 1000).await.unwrap().into_iter().map(|event| event.data).collect();
        let expected: Vec<_> = (home.version + 1..=row.version).map(|version| json!(version)).collect();
        assert_eq!(versions, expected, "events in the order of versions");
    }
}

/// Plans of several environments note what they planned at the same hook.
pub async fn writes_about_one_hook_lose_nothing_of_each_other<S: Store>(store: Arc<S>) {
    const WRITERS: u8 = 6;
    let row = HookRow { planned: BTreeMap::new(), ..hook("eu1/crm/tenant") };
    let mut write = store.write().await.unwrap();
    write.put_hook(&row).await.unwrap();
    write.commit().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (store, name) = (Arc::clone(&store), row.hook.clone());
        writers.spawn(async move {
            let mut write = store.write_one().await.unwrap();
            let mut row = write.lock_hook(&name).await.unwrap().unwrap();
            // The others come meanwhile, if anything lets them.
            tokio::task::yield_now().await;
            row.planned.insert(TemplateHash(format!("{n:02x}").repeat(32)), at(i64::from(n)));
            write.put_hook(&row).await.unwrap();
            write.commit().await.unwrap();
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let found = store.read().await.unwrap().hook(&row.hook).await.unwrap().unwrap();
    assert_eq!(found.planned.len(), usize::from(WRITERS), "{:?}", found.planned);
}

/// What only a write alone changes stays as it is until the end of the others.
pub async fn a_write_alone_waits_for_those_about_one_environment<S: Store>(store: Arc<S>) {
    let home = environment("acme", "one", "eu1");
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.commit().await.unwrap();
    let mut one = store.write_one().await.unwrap();
    one.lock_environment(home.id).await.unwrap();
    let alone = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut write = store.write().await.unwrap();
            write.put_tenant(&tenant("acme")).await.unwrap();
            write.commit().await.unwrap();
        }
    });
    let ended = async {
        while !alone.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_millis(300), ended).await.is_err(), "it waits");
    assert!(one.tenant(&text("acme")).await.unwrap().is_none());
    one.commit().await.unwrap();
    timeout(Duration::from_secs(10), alone).await.unwrap().unwrap();
    assert!(store.read().await.unwrap().tenant(&text("acme")).await.unwrap().is_some());
}

/// Two operations find the same region silent.
pub async fn an_attention_is_raised_once_by_two_at_the_same_time<S: Store>(store: Arc<S>) {
    let mut raisers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        raisers.spawn(async move {
            let mut write = store.write_one().await.unwrap();
            let raised = write.open_attention("region-silent/eu1").await.unwrap().is_none();
            if raised {
                write.put_attention(&attention("region-silent/eu1")).await.unwrap();
            }
            write.commit().await.unwrap();
            u32::from(raised)
        });
    }
    let mut raised = 0;
    while let Some(done) = raisers.join_next().await {
        raised += done.unwrap();
    }
    assert_eq!(raised, 1);
}

/// One request that reaches two managers.
pub async fn a_request_is_claimed_once_by_two_at_the_same_time<S: Store>(store: Arc<S>) {
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        claims.spawn(async move {
            let mut write = store.write_one().await.unwrap();
            match write.put_idempotent(&answer("k", 1)).await {
                Ok(()) => {}
                Err(StoreError::Duplicate(_)) => return 0,
                Err(error) => panic!("{error}"),
            }
            write.commit().await.unwrap();
            1
        });
    }
    let mut claimed = 0;
    while let Some(done) = claims.join_next().await {
        claimed += done.unwrap();
    }
    assert_eq!(claimed, 1);
}
