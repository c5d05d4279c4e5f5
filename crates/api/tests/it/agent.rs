//! The agent protocol: credentials, versions, limits, regions.

use crate::harness::{Bench, DEADLINE, got, hook, joining};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use std::time::Duration;
use tenantry_api_types::{agent, v1::RevokeToken};
use tenantry_client::{Call, NewCredential};
use uuid::Uuid;

#[tokio::test]
async fn a_join_token_opens_its_region_once_however_often_its_agent_asks() {
    let bench = Bench::new().await;
    bench.basics().await;
    let join_token = async || {
        bench.admin().create_join_token(&"eu1".parse().unwrap(), &Call::default()).await.unwrap().token
    };
    let token = join_token().await;
    let join = async |own: &NewCredential| bench.post(&token, "/agent/v1/join", &joining(own)).await;
    let own = NewCredential::generate().unwrap();
    // Its answer may have been lost.
    for _ in 0..2 {
        let joined = join(&own).await;
        assert_eq!((joined.status.as_u16(), &joined.body["region"]), (200, &json!("eu1")), "{joined:?}");
    }
    join(&NewCredential::generate().unwrap()).await.is_problem(401, "unauthenticated");
    // Neither half opens anything else.
    let credential = own.bearer();
    bench.get(credential.expose_secret(), "/v1/environments").await.is_problem(403, "forbidden");
    bench.get(&token, "/v1/environments").await.is_problem(403, "forbidden");
    bench.post(&token, "/agent/v1/sessions", &json!({})).await.is_problem(403, "forbidden");
    bench.post(&bench.admin, "/agent/v1/sessions", &json!({})).await.is_problem(403, "forbidden");

    // Nobody takes the place of a credential that somebody else holds, or brings back one that was revoked.
    let another = join_token().await;
    let mut body = joining(&NewCredential::generate().unwrap());
    body["credential"] = json!(own.id);
    bench.post(&another, "/agent/v1/join", &body).await.is_problem(422, "invalid-request");
    let admin = bench.admin.split('_').nth(1).unwrap();
    body["credential"] = json!(Uuid::parse_str(admin).unwrap());
    bench.post(&another, "/agent/v1/join", &body).await.is_problem(422, "invalid-request");
    body["secretSha256"] = json!("ABC");
    bench.post(&another, "/agent/v1/join", &body).await.is_problem(422, "invalid-request");
    let reason = RevokeToken { reason: Some("lost".to_owned()) };
    bench.admin().revoke_token(own.id, &reason, &Call::default()).await.unwrap();
    bench.post(&another, "/agent/v1/join", &joining(&own)).await.is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn another_regions_agent_learns_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.region("us1").await;
    let (eu, session) = bench.agent("eu1", json!([hook("crm/tenant")])).await;
    let (us, other) = bench.agent("us1", json!([])).await;
    bench.environment("prod").await;
    let lease = json!({ "session": session, "limit": 10, "waitSeconds": 20 });
    let leased = bench.post(&eu, "/agent/v1/commands:lease", &lease).await;
    let command = leased.body["commands"][0].clone();
    let attempt = command["attempt"].clone();

    let none = json!({ "session": other, "limit": 10, "waitSeconds": 0 });
    assert_eq!(bench.post(&us, "/agent/v1/commands:lease", &none).await.body["commands"], json!([]));
    let ended = json!({ "session": other, "observations": [{
        "attempt": attempt, "number": 7, "at": "2026-11-21T10:00:00Z",
        "fact": { "fact": "notStarted", "outcome": { "reason": "rejected", "exitCode": null } }
    }] });
    let observed = bench.post(&us, "/agent/v1/observations", &ended).await;
    assert_eq!(observed.body["unknown"], json!([attempt]), "{observed:?}");
    let log = json!({ "session": other, "chunks": [{ "attempt": attempt, "offset": 0, "data": "aGVsbG8K", "last": true }] });
    assert_eq!(bench.post(&us, "/agent/v1/logs", &log).await.body["unknown"], json!([attempt]));
    let operation = attempt["operation"].as_str().unwrap().parse().unwrap();
    let seen = bench.admin().operation(operation).await.unwrap();
    assert!(seen.steps.unwrap()[0].attempts[0].outcome.is_none());
}

