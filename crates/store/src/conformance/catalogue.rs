//! What may exist only once.

use super::samples::{answer, at, attention, entry, environment, text};
use crate::{Store, StoreError};
use std::sync::Arc;
use tenantry_model::{Environment, EnvironmentId, EnvironmentState};
use uuid::Uuid;

async fn put<S: Store>(store: &S, environment: &Environment) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    write.put_environment(environment).await?;
    write.commit().await
}

#[track_caller]
fn assert_duplicate(done: Result<(), StoreError>, of: &str) {
    match done {
        Err(StoreError::Duplicate(what)) => assert!(what.contains(of), "{what:?} names {of:?}"),
        other => panic!("{other:?} is no duplicate of {of}"),
    }
}

/// Unique within the tenant while not purged.
pub async fn a_name_is_taken_until_its_environment_is_purged<S: Store>(store: Arc<S>) {
    let mut first = environment("acme", "prod", "eu1");
    let second = environment("acme", "prod", "us1");
    put(&*store, &first).await.unwrap();
    put(&*store, &environment("other", "prod", "eu1")).await.unwrap();
    for state in [EnvironmentState::Suspended, EnvironmentState::Decommissioned] {
        first.state = state;
        put(&*store, &first).await.unwrap();
        assert_duplicate(put(&*store, &second).await, "environment name acme/prod");
    }
    first.state = EnvironmentState::Purged;
    put(&*store, &first).await.unwrap();
    put(&*store, &second).await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.environment_by_name(&text("acme"), &text("prod")).await.unwrap(), Some(second));
    assert_eq!(read.environment(first.id).await.unwrap(), Some(first), "the tombstone stays");
}

/// Unique over all environments that are not purged.
pub async fn an_alias_is_taken_until_it_is_given_up_or_its_environment_is_purged<S: Store>(store: Arc<S>) {
    let with = |name: &str, aliases: &[&str]| Environment {
        aliases: aliases.iter().map(|alias| text(alias)).collect(),
        ..environment("acme", name, "eu1")
    };
    let mut first = with("one", &["a", "b"]);
    let (takes_a, takes_b) = (with("two", &["a"]), with("three", &["b"]));
    put(&*store, &first).await.unwrap();
    assert_duplicate(put(&*store, &takes_a).await, "alias a");
    first.aliases = [text("b")].into();
    put(&*store, &first).await.unwrap();
    put(&*store, &takes_a).await.unwrap();
    assert_duplicate(put(&*store, &takes_b).await, "alias b");
    first.state = EnvironmentState::Purged;
    put(&*store, &first).await.unwrap();
    put(&*store, &takes_b).await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.environment_by_alias(&text("a")).await.unwrap(), Some(takes_a));
    assert_eq!(read.environment_by_alias(&text("b")).await.unwrap(), Some(takes_b));
    assert_eq!(
        read.environment(first.id).await.unwrap(),
        Some(first),
        "the tombstone still says what it had"
    );
}

/// All or nothing, also for the parts of one row.
pub async fn a_refused_environment_changes_nothing<S: Store>(store: Arc<S>) {
    let mut first = environment("acme", "one", "eu1");
    first.aliases = [text("b")].into();
    let mut second = environment("acme", "two", "eu1");
    put(&*store, &first).await.unwrap();
    put(&*store, &second).await.unwrap();
    let before = second.clone();
    second.aliases = [text("a"), text("b"), text("c")].into();
    second.version += 1;
    assert_duplicate(put(&*store, &second).await, "alias b");
    let mut read = store.read().await.unwrap();
    assert_eq!(read.environment(second.id).await.unwrap(), Some(before));
    for alias in ["a", "c"] {
        assert_eq!(read.environment_by_alias(&text(alias)).await.unwrap(), None);
    }
}

/// A change of version is no conflict with itself.
pub async fn an_environment_keeps_its_own_name_and_aliases_when_it_is_put_again<S: Store>(store: Arc<S>) {
    let mut only = environment("acme", "one", "eu1");
    only.aliases = [text("a"), text("b")].into();
    for _ in 0..2 {
        only.version += 1;
        put(&*store, &only).await.unwrap();
    }
    assert_eq!(store.read().await.unwrap().environment_by_alias(&text("b")).await.unwrap(), Some(only));
}

/// "A second one with an equal key is the same one."
pub async fn a_key_is_open_once_among_attentions<S: Store>(store: Arc<S>) {
    let mut first = attention("step x");
    let second = attention("step x");
    let mut write = store.write().await.unwrap();
    write.put_attention(&first).await.unwrap();
    assert_duplicate(write.put_attention(&second).await, "step x");
    drop(write);
    let mut write = store.write().await.unwrap();
    first.settled_at = Some(at(50));
    write.put_attention(&first).await.unwrap();
    write.put_attention(&second).await.unwrap();
    assert_eq!(write.open_attention("step x").await.unwrap(), Some(second));
    write.put_attention(&attention("step y")).await.unwrap();
    let asked = ["step z", "step x", "step"].map(str::to_owned);
    assert_eq!(write.open_keys(&asked).await.unwrap(), ["step x"]);
}

/// Kept once; removed a few at a time, the oldest first.
pub async fn an_idempotency_key_is_kept_once_and_expires_in_bounded_bites<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for n in 0..10 {
        write.put_idempotent(&answer(&format!("k{n}"), n)).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    assert_duplicate(write.put_idempotent(&answer("k3", 99)).await, "k3");
    drop(write);
    let mut write = store.write().await.unwrap();
    assert_eq!(write.idempotent("k3").await.unwrap(), Some(answer("k3", 3)), "the first answer stays");
    assert_eq!(write.expire_idempotent(at(8), 5).await.unwrap(), 5);
    assert_eq!(write.idempotent("k4").await.unwrap(), None);
    assert!(write.idempotent("k5").await.unwrap().is_some());
    assert_eq!(write.expire_idempotent(at(8), 5).await.unwrap(), 3);
    assert_eq!(write.expire_idempotent(at(8), 5).await.unwrap(), 0);
    assert!(write.idempotent("k8").await.unwrap().is_some(), "one of that very time is not older");
}

/// Two replicas must not write the same link of a chain.
pub async fn audit_positions_are_taken_once_in_each_chain<S: Store>(store: Arc<S>) {
    let chains = [None, Some(EnvironmentId(Uuid::now_v7())), Some(EnvironmentId(Uuid::now_v7()))];
    let mut write = store.write().await.unwrap();
    for chain in chains {
        for position in 1..=25 {
            write.append_audit(&entry(chain, position)).await.unwrap();
        }
    }
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    assert_duplicate(write.append_audit(&entry(None, 7)).await, "7");
    drop(write);
    let mut read = store.read().await.unwrap();
    for chain in chains {
        assert_eq!(read.audit_head(chain).await.unwrap(), Some(entry(chain, 25)));
        let part: Vec<u64> =
            read.audit(chain, 20, 3).await.unwrap().iter().map(|entry| entry.position).collect();
        assert_eq!(part, [21, 22, 23]);
        assert_eq!(read.audit(chain, 0, 1000).await.unwrap().len(), 25);
    }
}
