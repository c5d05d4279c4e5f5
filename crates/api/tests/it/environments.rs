//! The walking path: what clients do with tenants, environments and operations, through the client crate.

use crate::harness::{Bench, DEADLINE, hook, wish};
use serde_json::json;
use tenantry_api_types::v1::*;
use tenantry_client::{Call, StepVerb, WaitFor, Waited};
use tenantry_model::{EnvironmentState, HookRef, OperationState, StepState};

#[tokio::test]
async fn an_environment_is_made_read_changed_and_listed() {
    let bench = Bench::new().await;
    bench.basics().await;
    let admin = bench.admin();
    let made = bench.environment("prod").await;
    let operation = made.operation.unwrap();
    assert_eq!(operation.name.as_str(), "lifecycle.upsert");

    let read = admin.environment(made.environment.id).await.unwrap();
    assert_eq!(read.name.as_str(), "prod");
    assert_eq!(read.status.as_ref().unwrap().unfinished, vec![operation.id]);
    let by_name =
        admin.environment_by_name(&"acme".parse().unwrap(), &"prod".parse().unwrap()).await.unwrap();
    assert_eq!(by_name.id, read.id);

    let mut spec = read.spec.clone();
    spec.settings.insert("tier".to_owned(), json!("gold"));
    let change = UpdateEnvironment { spec: Some(spec), ..UpdateEnvironment::default() };
    let changed = admin.update_environment(read.id, &change, &Call::if_match(&*read.etag)).await.unwrap();
    assert_eq!(changed.environment.generation, 2);
    assert_ne!(changed.environment.etag, read.etag);

    let listed = admin.environments(&EnvironmentsQuery::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert!(listed.items[0].status.is_none());
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let bench = Bench::new().await;
    bench.basics().await;
    let check = Call { validate_only: true, ..Call::default() };
    let seen = bench.admin().create_environment(&wish("acme", "prod", "eu1"), &check).await.unwrap();
    assert!(seen.operation.is_none());
    assert_eq!(bench.admin().environments(&EnvironmentsQuery::default()).await.unwrap().items, vec![]);
}

#[tokio::test]
async fn a_step_runs_over_the_agent_protocol_and_its_log_is_read_back() {
    let bench = Bench::new().await;
    bench.basics().await;
    let (credential, session) = bench.agent("eu1", json!([hook("crm/tenant")])).await;
    let made = bench.environment("prod").await;
    let operation = made.operation.unwrap().id;

    let lease = json!({ "session": session, "limit": 10, "waitSeconds": 20 });
    let leased = bench.post(&credential, "/agent/v1/commands:lease", &lease).await;
    let command = &leased.body["commands"][0];
    assert_eq!(command["order"]["order"], "start", "{leased:?}");
    let attempt = &command["attempt"];
    let done = json!({ "session": session, "commands": [command["id"]] });
    assert_eq!(bench.post(&credential, "/agent/v1/commands:finish", &done).await.status, 200);

    let log = json!({ "session": session, "chunks": [{ "attempt": attempt, "offset": 0, "data": "aGVsbG8K", "last": true }] });
    let logged = bench.post(&credential, "/agent/v1/logs", &log).await;
    assert_eq!(logged.body["unknown"], json!([]), "{logged:?}");
    let ended = json!({ "session": session, "observations": [{
        "attempt": attempt, "number": 1, "at": "2026-11-21T10:00:00Z",
        "fact": { "fact": "ended", "startedAt": "2026-11-21T09:59:00Z", "endedAt": "2026-11-21T10:00:00Z", "images": {},
                  "outcome": { "reason": "hook-failed", "exitCode": 3, "message": "", "outputs": {} } }
    }] });
    let observed = bench.post(&credential, "/agent/v1/observations", &ended).await;
    assert_eq!(observed.body["unknown"], json!([]), "{observed:?}");

    // It failed and waits: the wait says so.
    let admin = bench.admin();
    let waited =
        admin.wait_operation(operation, WaitFor::DoneOrDecision, Some(DEADLINE), |_| ()).await.unwrap();
    let Waited::NeedsDecision(seen) = waited else { panic!("{waited:?}") };
    let step = &seen.steps.as_ref().unwrap()[0];
    assert!(step.waiting);
    assert_eq!(step.attempts[0].outcome.as_ref().unwrap().exit_code, Some(3));
    let hook: HookRef = "eu1/crm/tenant".parse().unwrap();
    let id = tenantry_model::AttemptId { operation, step: hook.clone(), number: 1 };
    let range = admin.log(&id, &LogQuery { offset: 2, limit: Some(3) }).await.unwrap();
    assert_eq!((&range.bytes[..], range.next_offset), (&b"llo"[..], 5));
    assert_eq!(admin.attention(&AttentionQuery::default()).await.unwrap().items.len(), 1);

    // A stale expectation is refused with what is there; the right one goes through.
    let seen = ExpectedStep { state: Some(StepState::Running), attempt: Some(1) };
    let by_hand = || Some("by hand".to_owned());
    let stale = StepVerb::Skip(SteerStep::default()).with(by_hand(), Some(seen));
    let refused = admin.steer(operation, &hook, &stale, &Call::default()).await.unwrap_err();
    assert_eq!(refused.code(), Some("moved-on"));
    let current = refused.problem().unwrap().current.clone().unwrap();
    assert_eq!(current, json!({ "state": "failed", "attempt": 1 }));
    let confirm = StepVerb::Confirm(ConfirmStep::default()).with(by_hand(), None);
    assert!(admin.steer(operation, &hook, &confirm, &Call::default()).await.unwrap().done().is_some());
    let waited = admin.wait_operation(operation, WaitFor::Settled, Some(DEADLINE), |_| ()).await.unwrap();
    let Waited::Done(ended) = waited else { panic!("{waited:?}") };
    assert_eq!(ended.state, OperationState::Succeeded);
    let environment = admin.environment(made.environment.id).await.unwrap();
    assert_eq!(environment.state, EnvironmentState::Active);
}