#[tokio::test]
async fn an_agent_with_another_regions_credential_is_refused_at_every_call() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.region("us1").await;
    let (credential, session) = bench.agent("eu1", json!([hook("crm/tenant")])).await;
    for (call, body) in [
        ("sessions", json!({ "session": Uuid::now_v7(), "executor": "process", "version": "1" })),
        ("inventory", json!({ "session": session, "begin": true, "end": true, "present": [], "absent": [] })),
        ("commands:lease", json!({ "session": session, "limit": 1, "waitSeconds": 0 })),
        ("commands:finish", json!({ "session": session, "commands": [] })),
        ("observations", json!({ "session": session, "observations": [] })),
        ("logs", json!({ "session": session, "chunks": [] })),
    ] {
        let as_region = |region: &'static str| {
            let path = format!("/agent/v1/{call}");
            bench.ask(&credential, Method::POST, &path).header(agent::REGION_HEADER, region).json(&body)
        };
        let problem = got(as_region("us1")).await.is_problem(403, "wrong-region");
        assert!(problem.detail.contains("us1") && problem.detail.contains("eu1"), "{}", problem.detail);
        if call != "sessions" && call != "inventory" {
            assert_eq!(got(as_region("eu1")).await.status.as_u16(), 200, "{call}");
        }
    }
}

#[tokio::test]
async fn a_session_says_when_it_counts_as_silent_and_a_poll_that_its_forerunner_was_lost() {
    let bench = Bench::new().await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", json!([hook("crm/tenant")])).await;
    let again = json!({ "session": session, "executor": "process", "version": "1" });
    let opened = bench.post(&credential, "/agent/v1/sessions", &again).await;
    assert_eq!(opened.body["silentAfterSeconds"], 45, "{opened:?}");
    let lost = json!({ "session": session, "limit": 10, "waitSeconds": 0, "unanswered": true });
    assert_eq!(bench.post(&credential, "/agent/v1/commands:lease", &lost).await.body["commands"], json!([]));
}

#[tokio::test]
async fn limits_and_version_are_stated() {
    let bench = Bench::new().await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", json!([])).await;
    let old = bench
        .http
        .post(format!("{}/agent/v1/commands:lease", bench.server().url()))
        .bearer_auth(&credential)
        .header(agent::VERSION_HEADER, "99")
        .json(&json!({ "session": session, "limit": 1, "waitSeconds": 0 }));
    let problem = got(old).await.is_problem(426, "protocol-version");
    assert!(problem.detail.contains("99"));
    let many: Vec<_> = (0..=agent::MAX_BATCH).map(|_| Uuid::now_v7()).collect();
    let body = json!({ "session": session, "commands": many });
    let problem =
        bench.post(&credential, "/agent/v1/commands:finish", &body).await.is_problem(422, "invalid-request");
    assert!(problem.detail.contains("500"));
}

#[tokio::test]
async fn a_long_poll_answers_when_the_server_stops() {
    let bench = Bench::new().await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", json!([])).await;
    let body = json!({ "session": session, "limit": 1, "waitSeconds": 30 });
    let poll = got(bench.ask(&credential, Method::POST, "/agent/v1/commands:lease").json(&body));
    let poll = tokio::spawn(poll);
    // The poll waits: other requests are answered meanwhile.
    bench.get("", "/healthz").await;
    let began = tokio::time::Instant::now();
    bench.stop(Duration::from_secs(10)).await;
    let answer = tokio::time::timeout(DEADLINE, poll).await.unwrap().unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body["commands"]), (200, &json!([])));
    assert!(began.elapsed() < Duration::from_secs(8), "the poll held the stop up");
}
