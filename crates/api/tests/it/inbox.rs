//! Operations by event: what is taken, once; what is refused, and how that is told; what refused messages come to.

use crate::changes::event;
use crate::harness::{Bench, Got, got};
use crate::site::Site;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tenantry_api_types::v1::{IDEMPOTENCY_REPLAYED, ProblemDocument};
use tenantry_events::Message;
use tenantry_manager::{ManagerConfig, OPERATION_REQUEST, Taken};
use tenantry_model::{LetterId, Role, Scope};
use tenantry_store::EventFilter;

const STRUCTURED: &str = "application/cloudevents+json";
const PATH: &str = "/v1/cloudevents";

/// A place with an active environment `acme/prod` and hooks for `crm.reindex`.
async fn place() -> Site {
    let site = Site::new(ManagerConfig::default()).await;
    site.bench.environment("prod").await;
    site.run_all().await;
    site
}

/// Without an Idempotency-Key: the event has one.
async fn raw(bench: &Bench, token: &str, kind: &str, body: impl Into<reqwest::Body>) -> Got {
    let request = bench.http.post(format!("{}{PATH}", bench.server().url())).bearer_auth(token);
    got(request.header("content-type", kind).body(body)).await
}

async fn send(bench: &Bench, event: &Value) -> Got {
    raw(bench, &bench.admin, STRUCTURED, event.to_string()).await
}

async fn operations(bench: &Bench) -> Vec<Value> {
    let found = bench.get(&bench.admin, "/v1/operations?name=crm.reindex").await;
    found.body["items"].as_array().unwrap().clone()
}

fn message(sequence: u64, body: impl Into<String>) -> Message {
    Message {
        stream: "requests".to_owned(),
        sequence,
        subject: "requests.crm".to_owned(),
        published_at: Timestamp::now(),
        delivered: 1,
        headers: Vec::new(),
        body: body.into().into(),
    }
}

async fn refused(bench: &Bench, token: &str, message: &Message) -> LetterId {
    match bench.manager.take_message(token, message).await.unwrap() {
        Taken::Refused(letter) => letter,
        started @ (Taken::Started(_) | Taken::Later) => panic!("{started:?}"),
    }
}

async fn letters(bench: &Bench) -> Vec<Value> {
    let listed = bench.get(&bench.admin, "/v1/inbox/dead-letters").await;
    listed.body["items"].as_array().unwrap().clone()
}

async fn attention(bench: &Bench) -> Vec<Value> {
    let listed = bench.get(&bench.admin, "/v1/attention").await;
    let rows = listed.body["items"].as_array().unwrap().iter();
    rows.filter(|row| row["kind"] == "message-refused").cloned().collect()
}

#[tokio::test]
async fn an_event_starts_one_operation_however_often_it_comes_and_its_end_says_which_event_it_was() {
    let site = place().await;
    let bench = &site.bench;
    let before = bench.manager.last_event().await.unwrap();
    let sent = event("order-7", "acme/prod", "crm.reindex");
    let first = send(bench, &sent).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert!(!first.headers.contains_key(IDEMPOTENCY_REPLAYED));
    let operation = first.body["operation"]["id"].as_str().unwrap().to_owned();
    let cause = json!({ "source": "urn:crm", "id": "order-7" });
    assert_eq!(first.body["operation"]["cause"], cause);
    assert_eq!(first.headers["location"], format!("/v1/operations/{operation}"));

    // In the other form it is the same event.
    let binary = bench
        .http
        .post(format!("{}{PATH}", bench.server().url()))
        .bearer_auth(&bench.admin)
        .header("content-type", "application/json")
        .header("ce-specversion", "1.0")
        .header("ce-id", "order%2D7")
        .header("ce-source", "urn:crm")
        .header("ce-type", OPERATION_REQUEST)
        .header("ce-time", sent["time"].as_str().unwrap())
        .body(sent["data"].to_string());
    for again in [send(bench, &sent).await, got(binary).await] {
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers[IDEMPOTENCY_REPLAYED], "true");
    }
    assert_eq!(operations(bench).await.len(), 1);

    site.run_all().await;
    let told =
        bench.manager.events_after(&EventFilter::default(), before, 1000, Duration::ZERO).await.unwrap();
    let ends: Vec<&Value> = told
        .iter()
        .filter(|event| {
            event.kind == "io.tenantry.operation.changed.v1" && event.data["state"] == "succeeded"
        })
        .map(|event| &event.data)
        .collect();
    assert_eq!(ends.len(), 1);
    assert_eq!((&ends[0]["id"], &ends[0]["cause"]), (&json!(operation), &cause));
    // The same event after its operation has ended.
    assert_eq!(send(bench, &sent).await.body, first.body);
    assert_eq!(operations(bench).await.len(), 1);
}

