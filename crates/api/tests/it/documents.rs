//! Documents that are committed and must not drift: OpenAPI, problem codes, the access table.
//! `UPDATE=1 cargo test -p tenantry-api documents` writes them anew.

use crate::harness::Bench;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};
use tenantry_api::{access, codes};

fn compare(file: &str, fresh: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{file} is not what the code says: run UPDATE=1 cargo test -p tenantry-api documents"
    );
}

#[test]
fn the_openapi_document_is_the_committed_one() {
    compare("../../docs/openapi.json", &tenantry_api::openapi());
}

#[test]
fn the_page_of_problem_codes_is_the_committed_one() {
    compare("../../docs/errors/README.md", &codes::page());
}

#[test]
fn the_access_table_is_the_committed_one() {
    compare("tests/golden/access.txt", &access::table());
}

/// Every endpoint of the router is in the OpenAPI document, because both come from the same call; so comparing the
/// document with the table compares the router with it.
#[test]
fn every_endpoint_is_in_one_row_of_the_access_table_and_every_row_is_an_endpoint() {
    let document: Value = serde_json::from_str(&tenantry_api::openapi()).unwrap();
    let endpoints: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let rows: Vec<(String, String)> =
        access::RULES.iter().map(|rule| (rule.path.to_owned(), rule.method.to_owned())).collect();
    let unique: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), unique.len(), "an endpoint is in two rows");
    assert_eq!(endpoints, unique);
}

#[test]
fn every_endpoint_says_how_it_is_refused_and_what_it_needs() {
    let document: Value = serde_json::from_str(&tenantry_api::openapi()).unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(!path.contains("/~"), "{path} is in the router's form");
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{path} {method}: id twice"
            );
            let names: Vec<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            for segment in path.split(['/', ':']).filter(|segment| segment.starts_with('{')) {
                assert!(names.contains(&segment.trim_matches(['{', '}'])), "{path} {method}: {segment}");
            }
            // Whoever writes another agent reads here what is sent and answered.
            if path.starts_with("/agent/") {
                let schema = |body: &serde_json::Value| {
                    body["content"]["application/json"]["schema"]["$ref"].is_string()
                };
                assert!(schema(&operation["requestBody"]), "{path}: its body has no type");
                assert!(schema(&operation["responses"]["200"]), "{path}: its answer has no type");
            }
            if path.starts_with("/v1/") {
                assert!(operation["responses"]["default"].is_object(), "{path} {method}");
                assert_eq!(names.contains(&"idempotency-key"), method != "get", "{path} {method}");
            }
        }
    }
    // Each reference leads somewhere.
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is not defined");
    }
}

/// The manager's codes are its own; each must be known here, or clients get the wrong status and no page.
#[test]
fn every_code_of_the_manager_is_registered() {
    let source = include_str!("../../../manager/src/error.rs");
    let body = &source[source.find("pub fn code(").unwrap()..source.find("pub fn class(").unwrap()];
    let found: BTreeSet<&str> = body
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .collect();
    assert!(found.len() > 20, "the list was not found: {found:?}");
    let missing: Vec<_> = found.into_iter().filter(|code| codes::find(code).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn codes_are_sorted_and_unique() {
    assert!(codes::CODES.is_sorted_by(|a, b| a.code < b.code));
}

#[tokio::test]
async fn the_server_shows_its_documents_to_anybody() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("", "/openapi.json").await.body["openapi"], "3.1.0");
    let page = bench.get("", "/errors/moved-on").await;
    assert!(page.body.as_str().unwrap().starts_with("## moved-on"));
    bench.get("", "/errors/nonsense").await.is_problem(404, "not-found");
    assert_eq!(bench.get("", "/healthz").await.body, "ok\n");
    assert_eq!(bench.get("", "/readyz").await.body, "ready\n");
}
