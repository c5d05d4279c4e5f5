//! The audit log over all chains, and the heads that seal them.

use super::samples::{at, entry};
use crate::{AuditChain, AuditEntry, AuditFilter, AuditHead, Read, Store, StoreError};
use jiff::Timestamp;
use std::sync::Arc;
use tenantry_model::{Actor, ActorKind, EnvironmentId, Page};
use uuid::Uuid;

/// Whole milliseconds, as the manager writes them.
fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(at(seconds).as_second()).unwrap()
}

/// Three chains of five entries whose times interleave; by time.
async fn fill<S: Store>(store: &S) -> Vec<AuditEntry> {
    let chains = [None, Some(EnvironmentId(Uuid::now_v7())), Some(EnvironmentId(Uuid::now_v7()))];
    let mut entries = Vec::new();
    let mut write = store.write().await.unwrap();
    for position in 1..=5_u64 {
        for (n, chain) in (0_i64..).zip(chains) {
            let seconds = i64::try_from(position).unwrap() * 10 + n;
            let entry = AuditEntry {
                at: second(seconds),
                actor: Actor { kind: ActorKind::Token, name: format!("actor {n}") },
                action: if position == 3 { "step.skip" } else { "step.rerun" }.to_owned(),
                ..entry(chain, position)
            };
            write.append_audit(&entry).await.unwrap();
            entries.push(entry);
        }
    }
    write.commit().await.unwrap();
    entries
}

async fn all(read: &mut dyn Read, filter: &AuditFilter, limit: u32) -> Vec<AuditEntry> {
    let mut found = Vec::new();
    let mut page = Page { after: None, limit };
    loop {
        let part = read.audit_entries(filter, &page).await.unwrap();
        assert!(part.items.len() <= limit as usize);
        found.extend(part.items);
        match part.next {
            Some(next) => page.after = Some(next),
            None => return found,
        }
    }
}

/// Whatever the size of a page.
pub async fn entries_of_all_chains_come_by_time_once_through_pages<S: Store>(store: Arc<S>) {
    let entries = fill(&*store).await;
    let mut read = store.read().await.unwrap();
    for limit in [1, 4, 15, 100] {
        assert_eq!(all(&mut *read, &AuditFilter::default(), limit).await, entries, "pages of {limit}");
    }
}

/// Alone and together.
pub async fn filters_narrow_audit_entries<S: Store>(store: Arc<S>) {
    let entries = fill(&*store).await;
    let mut read = store.read().await.unwrap();
    for bits in 0..32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let filter = AuditFilter {
            environment: on(0).then(|| entries[1].environment.unwrap()),
            actor: on(1).then(|| "actor 1".to_owned()),
            action: on(2).then(|| "step.skip".to_owned()),
            since: on(3).then(|| second(30)),
            until: on(4).then(|| second(31)),
        };
        let expected: Vec<AuditEntry> = entries
            .iter()
            .filter(|entry| filter.environment.is_none_or(|id| entry.environment == Some(id)))
            .filter(|entry| filter.actor.as_ref().is_none_or(|actor| entry.actor.name == *actor))
            .filter(|entry| filter.action.as_ref().is_none_or(|action| entry.action == *action))
            .filter(|entry| filter.since.is_none_or(|since| entry.at >= since))
            .filter(|entry| filter.until.is_none_or(|until| entry.at < until))
            .cloned()
            .collect();
        assert_eq!(all(&mut *read, &filter, 2).await, expected, "{filter:?}");
    }
}

/// What is named is sealed; what comes after it is not.
pub async fn a_head_seals_chains_up_to_the_position_it_names<S: Store>(store: Arc<S>) {
    let entries = fill(&*store).await;
    let mut write = store.write().await.unwrap();
    let open = write.unsealed_chains(10).await.unwrap();
    let environments: Vec<_> = entries[..3].iter().map(|entry| entry.environment).collect();
    assert_eq!(open.iter().map(|chain| chain.environment).collect::<Vec<_>>(), environments);
    assert!(open.iter().all(|chain| (chain.position, chain.sealed) == (5, 0)), "{open:?}");
    assert_eq!(open[0].hash, entries[12].hash);
    assert_eq!(write.unsealed_chains(2).await.unwrap(), open[..2]);
    assert_eq!(write.last_audit_head().await.unwrap(), None);

    let first = AuditHead { number: 1, document: "{\"first\": \"\u{e4}\"}".to_owned() };
    write.put_audit_head(&first, &open[..2]).await.unwrap();
    write.append_audit(&entry(environments[0], 6)).await.unwrap();
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    let open = write.unsealed_chains(10).await.unwrap();
    let left: Vec<_> = open.iter().map(|chain| (chain.environment, chain.position, chain.sealed)).collect();
    assert_eq!(left, [(environments[0], 6, 5), (environments[2], 5, 0)]);
    let second = AuditHead { number: 2, document: "2".to_owned() };
    write.put_audit_head(&second, &open).await.unwrap();
    write.commit().await.unwrap();

    let mut write = store.write().await.unwrap();
    let taken = write.put_audit_head(&second, &[]).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(_))), "{taken:?}");
    drop(write);
    let mut read = store.read().await.unwrap();
    assert_eq!(read.unsealed_chains(10).await.unwrap(), Vec::<AuditChain>::new());
    assert_eq!(read.last_audit_head().await.unwrap(), Some(second.clone()));
    assert_eq!(read.audit_heads(0, 10).await.unwrap(), [first, second.clone()]);
    assert_eq!(read.audit_heads(1, 10).await.unwrap(), [second]);
    let mut seen = Vec::new();
    let mut page = Page { after: None, limit: 1 };
    loop {
        let part = read.audit_chains(&page).await.unwrap();
        seen.extend(part.items.iter().map(|chain| (chain.environment, chain.position, chain.sealed)));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [(environments[0], 6, 6), (environments[1], 5, 5), (environments[2], 5, 5)]);
}