#[tokio::test]
async fn another_event_under_the_same_source_and_id_is_refused_and_callers_do_not_share_ids() {
    let site = place().await;
    let bench = &site.bench;
    let sent = event("1", "acme/prod", "crm.reindex");
    assert_eq!(send(bench, &sent).await.status, 202);
    let mut other = sent.clone();
    other["data"]["parameters"] = json!({ "all": true });
    let problem = send(bench, &other).await.is_problem(422, "event-id-reused");
    assert!(problem.detail.contains("urn:crm") && problem.detail.contains("\"1\""), "{problem:?}");
    let mut elsewhere = sent.clone();
    elsewhere["source"] = json!("urn:portal");
    assert_eq!(send(bench, &elsewhere).await.status, 202);
    let second = bench.token(Role::Operator, vec![Scope::All]).await;
    assert_eq!(raw(bench, &second, STRUCTURED, other.to_string()).await.status, 202);
    assert_eq!(operations(bench).await.len(), 3);
}

#[tokio::test]
async fn the_same_event_at_the_same_moment_starts_one_operation() {
    let site = place().await;
    let sent = event("1", "acme/prod", "crm.reindex");
    let answers = futures::future::join_all((0..5).map(|_| send(&site.bench, &sent))).await;
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.body), (202, &answers[0].body));
    }
    assert_eq!(operations(&site.bench).await.len(), 1);
}

