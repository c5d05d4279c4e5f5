//! The end of an environment over HTTP: refusals, a look before, a repeated request, a second person, the name again.

use crate::harness::{Bench, got, wish};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_api_types::v1::*;
use tenantry_client::{Call, Purge, WaitFor, Waited};
use tenantry_manager::ManagerConfig;
use tenantry_model::{EnvironmentId, EnvironmentState, Role, Scope};
use uuid::Uuid;

/// A server whose region has no hooks, and the environment `acme/prod`, torn down.
async fn decommissioned(settings: ManagerConfig, retention: SignedDuration) -> (Bench, EnvironmentId) {
    let bench = Bench::with(settings).await;
    bench.basics().await;
    bench.agent("eu1", json!([])).await;
    let id = bench.environment("prod").await.environment.id;
    let body = DecommissionEnvironment { retention: Some(retention), ..DecommissionEnvironment::default() };
    let asked = bench.admin().decommission(id, &body, &Call::default()).await.unwrap();
    let ended = bench
        .admin()
        .wait_operation(asked.operation.unwrap().id, WaitFor::Settled, Some(crate::harness::DEADLINE), |_| ())
        .await
        .unwrap();
    assert!(matches!(ended, Waited::Done(_)), "{ended:?}");
    (bench, id)
}

fn body(name: &str) -> Value {
    json!({ "name": name, "reason": "contract ended" })
}

#[tokio::test]
async fn a_purge_is_refused_until_it_is_time_and_the_name_is_right() {
    let (bench, id) = decommissioned(ManagerConfig::default(), SignedDuration::from_hours(1)).await;
    let path = format!("/v1/environments/{id}:purge");
    let seen = bench.admin().environment(id).await.unwrap();
    let until = seen.retention.as_ref().unwrap().until;
    let early = bench.post(&bench.admin, &path, &body("prod")).await.is_problem(409, "purge-too-early");
    assert_eq!(early.current, Some(json!({ "retention": { "until": until } })));
    assert!(early.retryable);
    let other = bench.post(&bench.admin, &path, &body("test")).await.is_problem(422, "purge-other-name");
    assert_eq!(other.current, Some(json!({ "name": "prod" })));
    let nameless = bench.post(&bench.admin, &path, &json!({ "reason": "x" })).await;
    nameless.is_problem(400, "invalid-body");
    let silent = json!({ "name": "prod", "reason": "" });
    bench.post(&bench.admin, &path, &silent).await.is_problem(422, "invalid-request");
    let operator = bench.token(Role::Operator, vec![Scope::All]).await;
    bench.post(&operator, &path, &body("prod")).await.is_problem(403, "forbidden");
    let elsewhere = bench.token(Role::Admin, vec![Scope::Tenant("other".parse().unwrap())]).await;
    bench.post(&elsewhere, &path, &body("prod")).await.is_problem(403, "forbidden");
    let now = json!({ "name": "prod", "reason": "by court order", "beforeRetentionEnds": true });
    let stale = bench.ask(&bench.admin, Method::POST, &path).header("if-match", "\"1\"").json(&now);
    got(stale).await.is_problem(412, "revision-mismatch");
    let fresh = bench.ask(&bench.admin, Method::POST, &path).header("if-match", &seen.etag).json(&now);
    let done = got(fresh).await;
    assert_eq!(
        (done.status.as_u16(), &done.body["environment"]["state"]),
        (200, &json!("purged")),
        "{done:?}"
    );
    assert_eq!(done.headers["etag"].to_str().unwrap(), done.body["environment"]["etag"]);
    bench.post(&bench.admin, &path, &now).await.is_problem(409, "environment-state");
}

