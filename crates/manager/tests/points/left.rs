//! What there is, without what two undisturbed managers would not agree on either: times, new ids, hashes, who has a role.

use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::{EnvironmentId, Page};
use tenantry_store::{AttentionFilter, EnvironmentFilter, EventFilter, Store};
use uuid::Uuid;

/// Times and ids are what they are, whatever they are.
fn bare(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(bare),
        Value::Array(items) => items.iter_mut().for_each(bare),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "a time".clone_into(text),
        Value::String(text) if text.parse::<Uuid>().is_ok() => "an id".clone_into(text),
        _ => {}
    }
}

fn shown(mut value: Value) -> String {
    bare(&mut value);
    value.to_string()
}

pub async fn left(store: &dyn Store) -> Vec<String> {
    let mut read = store.read().await.unwrap();
    let page = Page { after: None, limit: 1000 };
    let mut rows = Vec::new();
    for event in read.events(&EventFilter::default(), 0, 10_000).await.unwrap() {
        rows.push(format!("event {} {}", event.kind, shown(event.data)));
    }
    let environments = read.environments(&EnvironmentFilter::default(), &page).await.unwrap().items;
    let chains: Vec<Option<EnvironmentId>> =
        environments.iter().map(|row| Some(row.id)).chain([None]).collect();
    for chain in chains {
        for entry in read.audit(chain, 0, 1000).await.unwrap() {
            let (before, after) = (shown(entry.before), shown(entry.after));
            let what = (entry.action, entry.actor.name, entry.reason);
            rows.push(format!("audit {} {what:?} {before} {after}", entry.position));
        }
    }
    let filter = AttentionFilter { settled: true, ..AttentionFilter::default() };
    for row in read.attentions(&filter, &page).await.unwrap().items {
        let open = row.settled_at.is_none();
        rows.push(format!("attention {:?} {} {} open: {open}", row.kind, row.key, row.message));
    }
    for row in read.schedules().await.unwrap() {
        let paused = row.paused.map(|paused| paused.reason);
        rows.push(format!("schedule {} {:?} {:?} {paused:?}", row.name, row.last_time, row.next_time));
    }
    if let Some(last) = read.setting("retention-clock").await.unwrap() {
        rows.push(format!("retention {last}"));
    }
    rows
}