#[tokio::test]
async fn an_old_event_is_refused_unless_it_is_known_and_none_is_carried_out_when_it_is_forgotten() {
    let mut site = place().await;
    let late = SignedDuration::from_hours(24) + SignedDuration::from_mins(1);
    let mut old = event("old", "acme/prod", "crm.reindex");
    old["time"] = json!(Timestamp::now() - late);
    let problem = send(&site.bench, &old).await.is_problem(422, "event-too-old");
    assert!(problem.detail.contains("24h"), "{problem:?}");
    let mut ahead = event("ahead", "acme/prod", "crm.reindex");
    ahead["time"] = json!(Timestamp::now() + SignedDuration::from_mins(10));
    assert_eq!(send(&site.bench, &ahead).await.is_problem(422, "event-invalid").errors[0].pointer, "/time");

    // One whose sender's clock is ahead is known until it is too old.
    let mut known = event("known", "acme/prod", "crm.reindex");
    known["time"] = json!(Timestamp::now() + SignedDuration::from_mins(4));
    let first = send(&site.bench, &known).await;
    assert_eq!(first.status, 202, "{first:?}");
    site.bench.still().await;
    site.bench.pass(late);
    site.bench.manager.expire_answers().await.unwrap();
    assert_eq!(send(&site.bench, &known).await.body, first.body, "it is not forgotten yet");
    site.bench.pass(SignedDuration::from_mins(4));
    site.bench.manager.expire_answers().await.unwrap();
    send(&site.bench, &known).await.is_problem(422, "event-too-old");
    assert_eq!(operations(&site.bench).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_event_is_refused_and_changes_nothing() {
    let mut site = place().await;
    site.bench.still().await;
    let bench = &site.bench;
    let before = bench.dump().await;
    let admin = &bench.admin;
    let good = event("1", "acme/prod", "crm.reindex");
    let form = "environment=acme%2Fprod&operation=crm.reindex";
    let problem =
        raw(bench, admin, "application/x-www-form-urlencoded", form).await.is_problem(415, "event-form");
    assert!(problem.detail.contains("form-urlencoded") && problem.detail.contains(STRUCTURED), "{problem:?}");
    let problem =
        raw(bench, admin, "application/json", good["data"].to_string()).await.is_problem(415, "event-form");
    assert!(problem.detail.contains("no CloudEvent") && problem.detail.contains("ce-"), "{problem:?}");
    let batch = raw(bench, admin, "application/cloudevents-batch+json", json!([good]).to_string()).await;
    assert!(batch.is_problem(415, "event-form").detail.contains("batches"));
    raw(bench, admin, STRUCTURED, "{").await.is_problem(422, "event-invalid");
    raw(bench, admin, STRUCTURED, "").await.is_problem(422, "event-invalid");
    let large = raw(bench, admin, STRUCTURED, " ".repeat(2_000_000)).await.is_problem(413, "body-too-large");
    assert!(large.detail.contains("2000000 bytes") && large.detail.contains("1 MiB"), "{large:?}");

    let wrong = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let check = async |event: Value, status, code| -> ProblemDocument {
        send(bench, &event).await.is_problem(status, code)
    };
    for (pointer, value, status, code, says) in [
        ("/type", json!("com.example.order.v1"), 422, "event-type", OPERATION_REQUEST),
        ("/specversion", json!("0.3"), 422, "event-invalid", "1.0"),
        ("/id", json!(""), 422, "event-invalid", "/id"),
        ("/data", json!("now"), 422, "event-invalid", "/data"),
        ("/data/operation", json!("reindex"), 422, "event-invalid", "/data"),
        ("/data/operation", json!("crm.unheard-of"), 404, "not-found", "operation crm.unheard-of"),
        ("/data/operation", json!("lifecycle.suspend"), 422, "invalid-request", "own method"),
        ("/data/environment", json!("acme/none"), 404, "not-found", "environment acme/none"),
        ("/data/environment", json!("0197a3b0-0000-7000-8000-000000000000"), 404, "not-found", "environment"),
        ("/data/environment", json!("Not A Name"), 422, "event-invalid", "/data/environment"),
    ] {
        let problem = check(wrong(pointer, value), status, code).await;
        assert!(problem.detail.contains(says), "{pointer}: {problem:?}");
    }
    let mut timeless = good.clone();
    timeless.as_object_mut().unwrap().remove("time");
    assert_eq!(check(timeless, 422, "event-invalid").await.errors[0].pointer, "/time");
    let mut moved = good.clone();
    moved["data"]["expectedState"] = json!("suspended");
    let moved = check(moved, 409, "moved-on").await;
    assert_eq!(moved.current, Some(json!({ "state": "active" })));
    let after = bench.dump().await;
    assert!(before == after, "something was written");
    // After all that its id is free.
    assert_eq!(send(bench, &good).await.status, 202);
}

#[tokio::test]
async fn an_event_needs_the_rights_that_its_operation_needs() {
    let site = place().await;
    let bench = &site.bench;
    bench.tenant("beta").await;
    let good = event("1", "acme/prod", "crm.reindex").to_string();
    let none = event("1", "acme/none", "crm.reindex").to_string();
    raw(bench, "tnt_wrong", STRUCTURED, good.clone()).await.is_problem(401, "unauthenticated");
    let viewer = bench.token(Role::Viewer, vec![Scope::All]).await;
    raw(bench, &viewer, STRUCTURED, good.clone()).await.is_problem(403, "forbidden");
    let of =
        async |tenant: &str| bench.token(Role::Operator, vec![Scope::Tenant(tenant.parse().unwrap())]).await;
    let (mine, theirs) = (of("acme").await, of("beta").await);
    // Whether it is there is not told to whom it does not concern.
    for body in [&good, &none] {
        raw(bench, &theirs, STRUCTURED, body.clone()).await.is_problem(403, "forbidden");
    }
    assert_eq!(operations(bench).await.len(), 0);
    assert_eq!(raw(bench, &mine, STRUCTURED, good).await.status, 202);
}

#[tokio::test]
async fn a_refused_message_waits_for_a_person_who_has_it_tried_again_once() {
    let site = place().await;
    let bench = &site.bench;
    let intake = bench.token(Role::Operator, vec![Scope::All]).await;
    let asked = event("7", "acme/later", "crm.reindex");
    let sent = message(1, asked.to_string());
    let letter = refused(bench, &intake, &sent).await;
    assert_eq!(refused(bench, &intake, &sent).await, letter, "its acknowledgement was lost");
    let listed = letters(bench).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["source"], &listed[0]["event"]), (&json!("urn:crm"), &json!("7")));
    assert_eq!((&listed[0]["code"], &listed[0]["place"]), (&json!("not-found"), &json!("requests/1")));
    assert!(listed[0]["problem"].as_str().unwrap().contains("acme/later"), "{listed:?}");
    assert!(listed[0].get("body").is_none(), "lists are short");
    let path = format!("/v1/inbox/dead-letters/{letter}");
    let shown = bench.get(&bench.admin, &path).await;
    assert_eq!(shown.body["body"], asked.to_string());
    let waits = attention(bench).await;
    assert_eq!(waits.len(), 1);
    assert!(waits[0]["remedy"].as_str().unwrap().contains(&format!("inbox retry {letter}")), "{waits:?}");

    let retry = format!("{path}:retry");
    bench.post(&bench.admin, &retry, &json!({})).await.is_problem(404, "not-found");
    assert_eq!(letters(bench).await.len(), 1, "what is refused again stays");
    bench.environment("later").await;
    site.run_all().await;
    let done = bench.post(&bench.admin, &retry, &json!({ "reason": "it is there now" })).await;
    assert_eq!(done.status, 202, "{done:?}");
    assert_eq!(done.body["operation"]["cause"], json!({ "source": "urn:crm", "id": "7" }));
    assert_eq!(done.body["operation"]["requestedBy"]["name"], "admin");
    assert_eq!((letters(bench).await.len(), attention(bench).await.len()), (0, 0));
    // Its sender, who was told nothing, sends it again.
    let again = bench.manager.take_message(&intake, &message(2, asked.to_string())).await.unwrap();
    let Taken::Started(operation) = again else { panic!("{again:?}") };
    assert_eq!(done.body["operation"]["id"], operation.to_string());
    assert_eq!(operations(bench).await.len(), 1);
    let audit = bench.get(&bench.admin, "/v1/audit?action=inbox.retry").await;
    let entry = &audit.body["items"][0];
    assert_eq!((&entry["reason"], &entry["actor"]["name"]), (&json!("it is there now"), &json!("admin")));
}

