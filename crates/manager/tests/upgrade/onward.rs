//! What the scene left goes on under this version, to the end that it would have had.

use super::common::*;
use super::place::Place;
use super::scene::{BEGUN, LOGGED, NIGHT, because, go_to, hooks, somebody};
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_audit::{PublicKey, Verifier};
use tenantry_engine::StepVerb;
use tenantry_manager::{Decide, EnvironmentKey, Lifecycle, LogPiece, Manager, Steered};
use tenantry_model::*;
use tenantry_store::{ApprovalFilter, AttentionFilter, OperationFilter};

pub async fn go_on(place: &Place) {
    let world = &place.world;
    go_to(world, BEGUN);
    world.pass(SignedDuration::from_mins(10));
    let (manager, rows) = place.manager().await;
    assert_eq!(findings(&manager).await, []);
    whole_audit(&manager, 1).await;

    let (night, queued) = (only(&manager, NIGHT).await, only(&manager, "lifecycle.upsert").await);
    assert_eq!((night.state, queued.state), (OperationState::Running, OperationState::Pending));
    let hooks = hooks(place);
    for hook in &hooks {
        let (path, hash) = (hook.path.clone(), &hook.hook.as_ref().unwrap().hash);
        let row = manager.hook(&HookRef::new(region(), path)).await.unwrap();
        assert_eq!(&row.current.unwrap().hash, hash, "a template is the same version as before");
    }
    let steps_of_a_night = hooks.len() - 1;
    let mut agent = Agent::open(&manager, hooks).await;
    both_starts(world, &manager, &mut agent).await;
    running_one(world, &manager, night.id).await;
    failed_one(world, &manager, &mut agent, night.id).await;
    second_person(&manager, night.id).await;
    held_ones(world, &manager, &mut agent, night.id).await;
    ended(&manager, night.id, steps_of_a_night).await;

    assert_eq!(agent.run_all(&manager, world.now()).await, ["crm/tenant"], "the queued one has its turn");
    assert_eq!(state(&manager, queued.id).await, OperationState::Succeeded);
    undelete(world, &manager, &mut agent).await;
    let ran = next_night(world, &manager, &mut agent).await;
    assert_eq!(ran, steps_of_a_night);

    assert_eq!(findings(&manager).await, []);
    assert_eq!(manager.seal_audit(&admin()).await.unwrap(), Some(2), "with the key that signed the first");
    whole_audit(&manager, 2).await;
    rows.close().await;
}

/// The unfinished operation of this name.
async fn only(manager: &Manager, name: &str) -> Operation {
    let filter = OperationFilter { unfinished: true, ..OperationFilter::default() };
    let all = manager.operations(&admin(), filter, &Page::default()).await.unwrap().items;
    let mut of_it = all.into_iter().filter(|operation| operation.name.as_str() == name);
    let one = of_it.next().unwrap();
    assert_eq!(of_it.next(), None);
    one
}

async fn whole_audit(manager: &Manager, heads: u64) {
    let pems = manager.audit_keys().await.unwrap();
    let keys: Vec<_> = pems.iter().flat_map(|key| PublicKey::all_from_pem(&key.pem).unwrap()).collect();
    assert_eq!(keys.len(), 1);
    let mut verifier = Verifier::new(keys);
    let mut export = manager.export_audit();
    loop {
        let lines = export.next().await.unwrap();
        if lines.is_empty() {
            break;
        }
        for line in lines {
            verifier.line(line);
        }
    }
    let report = verifier.finish();
    assert!(report.is_intact() && report.heads == heads, "{report:?}");
}

async fn step(manager: &Manager, id: OperationId, path: &str) -> Step {
    let steps = manager.operation(id).await.unwrap().steps;
    steps.into_iter().find(|step| step.hook == hook_ref(path)).unwrap()
}

/// What was leased and what was not yet: each is started once, and nothing else is.
async fn both_starts(world: &World, manager: &Manager, agent: &mut Agent) {
    let ran: BTreeSet<String> = agent.run_all(manager, world.now()).await.into_iter().collect();
    assert_eq!(ran, ["night/archive", "night/copy"].map(str::to_owned).into());
}

/// Its process has survived the manager; its log and its facts go on where they were.
async fn running_one(world: &World, manager: &Manager, id: OperationId) {
    let attempts = manager.operation(id).await.unwrap().attempts;
    let mut open = attempts.into_iter().filter(|attempt| !attempt.state.is_over());
    let attempt = open.next().unwrap();
    assert_eq!((open.next(), &attempt.id.step), (None, &hook_ref("night/calculate")));
    let log = manager.read_log(&attempt.id, 0, 1000, Duration::ZERO).await.unwrap();
    assert_eq!(log.bytes.as_ref(), LOGGED);
    let offset = LOGGED.len() as u64;
    let piece = LogPiece { attempt: attempt.id.clone(), offset, data: b"done\n".to_vec(), last: true };
    assert_eq!(manager.agent_logs(&region(), vec![piece]).await.unwrap(), []);
    let log = manager.read_log(&attempt.id, 0, 1000, Duration::ZERO).await.unwrap();
    assert_eq!(log.bytes.as_ref(), [LOGGED, b"done\n"].concat());
    let fact = ended_fact(world.now(), success());
    let number = attempt.observed + 1;
    let fact = Observation { attempt: attempt.id, number, at: world.now(), fact };
    assert_eq!(manager.agent_observe(&region(), vec![fact]).await.unwrap(), []);
    assert_eq!(step(manager, id, "night/calculate").await.state, StepState::Succeeded);
}

