//! Every verb stands in the audit log: who, why, under which request, what was before and what is after. One table over
//! all of them.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tenantry_engine::VerbKind;
use tenantry_manager::{
    Decide, ExpectedOperation, Lifecycle, NewHold, OperationVerb, PurgeWish, ReplayWish, RequestKey,
};
use tenantry_store::AuditEntry;

const REASON: &str = "ticket 4711";

/// Whoever asks, each time under another key.
fn under(key: &str) -> Principal {
    Principal {
        request: Some(RequestKey { key: key.to_owned(), hash: "h".to_owned() }),
        ..somebody("ann", Role::Admin)
    }
}

/// The one entry of a request in a chain, which must say who and why.
async fn entry(manager: &Manager, chain: Option<EnvironmentId>, key: &str, action: &str) -> AuditEntry {
    let log = manager.audit(chain, 0, 1000).await.unwrap();
    let of_it = log.iter().filter(|entry| entry.request.as_deref() == Some(key) && entry.action == action);
    let found: Vec<&AuditEntry> = of_it.collect();
    assert_eq!(found.len(), 1, "{action} under {key}: {log:?}");
    assert_eq!((found[0].actor.name.as_str(), found[0].reason.as_deref()), ("ann", Some(REASON)), "{action}");
    assert_ne!(found[0].before, found[0].after, "{action}");
    found[0].clone()
}

fn verb(kind: VerbKind) -> StepVerb {
    match kind {
        VerbKind::Hold => StepVerb::Hold { until: None },
        VerbKind::Stop => StepVerb::Stop { until: None },
        VerbKind::Release => StepVerb::Release { hold: None },
        VerbKind::Rerun => StepVerb::Rerun { with_successors: false },
        VerbKind::RerunWithSuccessors => StepVerb::Rerun { with_successors: true },
        VerbKind::Kill => StepVerb::Kill,
        VerbKind::Skip => StepVerb::Skip,
        VerbKind::Confirm => StepVerb::Confirm { outputs: [].into() },
        VerbKind::IgnoreDependency => StepVerb::IgnoreDependency { on: None },
        VerbKind::DeclareLost => StepVerb::DeclareLost,
    }
}

/// What `crm/a` does before the verb, on which step that is, and what of the step's state the entry says before and after.
fn table(kind: VerbKind) -> (&'static str, &'static str, Value, Value) {
    match kind {
        VerbKind::Hold => ("runs", "crm/b", json!({"held": false}), json!({"held": true})),
        VerbKind::Stop => {
            ("runs", "crm/a", json!({"held": false, "ending": false}), json!({"held": true, "ending": true}))
        }
        VerbKind::Release => ("held", "crm/b", json!({"held": true}), json!({"held": false})),
        VerbKind::Rerun | VerbKind::RerunWithSuccessors => (
            "failed",
            "crm/a",
            json!({"state": "failed", "attempt": 1, "waiting": true}),
            json!({"state": "running", "attempt": 2, "waiting": false}),
        ),
        VerbKind::Kill => {
            ("runs", "crm/a", json!({"state": "running", "ending": false}), json!({"ending": true}))
        }
        VerbKind::Skip => ("failed", "crm/a", json!({"state": "failed"}), json!({"state": "skipped"})),
        VerbKind::Confirm => ("failed", "crm/a", json!({"state": "failed"}), json!({"state": "confirmed"})),
        VerbKind::IgnoreDependency => (
            "runs",
            "crm/b",
            json!({"state": "blocked", "ignored": []}),
            json!({"state": "running", "ignored": ["eu1/crm/a"]}),
        ),
        VerbKind::DeclareLost => {
            ("unknown", "crm/a", json!({"state": "running"}), json!({"state": "failed", "waiting": true}))
        }
    }
}

fn has(entry: &Value, wanted: &Value) -> bool {
    wanted.as_object().unwrap().iter().all(|(key, value)| entry[key] == *value)
}

/// An operation whose step `crm/a` does what the table says.
async fn ready(world: &World, manager: &Manager, agent: &mut Agent, name: &str, does: &str) -> OperationId {
    let (_, id) = create(manager, name).await;
    let starts = agent.starts(manager).await;
    let of_it = |attempt: &AttemptId| attempt.operation == id && attempt.step == hook_ref("crm/a");
    let a = &starts.iter().find(|start| of_it(&start.attempt)).unwrap().attempt;
    agent.running(manager, a, world.now()).await;
    match does {
        "failed" => agent.ended(manager, a, world.now(), failure()).await,
        "held" => {
            steer(manager, &admin(), id, "crm/b", StepVerb::Hold { until: None }).await.unwrap();
        }
        "unknown" => {
            let unknown = Fact::Unknown { why: "the node is silent".to_owned() };
            let seen = agent.observation(a, world.now(), unknown);
            manager.agent_observe(&agent.region, vec![seen]).await.unwrap();
        }
        _ => {}
    }
    id
}

