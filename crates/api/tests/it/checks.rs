//! `validateOnly` at every change: the same refusals, nothing written, and then it can be done.

use crate::changes::{changing, place};
use crate::harness::got;
use reqwest::Method;
use serde_json::json;
use tenantry_api_types::v1::IDEMPOTENCY_KEY;
use tenantry_model::{Role, Scope};

#[tokio::test]
async fn every_change_can_be_looked_at_and_writes_nothing_and_can_then_be_done() {
    let mut site = place().await;
    let mut changes = Vec::new();
    for (n, rule) in changing().into_iter().enumerate() {
        changes.push(site.change(rule, n).await);
    }
    let viewer = site.bench.token(Role::Viewer, vec![Scope::All]).await;
    site.bench.still().await;
    let url = site.bench.server().url();
    for change in &changes {
        let rule = change.rule;
        let before = site.bench.dump().await;
        if change.signs() {
            let asked = change.ask(&site.bench.http, &url, "?validateOnly=true");
            got(asked.header(IDEMPOTENCY_KEY, "x")).await.is_problem(400, "invalid-query");
            continue;
        }
        let seen = got(change.ask(&site.bench.http, &url, "?validateOnly=true")).await;
        let expected = if change.status == 204 { 204 } else { 200 };
        assert_eq!(seen.status.as_u16(), expected, "{rule:?}: {seen:?}");
        if change.is_secret() {
            assert!(!seen.body.to_string().contains("tnt_"), "{rule:?}: {seen:?}");
        }
        let refused = site.bench.ask(&viewer, rule.method.parse::<Method>().unwrap(), &change.path);
        got(refused.query(&[("validateOnly", "true")]).json(&change.body)).await.is_problem(403, "forbidden");
        let after = site.bench.dump().await;
        assert!(before == after, "{rule:?} wrote something: {}", difference(&before, &after));
    }
    // What was found possible is possible. Each by itself: some of them change what others stand on.
    for change in &changes {
        let done = got(change.ask(&site.bench.http, &url, "").header(IDEMPOTENCY_KEY, crate::changes::key()));
        let done = done.await;
        let stale = change.rule.path == "/v1/platform-schema" && change.rule.method == "DELETE";
        let expected = if stale { 412 } else { change.status };
        assert_eq!(done.status.as_u16(), expected, "{:?}: {done:?}", change.rule);
    }
}

/// The first line that is not in both.
fn difference(before: &str, after: &str) -> String {
    let old: std::collections::BTreeSet<&str> = before.lines().collect();
    after.lines().find(|line| !old.contains(line)).unwrap_or("a line is missing").chars().take(400).collect()
}

#[tokio::test]
async fn a_check_is_refused_for_the_reason_for_which_the_change_would_be() {
    let site = place().await;
    let bench = &site.bench;
    bench.tenant("beta").await;
    let cases = [
        (Method::POST, "/v1/tenants", json!({ "name": "beta" }), None, 409, "already-exists"),
        (Method::POST, "/v1/tenants", json!({ "name": "Not A Name" }), None, 400, "invalid-body"),
        (Method::PATCH, "/v1/tenants/beta", json!({ "displayName": "x" }), None, 428, "if-match-required"),
        (
            Method::PATCH,
            "/v1/tenants/beta",
            json!({ "displayName": "x" }),
            Some("\"9\""),
            412,
            "revision-mismatch",
        ),
        (Method::DELETE, "/v1/tenants/nobody", json!(null), Some("\"1\""), 404, "not-found"),
        (Method::POST, "/v1/regions", json!({ "name": "eu1" }), None, 409, "already-exists"),
        (Method::POST, "/v1/regions/us1/join-tokens", json!({}), None, 404, "not-found"),
        (
            Method::POST,
            "/v1/tokens",
            json!({ "name": "", "role": "viewer", "scopes": ["all"] }),
            None,
            422,
            "invalid-request",
        ),
        (Method::POST, "/v1/hooks/eu1.crm.a:retire", json!({ "reason": "x" }), None, 409, "hook-present"),
        (Method::PUT, "/v1/platform-schema", json!({ "type": 7 }), Some("schema"), 422, "invalid-schema"),
        (Method::POST, "/v1/schedules/none:pause", json!({ "reason": "x" }), None, 404, "not-found"),
    ];
    let schema = bench.get(&bench.admin, "/v1/platform-schema").await.body["etag"].clone();
    for (method, path, body, etag, status, code) in cases {
        for query in ["?validateOnly=true", ""] {
            let mut request = bench.ask(&bench.admin, method.clone(), &format!("{path}{query}")).json(&body);
            if let Some(etag) = etag {
                let etag = if etag == "schema" { schema.as_str().unwrap() } else { etag };
                request = request.header("if-match", etag);
            }
            got(request).await.is_problem(status, code);
        }
    }
    let unknown = bench.post(&bench.admin, "/v1/tenants?validateOnly=perhaps", &json!({ "name": "x" })).await;
    unknown.is_problem(400, "invalid-query");
}
