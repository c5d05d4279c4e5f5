//! The two documents, their schemas, and how other readers of YAML see them.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tenantry_hook::{
    Before, ChangesetDocument, EnvironmentDocument, OUTPUTS_TOTAL_LIMIT, generation_document,
};
use tenantry_model::*;

fn environment() -> Environment {
    serde_json::from_value(json!({
        "id": "0192f0c8-0000-7000-8000-000000000001",
        "tenant": "acme", "name": "production", "aliases": [], "region": "eu1",
        "labels": {"tier": "gold", "app": "crm"},
        "spec": {
            "apps": {"crm": {"size": "large", "seats": 250, "ratio": 0.5, "beta": false}},
            "settings": {"locale": "no", "window": "12:30", "zip": "0123", "on": null, "hosts": ["a", "b"],
                "password": {"secretRef": {"name": "crm-admin", "key": "token"}}},
        },
        "state": "active", "generation": 4, "revision": 9, "version": 12, "retention": null,
        "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-02T00:00:00Z",
    }))
    .unwrap()
}

fn operation() -> Operation {
    let definition = OperationDefinition::undefined("crm.reindex".parse().unwrap());
    serde_json::from_value(json!({
        "id": "0192f0c8-a7b3-7c3e-8f00-00000000abcd",
        "environment": "0192f0c8-0000-7000-8000-000000000001",
        "name": "crm.reindex", "definition": definition, "batch": null, "state": "running",
        "note": null, "problem": null, "generation": 4, "parameters": {"full": true},
        "scheduledTime": "2026-11-21T02:00:00Z", "requestedBy": Actor::system(), "reason": null,
        "createdAt": "2026-11-21T02:00:01Z", "startedAt": null, "endedAt": null, "deadlineAt": null,
        "traceparent": null, "cancel": null, "revision": 1,
    }))
    .unwrap()
}

fn outputs() -> BTreeMap<String, BTreeMap<String, String>> {
    BTreeMap::from([(
        "billing/accounts".to_owned(),
        BTreeMap::from([("account".to_owned(), "4711".to_owned())]),
    )])
}

fn back(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn the_environment_document_reads_like_this() {
    let document = EnvironmentDocument::new(&environment(), &operation(), &outputs());
    let yaml = document.to_yaml().unwrap();
    insta::assert_snapshot!(yaml);
    assert_eq!(back(&yaml), serde_json::to_value(&document).unwrap());
}

#[test]
fn the_changeset_goes_from_what_the_hook_applied_to_what_is_wished() {
    let mut before = environment();
    before.generation = 2;
    before.labels.insert("tier".to_owned(), "silver".to_owned());
    before.spec.settings.remove("zip");
    before.spec.settings.insert("old".to_owned(), json!({"a": 1}));
    let document = ChangesetDocument::new(&environment(), Before::Known(2, &generation_document(&before)));
    let yaml = document.to_yaml().unwrap();
    insta::assert_snapshot!(yaml);
    assert_eq!(back(&yaml), serde_json::to_value(&document).unwrap());
}

#[test]
fn a_new_hook_and_a_dirty_one_get_the_whole_document() {
    let new = ChangesetDocument::new(&environment(), Before::None);
    let dirty = ChangesetDocument::new(&environment(), Before::Unknown);
    assert_eq!(new.changes, dirty.changes);
    assert_eq!(back(&new.to_yaml().unwrap())["from"], "none");
    assert_eq!(back(&dirty.to_yaml().unwrap())["from"], "unknown");
    let paths: Vec<&str> = new.changes.iter().map(|change| change.path.as_str()).collect();
    assert!(paths.contains(&"/spec/apps/crm/seats") && paths.contains(&"/metadata/labels/tier"), "{paths:?}");
    // Every path is a place in environment.yaml.
    let file = back(&EnvironmentDocument::new(&environment(), &operation(), &outputs()).to_yaml().unwrap());
    for change in &new.changes {
        assert_eq!(file.pointer(&change.path), change.after.as_ref(), "{}", change.path);
    }
}

#[test]
fn outputs_have_a_limit_in_total_and_what_has_no_room_is_named() {
    let large = |size: usize| BTreeMap::from([("x".to_owned(), "y".repeat(size))]);
    let outputs = BTreeMap::from([
        ("a/1".to_owned(), large(OUTPUTS_TOTAL_LIMIT / 2)),
        ("a/2".to_owned(), large(OUTPUTS_TOTAL_LIMIT / 2)),
        ("a/3".to_owned(), large(10)),
    ]);
    let document = EnvironmentDocument::new(&environment(), &operation(), &outputs);
    assert_eq!(document.outputs.keys().collect::<Vec<_>>(), ["a/1", "a/3"]);
    assert_eq!(document.outputs_left_out, ["a/2"]);
}

fn schema<T: schemars::JsonSchema>() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap();
    text.push('\n');
    text
}

#[test]
fn the_published_schemas_are_up_to_date_and_the_documents_fulfil_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas");
    let environment_yaml =
        EnvironmentDocument::new(&environment(), &operation(), &outputs()).to_yaml().unwrap();
    let changesets = [
        ChangesetDocument::new(&environment(), Before::None),
        ChangesetDocument::new(&environment(), Before::Known(1, &json!({"metadata": {}, "spec": {"x": 1}}))),
    ]
    .map(|document| document.to_yaml().unwrap());
    for (name, wanted, documents) in [
        ("tenant-environment.json", schema::<EnvironmentDocument>(), &[environment_yaml][..]),
        ("tenant-changeset.json", schema::<ChangesetDocument>(), &changesets[..]),
    ] {
        let path = format!("{folder}/{name}");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(published, wanted, "{name} is not up to date: run the tests with UPDATE_SCHEMAS=1");
        let validator = jsonschema::validator_for(&serde_json::from_str(&published).unwrap()).unwrap();
        for document in documents {
            let value = back(document);
            let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}\n{document}");
            let mut broken = value.clone();
            broken["kind"] = json!("Other");
            assert!(!validator.is_valid(&broken), "the schema must tell documents apart");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1.0e9..1.0e9_f64).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop_oneof![
            Just("no"),
            Just("~"),
            Just("1e3"),
            Just("0x10"),
            Just("a: b"),
            Just("- x"),
            Just("a\nb\n"),
            Just(" "),
            Just("# x"),
            Just("\u{85}\u{2028}"),
            Just("'"),
            Just("<<")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_settings_survive_the_way_through_yaml(value in any_json()) {
        let mut environment = environment();
        environment.spec.settings.insert("given".to_owned(), value.clone());
        let yaml = EnvironmentDocument::new(&environment, &operation(), &outputs()).to_yaml().unwrap();
        let read: Value = serde_saphyr::from_str(&yaml).map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?;
        prop_assert_eq!(&read["spec"]["settings"]["given"], &value, "{}", yaml);
    }
}