#[tokio::test]
async fn every_verb_on_a_step_is_in_the_audit_log() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, hooks()).await;
    for kind in VerbKind::ALL {
        let (does, on, before, after) = table(kind);
        let id = ready(&world, &manager, &mut agent, kind.name(), does).await;
        let options = StepOptions { reason: Some(REASON.to_owned()), ..StepOptions::default() };
        let who = under(kind.name());
        manager.steer_step(&who, id, &hook_ref(on), verb(kind), options).await.unwrap();
        let environment = manager.operation(id).await.unwrap().operation.environment;
        let action = format!("step.{}", kind.name());
        let entry = entry(&manager, Some(environment), kind.name(), &action).await;
        assert_eq!(entry.target, format!("operations/{id}/steps/{}", hook_ref(on).slug()));
        assert!(has(&entry.before, &before), "{action}: {}", entry.before);
        assert!(has(&entry.after, &after), "{action}: {}", entry.after);
        assert!(manager.verify_audit(Some(environment)).await.unwrap().is_ok());
    }
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn every_verb_on_an_operation_is_in_the_audit_log() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, hooks()).await;
    let id = ready(&world, &manager, &mut agent, "prod", "runs").await;
    let environment = manager.operation(id).await.unwrap().operation.environment;
    let chain = Some(environment);
    let table = [
        (OperationVerb::Pause, "operation.pause", "running", "paused"),
        (OperationVerb::Resume, "operation.resume", "paused", "running"),
        (OperationVerb::Cancel, "operation.cancel", "running", "cancelling"),
    ];
    for (verb, action, before, after) in table {
        let (who, expected) = (under(action), ExpectedOperation::default());
        manager.steer_operation(&who, id, verb, Some(REASON.to_owned()), expected, false).await.unwrap();
        let entry = entry(&manager, chain, action, action).await;
        assert_eq!(entry.target, format!("operations/{id}"));
        assert_eq!((&entry.before["state"], &entry.after["state"]), (&json!(before), &json!(after)));
    }
    for start in manager.operation(id).await.unwrap().attempts {
        agent.ended(&manager, &start.id, world.now(), success()).await;
    }
    let wish = ReplayWish { reason: Some(REASON.to_owned()), ..ReplayWish::default() };
    let made = requested(manager.replay_operation(&under("replay"), id, wish).await.unwrap());
    let entry = entry(&manager, chain, "replay", "operation.request").await;
    assert_eq!(entry.target, format!("operations/{}", made.id));
    assert_eq!((&entry.before, &entry.after["replay"]["of"]), (&Value::Null, &json!(id)));
    assert_eq!(findings(&manager).await, []);
}

/// Beside steps and operations: a hold by predicate and its end, a second person, a purge.
#[tokio::test]
async fn every_other_verb_of_an_operator_is_in_the_audit_log() {
    let mut world = World::new();
    world.config.four_eyes = BTreeSet::from([VerbKind::Skip]);
    let manager = world.manager().await;
    prepare(&manager).await;
    let names = ["lifecycle.upsert", "lifecycle.decommission"];
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/a", &names, &[]))]).await;
    let why = || Some(REASON.to_owned());

    let predicate = HoldPredicate { namespace: Some("ops".parse().unwrap()), ..HoldPredicate::default() };
    let new =
        NewHold { predicate, until: None, reason: REASON.to_owned(), max_steps: None, validate_only: false };
    let hold = manager.create_hold(&under("hold"), new).await.unwrap().row.hold.id;
    let set = entry(&manager, None, "hold", "hold.create").await;
    assert_eq!((set.target, set.before), (format!("holds/{hold}"), Value::Null));
    manager.lift_hold(&under("lift"), hold, why(), false).await.unwrap();
    let lifted = entry(&manager, None, "lift", "hold.lift").await;
    assert_eq!(lifted.target, format!("holds/{hold}"));
    assert!(lifted.before["lifted"].is_null() && !lifted.after["lifted"].is_null(), "{lifted:?}");

    let id = ready(&world, &manager, &mut agent, "prod", "failed").await;
    let environment = manager.operation(id).await.unwrap().operation.environment;
    let chain = Some(environment);
    for (ask, decide, decided) in
        [("ask", Decide::Reject, "approval.reject"), ("ask again", Decide::Approve, "approval.approve")]
    {
        let options = StepOptions { reason: why(), ..StepOptions::default() };
        let asked = manager.steer_step(&under(ask), id, &hook_ref("crm/a"), StepVerb::Skip, options).await;
        let Steered::Pending(approval) = asked.unwrap() else { panic!("{ask}: carried out") };
        let target = format!("approvals/{}", approval.id);
        let request = entry(&manager, chain, ask, "approval.request").await;
        assert_eq!((&request.target, &request.after["state"]), (&target, &json!("pending")));
        manager.decide_approval(&under(decided), approval.id, decide, why(), false).await.unwrap();
        let entry = entry(&manager, chain, decided, decided).await;
        assert_eq!((&entry.target, &entry.before["state"]), (&target, &json!("pending")));
        assert_ne!(entry.after["state"], json!("pending"));
    }

    ask(&manager, environment, Lifecycle::Decommission { retention: None }).await;
    agent.run_all(&manager, world.now()).await;
    let wish = PurgeWish {
        name: "prod".parse().unwrap(),
        before_retention_ends: true,
        reason: REASON.to_owned(),
        expected_revision: None,
        validate_only: false,
    };
    manager.purge_environment(&under("purge"), environment, wish).await.unwrap();
    let purge = entry(&manager, chain, "purge", "environment.purge").await;
    assert_eq!(purge.before["state"], "decommissioned");
    assert_eq!(purge.after["environment"]["state"], "purged");
    for chain in [None, chain] {
        assert!(manager.verify_audit(chain).await.unwrap().is_ok());
    }
    assert_eq!(findings(&manager).await, []);
}
