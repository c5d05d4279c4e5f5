//! Work that exists once: one of two managers does it, the other takes it over, and the first one, when it wakes up, is
//! refused whatever it wants to write.

use crate::beside::Beside;
use crate::common::*;
use crate::{DEADLINE, two_over};
use jiff::{SignedDuration, Timestamp};
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tenantry_api_types::bridge::{WorkflowEnd, WorkflowRef};
use tenantry_logs::Limits;
use tenantry_manager::{
    AuditConfig, ChangeOptions, Duty, ExpectedOperation, LogStore, Manager, NewEnvironment, NewHold,
    NewSchedule, OperationVerb,
};
use tenantry_model::*;
use tenantry_store_postgres::{Database, PostgresStore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name() -> ScheduleName {
    "nightly".parse().unwrap()
}

fn nightly(environment: EnvironmentId) -> NewSchedule {
    NewSchedule {
        name: name(),
        description: String::new(),
        operation: "risk.nightly".parse().unwrap(),
        parameters: Map::new(),
        target: ScheduleTarget::Environment(environment),
        cron: "0 22 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up: CatchUp::Latest,
        overlap: Overlap::Queue,
        deadline: Some("22:30".parse().unwrap()),
        validate_only: false,
    }
}

/// A manager whose clock stands still: to itself no time has passed while it was stopped.
pub async fn stopped(world: &World, url: &str, now: Timestamp) -> Manager {
    let database = Database::new(url, None).unwrap();
    let store = Arc::new(PostgresStore::open(&database, false).await.unwrap());
    let logs = LogStore::shared(&world.folder.path().join("logs"), Limits::default()).unwrap();
    Manager::with_clock(store, logs, world.config.clone(), Arc::new(move || now))
}

/// Everything that duties change, as numbers.
async fn changes(beside: &mut Beside) -> Vec<i64> {
    let mut all = Vec::new();
    for table in ["events", "audit", "audit_heads", "schedule_runs", "operations", "attentions", "workflows"]
    {
        all.push(beside.count(&format!("SELECT count(*) FROM {table}")).await);
    }
    all.push(beside.count("SELECT count(*) FROM holds WHERE open = 1").await);
    all.push(beside.count("SELECT min(position) FROM events").await);
    all
}

/// An operation in a region of Argo whose Workflow somebody has deleted, and that is to go on: it needs a further one.
async fn without_a_workflow(manager: &Manager, region: RegionName) {
    manager.declare_argo_regions().await.unwrap();
    let new = NewEnvironment { region: region.clone(), ..new_environment("argo") };
    let made = manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
    let operation = requested(made.operation.unwrap()).id;
    let workflow = WorkflowRef { region, operation, round: 1, name: format!("argo/tenantry-{operation}") };
    let hooks = [readable(hook("crm/a", &["lifecycle.upsert"], &[]))];
    let session = AgentSessionId(uuid::Uuid::now_v7());
    manager.bridge_hooks(&workflow, session, (true, true), &hooks).await.unwrap();
    manager.run_due().await.unwrap();
    manager.bridge_workflow_ended(&workflow, WorkflowEnd::Deleted, "").await.unwrap();
    let expected = ExpectedOperation::default();
    let resume = OperationVerb::Resume;
    manager.steer_operation(&admin(), operation, resume, None, expected, false).await.unwrap();
    assert_eq!(state(manager, operation).await, OperationState::Running);
}

pub async fn once_and_passed_on() {
    let mut world = World::new();
    let argo: RegionName = "argo1".parse().unwrap();
    world.config.argo_regions = BTreeSet::from([argo.clone()]);
    world.config.audit = AuditConfig {
        key_file: Some(world.folder.path().join("key.pem")),
        heads_to: Some(world.folder.path().join("heads/")),
        ..AuditConfig::default()
    };
    world.config.retention.events = Some(SignedDuration::from_hours(1));
    // Retention asks the database's clock as well, which is the real one.
    let today = Timestamp::now().strftime("%Y-%m-%dT22:00:00Z").to_string();
    let hour = SignedDuration::from_hours(1);
    let evening = at(&today) - hour * 48;
    world.pass(evening.duration_since(world.now()) - hour);
    let (_, two, url) = two_over(&world).await;
    prepare(&two).await;
    let _agent = Agent::open(&two, vec![readable(hook("night/load", &["risk.nightly"], &[]))]).await;
    let (environment, _) = create(&two, "prod").await;
    without_a_workflow(&two, argo).await;
    let every_evening = NewSchedule { time_zone: "UTC".to_owned(), ..nightly(environment.id) };
    two.create_schedule(&admin(), every_evening).await.unwrap();
    world.pass(hour);
    two.run_schedules().await.unwrap();
    let predicate = HoldPredicate { namespace: Some("crm".parse().unwrap()), ..HoldPredicate::default() };
    let until = Some(evening + hour);
    let hold =
        NewHold { predicate, until, reason: "freeze".to_owned(), max_steps: None, validate_only: false };
    two.create_hold(&admin(), hold).await.unwrap();

    // A day later there is something to do for each duty, and one manager has them all.
    world.pass(hour * 24 + SignedDuration::from_secs(30));
    let one = stopped(&world, &url, world.now()).await;
    for duty in Duty::ALL {
        assert!(one.take_role(duty.role()).await.unwrap().is_some());
        assert!(!two.attend_to(duty).await.unwrap(), "{duty:?} is another manager's");
    }
    let mut beside = Beside::new(&url).await;
    let before = changes(&mut beside).await;

    // It stops; the other one takes over; it wakes up and believes that it still has them.
    world.pass(SignedDuration::from_secs(60));
    for duty in Duty::ALL {
        assert!(two.take_role(duty.role()).await.unwrap().is_some(), "{duty:?}");
    }
    for duty in Duty::ALL {
        assert!(!one.attend_to(duty).await.unwrap(), "{duty:?} was done by one that has lost it");
        assert_eq!(changes(&mut beside).await, before, "{duty:?}");
    }
    for duty in Duty::ALL {
        assert!(two.attend_to(duty).await.unwrap(), "{duty:?}");
        assert!(!one.attend_to(duty).await.unwrap(), "{duty:?}");
    }
    let runs = two.schedule_runs(&name(), &Page::default()).await.unwrap().items;
    assert_eq!((runs.len(), runs[1].missed), (2, true), "fired once, judged");
    assert!(two.holds(&admin(), false, &Page::default()).await.unwrap().items.is_empty(), "lifted");
    assert_eq!(two.region(&region()).await.unwrap().session, None, "given up");
    let after = changes(&mut beside).await;
    assert_eq!(after[2], 1, "one head");
    assert_eq!(std::fs::read_dir(world.folder.path().join("heads")).unwrap().count(), 1, "written once");
    assert_eq!((before[6], after[6]), (1, 2), "asked for once");
    assert!(after[8] > before[8], "old events are gone");
}

/// A manager whose clock was years ahead took the role and died: nobody waits for years.
pub async fn clock_ahead() {
    let world = World::new();
    let (_, two, url) = two_over(&world).await;
    let ahead = stopped(&world, &url, at("2036-01-01T00:00:00Z")).await;
    assert!(ahead.take_role("schedules").await.unwrap().is_some());
    assert!(two.take_role("schedules").await.unwrap().is_some());
}

/// What one manager is asked for, the one that fires schedules does at once; its own look is half a minute away.
pub async fn told() {
    let world = World::new();
    let (one, two, _) = two_over(&world).await;
    prepare(&one).await;
    let _agent = Agent::open(&one, vec![readable(hook("night/load", &["risk.nightly"], &[]))]).await;
    let (environment, _) = create(&one, "prod").await;
    one.create_schedule(&admin(), nightly(environment.id)).await.unwrap();
    assert!(two.take_role("schedules").await.unwrap().is_some());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (two, shutdown) = (two.clone(), shutdown.clone());
        async move { two.run(shutdown).await }
    });
    // The first one may come before the loop sleeps for the first time.
    for count in 1..=3 {
        let begun = Instant::now();
        one.run_schedule(&admin(), &name(), None, false).await.unwrap();
        let done = async {
            loop {
                let runs = one.schedule_runs(&name(), &Page::default()).await.unwrap().items;
                if runs.len() == count && runs.iter().all(|run| run.state != RunState::Due) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, done).await.expect("the run is begun");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        world.pass(SignedDuration::from_secs(1));
    }
    shutdown.cancel();
    timeout(DEADLINE, running).await.unwrap().unwrap();
}
