//! `/v1/schedules`: the whole life of a schedule, who may touch it, and what is refused.

use crate::harness::{Bench, wish};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_api_types::v1::*;
use tenantry_client::Call;
use tenantry_model::{EnvironmentId, Role, RunState, ScheduleTarget, Scope};

/// Once a year, so that nothing fires by itself.
fn nightly(environment: EnvironmentId) -> CreateSchedule {
    CreateSchedule {
        name: "nightly".parse().unwrap(),
        description: String::new(),
        operation: "risk.nightly".parse().unwrap(),
        parameters: serde_json::Map::new(),
        target: ScheduleTarget::Environment(environment),
        cron: "0 22 1 1 *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up: tenantry_model::CatchUp::Latest,
        overlap: tenantry_model::Overlap::Queue,
        deadline: Some("06:30".parse().unwrap()),
    }
}

#[tokio::test]
async fn a_schedule_lives_and_dies_through_the_client() {
    let bench = Bench::new().await;
    bench.basics().await;
    // An agent without hooks: upserts have nothing to do, the operation itself is refused for its empty plan.
    bench.agent("eu1", json!([])).await;
    let home = bench.environment("prod").await.environment.id;
    let client = bench.admin();
    let body = nightly(home);
    let check = Call { validate_only: true, ..Call::default() };
    let checked = client.create_schedule(&body, &check).await.unwrap();
    assert!(checked.next_time.is_some());
    assert!(client.schedules(&PageQuery::default()).await.unwrap().items.is_empty());
    let made = client.create_schedule(&body, &Call::default()).await.unwrap();
    assert_eq!(made.deadline, body.deadline);
    let name = made.name.clone();

    let change = UpdateSchedule {
        deadline: Some(None),
        cron: Some("0 23 1 1 *".to_owned()),
        ..UpdateSchedule::default()
    };
    let changed = client.update_schedule(&name, &change, &Call::if_match(made.etag.clone())).await.unwrap();
    assert_eq!((changed.deadline, changed.cron.as_str()), (None, "0 23 1 1 *"));
    let stale = client.update_schedule(&name, &change, &Call::if_match(made.etag)).await.unwrap_err();
    assert_eq!(stale.problem().unwrap().code, "revision-mismatch");

    let reason = PauseSchedule { reason: "holidays".to_owned() };
    let paused = client.pause_schedule(&name, &reason, &Call::default()).await.unwrap();
    assert_eq!((paused.paused.unwrap().reason.as_str(), paused.next_time), ("holidays", None));
    let ask = AskSchedule { reason: Some("now".to_owned()) };
    assert_eq!(client.run_schedule(&name, &ask, &check).await.unwrap().runs.len(), 1);
    assert!(client.schedule_runs(&name, &PageQuery::default()).await.unwrap().items.is_empty());
    let asked = client.run_schedule(&name, &ask, &Call::default()).await.unwrap();
    assert!(asked.runs[0].runs && asked.runs[0].environment == home);
    client.resume_schedule(&name, &AskSchedule::default(), &Call::default()).await.unwrap();

    let preview = PreviewQuery { after: None, count: Some(2) };
    let preview = client.preview_schedule(&name, &preview).await.unwrap();
    assert!(
        preview.times.len() == 2 && preview.times[0].local.ends_with("-01-01T23:00:00+01:00"),
        "{preview:?}"
    );
    assert_eq!(preview.times[0].clock, Clock::Plain);

    let range = BackfillSchedule {
        from: "2025-12-31T00:00:00Z".parse().unwrap(),
        until: "2026-01-02T00:00:00Z".parse().unwrap(),
        reason: "lost".to_owned(),
    };
    let listed = client.backfill_schedule(&name, &range, &check).await.unwrap().runs;
    assert_eq!(listed[0].scheduled_time, "2026-01-01T22:00:00Z".parse().unwrap());
    client.backfill_schedule(&name, &range, &Call::default()).await.unwrap();
    let runs = client.schedule_runs(&name, &PageQuery::default()).await.unwrap().items;
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.state != RunState::Skipped), "{runs:?}");

    let now = client.schedule(&name).await.unwrap();
    client.delete_schedule(&name, &Call::if_match(now.etag)).await.unwrap();
    assert_eq!(client.schedule(&name).await.unwrap_err().problem().unwrap().code, "not-found");
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_has_a_code_of_its_own() {
    let bench = Bench::new().await;
    bench.basics().await;
    let home = bench.environment("prod").await.environment.id;
    let good = serde_json::to_value(nightly(home)).unwrap();
    let with = |member: &str, value: Value| {
        let mut body = good.clone();
        body[member] = value;
        body
    };
    let cases = [
        (with("cron", json!("0 0 30 2 *")), 422, "cron-never-fires"),
        (with("cron", json!("* * * * * *")), 422, "cron-too-often"),
        (with("cron", json!("tonight")), 422, "cron-invalid"),
        (with("timeZone", json!("Europe/Berln")), 422, "time-zone-unknown"),
        (with("operation", json!("lifecycle.decommission")), 422, "invalid-request"),
        (with("target", json!({"selector": {"labels": "", "cap": 0}})), 422, "invalid-request"),
        (with("target", json!({"environment": "0192d9a4-0000-7000-8000-000000000001"})), 404, "not-found"),
        (with("target", json!({"everybody": {}})), 400, "invalid-body"),
        (with("target", json!({"selector": {"cap": 1, "colour": "red"}})), 400, "invalid-body"),
        (with("deadline", json!("6 o'clock")), 400, "invalid-body"),
        (with("overlap", json!("pile-up")), 400, "invalid-body"),
        (with("name", json!("Not A Name")), 400, "invalid-body"),
        (with("colour", json!("red")), 400, "invalid-body"),
    ];
    for (body, status, code) in cases {
        bench.post(&bench.admin, "/v1/schedules", &body).await.is_problem(status, code);
    }
    let problem = bench.post(&bench.admin, "/v1/schedules", &with("timeZone", json!("Europe/Berln"))).await;
    assert!(problem.is_problem(422, "time-zone-unknown").detail.contains("Europe/Berlin"));
    bench.post(&bench.admin, "/v1/schedules", &good).await;
    bench.post(&bench.admin, "/v1/schedules", &good).await.is_problem(409, "already-exists");
    let path = "/v1/schedules/nightly";
    let change = bench.ask(&bench.admin, Method::PATCH, path).json(&json!({}));
    crate::harness::got(change).await.is_problem(428, "if-match-required");
    bench.post(&bench.admin, &format!("{path}:pause"), &json!({})).await.is_problem(400, "invalid-body");
    bench.get(&bench.admin, &format!("{path}:preview?count=0")).await.is_problem(400, "invalid-query");
    let range = json!({"from": "2020-01-01T00:00:00Z", "until": "2019-01-01T00:00:00Z", "reason": "x"});
    bench.post(&bench.admin, &format!("{path}:backfill"), &range).await.is_problem(422, "invalid-request");
}

