//! Holds by predicate, verbs that wait for a second person, and the way back from an original to its replays.

use super::samples::{actor, approval, at, environment, hold_of, text};
use crate::{ApprovalFilter, HoldFilter, Lifted, Store};
use std::sync::Arc;
use tenantry_model::{
    Approval, ApprovalState, ApprovalTarget, EnvironmentId, HoldId, OperationId, Page, Scope,
};
use uuid::Uuid;

/// Open until it is lifted and everybody knows; then only in the history.
pub async fn a_hold_is_open_until_it_is_lifted_and_told<S: Store>(store: Arc<S>) {
    let (mut here, anywhere) = (hold_of(Some("eu1")), hold_of(None));
    let mut write = store.write().await.unwrap();
    write.put_hold(&here).await.unwrap();
    write.put_hold(&anywhere).await.unwrap();
    assert_eq!(write.hold(here.hold.id).await.unwrap().as_ref(), Some(&here));
    assert_eq!(write.hold(HoldId(Uuid::now_v7())).await.unwrap(), None);
    let all = HoldFilter::default();
    let page = Page::default();
    assert_eq!(write.holds(&all, &page).await.unwrap().items, vec![here.clone(), anywhere.clone()]);
    here.lifted = Some(Lifted { by: actor(), reason: Some("over".to_owned()), at: at(5) });
    write.put_hold(&here).await.unwrap();
    assert_eq!(write.holds(&all, &page).await.unwrap().items.len(), 2, "not told yet");
    here.told = true;
    write.put_hold(&here).await.unwrap();
    assert_eq!(write.holds(&all, &page).await.unwrap().items, vec![anywhere.clone()]);
    let history = HoldFilter { lifted: true, scopes: None };
    let first = write.holds(&history, &Page { after: None, limit: 1 }).await.unwrap();
    assert_eq!(first.items, vec![here.clone()]);
    let second = write.holds(&history, &Page { after: first.next, limit: 1 }).await.unwrap();
    assert_eq!((second.items, second.next), (vec![anywhere], None));
    for (scopes, seen) in [
        (vec![Scope::Region(text("eu1"))], vec![here]),
        (vec![Scope::Region(text("us1"))], vec![]),
        (vec![Scope::Tenant(text("acme"))], vec![]),
    ] {
        let filter = HoldFilter { lifted: true, scopes: Some(scopes.clone()) };
        assert_eq!(write.holds(&filter, &page).await.unwrap().items, seen, "{scopes:?}");
    }
}

/// Narrowed by operation, scope and state; they follow their environment when it moves.
pub async fn approvals_are_listed_by_state_operation_and_scope<S: Store>(store: Arc<S>) {
    let mut home = environment("acme", "prod", "eu1");
    let (one, two) = (OperationId(Uuid::now_v7()), OperationId(Uuid::now_v7()));
    let (mut first, second) = (approval(&home, one), approval(&home, two));
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.put_approval(&first).await.unwrap();
    write.put_approval(&second).await.unwrap();
    assert_eq!(write.approval(first.id).await.unwrap().as_ref(), Some(&first));
    first.state = ApprovalState::Approved;
    first.decided_by = Some(actor());
    first.decision_reason = Some("seen".to_owned());
    first.decided_at = Some(at(6));
    write.put_approval(&first).await.unwrap();
    home.region = text("us1");
    write.put_environment(&home).await.unwrap();
    let page = Page::default();
    let (eu1, us1, acme) =
        (Scope::Region(text("eu1")), Scope::Region(text("us1")), Scope::Tenant(text("acme")));
    for (operation, decided, scopes, seen) in [
        (None, false, None, vec![second.clone()]),
        (None, true, None, vec![first.clone(), second.clone()]),
        (Some(one), false, None, vec![]),
        (Some(one), true, Some(vec![acme]), vec![first.clone()]),
        (None, true, Some(vec![eu1]), vec![]),
        (None, false, Some(vec![us1]), vec![second]),
    ] {
        let filter = ApprovalFilter { operation, decided, scopes, environment: None };
        assert_eq!(write.approvals(&filter, &page).await.unwrap().items, seen, "{filter:?}");
    }
}

/// One that is about the environment itself belongs to no operation.
pub async fn approvals_are_listed_by_environment<S: Store>(store: Arc<S>) {
    let (home, other) = (environment("acme", "prod", "eu1"), environment("acme", "test", "eu1"));
    let operation = OperationId(Uuid::now_v7());
    let step = approval(&home, operation);
    let target = ApprovalTarget::Environment { environment_revision: 3, before_retention_ends: true };
    let purge = Approval { target, verb: "purge".to_owned(), ..approval(&home, operation) };
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.put_environment(&other).await.unwrap();
    write.put_approval(&step).await.unwrap();
    write.put_approval(&purge).await.unwrap();
    assert_eq!(write.approval(purge.id).await.unwrap().as_ref(), Some(&purge));
    let mut found = async |environment: EnvironmentId, operation| {
        let filter = ApprovalFilter { environment: Some(environment), operation, ..Default::default() };
        let mut all = Vec::new();
        for decided in [false, true] {
            let filter = ApprovalFilter { decided, ..filter.clone() };
            all.push(write.approvals(&filter, &Page::default()).await.unwrap().items);
        }
        assert_eq!(all[0], all[1], "none is decided");
        all.remove(0)
    };
    assert_eq!(found(home.id, None).await, [step.clone(), purge]);
    assert_eq!(found(home.id, Some(operation)).await, [step]);
    assert_eq!(found(other.id, None).await, []);
}

/// Oldest first, each once.
pub async fn an_original_knows_its_replays<S: Store>(store: Arc<S>) {
    let original = OperationId(Uuid::now_v7());
    let replays = [OperationId(Uuid::now_v7()), OperationId(Uuid::now_v7())];
    let mut write = store.write().await.unwrap();
    for replay in [replays[1], replays[0], replays[1]] {
        write.put_replay(original, replay).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.replays(original).await.unwrap(), replays);
    assert_eq!(read.replays(replays[0]).await.unwrap(), vec![]);
}
