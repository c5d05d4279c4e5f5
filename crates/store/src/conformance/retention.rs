//! What may be removed, and what goes with it.

use super::samples::{
    applied, approval, at, attempt, attention, command, environment, event, operation, region, step, text,
};
use crate::{CommandKind, EventFilter, Store};
use serde_json::json;
use std::sync::Arc;
use tenantry_model::{
    AttemptState, AttentionId, Environment, EnvironmentState, Kept, Operation, OperationId, OperationState,
    Page, Replay, TemplateHash,
};
use uuid::Uuid;

const PAGE: Page = Page { after: None, limit: 1000 };

/// A finished operation that refers to nothing.
fn finished(of: &tenantry_model::Environment, name: &str) -> Operation {
    let plain = operation(of.id, name, OperationState::Succeeded);
    Operation { replay: None, parameters: serde_json::Map::new(), ..plain }
}

async fn expired<S: Store>(store: &S, keep_newest: u32) -> Vec<OperationId> {
    let mut read = store.read().await.unwrap();
    let found = read.expired_operations(at(100), keep_newest, &PAGE).await.unwrap();
    found.items.into_iter().map(|operation| operation.id).collect()
}

/// Each protects one operation, and all others may go.
pub async fn what_another_row_needs_is_not_expired<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let operations: Vec<Operation> = (0..9).map(|_| finished(&home, "crm.reindex")).collect();
    let [free, replayed, restored, kept, touched, told, waited, young, running] = &operations[..] else {
        unreachable!()
    };
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    write.put_region(&region("eu1")).await.unwrap();
    for operation in &operations {
        write.put_operation(operation).await.unwrap();
    }
    let replay = operation(home.id, "crm.other", OperationState::Running).replay.unwrap();
    let link = |of: OperationId| Some(Replay { of, ..replay.clone() });
    let user = Operation {
        replay: link(replayed.id),
        parameters: json!({ "backup": restored.id }).as_object().cloned().unwrap(),
        ..operation(home.id, "crm.other", OperationState::Running)
    };
    write.put_operation(&user).await.unwrap();
    let mut using = step(user.id, "eu1/crm/a");
    using.kept = Some(Kept { operation: kept.id, attempt: 1 });
    write.put_step(&using).await.unwrap();
    write.put_applied(home.id, &applied("eu1/crm/a", touched.id)).await.unwrap();
    let of = attempt(told.id, "eu1/crm/a", 1, AttemptState::Succeeded);
    write.put_command(&command("eu1", &of.id, CommandKind::Release)).await.unwrap();
    let mut open = attention("open");
    open.operation = Some(waited.id);
    write.put_attention(&open).await.unwrap();
    write.put_operation(&Operation { ended_at: Some(at(100)), ..young.clone() }).await.unwrap();
    let goes_on = Operation { state: OperationState::Running, ended_at: None, ..running.clone() };
    write.put_operation(&goes_on).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(expired(&*store, 0).await, [free.id]);
}

/// Of each environment and name for itself.
pub async fn the_newest_of_each_environment_and_name_are_not_expired<S: Store>(store: Arc<S>) {
    let homes = [environment("acme", "one", "eu1"), environment("acme", "two", "eu1")];
    let mut old = Vec::new();
    let mut write = store.write().await.unwrap();
    for home in &homes {
        write.put_environment(home).await.unwrap();
        for name in ["crm.a", "crm.b"] {
            for n in 0..5 {
                let operation = finished(home, name);
                write.put_operation(&operation).await.unwrap();
                old.extend((n < 2).then_some(operation.id));
            }
        }
    }
    // Of a purged one there is no newest to be kept.
    let gone = Environment { state: EnvironmentState::Purged, ..environment("acme", "gone", "eu1") };
    write.put_environment(&gone).await.unwrap();
    let last = finished(&gone, "crm.a");
    write.put_operation(&last).await.unwrap();
    write.commit().await.unwrap();
    old.push(last.id);
    old.sort_unstable();
    assert_eq!(expired(&*store, 3).await, old);
    assert_eq!(expired(&*store, 5).await, [last.id]);
    let mut read = store.read().await.unwrap();
    let (mut found, mut page) = (Vec::new(), Page { after: None, limit: 3 });
    loop {
        let part = read.expired_operations(at(100), 3, &page).await.unwrap();
        found.extend(part.items.into_iter().map(|operation| operation.id));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, old, "pages that hold nothing go on");
}