#[tokio::test]
async fn a_schedule_belongs_to_those_for_whom_it_runs() {
    let bench = Bench::new().await;
    bench.basics().await;
    bench.tenant("other").await;
    let mine = bench.environment("prod").await.environment.id;
    let admin = bench.admin();
    let foreign = admin.create_environment(&wish("other", "prod", "eu1"), &Call::default()).await.unwrap();
    let named = |name: &str, target: ScheduleTarget| CreateSchedule {
        name: name.parse().unwrap(),
        target,
        ..nightly(mine)
    };
    let selector = |tenant: Option<&str>| ScheduleTarget::Selector {
        tenant: tenant.map(|name| name.parse().unwrap()),
        region: None,
        labels: String::new(),
        cap: 10,
    };
    let theirs = ScheduleTarget::Environment(foreign.environment.id);
    admin.create_schedule(&named("theirs", theirs.clone()), &Call::default()).await.unwrap();
    admin.create_schedule(&named("everybody", selector(None)), &Call::default()).await.unwrap();

    let token = bench.token(Role::Operator, vec![Scope::Tenant("acme".parse().unwrap())]).await;
    let client = bench.client(&token);
    for target in [theirs.clone(), selector(None), selector(Some("other"))] {
        let refused = client.create_schedule(&named("mine", target), &Call::default()).await.unwrap_err();
        assert_eq!(refused.problem().unwrap().status, 403, "{refused}");
    }
    client.create_schedule(&named("mine", selector(Some("acme"))), &Call::default()).await.unwrap();
    let made = client.create_schedule(&nightly(mine), &Call::default()).await.unwrap();
    let seen = client.schedules(&PageQuery::default()).await.unwrap().items;
    let known: Vec<String> = seen.iter().map(|schedule| schedule.name.to_string()).collect();
    assert_eq!(known, ["mine", "nightly"]);
    // What is not theirs does not exist for them, and cannot become their schedule's target.
    assert_eq!(client.schedule(&"theirs".parse().unwrap()).await.unwrap_err().problem().unwrap().status, 404);
    let pause = PauseSchedule { reason: "x".to_owned() };
    let refused = client.pause_schedule(&"everybody".parse().unwrap(), &pause, &Call::default()).await;
    assert_eq!(refused.unwrap_err().problem().unwrap().status, 403);
    let change = UpdateSchedule { target: Some(theirs), ..UpdateSchedule::default() };
    let refused = client.update_schedule(&made.name, &change, &Call::if_match(made.etag)).await;
    assert_eq!(refused.unwrap_err().problem().unwrap().status, 403);

    let viewer = bench.client(&bench.token(Role::Viewer, vec![Scope::All]).await);
    assert_eq!(viewer.schedules(&PageQuery::default()).await.unwrap().items.len(), 4);
    let refused = viewer.run_schedule(&made.name, &AskSchedule::default(), &Call::default()).await;
    assert_eq!(refused.unwrap_err().problem().unwrap().status, 403);
}