#[tokio::test]
async fn a_message_that_was_sent_again_meanwhile_is_not_carried_out_by_a_person_too() {
    let site = place().await;
    let bench = &site.bench;
    let intake = bench.token(Role::Operator, vec![Scope::All]).await;
    let asked = event("7", "acme/later", "crm.reindex").to_string();
    let letter = refused(bench, &intake, &message(1, asked.clone())).await;
    bench.environment("later").await;
    site.run_all().await;
    let again = bench.manager.take_message(&intake, &message(2, asked)).await.unwrap();
    assert!(matches!(again, Taken::Started(_)), "{again:?}");
    let retry = format!("/v1/inbox/dead-letters/{letter}:retry");
    bench.post(&bench.admin, &retry, &json!({})).await.is_problem(409, "letter-unusable");
    assert_eq!(operations(bench).await.len(), 1);
    let discard = json!({ "messages": [letter], "reason": "done by then" });
    let gone = bench.post(&bench.admin, "/v1/inbox/dead-letters:discard", &discard).await;
    assert_eq!(gone.body, json!({ "messages": [letter], "more": false }));
    assert_eq!((letters(bench).await.len(), attention(bench).await.len()), (0, 0));
    let discard = "/v1/inbox/dead-letters:discard";
    bench
        .post(&bench.admin, discard, &json!({ "messages": [letter], "reason": "x" }))
        .await
        .is_problem(404, "not-found");
    bench.post(&bench.admin, discard, &json!({ "reason": " " })).await.is_problem(422, "invalid-request");
}

