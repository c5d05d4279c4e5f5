//! Bad input: a clear message, nothing changed.

use crate::harness::{Bench, Got, got, wish};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_api_types::v1::*;
use tenantry_client::Call;
use uuid::Uuid;

const JSON: &str = "application/json";

async fn raw(bench: &Bench, method: Method, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Got {
    got(bench.ask(&bench.admin, method, path).header("content-type", kind).body(body)).await
}

#[tokio::test]
async fn a_body_that_cannot_be_read_says_where() {
    let bench = Bench::new().await;
    let post = async |body: &str| raw(&bench, Method::POST, "/v1/environments", JSON, body.to_owned()).await;
    let problem = post("{\n  \"tenant\": oops\n}").await.is_problem(400, "malformed-json");
    assert_eq!((problem.errors[0].line, problem.errors[0].column), (Some(2), Some(13)));
    post("{} {}").await.is_problem(400, "invalid-body");
    post("\u{feff}{}").await.is_problem(400, "malformed-json");
    let problem = post(r#"{"tenant":"acme","name":"a","region":"eu1","colour":"red"}"#)
        .await
        .is_problem(400, "invalid-body");
    assert!(problem.detail.contains("colour"), "{problem:?}");
    let problem = post(r#"{"tenant":"acme","name":"a","region":"eu1","spec":{"settings":[]}}"#)
        .await
        .is_problem(400, "invalid-body");
    assert_eq!(problem.errors[0].pointer, "/spec/settings");
    let problem =
        post(r#"{"tenant":"ACME","name":"a","region":"eu1"}"#).await.is_problem(400, "invalid-body");
    assert_eq!(problem.errors[0].pointer, "/tenant");
    assert!(problem.detail.contains("a-z"), "{problem:?}");
    let problem = post(r#"{"tenant":"acme"}"#).await.is_problem(400, "invalid-body");
    assert!(problem.detail.contains("name"), "{problem:?}");
    raw(&bench, Method::POST, "/v1/tenants", "text/plain", "{}")
        .await
        .is_problem(415, "unsupported-media-type");
    let deep = "[".repeat(10_000);
    raw(&bench, Method::POST, "/v1/tenants", JSON, deep).await.is_problem(400, "invalid-body");
}

#[tokio::test]
async fn paths_queries_and_methods_that_do_not_exist_are_refused() {
    let bench = Bench::new().await;
    let token = &bench.admin;
    for (path, code, status) in [
        ("/v1/environments/not-a-uuid", "invalid-path", 400),
        ("/v1/operations/1", "invalid-path", 400),
        ("/v1/hooks/no-dots", "invalid-path", 400),
        ("/v1/definitions/upsert", "invalid-path", 400),
        ("/v1/tenants/ACME", "invalid-path", 400),
        ("/v1/environments?colour=red", "invalid-query", 400),
        ("/v1/environments?state=happy", "invalid-query", 400),
        ("/v1/environments?pageSize=0", "invalid-query", 400),
        ("/v1/environments?pageSize=1001", "invalid-query", 400),
        ("/v1/environments?pageSize=many", "invalid-query", 400),
        ("/v1/environments?pageToken=%25", "invalid-page-token", 400),
        ("/v1/hooks/eu1.crm.tenant:explain?operation=lifecycle.upsert", "invalid-query", 400),
        ("/v1/nothing", "route-not-found", 404),
        ("/", "route-not-found", 404),
        ("/v1/environments/", "route-not-found", 404),
        ("/v1/environments/00000000-0000-0000-0000-000000000000:nonsense", "route-not-found", 404),
        ("/v1/environments/00000000-0000-0000-0000-000000000000/~suspend", "route-not-found", 404),
        ("/v1/environments/00000000-0000-0000-0000-000000000000", "not-found", 404),
        ("/v1/operations/00000000-0000-0000-0000-000000000000", "not-found", 404),
        ("/v1/regions/nowhere", "not-found", 404),
        ("/v1/tenants/nobody", "not-found", 404),
    ] {
        let problem = bench.get(token, path).await.is_problem(status, code);
        assert_eq!(problem.fault, Fault::Client, "{path}");
    }
    let wrong = got(bench.ask(token, Method::PUT, "/v1/tenants")).await;
    wrong.is_problem(405, "method-not-allowed");
    assert_eq!(wrong.headers["allow"], "GET, POST, HEAD");
    let wrong = bench.get(token, "/v1/environments/00000000-0000-0000-0000-000000000000:suspend").await;
    wrong.is_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_document_of_five_megabytes_is_refused_with_the_limit() {
    let bench = Bench::new().await;
    bench.basics().await;
    let mut body = serde_json::to_value(wish("acme", "big", "eu1")).unwrap();
    body["spec"]["settings"] = json!({ "blob": "x".repeat(5 * 1024 * 1024) });
    let problem = bench.post(&bench.admin, "/v1/environments", &body).await.is_problem(413, "body-too-large");
    assert!(problem.detail.contains("2097152 bytes (2 MiB)"), "{problem:?}");
    // Without a stated length too.
    let chunks = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(64 * 1024))));
    let endless = reqwest::Body::wrap_stream(chunks);
    raw(&bench, Method::POST, "/v1/environments", JSON, endless).await.is_problem(413, "body-too-large");
    // Under the body's limit, over the document's.
    body["spec"]["settings"] = json!({ "blob": "x".repeat(1024 * 1024 + 1) });
    let problem = bench.post(&bench.admin, "/v1/environments", &body).await.is_problem(413, "too-large");
    assert!(problem.detail.contains("1048576"), "{problem:?}");
    assert_eq!(bench.admin().environments(&EnvironmentsQuery::default()).await.unwrap().items, vec![]);
}

#[tokio::test]
async fn settings_that_break_the_platforms_schema_are_refused_with_their_places() {
    let bench = Bench::new().await;
    bench.basics().await;
    let admin = bench.admin();
    let none = admin.platform_schema().await.unwrap();
    let schema = json!({ "type": "object", "properties": { "settings": { "type": "object",
        "properties": { "tier": { "enum": ["gold", "silver"] } }, "required": ["tier"] } } });
    admin.put_platform_schema(&schema, &Call::if_match(none.etag.clone())).await.unwrap();
    let mut wished = wish("acme", "prod", "eu1");
    wished.spec.settings.insert("tier".to_owned(), json!("lead"));
    let refused = admin.create_environment(&wished, &Call::default()).await.unwrap_err();
    let problem = refused.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (422, "invalid-request"));
    assert_eq!(problem.errors[0].pointer, "/spec/settings/tier");
    let stale = admin.put_platform_schema(&schema, &Call::if_match(none.etag)).await.unwrap_err();
    assert_eq!(stale.code(), Some("revision-mismatch"));
    let now = admin.platform_schema().await.unwrap();
    let bad = admin.put_platform_schema(&json!({ "type": 7 }), &Call::if_match(now.etag)).await.unwrap_err();
    assert_eq!(bad.code(), Some("invalid-schema"));
}

#[tokio::test]
async fn duplicates_are_refused() {
    let bench = Bench::new().await;
    bench.basics().await;
    let made = bench.environment("prod").await.environment;
    let admin = bench.admin();
    let same_name =
        admin.create_environment(&wish("acme", "prod", "eu1"), &Call::default()).await.unwrap_err();
    assert_eq!(same_name.code(), Some("already-exists"));
    let mut same_id = wish("acme", "other", "eu1");
    same_id.id = Some(made.id);
    let same_id = admin.create_environment(&same_id, &Call::default()).await.unwrap_err();
    assert_eq!(same_id.code(), Some("already-exists"));
    let tenant = CreateTenant { name: "acme".parse().unwrap(), display_name: None };
    assert_eq!(
        admin.create_tenant(&tenant, &Call::default()).await.unwrap_err().code(),
        Some("already-exists")
    );
}

#[tokio::test]
async fn a_change_states_what_it_saw() {
    let bench = Bench::new().await;
    bench.basics().await;
    let made = bench.environment("prod").await.environment;
    let path = format!("/v1/environments/{}", made.id);
    let change = json!({ "labels": { "a": "b" } });
    let change_with = |etag: Option<&str>| {
        let request = bench.ask(&bench.admin, Method::PATCH, &path).json(&change);
        match etag {
            Some(etag) => request.header("if-match", etag),
            None => request,
        }
    };
    got(change_with(None)).await.is_problem(428, "if-match-required");
    for bad in ["7", "*", "W/\"1\"", "\"1\", \"2\""] {
        got(change_with(Some(bad))).await.is_problem(400, "if-match-invalid");
    }
    let problem = got(change_with(Some("\"77\""))).await.is_problem(412, "revision-mismatch");
    assert_eq!(problem.current.unwrap()["etag"], made.etag);
    got(change_with(Some("\"other\""))).await.is_problem(412, "revision-mismatch");
    assert_eq!(got(change_with(Some(&made.etag))).await.status, 202);
    got(change_with(Some(&made.etag))).await.is_problem(412, "revision-mismatch");

    // Verbs state what they saw in the body.
    let path = format!("/v1/environments/{}:suspend", made.id);
    let body = json!({ "reason": "x", "expectedState": "active" });
    let problem = bench.post(&bench.admin, &path, &body).await.is_problem(409, "moved-on");
    assert_eq!(problem.current, Some(json!({ "state": "provisioning" })));
    let body = json!({ "reason": "x", "expectedState": "provisioning" });
    assert_eq!(bench.post(&bench.admin, &path, &body).await.status, 202);
}

fn keyed(bench: &Bench, key: &str, body: &Value) -> reqwest::RequestBuilder {
    let url = format!("{}/v1/environments", bench.server().url());
    bench.http.post(url).bearer_auth(&bench.admin).header("idempotency-key", key).json(body)
}

#[tokio::test]
async fn a_request_with_the_same_key_is_carried_out_once_and_answered_again() {
    let bench = Bench::new().await;
    bench.basics().await;
    let key = Uuid::now_v7().to_string();
    let body = serde_json::to_value(wish("acme", "prod", "eu1")).unwrap();
    let first = got(keyed(&bench, &key, &body)).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = got(keyed(&bench, &key, &body)).await;
    assert_eq!(again.headers[IDEMPOTENCY_REPLAYED], "true");
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["etag"], first.headers["etag"]);

    let mut other = body.clone();
    other["name"] = json!("other");
    got(keyed(&bench, &key, &other)).await.is_problem(422, "idempotency-key-reused");
    let missing = bench
        .http
        .post(format!("{}/v1/environments", bench.server().url()))
        .bearer_auth(&bench.admin)
        .json(&body);
    got(missing).await.is_problem(400, "idempotency-key-required");
    got(keyed(&bench, "a b", &body)).await.is_problem(400, "idempotency-key-invalid");
    got(keyed(&bench, &"k".repeat(256), &body)).await.is_problem(400, "idempotency-key-invalid");

    // Many at the same moment: one environment, one answer.
    let key = Uuid::now_v7().to_string();
    let mut body = body;
    body["name"] = json!("crowd");
    let answers = futures::future::join_all((0..8).map(|_| got(keyed(&bench, &key, &body)))).await;
    let ids: std::collections::BTreeSet<_> =
        answers.iter().map(|answer| answer.body["environment"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert_eq!(bench.admin().environments(&EnvironmentsQuery::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let bench = Bench::new().await;
    bench.basics().await;
    let key = Uuid::now_v7().to_string();
    let body = serde_json::to_value(wish("later", "prod", "eu1")).unwrap();
    let refused = got(keyed(&bench, &key, &body)).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    bench.tenant("later").await;
    assert_eq!(got(keyed(&bench, &key, &body)).await.status, 202);
}

#[tokio::test]
async fn a_secret_is_never_given_twice() {
    let bench = Bench::new().await;
    let body = CreateToken {
        name: "ci".to_owned(),
        role: tenantry_model::Role::Viewer,
        scopes: vec![tenantry_model::Scope::All],
        expires_in: None,
    };
    let call = Call { key: Some("once".to_owned()), ..Call::default() };
    bench.admin().create_token(&body, &call).await.unwrap();
    let again = bench.admin().create_token(&body, &call).await.unwrap_err();
    assert_eq!(again.code(), Some("request-already-applied"));
    let tokens = bench.admin().tokens(&PageQuery::default()).await.unwrap();
    assert_eq!(tokens.items.iter().filter(|token| token.name == "ci").count(), 1);
}

#[tokio::test]
async fn lists_come_in_pages_that_fit_together() {
    let bench = Bench::new().await;
    bench.basics().await;
    for number in 0..7 {
        bench.environment(&format!("env-{number}")).await;
        bench.region(&format!("region-{number}")).await;
    }
    let admin = bench.admin();
    let mut query = EnvironmentsQuery { page_size: Some(3), ..EnvironmentsQuery::default() };
    let mut names = std::collections::BTreeSet::new();
    let mut sizes = Vec::new();
    loop {
        let page = admin.environments(&query).await.unwrap();
        sizes.push(page.items.len());
        names.extend(page.items.into_iter().map(|environment| environment.name.to_string()));
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            break;
        }
    }
    assert_eq!((sizes, names.len()), (vec![3, 3, 1], 7));

    // Lists that the service gives whole are cut in the same way; eu1 is the eighth.
    let mut query = PageQuery { page_size: Some(4), page_token: None };
    let first = admin.regions(&query).await.unwrap();
    query.page_token = first.next_page_token;
    let second = admin.regions(&query).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next_page_token), (4, 4, None));
    assert_eq!(first.items[0].name.as_str(), "eu1");
}
