//! What every change of the API tells: each event fits the schema that its receivers are given.

use crate::changes::{changing, key, place};
use crate::harness::got;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenantry_api_types::v1::IDEMPOTENCY_KEY;
use tenantry_manager::event_types;
use tenantry_store::EventFilter;

/// A time of a schedule comes in the tests of schedules only.
const NOT_HERE: [&str; 1] = ["io.tenantry.schedule.fired.v1"];

#[tokio::test]
async fn every_event_of_every_change_fits_its_schema() {
    let types = event_types();
    let schemas: BTreeMap<&str, jsonschema::Validator> =
        types.iter().map(|one| (one.kind, jsonschema::validator_for(&one.schema).unwrap())).collect();
    let site = place().await;
    for (n, rule) in changing().into_iter().enumerate() {
        let change = site.change(rule, n).await;
        let url = site.bench.server().url();
        let asked = change.ask(&site.bench.http, &url, "").header(IDEMPOTENCY_KEY, key());
        assert!(got(asked).await.status.is_success(), "{rule:?}");
    }
    let manager = &site.bench.manager;
    let (mut after, mut seen) = (0, BTreeSet::new());
    loop {
        let part = manager.events_after(&EventFilter::default(), after, 1000, Duration::ZERO).await.unwrap();
        let Some(last) = part.last() else { break };
        after = last.position;
        for event in &part {
            let schema = &schemas[event.kind.as_str()];
            let errors: Vec<String> = schema
                .iter_errors(&event.data)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{}: {}", event.kind, event.data);
            seen.insert(event.kind.clone());
        }
    }
    let missing: Vec<&str> = types.iter().map(|one| one.kind).filter(|kind| !seen.contains(*kind)).collect();
    assert_eq!(missing, NOT_HERE);
}

/// A schema that takes anything would prove nothing.
#[test]
fn a_schema_refuses_what_lacks_a_field() {
    for one in event_types() {
        let schema = jsonschema::validator_for(&one.schema).unwrap();
        assert!(!schema.is_valid(&serde_json::json!({})), "{}", one.kind);
        assert!(!schema.is_valid(&serde_json::json!({ "id": 7, "name": 7, "hook": 7 })), "{}", one.kind);
    }
}
