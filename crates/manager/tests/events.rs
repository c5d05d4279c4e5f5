//! What events are called and what they carry: the committed schemas and the `AsyncAPI` document are the code's. `UPDATE=1`
//! writes the files anew. That events fit their schemas is in `crates/api/tests/it/events.rs`.

#![allow(clippy::unwrap_used)] // in tests a panic is the message

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tenantry_manager::{EventType, asyncapi, event_types, received_types};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").canonicalize().unwrap()
}

fn compare(path: &Path, fresh: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fresh).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{} is not what the code says: run UPDATE=1 cargo test --workspace --test events",
        path.display()
    );
}

/// What is told and what is taken.
fn all() -> Vec<EventType> {
    event_types().into_iter().chain(received_types()).collect()
}

#[test]
fn the_schemas_are_the_committed_ones() {
    let folder = docs().join("schemas/events");
    let types = all();
    for one in &types {
        let text = serde_json::to_string_pretty(&one.schema).unwrap() + "\n";
        compare(&folder.join(format!("{}.json", one.kind)), &text);
    }
    let files =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let wanted: BTreeSet<String> = types.iter().map(|one| format!("{}.json", one.kind)).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), wanted, "a file that is nobody's");
}

#[test]
fn the_asyncapi_document_is_the_committed_one_and_names_what_is_there() {
    let text = asyncapi();
    compare(&docs().join("asyncapi.yaml"), &text);
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 40, "{references:?}");
    for reference in references {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference} names nothing"),
            None => assert!(docs().join(&reference).is_file(), "{reference} is no file"),
        }
    }
    let messages = document["components"]["messages"].as_object().unwrap();
    let named: BTreeSet<&str> = messages.values().map(|message| message["name"].as_str().unwrap()).collect();
    let types = all();
    assert_eq!(named, types.iter().map(|one| one.kind).collect::<BTreeSet<_>>());
}

/// All that `$ref` names.
fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "$ref" => references.push(text.clone()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

/// Constants that begin with `io.tenantry.` in the manager's outbox.
#[test]
fn every_type_of_the_outbox_is_in_the_catalogue() {
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outbox/mod.rs")).unwrap();
    let kinds: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.starts_with("pub(crate) const"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let types = event_types();
    assert_eq!(kinds, types.iter().map(|one| one.kind).collect::<BTreeSet<_>>());
}

/// Whoever sends what the schema allows is understood, and its example in the guide is what it allows.
#[test]
fn the_guides_event_fits_the_schema_of_what_is_taken() {
    let guide = std::fs::read_to_string(docs().join("guide/events.md")).unwrap();
    let data = guide
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"data\": ").filter(|data| data.contains("shop/prod")));
    let data: Value = serde_json::from_str(data.unwrap()).unwrap();
    let schema = jsonschema::validator_for(&received_types()[0].schema).unwrap();
    assert!(schema.is_valid(&data), "{data}");
    for wrong in
        ["{}", r#"{"environment": "a/b"}"#, r#"{"environment": "a/b", "operation": "c.d", "priority": 1}"#]
    {
        assert!(!schema.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}