/// The decision that waits since then is made now.
async fn failed_one(world: &World, manager: &Manager, agent: &mut Agent, id: OperationId) {
    let again = StepVerb::Rerun { with_successors: false };
    let steered =
        manager.steer_step(&admin(), id, &hook_ref("night/check"), again, because("prices came")).await;
    assert!(matches!(steered.unwrap(), Steered::Done(_)));
    assert_eq!(agent.run_all(manager, world.now()).await, ["night/check"]);
}

async fn second_person(manager: &Manager, id: OperationId) {
    let open = manager.approvals(&admin(), ApprovalFilter::default(), &Page::default()).await.unwrap().items;
    let [approval] = &open[..] else { panic!("{open:?}") };
    let approve = manager.decide_approval(&somebody("bob"), approval.id, Decide::Approve, None, false).await;
    assert_eq!(approve.unwrap().0.state, ApprovalState::Approved);
    let book = step(manager, id, "night/book").await;
    assert_eq!((book.state, book.outputs["booked"].as_str()), (StepState::Confirmed, "12"));
}

/// Neither what was held by hand nor what a predicate holds has started; both go on when they are let go. The deadline passes
/// meanwhile.
async fn held_ones(world: &World, manager: &Manager, agent: &mut Agent, id: OperationId) {
    assert!(step(manager, id, "night/publish").await.is_held());
    assert_eq!(agent.run_all(manager, world.now()).await, [""; 0]);
    let release = StepVerb::Release { hold: None };
    manager.steer_step(&admin(), id, &hook_ref("night/publish"), release, because("now")).await.unwrap();
    assert_eq!(agent.run_all(manager, world.now()).await, ["night/publish", "night/report"]);
    assert!(step(manager, id, "mail/send").await.is_held());
    go_to(world, "2026-09-21T21:31:00Z");
    manager.watch_deadlines().await.unwrap();
    let waiting = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let missed = waiting.items.iter().filter(|one| one.kind == AttentionKind::DeadlineMissed);
    assert_eq!(missed.map(|one| one.operation).collect::<Vec<_>>(), [Some(id)]);
    let holds = manager.holds(&admin(), false, &Page::default()).await.unwrap().items;
    let [hold] = &holds[..] else { panic!("{holds:?}") };
    manager.lift_hold(&admin(), hold.hold.id, Some("it has moved".to_owned()), false).await.unwrap();
    let sent = agent.starts(manager).await.remove(0);
    assert_eq!(sent.attempt.step, hook_ref("mail/send"));
    agent.ended(manager, &sent.attempt, world.now(), success()).await;
}

/// Each step has the attempts that it would have had without the upgrade.
async fn ended(manager: &Manager, id: OperationId, steps: usize) {
    let view = manager.operation(id).await.unwrap();
    assert_eq!(view.operation.state, OperationState::Succeeded);
    assert_eq!(view.steps.len(), steps);
    for step in &view.steps {
        let attempts = if step.hook == hook_ref("night/check") { 2 } else { 1 };
        assert_eq!(step.attempt, attempts, "{}", step.hook);
        assert_eq!(
            view.attempts.iter().filter(|attempt| attempt.id.step == step.hook).count(),
            attempts as usize
        );
    }
}

async fn undelete(world: &World, manager: &Manager, agent: &mut Agent) {
    let key: EnvironmentKey = "acme/old".parse().unwrap();
    let old = manager.environment(&key).await.unwrap();
    assert_eq!(old.state, EnvironmentState::Decommissioned);
    ask(manager, old.id, Lifecycle::Undelete).await;
    assert_eq!(agent.run_all(manager, world.now()).await, ["crm/tenant"]);
    let old = manager.environment(&key).await.unwrap();
    assert_eq!((old.state, old.retention), (EnvironmentState::Active, None));
}

/// How many steps the schedule's next run has run.
async fn next_night(world: &World, manager: &Manager, agent: &mut Agent) -> usize {
    go_to(world, "2026-09-22T20:00:00Z");
    manager.run_schedules().await.unwrap();
    manager.run_due().await.unwrap();
    let next = only(manager, NIGHT).await;
    assert_eq!(next.scheduled_time, Some("2026-09-22T20:00:00Z".parse().unwrap()));
    let ran = agent.run_all(manager, world.now()).await;
    assert_eq!(state(manager, next.id).await, OperationState::Succeeded);
    ran.len()
}
