//! What an installation is in the middle of when its manager is killed: written by each version for the next ones.
//!
//! A schedule with a deadline has begun a night for `acme/prod`: `load` has succeeded, `calculate` runs and writes its log,
//! `check` has failed and waits, `book` has failed and a second person is asked to confirm it, `publish` is held, the start of
//! `archive` was leased by an agent that said no more, that of `copy` by nobody, `report` is blocked, and a hold by predicate
//! waits for `send`. A reconcile is queued behind it. `acme/old` is decommissioned and retained. A head is signed.
//!
//! Beside the data folder lie the hooks' templates and the administrator's token.

use super::common::*;
use super::place::{LONG, Place, Rows};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tenantry_engine::StepVerb;
use tenantry_hook::{AnnotationDomains, RegionPolicy, parse};
use tenantry_manager::{
    Lifecycle, LogPiece, Manager, NewHold, NewSchedule, Principal, ReportedHook, Steered, StepOptions,
};
use tenantry_model::*;
use uuid::Uuid;

pub const NIGHT: &str = "risk.nightly";
/// When the night begins; the manager is killed then too.
pub const BEGUN: &str = "2026-09-21T20:00:00Z";
pub const LOGGED: &[u8] = b"calculating 4000 paths\n";

/// The hooks: name, operations, what they come after.
const HOOKS: [(&str, &str, &str); 10] = [
    ("crm/tenant", "lifecycle.upsert,lifecycle.decommission", ""),
    ("night/load", NIGHT, ""),
    ("night/calculate", NIGHT, "load"),
    ("night/check", NIGHT, "load"),
    ("night/book", NIGHT, "load"),
    ("night/publish", NIGHT, "load"),
    ("night/archive", NIGHT, "load"),
    ("night/copy", NIGHT, "load"),
    ("night/report", NIGHT, "calculate,check,book,publish"),
    ("mail/send", NIGHT, "night/report"),
];

/// Their templates, for an agent that runs hooks as processes.
fn write_templates(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (path, operations, after) in HOOKS {
        let (namespace, name) = path.split_once('/').unwrap();
        let mut annotations = json!({ "tenantry.io/tenant.lifecycle": operations });
        if !after.is_empty() {
            annotations["tenantry.io/tenant.after"] = json!(after);
        }
        let manifest = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "namespace": namespace, "name": name, "annotations": annotations },
            "spec": { "suspend": true, "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "hook", "image": "local/tools:1",
                    "command": ["sh", "-c", "echo \"$LIFECYCLE_STEP $LIFECYCLE_ATTEMPT\""]
                }]
            }}}
        });
        std::fs::write(folder.join(format!("{namespace}-{name}.yaml")), manifest.to_string()).unwrap();
    }
}

/// The hooks as an agent reads them from the place's templates.
pub fn hooks(place: &Place) -> Vec<ReportedHook> {
    let mut files: Vec<_> =
        std::fs::read_dir(place.templates()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: &Path| {
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        parse(&manifest, &AnnotationDomains::default(), &RegionPolicy::unrestricted()).unwrap()
    };
    files.iter().map(|file| readable(read(file))).collect()
}

pub fn somebody(name: &str) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Token, name: name.to_owned() },
        role: Role::Operator,
        token: Some(TokenId(Uuid::now_v7())),
        ..Principal::system()
    }
}

pub fn because(reason: &str) -> StepOptions {
    StepOptions { reason: Some(reason.to_owned()), ..StepOptions::default() }
}

pub fn go_to(world: &World, time: &str) {
    let time: Timestamp = time.parse().unwrap();
    world.pass(time.duration_since(world.now()));
}

/// Gives the manager, which is still there: what lies in its folder is what it would leave if it were killed now.
pub async fn play(place: &Place) -> Manager {
    write_templates(&place.templates());
    let (manager, rows) = place.manager().await;
    let token = manager.ensure_admin_token().await.unwrap().unwrap();
    std::fs::write(place.admin_token(), token.secret.expose_secret()).unwrap();
    quiet_day(place, &manager).await;
    end(manager, rows).await;
    let (manager, rows) = place.manager().await;
    let id = night(place, &manager).await;
    // With lives that end in good order what is not yet in the database's file is little.
    end(manager, rows).await;
    let (manager, _) = place.manager().await;
    last_minute(place, &manager, id).await;
    manager
}

