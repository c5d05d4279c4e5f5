//! Invariant 6: a reason, a request id, an expectation, an actor from the credential, a second person.

use crate::harness::{Bench, got};
use crate::refused;
use crate::site::{A, B, Site};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_engine::VerbKind;
use tenantry_manager::ManagerConfig;
use tenantry_model::{Role, Scope};

/// A site whose first step waits for a decision.
async fn waiting(settings: ManagerConfig) -> (Site, String) {
    let site = Site::new(settings).await;
    let id = site.operation("one").await;
    let first = site.starts().await.remove(0);
    site.end(&first, 3).await;
    (site, id)
}

async fn audit(site: &Site, id: &str) -> Vec<Value> {
    let environment = site.show(id).await["environment"].as_str().unwrap().to_owned();
    let path = format!("/v1/environments/{environment}/audit");
    let entries = site.bench.get(&site.bench.admin, &path).await.body;
    entries["items"].as_array().unwrap().clone()
}

/// `rerun` only repeats what the plan wanted, and `release` lets it go on: they need none.
pub async fn reason_required() -> Vec<String> {
    let mut broken = Vec::new();
    for (verb, step) in [("stop", A), ("skip", A), ("confirm", A), ("hold", B), ("ignore-dependency", B)] {
        let (site, id) = waiting(ManagerConfig::default()).await;
        let before = site.show(&id).await;
        for body in [json!({}), json!({ "reason": " " })] {
            let got = site.verb(&id, step, verb, body).await;
            refused(&mut broken, verb, &got, "reason-required");
        }
        if site.show(&id).await != before {
            broken.push(format!("{verb} without a reason has changed the operation"));
        }
    }
    let (site, id) = waiting(ManagerConfig::default()).await;
    for verb in ["pause", "cancel", "replay"] {
        let silent = json!({ "reason": " " });
        let got = site.bench.post(&site.bench.admin, &format!("/v1/operations/{id}:{verb}"), &silent).await;
        refused(&mut broken, verb, &got, "reason-required");
    }
    broken
}

/// Whatever else names somebody: a header, a member of the body.
pub async fn actor_from_credential() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, id) = waiting(ManagerConfig::default()).await;
    let operator = site.bench.token(Role::Operator, vec![Scope::All]).await;
    let path = format!("/v1/operations/{id}/steps/{A}:skip");
    for member in ["actor", "by", "user"] {
        let body = json!({ "reason": "because", member: "somebody-else" });
        let got = site.bench.post(&operator, &path, &body).await;
        refused(&mut broken, member, &got, "invalid-body");
    }
    let mut request = site.bench.ask(&operator, Method::POST, &path).json(&json!({ "reason": "because" }));
    for header in ["x-actor", "x-user", "x-forwarded-user", "x-remote-user", "from"] {
        request = request.header(header, "somebody-else");
    }
    let done = got(request).await;
    if done.status != 200 {
        broken.push(format!("the verb itself: {done:?}"));
    }
    let entries = audit(&site, &id).await;
    let skip = entries.iter().find(|entry| entry["action"] == "step.skip");
    let actor = skip.map(|entry| entry["actor"]["name"].clone());
    if actor != Some(json!("Operator")) {
        broken.push(format!("the audit log says {actor:?}"));
    }
    let said = site.show(&id).await.to_string() + &json!(entries).to_string();
    if said.contains("somebody-else") {
        broken.push("somebody else is believed to have acted".to_owned());
    }
    broken
}

pub async fn expected_state() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, id) = waiting(ManagerConfig::default()).await;
    let before = site.show(&id).await;
    for expected in [json!({ "state": "running" }), json!({ "attempt": 7 })] {
        let body = json!({ "expected": expected, "reason": "because" });
        let got = site.verb(&id, A, "skip", body).await;
        if got.status != 409 || got.body["current"]["state"] != "failed" {
            broken.push(format!("{expected}: {} {}", got.status, got.body));
        }
    }
    if site.show(&id).await != before {
        broken.push("a verb on an old view has changed the operation".to_owned());
    }
    broken
}

pub async fn request_once() -> Vec<String> {
    let mut broken = Vec::new();
    let (site, id) = waiting(ManagerConfig::default()).await;
    let again = async || {
        let url = format!("{}/v1/operations/{id}/steps/{A}:rerun", site.bench.server().url());
        let request = site.bench.http.post(url).bearer_auth(&site.bench.admin);
        got(request.header("idempotency-key", "once").json(&json!({ "reason": "because" }))).await
    };
    let (first, second) = (again().await, again().await);
    if first.status != 200 || (second.status, &second.body) != (first.status, &first.body) {
        broken.push(format!("first {first:?}, then {second:?}"));
    }
    let entries = audit(&site, &id).await;
    let reruns = entries.iter().filter(|entry| entry["action"] == "step.rerun").count();
    if reruns != 1 {
        broken.push(format!("it was carried out {reruns} times"));
    }
    broken
}

pub async fn second_person() -> Vec<String> {
    let mut broken = Vec::new();
    let settings = ManagerConfig { four_eyes: [VerbKind::Confirm].into(), ..ManagerConfig::default() };
    let (site, id) = waiting(settings).await;
    let bench: &Bench = &site.bench;
    let first = bench.token(Role::Operator, vec![Scope::All]).await;
    let path = format!("/v1/operations/{id}/steps/{A}:confirm");
    let asked = bench.post(&first, &path, &json!({ "reason": "by hand" })).await;
    let Some(approval) = asked.body["id"].as_str() else {
        return vec![format!("nobody else is asked: {asked:?}")];
    };
    let approve = format!("/v1/approvals/{approval}:approve");
    let own = bench.post(&first, &approve, &json!({})).await;
    refused(&mut broken, "who asked approves", &own, "second-person");
    if broken.is_empty() {
        let viewer = bench.token(Role::Viewer, vec![Scope::All]).await;
        let weak = bench.post(&viewer, &approve, &json!({})).await;
        if weak.status != 403 {
            broken.push(format!("a viewer approves: {weak:?}"));
        }
        if site.step(&id, A).await["state"] != "failed" {
            broken.push("it is carried out before anybody has approved it".to_owned());
        }
        let other = bench.token(Role::Operator, vec![Scope::All]).await;
        let done = bench.post(&other, &approve, &json!({})).await;
        if done.status != 200 || site.step(&id, A).await["state"] != "confirmed" {
            broken.push(format!("a second person cannot approve: {done:?}"));
        }
    }
    broken
}