#[tokio::test]
async fn a_purged_name_is_free_and_its_tenant_can_go() {
    let (bench, id) = decommissioned(ManagerConfig::default(), SignedDuration::ZERO).await;
    let admin = bench.admin();
    let wanted = PurgeEnvironment {
        name: "prod".parse().unwrap(),
        reason: "contract ended".to_owned(),
        before_retention_ends: false,
    };
    let look = Call { validate_only: true, ..Call::default() };
    let Purge::Done(seen) = admin.purge(id, &wanted, &look).await.unwrap() else { panic!("looked") };
    assert_eq!(seen.environment.state, EnvironmentState::Purged);
    assert_eq!(admin.environment(id).await.unwrap().state, EnvironmentState::Decommissioned);
    let call = Call { key: Some("once".to_owned()), ..Call::default() };
    let first = admin.purge(id, &wanted, &call).await.unwrap();
    assert_eq!(admin.purge(id, &wanted, &call).await.unwrap(), first, "the kept answer");

    assert_eq!(admin.environment(id).await.unwrap().state, EnvironmentState::Purged);
    let by_name = admin.environment_by_name(&"acme".parse().unwrap(), &"prod".parse().unwrap()).await;
    assert_eq!(by_name.unwrap_err().code(), Some("not-found"));
    let list = async |query: EnvironmentsQuery| {
        let found = admin.environments(&query).await.unwrap().items;
        found.into_iter().map(|found| found.id).collect::<Vec<_>>()
    };
    assert_eq!(list(EnvironmentsQuery::default()).await, []);
    assert_eq!(list(EnvironmentsQuery { show_purged: true, ..Default::default() }).await, [id]);
    let state = Some(EnvironmentState::Purged);
    assert_eq!(list(EnvironmentsQuery { state, ..Default::default() }).await, [id]);

    let taken = CreateEnvironment { id: Some(id), ..wish("acme", "prod", "eu1") };
    let taken = admin.create_environment(&taken, &Call::default()).await.unwrap_err();
    assert_eq!(taken.code(), Some("already-exists"), "an id is never used again");
    let again = bench.environment("prod").await.environment;
    assert_ne!(again.id, id);
    let tenant = admin.tenant(&"acme".parse().unwrap()).await.unwrap();
    let in_use = admin.delete_tenant(&tenant.name, &Call::if_match(&*tenant.etag)).await.unwrap_err();
    assert_eq!(in_use.code(), Some("tenant-in-use"));
    let end = DecommissionEnvironment {
        retention: Some(SignedDuration::ZERO),
        ..DecommissionEnvironment::default()
    };
    let ending = admin.decommission(again.id, &end, &Call::default()).await.unwrap().operation.unwrap();
    let deadline = Some(crate::harness::DEADLINE);
    admin.wait_operation(ending.id, WaitFor::Settled, deadline, |_| ()).await.unwrap();
    admin.purge(again.id, &wanted, &Call::default()).await.unwrap();
    admin.delete_tenant(&tenant.name, &Call::if_match(tenant.etag)).await.unwrap();
    assert_eq!(admin.environment(id).await.unwrap().tenant, tenant.name, "the tombstone stays");
    let audit = bench.get(&bench.admin, &format!("/v1/environments/{id}/audit")).await.body;
    let actions: Vec<&Value> =
        audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert!(actions.contains(&&json!("environment.purge")), "{actions:?}");
}

#[tokio::test]
async fn a_purge_waits_for_another_credential() {
    let settings = ManagerConfig { purge_four_eyes: true, ..ManagerConfig::default() };
    let (bench, id) = decommissioned(settings, SignedDuration::ZERO).await;
    let path = format!("/v1/environments/{id}:purge");
    let key = Uuid::now_v7().to_string();
    let ask = || {
        let url = format!("{}{path}", bench.server().url());
        let request = bench.http.post(url).bearer_auth(&bench.admin).header("idempotency-key", &key);
        request.json(&body("prod"))
    };
    let asked = got(ask()).await;
    assert_eq!((asked.status.as_u16(), &asked.body["state"]), (202, &json!("pending")), "{asked:?}");
    assert_eq!((&asked.body["verb"], asked.body.get("step")), (&json!("purge"), None));
    let again = got(ask()).await;
    assert_eq!((again.status, &again.body), (asked.status, &asked.body), "the kept answer");
    let approval = asked.headers["location"].to_str().unwrap().to_owned();
    bench.post(&bench.admin, &path, &body("prod")).await.is_problem(409, "already-exists");
    let approve = format!("{approval}:approve");
    bench.post(&bench.admin, &approve, &json!({})).await.is_problem(403, "second-person");
    let operator = bench.token(Role::Operator, vec![Scope::All]).await;
    bench.post(&operator, &approve, &json!({})).await.is_problem(403, "second-person");
    let second = bench.token(Role::Admin, vec![Scope::Tenant("acme".parse().unwrap())]).await;
    let look = bench.post(&second, &format!("{approve}?validateOnly=true"), &json!({})).await;
    assert_eq!(look.body["purged"]["environment"]["state"], "purged", "{look:?}");
    assert_eq!(bench.admin().environment(id).await.unwrap().state, EnvironmentState::Decommissioned);
    let done = bench.post(&second, &approve, &json!({ "reason": "seen" })).await;
    assert_eq!(
        (done.status.as_u16(), &done.body["approval"]["state"]),
        (200, &json!("approved")),
        "{done:?}"
    );
    assert_eq!(done.body["purged"]["generations"], 1);
    assert_eq!(bench.admin().environment(id).await.unwrap().state, EnvironmentState::Purged);
    let query = format!("/v1/approvals?decided=true&environment={id}");
    assert_eq!(bench.get(&second, &query).await.body["items"][0]["state"], "approved");
}