async fn end(manager: Manager, rows: Rows) {
    drop(manager);
    rows.close().await;
}

async fn quiet_day(place: &Place, manager: &Manager) {
    let world = &place.world;
    prepare(manager).await;
    let mut agent = Agent::open(manager, hooks(place)).await;
    let (prod, _) = create(manager, "prod").await;
    let (old, _) = create(manager, "old").await;
    agent.run_all(manager, world.now()).await;
    ask(manager, old.id, Lifecycle::Decommission { retention: Some(LONG) }).await;
    agent.run_all(manager, world.now()).await;
    let predicate = HoldPredicate {
        hook: Some("mail/send".parse().unwrap()),
        operation: Some(NIGHT.parse().unwrap()),
        ..HoldPredicate::default()
    };
    let reason = "the mail server moves".to_owned();
    let hold = NewHold { predicate, until: None, reason, max_steps: None, validate_only: false };
    manager.create_hold(&admin(), hold).await.unwrap();
    let schedule = NewSchedule {
        name: "nightly".parse().unwrap(),
        description: String::new(),
        operation: NIGHT.parse().unwrap(),
        parameters: serde_json::Map::new(),
        target: ScheduleTarget::Environment(prod.id),
        cron: "0 22 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up: CatchUp::Latest,
        overlap: Overlap::Queue,
        deadline: Some("23:30".parse().unwrap()),
        validate_only: false,
    };
    manager.create_schedule(&admin(), schedule).await.unwrap();
    assert_eq!(manager.seal_audit(&admin()).await.unwrap(), Some(1));
}

async fn night(place: &Place, manager: &Manager) -> OperationId {
    let world = &place.world;
    go_to(world, BEGUN);
    let mut agent = Agent::open(manager, hooks(place)).await;
    manager.run_schedules().await.unwrap();
    manager.run_due().await.unwrap();
    let load = agent.starts(manager).await.remove(0);
    let id = load.attempt.operation;
    for path in ["night/publish", "night/archive", "night/copy"] {
        steer(manager, id, path, StepVerb::Hold { until: None }).await;
    }
    agent.running(manager, &load.attempt, world.now()).await;
    log(manager, &load.attempt, b"12 positions\n", true).await;
    agent.ended(manager, &load.attempt, world.now(), success_with("positions", "12")).await;
    for start in agent.starts(manager).await {
        let attempt = &start.attempt;
        agent.running(manager, attempt, world.now()).await;
        if attempt.step == hook_ref("night/calculate") {
            log(manager, attempt, LOGGED, false).await;
        } else {
            log(manager, attempt, b"three prices are missing\n", true).await;
            agent.ended(manager, attempt, world.now(), failure()).await;
        }
    }
    let by_hand = StepVerb::Confirm { outputs: [("booked".to_owned(), "12".to_owned())].into() };
    let (ann, book) = (somebody("ann"), hook_ref("night/book"));
    let asked = manager.steer_step(&ann, id, &book, by_hand, because("by hand")).await.unwrap();
    assert!(matches!(asked, Steered::Pending(_)), "{asked:?}");
    id
}

async fn steer(manager: &Manager, id: OperationId, path: &str, verb: StepVerb) {
    let done = manager.steer_step(&admin(), id, &hook_ref(path), verb, because("not yet")).await.unwrap();
    assert!(matches!(done, Steered::Done(_)), "{path}: {done:?}");
}

async fn last_minute(place: &Place, manager: &Manager, id: OperationId) {
    let agent = Agent::open(manager, hooks(place)).await;
    let environment = manager.operation(id).await.unwrap().operation.environment;
    ask(manager, environment, Lifecycle::Reconcile).await;
    steer(manager, id, "night/archive", StepVerb::Release { hold: None }).await;
    let leased = manager.agent_lease(&region(), agent.session, 100, Duration::ZERO).await.unwrap();
    assert!(leased.iter().any(|command| command.attempt.step == hook_ref("night/archive")), "{leased:?}");
    steer(manager, id, "night/copy", StepVerb::Release { hold: None }).await;
}

async fn log(manager: &Manager, attempt: &AttemptId, text: &[u8], last: bool) {
    let piece = LogPiece { attempt: attempt.clone(), offset: 0, data: text.to_vec(), last };
    assert_eq!(manager.agent_logs(&region(), vec![piece]).await.unwrap(), []);
}