/// And nothing of another operation.
pub async fn a_removed_operation_takes_its_rows_along<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let (gone, stays) = (finished(&home, "crm.a"), finished(&home, "crm.a"));
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    let (mut settled, mut asked) = (Vec::new(), Vec::new());
    for operation in [&gone, &stays] {
        let approval = approval(&home, operation.id);
        write.put_approval(&approval).await.unwrap();
        asked.push(approval.id);
        write.put_operation(operation).await.unwrap();
        write.put_step(&step(operation.id, "eu1/crm/a")).await.unwrap();
        write.put_attempt(&attempt(operation.id, "eu1/crm/a", 1, AttemptState::Succeeded)).await.unwrap();
        write.put_timer(operation.id, Some(at(9))).await.unwrap();
        let mut row = attention("was");
        (row.id, row.operation, row.settled_at) =
            (AttentionId(Uuid::now_v7()), Some(operation.id), Some(at(20)));
        write.put_attention(&row).await.unwrap();
        settled.push(row.id);
    }
    // One that replays what stays, and one that is replayed by it: the way leads to and from what is gone no more.
    let other = OperationId(Uuid::now_v7());
    for (original, replay) in [(stays.id, gone.id), (gone.id, stays.id), (stays.id, other)] {
        write.put_replay(original, replay).await.unwrap();
    }
    assert!(write.delete_operation(gone.id).await.unwrap());
    assert!(!write.delete_operation(gone.id).await.unwrap());
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    assert_eq!(read.operation(gone.id).await.unwrap(), None);
    assert!(
        read.steps(gone.id).await.unwrap().is_empty() && read.attempts(gone.id).await.unwrap().is_empty()
    );
    assert_eq!(
        (read.timer(gone.id).await.unwrap(), read.timer(stays.id).await.unwrap()),
        (None, Some(at(9)))
    );
    assert_eq!(
        (read.steps(stays.id).await.unwrap().len(), read.attempts(stays.id).await.unwrap().len()),
        (1, 1)
    );
    assert!(read.attention(settled[0]).await.unwrap().is_none());
    assert!(read.attention(settled[1]).await.unwrap().is_some());
    assert!(read.approval(asked[0]).await.unwrap().is_none());
    assert!(read.approval(asked[1]).await.unwrap().is_some());
    assert_eq!(read.replays(gone.id).await.unwrap(), []);
    assert_eq!(read.replays(stays.id).await.unwrap(), [other]);
}

/// In bounded bites; the newest event stays.
pub async fn old_events_and_settled_attention_go_in_bounded_bites<S: Store>(store: Arc<S>) {
    let mut write = store.write().await.unwrap();
    for n in 0..10 {
        write.append_event(&event(None, None, json!(n))).await.unwrap();
        let mut row = attention(&format!("key {n}"));
        row.settled_at = (n > 0).then(|| at(n));
        write.put_attention(&row).await.unwrap();
    }
    // Positions are given at the commit.
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    let events = write.events(&EventFilter::default(), 0, 100).await.unwrap();
    let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
    assert_eq!(write.count_expired(at(6), at(0)).await.unwrap(), (5, 0));
    assert_eq!(write.expire_attentions(at(6), 3).await.unwrap(), 3);
    assert_eq!(write.expire_attentions(at(6), 3).await.unwrap(), 2);
    assert_eq!(write.expire_attentions(at(6), 3).await.unwrap(), 0);
    assert!(write.open_attention("key 0").await.unwrap().is_some());
    assert_eq!(write.delete_events(positions[4], 3).await.unwrap(), 3);
    assert_eq!(write.delete_events(positions[4], 3).await.unwrap(), 2);
    let left = write.events(&EventFilter::default(), 0, 100).await.unwrap();
    assert_eq!(left.first().map(|event| event.position), Some(positions[5]));
    assert_eq!(write.delete_events(u64::MAX, 100).await.unwrap(), 4);
    assert_eq!(write.last_event().await.unwrap(), positions[9]);
}

/// Also of steps that are done: they may be run again.
pub async fn templates_of_unfinished_operations_are_needed<S: Store>(store: Arc<S>) {
    let home = environment("acme", "prod", "eu1");
    let mut write = store.write().await.unwrap();
    write.put_environment(&home).await.unwrap();
    let states = [OperationState::Running, OperationState::Pending, OperationState::Succeeded];
    for (n, state) in states.into_iter().enumerate() {
        let row = operation(home.id, "crm.a", state);
        write.put_operation(&row).await.unwrap();
        for (hook, hash) in [
            ("eu1/crm/a", "shared".to_owned()),
            ("eu1/crm/b", format!("own {n}")),
            ("us1/crm/a", "far".to_owned()),
        ] {
            let mut row = step(row.id, hook);
            row.template_hash = TemplateHash(hash);
            write.put_step(&row).await.unwrap();
        }
    }
    write.commit().await.unwrap();
    let mut read = store.read().await.unwrap();
    let mut found = read.needed_templates(&text("eu1")).await.unwrap();
    found.sort();
    assert_eq!(found, ["own 0", "own 1", "shared"].map(|hash| TemplateHash(hash.to_owned())));
    assert_eq!(read.needed_templates(&text("ap1")).await.unwrap(), []);
}