#[tokio::test]
async fn whatever_a_message_is_it_is_kept_with_the_reason_and_what_is_long_is_cut() {
    let site = place().await;
    let bench = &site.bench;
    let scoped = bench.token(Role::Operator, vec![Scope::Tenant("acme".parse().unwrap())]).await;
    let mut form = message(1, "environment=acme");
    form.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    let mut old = event("old", "acme/prod", "crm.reindex");
    old["time"] = json!("2026-01-01T00:00:00Z");
    let mut long = event("long", "acme/prod", "crm.reindex");
    long["data"]["parameters"] = json!({ "text": "x".repeat(100_000) });
    for (n, (message, code)) in [
        (form, "event-form"),
        (message(2, "\u{0}{"), "event-invalid"),
        (message(3, old.to_string()), "event-too-old"),
        (message(4, event("1", "beta/prod", "crm.reindex").to_string()), "forbidden"),
        (message(5, event("2", "acme/prod", "crm.unheard-of").to_string()), "not-found"),
        (message(6, long.to_string()), "too-large"),
        (message(7, " ".repeat(2_000_000)), "too-large"),
    ]
    .into_iter()
    .enumerate()
    {
        let letter = refused(bench, &scoped, &message).await;
        let shown = bench.get(&bench.admin, &format!("/v1/inbox/dead-letters/{letter}")).await.body;
        assert_eq!(shown["code"], code, "{n}: {shown}");
        let whole = message.body.len() <= 64 * 1024;
        assert_eq!((&shown["whole"], &shown["size"]), (&json!(whole), &json!(message.body.len())), "{n}");
        assert!(shown["body"].as_str().unwrap().len() <= 64 * 1024);
        if !whole {
            let retry = format!("/v1/inbox/dead-letters/{letter}:retry");
            let problem =
                bench.post(&bench.admin, &retry, &json!({})).await.is_problem(409, "letter-unusable");
            assert!(problem.detail.contains("only a part"), "{problem:?}");
        }
    }
    assert_eq!((letters(bench).await.len(), operations(bench).await.len()), (7, 0));
    assert!(attention(bench).await[0]["message"].as_str().unwrap().starts_with("7 messages"));
    let all = bench.post(&bench.admin, "/v1/inbox/dead-letters:discard", &json!({ "reason": "tests" })).await;
    assert_eq!(all.body["messages"].as_array().unwrap().len(), 7);
    assert_eq!((letters(bench).await.len(), attention(bench).await.len()), (0, 0));
}

#[tokio::test]
async fn a_message_for_an_environment_that_has_too_much_to_do_comes_again() {
    let site = Site::new(ManagerConfig { max_unfinished: 1, ..ManagerConfig::default() }).await;
    let bench = &site.bench;
    bench.environment("prod").await;
    site.run_all().await;
    assert_eq!(send(bench, &event("1", "acme/prod", "crm.reindex")).await.status, 202);
    let second = event("2", "acme/prod", "crm.reindex");
    send(bench, &second).await.is_problem(409, "too-many-operations");
    let second = message(1, second.to_string());
    assert_eq!(bench.manager.take_message(&bench.admin, &second).await.unwrap(), Taken::Later);
    assert_eq!((letters(bench).await.len(), operations(bench).await.len()), (0, 1));
    site.run_all().await;
    let taken = bench.manager.take_message(&bench.admin, &second).await.unwrap();
    assert!(matches!(taken, Taken::Started(_)), "{taken:?}");
}

#[tokio::test]
async fn without_its_token_nothing_is_judged() {
    let site = place().await;
    let bench = &site.bench;
    let made = bench.ask(&bench.admin, Method::POST, "/v1/tokens");
    let made = got(made.json(&json!({ "name": "intake", "role": "operator", "scopes": ["all"] }))).await.body;
    let secret = made["secret"].as_str().unwrap();
    let revoke = format!("/v1/tokens/{}:revoke", made["token"]["id"].as_str().unwrap());
    assert_eq!(bench.post(&bench.admin, &revoke, &json!({ "reason": "leaked" })).await.status, 200);
    let sent = message(1, event("1", "acme/prod", "crm.reindex").to_string());
    for secret in [secret, "tnt_unknown", ""] {
        let refused = bench.manager.take_message(secret, &sent).await.unwrap_err();
        assert_eq!(refused.code(), "unauthenticated");
    }
    assert_eq!((letters(bench).await.len(), operations(bench).await.len()), (0, 0));
}
