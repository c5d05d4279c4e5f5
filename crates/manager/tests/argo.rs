//! A region of Argo: Workflows are asked for by events, discovery tells the hooks, bridges lease their steps.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::pager::Pager;
use common::*;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenantry_api_types::bridge::{OrderAnswer, StepRef, WorkflowEnd, WorkflowRef};
use tenantry_engine::StepVerb;
use tenantry_events::HttpSink;
use tenantry_manager::{
    ArgoSinks, ExpectedOperation, Lifecycle, LogPiece, Manager, OperationVerb, ReplayWish, ReportedHook,
    StepLease, StepOptions, StepPoll,
};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, CommandKind};
use uuid::Uuid;

const LOST: StepPoll = StepPoll { first: false, unanswered: true };
const UPSERT: [&str; 1] = ["lifecycle.upsert"];

async fn begin() -> (World, Manager) {
    let mut world = World::new();
    world.config.argo_regions = BTreeSet::from([region()]);
    world.config.argo_pages = BTreeMap::from([(region(), "https://argo.example".to_owned())]);
    let manager = world.manager().await;
    manager.declare_argo_regions().await.unwrap();
    manager.create_tenant(&admin(), "acme".parse().unwrap(), "Acme".to_owned()).await.unwrap();
    (world, manager)
}

fn workflow(operation: OperationId, round: u32) -> WorkflowRef {
    WorkflowRef { region: region(), operation, round, name: format!("tenantry-argo/tenantry-{operation}") }
}

/// A bridge, driven by hand.
struct Bridge {
    step: StepRef,
    answered: AtomicBool,
    numbers: BTreeMap<AttemptId, u64>,
}

impl Bridge {
    fn new(operation: OperationId, round: u32, hook: &str) -> Self {
        let session = AgentSessionId(Uuid::now_v7());
        let step = StepRef { workflow: workflow(operation, round), hook: hook.parse().unwrap(), session };
        Self { step, answered: AtomicBool::new(false), numbers: BTreeMap::new() }
    }

    async fn poll(&self, manager: &Manager) -> StepLease {
        let first = !self.answered.swap(true, Ordering::Relaxed);
        let poll = StepPoll { first, unanswered: false };
        manager.bridge_lease(&self.step, Duration::ZERO, poll).await.unwrap()
    }

    /// Leases what is there and finishes it; the attempts that were to be started.
    async fn starts(&self, manager: &Manager) -> Vec<AttemptId> {
        let lease = self.poll(manager).await;
        let ids: Vec<CommandId> = lease.commands.iter().map(|command| command.id).collect();
        manager.bridge_finish(&self.step, &ids).await.unwrap();
        let starts = lease.commands.into_iter().filter(|command| command.kind == CommandKind::Start);
        starts.map(|command| command.attempt).collect()
    }

    async fn observe(&mut self, manager: &Manager, world: &World, attempt: &AttemptId, fact: Fact) {
        let number = self.numbers.entry(attempt.clone()).or_default();
        *number += 1;
        let observation = Observation { attempt: attempt.clone(), number: *number, at: world.now(), fact };
        assert_eq!(manager.bridge_observe(&self.step, vec![observation]).await.unwrap(), vec![]);
    }

    /// Runs its step once, with this outcome, up to its release.
    async fn run(&mut self, manager: &Manager, world: &World, outcome: Outcome) {
        let [attempt] = &self.starts(manager).await[..] else { panic!("not one start") };
        self.observe(manager, world, attempt, ended_fact(world.now(), outcome)).await;
        assert_eq!(self.starts(manager).await, vec![], "the release");
    }
}

async fn discover(
    manager: &Manager,
    operation: OperationId,
    round: u32,
    hooks: Vec<ReportedHook>,
) -> OrderAnswer {
    let (from, session) = (workflow(operation, round), AgentSessionId(Uuid::now_v7()));
    manager.bridge_hooks(&from, session, (true, true), &hooks).await.unwrap();
    manager.run_due().await.unwrap();
    manager.bridge_order(&from, Duration::ZERO).await.unwrap()
}

fn ordered(answer: &OrderAnswer) -> Vec<(String, Vec<String>)> {
    let OrderAnswer::Ready { steps } = answer else { panic!("{answer:?}") };
    let after = |after: &BTreeSet<HookPath>| after.iter().map(ToString::to_string).collect();
    steps.iter().map(|step| (step.hook.to_string(), after(&step.after))).collect()
}

async fn waiting(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

async fn steer(manager: &Manager, id: OperationId, step: &str, verb: StepVerb) {
    let options = StepOptions { reason: Some("test".to_owned()), ..StepOptions::default() };
    manager.steer_step(&admin(), id, &hook_ref(step), verb, options).await.unwrap();
}

async fn resume(manager: &Manager, id: OperationId) {
    let expected = ExpectedOperation::default();
    manager.steer_operation(&admin(), id, OperationVerb::Resume, None, expected, false).await.unwrap();
}

fn two_hooks() -> Vec<ReportedHook> {
    vec![readable(hook("crm/a", &UPSERT, &[])), readable(hook("crm/b", &UPSERT, &["crm/a"]))]
}

#[tokio::test]
async fn a_workflow_is_asked_for_until_its_discovery_speaks_and_then_the_operation_is_planned() {
    let (world, manager) = begin().await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    let sinks: ArgoSinks = BTreeMap::from([(region(), Arc::new(sink) as _)]);
    let mut upsert = manager.definition(&UPSERT[0].parse().unwrap()).await.unwrap();
    upsert.priority = Some(1_000_001);
    let refused = manager.put_definition(&admin(), upsert.clone()).await.unwrap_err();
    assert_eq!(refused.fields()[0].pointer, "/priority");
    upsert.priority = Some(-7);
    manager.put_definition(&admin(), upsert).await.unwrap();
    let (environment, id) = create(&manager, "prod").await;
    let view = manager.operation(id).await.unwrap().operation;
    assert_eq!(view.state, OperationState::Planning);
    assert_eq!(manager.operation(id).await.unwrap().workflows[0].url, None, "nobody knows its name yet");
    assert!(view.note.unwrap().contains("region eu1: its Workflow has not told the hooks yet"));
    let from = workflow(id, 1);
    let answer = manager.bridge_order(&from, Duration::ZERO).await.unwrap();
    assert!(matches!(answer, OrderAnswer::Waiting { .. }), "{answer:?}");

    // Not taken three times: a person is told, and it goes on.
    pager.answer(503, 3);
    for expected in [vec![], vec![], vec![AttentionKind::WorkflowMissing]] {
        manager.deliver_due(&sinks).await.unwrap();
        assert_eq!(waiting(&manager).await, expected);
        manager.deliver_due(&sinks).await.unwrap();
        world.pass(SignedDuration::from_mins(1));
    }
    manager.deliver_due(&sinks).await.unwrap();
    world.pass(SignedDuration::from_mins(1));
    manager.deliver_due(&sinks).await.unwrap();
    let count = || pager.got.lock().unwrap().len();
    assert_eq!(count(), 1, "what was taken has time");
    world.pass(SignedDuration::from_mins(5));
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(count(), 2, "nobody has spoken: again");
    {
        let got = pager.got.lock().unwrap();
        let (_, event) = &got[0];
        assert_eq!(event, &got[1].1, "the same event");
        assert_eq!(event.kind, "io.tenantry.operation.requested.v1");
        assert!(event.source.starts_with("urn:uuid:"), "{} names no installation", event.source);
        assert_eq!(event.subject.as_deref(), Some("acme/prod"));
        assert_eq!(event.data["operationId"], id.to_string());
        assert_eq!((&event.data["round"], &event.data["region"]), (&1.into(), &"eu1".into()));
        assert_eq!(event.data["priority"], -7);
        assert_eq!(event.data["environment"]["metadata"]["id"], environment.id.to_string());
        assert!(!event.data.to_string().contains("size"), "settings do not travel");
    }

    let order = discover(&manager, id, 1, two_hooks()).await;
    assert_eq!(
        ordered(&order),
        [("crm/a".to_owned(), vec![]), ("crm/b".to_owned(), vec!["crm/a".to_owned()])]
    );
    assert_eq!(waiting(&manager).await, []);
    let shown = manager.operation(id).await.unwrap().workflows;
    let [shown] = &shown[..] else { panic!("{shown:?}") };
    let page = format!("https://argo.example/workflows/tenantry-argo/tenantry-{id}");
    assert_eq!((shown.round, shown.url.as_deref()), (1, Some(page.as_str())));
    world.pass(SignedDuration::from_hours(1));
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(count(), 2, "it has spoken");
}

#[tokio::test]
async fn bridges_run_their_steps_and_leave_when_these_are_settled() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    let (mut a, mut b) = (Bridge::new(id, 1, "crm/a"), Bridge::new(id, 1, "crm/b"));
    let idle = b.poll(&manager).await;
    assert!(
        idle.commands.is_empty() && idle.end.is_none() && idle.note.contains("waits for other steps"),
        "{idle:?}"
    );

    let [attempt] = &a.starts(&manager).await[..] else { panic!("not one start") };
    let piece = |attempt: &AttemptId| LogPiece {
        attempt: attempt.clone(),
        offset: 0,
        data: b"hello".to_vec(),
        last: false,
    };
    assert_eq!(manager.bridge_logs(&a.step, vec![piece(attempt)]).await.unwrap(), vec![]);
    assert_eq!(
        manager.bridge_logs(&b.step, vec![piece(attempt)]).await.unwrap(),
        vec![attempt.clone()],
        "another step's"
    );
    let lie = Observation {
        attempt: attempt.clone(),
        number: 9,
        at: world.now(),
        fact: ended_fact(world.now(), success()),
    };
    assert_eq!(manager.bridge_observe(&b.step, vec![lie]).await.unwrap(), vec![attempt.clone()]);
    assert_eq!(state(&manager, id).await, OperationState::Running);

    // A failure waits for a person, and so does the bridge.
    a.observe(&manager, &world, attempt, ended_fact(world.now(), failure())).await;
    assert_eq!(a.starts(&manager).await, vec![], "the release");
    let waits = a.poll(&manager).await;
    assert!(waits.end.is_none() && waits.note.contains("person's decision"), "{waits:?}");
    steer(&manager, id, "crm/a", StepVerb::Rerun { with_successors: false }).await;
    a.run(&manager, &world, success()).await;
    let end = a.poll(&manager).await.end.unwrap();
    assert_eq!((end.done, end.state.as_str(), end.outcome.unwrap().exit_code), (true, "succeeded", Some(0)));
    b.run(&manager, &world, success()).await;
    assert!(b.poll(&manager).await.end.unwrap().done);
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
    let over = manager.bridge_order(&workflow(id, 1), Duration::ZERO).await.unwrap();
    assert!(matches!(over, OrderAnswer::Over { succeeded: true, .. }), "{over:?}");
    assert_eq!(findings(&manager).await, vec![]);
}

#[tokio::test]
async fn what_runs_again_although_its_bridge_has_left_gets_a_further_workflow() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    steer(&manager, id, "crm/b", StepVerb::Hold { until: None }).await;
    let mut a = Bridge::new(id, 1, "crm/a");
    a.run(&manager, &world, success()).await;
    // The second one's bridge has not come yet, and will.
    manager.check_workflows().await.unwrap();
    assert!(a.poll(&manager).await.end.is_some());
    let rounds = |store: Arc<tenantry_store_sqlite::SqliteStore>| async move {
        use tenantry_store::Store;
        let rows = store.read().await.unwrap().workflows(id).await.unwrap();
        rows.into_iter().map(|row| row.round).collect::<Vec<_>>()
    };
    steer(&manager, id, "crm/a", StepVerb::Rerun { with_successors: false }).await;
    manager.check_workflows().await.unwrap();
    manager.check_workflows().await.unwrap();
    let order = discover(&manager, id, 2, two_hooks()).await;
    assert_eq!(
        ordered(&order),
        [("crm/a".to_owned(), vec![]), ("crm/b".to_owned(), vec!["crm/a".to_owned()])]
    );
    let mut again = Bridge::new(id, 2, "crm/a");
    again.run(&manager, &world, success()).await;
    assert!(again.poll(&manager).await.end.unwrap().done);
    // The first Workflow's bridge of the other step comes late, and the second one's is there.
    let mut b = Bridge::new(id, 2, "crm/b");
    assert!(b.poll(&manager).await.note.contains("is held"));
    let late = Bridge::new(id, 1, "crm/b").poll(&manager).await.end.unwrap();
    assert_eq!((late.done, late.state.as_str()), (true, "superseded"));
    steer(&manager, id, "crm/b", StepVerb::Release { hold: None }).await;
    b.run(&manager, &world, success()).await;
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
    manager.check_workflows().await.unwrap();
    drop(manager);
    assert_eq!(rounds(world.store().await).await, [1, 2]);
}

#[tokio::test]
async fn a_workflow_that_somebody_ends_pauses_and_after_the_resume_its_attempt_is_found() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    let mut a = Bridge::new(id, 1, "crm/a");
    let [attempt] = &a.starts(&manager).await[..] else { panic!("not one start") };
    let running = Fact::Running {
        object: "pod".to_owned(),
        started_at: world.now(),
        node: None,
        images: BTreeMap::new(),
    };
    a.observe(&manager, &world, attempt, running).await;
    for _ in 0..2 {
        manager.bridge_workflow_ended(&workflow(id, 1), WorkflowEnd::Deleted, "").await.unwrap();
    }
    assert_eq!(state(&manager, id).await, OperationState::Paused);
    assert_eq!(waiting(&manager).await, [AttentionKind::WorkflowEnded]);
    manager.check_workflows().await.unwrap();
    let none = manager.bridge_order(&workflow(id, 2), Duration::ZERO).await.unwrap_err();
    assert!(none.to_string().contains("round 2 does not exist"), "{none}");

    resume(&manager, id).await;
    manager.check_workflows().await.unwrap();
    discover(&manager, id, 2, two_hooks()).await;
    assert_eq!(waiting(&manager).await, []);
    let mut again = Bridge::new(id, 2, "crm/a");
    let first = again.poll(&manager).await;
    let [open] = &first.open[..] else { panic!("{first:?}") };
    assert_eq!((&open.attempt, open.observed, open.unknown), (attempt, 1, false));
    again.numbers.insert(attempt.clone(), open.observed);
    again.observe(&manager, &world, attempt, ended_fact(world.now(), success())).await;
    assert_eq!(again.starts(&manager).await, vec![]);
    assert!(again.poll(&manager).await.end.unwrap().done);
    Bridge::new(id, 2, "crm/b").run(&manager, &world, success()).await;
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
}

#[tokio::test]
async fn what_one_bridge_had_leased_its_successor_gets() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    let first = Bridge::new(id, 1, "crm/a");
    assert_eq!(first.poll(&manager).await.commands.len(), 1);
    assert_eq!(first.poll(&manager).await.commands.len(), 0, "it has it");
    let lost = manager.bridge_lease(&first.step, Duration::ZERO, LOST).await.unwrap();
    assert_eq!((lost.commands.len(), lost.open.len()), (1, 1), "its answer was lost");
    let second = Bridge::new(id, 1, "crm/a");
    let taken = second.poll(&manager).await;
    assert_eq!((taken.commands.len(), taken.open.len()), (1, 1));
    // The first one lives after all: it has lost the step, and what it says of commands counts no more.
    let late = first.poll(&manager).await.end.unwrap();
    assert_eq!((late.done, late.state.as_str()), (true, "superseded"));
    manager.bridge_finish(&first.step, &[taken.commands[0].id]).await.unwrap();
    assert_eq!(second.poll(&manager).await.end, None);
    // Only the step's own commands are done by it.
    let other = Bridge::new(id, 1, "crm/b");
    manager.bridge_finish(&other.step, &[taken.commands[0].id]).await.unwrap();
    world.pass(SignedDuration::from_hours(1));
    assert_eq!(second.poll(&manager).await.commands.len(), 1, "it is not done");
}

#[tokio::test]
async fn hooks_that_a_discovery_does_not_name_are_absent_and_nothing_else_is_believed() {
    let (_world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    let mut hooks = two_hooks();
    hooks.push(readable(hook("crm/backup", &["lifecycle.backup"], &[])));
    let from = workflow(id, 1);
    let (session, other) = (AgentSessionId(Uuid::now_v7()), AgentSessionId(Uuid::now_v7()));
    manager.bridge_hooks(&from, session, (true, false), &hooks[..2]).await.unwrap();
    let refused = manager.bridge_hooks(&from, other, (false, true), &hooks[2..]).await.unwrap_err();
    assert_eq!(refused.code(), "inventory-restart");
    // Late, and after it the last one twice: its first answer was lost.
    manager.bridge_hooks(&from, session, (true, false), &hooks[..2]).await.unwrap();
    for _ in 0..2 {
        manager.bridge_hooks(&from, session, (false, true), &hooks[2..]).await.unwrap();
    }
    assert_eq!(manager.hook(&hook_ref("crm/a")).await.unwrap().absent_since, None);
    // The next discovery names one of them: what is for other operations stays as it was.
    discover(&manager, id, 1, two_hooks().into_iter().take(1).collect()).await;
    let absent = |path: &'static str| {
        let manager = manager.clone();
        async move { manager.hook(&hook_ref(path)).await.unwrap().absent_since.is_some() }
    };
    assert_eq!(
        (absent("crm/a").await, absent("crm/b").await, absent("crm/backup").await),
        (false, true, false)
    );

    let unknown = manager.bridge_hooks(&workflow(id, 7), session, (true, true), &[]).await.unwrap_err();
    assert_eq!(unknown.code(), "not-found");
    let nobody = Bridge::new(id, 1, "crm/nobody");
    assert_eq!(
        manager.bridge_lease(&nobody.step, Duration::ZERO, StepPoll::default()).await.unwrap_err().code(),
        "not-found"
    );
    let agent = manager.agent_session(&region(), session, Executor::Process, "1").await.unwrap_err();
    assert_eq!(agent.code(), "region-of-argo");
    manager.check_regions().await.unwrap();
    assert!(!waiting(&manager).await.contains(&AttentionKind::RegionSilent));
}

/// As time goes by, with the looks that a manager makes.
async fn wait(world: &World, manager: &Manager, minutes: i64) {
    for _ in 0..minutes {
        world.pass(SignedDuration::from_mins(1));
        manager.check_workflows().await.unwrap();
    }
}

fn running(world: &World) -> Fact {
    let (started_at, images) = (world.now(), BTreeMap::new());
    Fact::Running { object: "pod".to_owned(), started_at, node: None, images }
}

async fn rounds(manager: &Manager, id: OperationId) -> Vec<(u32, bool)> {
    let mut known = Vec::new();
    for round in 1..9 {
        match manager.bridge_order(&workflow(id, round), Duration::ZERO).await {
            Ok(answer) => known.push((round, matches!(answer, OrderAnswer::Ready { .. }))),
            Err(_) => break,
        }
    }
    known
}

#[tokio::test]
async fn a_workflow_that_nobody_speaks_of_is_asked_for_again_and_a_person_can_have_a_further_one() {
    let (world, manager) = begin().await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    let sinks: ArgoSinks = BTreeMap::from([(region(), Arc::new(sink) as _)]);
    let (_, id) = create(&manager, "prod").await;
    manager.deliver_due(&sinks).await.unwrap();
    discover(&manager, id, 1, two_hooks()).await;
    let mut a = Bridge::new(id, 1, "crm/a");
    let [attempt] = &a.starts(&manager).await[..] else { panic!("not one start") };
    a.observe(&manager, &world, attempt, running(&world)).await;
    manager.check_workflows().await.unwrap();
    let unknown = || async {
        let view = manager.operation(id).await.unwrap();
        view.attempts.iter().any(|attempt| attempt.unknown_since.is_some())
    };
    // It speaks, as long as it does.
    for _ in 0..4 {
        wait(&world, &manager, 2).await;
        assert!(a.poll(&manager).await.end.is_none());
    }
    assert!(!unknown().await);
    assert_eq!(waiting(&manager).await, []);
    // While nobody looked nobody could be heard: the manager was down for an hour.
    world.pass(SignedDuration::from_hours(1));
    wait(&world, &manager, 4).await;
    assert!(!unknown().await);
    wait(&world, &manager, 3).await;
    assert!(unknown().await, "silence proves nothing, and knows nothing");
    assert_eq!(waiting(&manager).await, [AttentionKind::WorkflowMissing]);
    let asked = || pager.got.lock().unwrap().len();
    assert_eq!(asked(), 1);
    manager.deliver_due(&sinks).await.unwrap();
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(asked(), 2, "the same event again, once");
    wait(&world, &manager, 6).await;
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(asked(), 3);
    assert_eq!(state(&manager, id).await, OperationState::Running, "nobody has decided anything");

    // It was alive and cut off: it is asked to look, and all is well.
    let back = a.poll(&manager).await;
    assert!(matches!(&back.open[..], [open] if open.unknown), "{back:?}");
    a.observe(&manager, &world, attempt, running(&world)).await;
    wait(&world, &manager, 1).await;
    assert!(!unknown().await);
    assert_eq!(waiting(&manager).await, []);

    // Silent again, and a person goes on without it.
    wait(&world, &manager, 7).await;
    assert_eq!(waiting(&manager).await, [AttentionKind::WorkflowMissing]);
    let expected = ExpectedOperation::default;
    let why = Some("gone".to_owned());
    manager.steer_operation(&admin(), id, OperationVerb::Pause, why, expected(), false).await.unwrap();
    resume(&manager, id).await;
    assert_eq!(waiting(&manager).await, []);
    manager.check_workflows().await.unwrap();
    discover(&manager, id, 2, two_hooks()).await;
    let again = Bridge::new(id, 2, "crm/a");
    assert_eq!(again.poll(&manager).await.open.len(), 1, "and finds what runs");
    assert_eq!(findings(&manager).await, vec![]);
}

#[tokio::test]
async fn a_step_that_waits_for_its_level_is_not_silent_and_one_without_anybody_is() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    let mut hooks = two_hooks();
    hooks.push(readable(hook("crm/long", &UPSERT, &[])));
    discover(&manager, id, 1, hooks).await;
    let (mut a, long) = (Bridge::new(id, 1, "crm/a"), Bridge::new(id, 1, "crm/long"));
    assert_eq!(long.starts(&manager).await.len(), 1);
    a.run(&manager, &world, success()).await;
    assert!(a.poll(&manager).await.end.is_some());
    manager.check_workflows().await.unwrap();
    // crm/b could begin, and its level comes when crm/long is done.
    for _ in 0..6 {
        wait(&world, &manager, 2).await;
        long.poll(&manager).await;
    }
    assert_eq!(waiting(&manager).await, []);
    wait(&world, &manager, 7).await;
    assert_eq!(waiting(&manager).await, [AttentionKind::WorkflowMissing]);
}

#[tokio::test]
async fn a_workflow_that_ends_while_the_operation_is_planned_is_followed_by_another() {
    let (world, manager) = begin().await;
    let (environment, id) = create(&manager, "prod").await;
    let message = || async {
        let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
        all.items.into_iter().map(|attention| attention.message).collect::<String>()
    };
    let why = "expected hooks are not there: crm/c";
    manager.bridge_workflow_ended(&workflow(id, 1), WorkflowEnd::GaveUp, why).await.unwrap();
    assert_eq!(state(&manager, id).await, OperationState::Planning);
    assert!(message().await.contains("is planned by a further Workflow") && message().await.contains(why));
    assert_eq!(rounds(&manager, id).await.len(), 2, "at once");
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    let sinks: ArgoSinks = BTreeMap::from([(region(), Arc::new(sink) as _)]);
    manager.deliver_due(&sinks).await.unwrap();
    let newest = || pager.got.lock().unwrap().last().map(|(_, event)| event.data["round"].clone());
    assert_eq!(newest(), Some(2.into()), "the first is not asked for any more");
    // What ends one is likely to end the next: with a pause.
    manager.bridge_workflow_ended(&workflow(id, 2), WorkflowEnd::Deleted, "").await.unwrap();
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(newest(), Some(2.into()));
    world.pass(SignedDuration::from_mins(1));
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(newest(), Some(3.into()));
    discover(&manager, id, 3, two_hooks()).await;
    assert_eq!(waiting(&manager).await, []);
    assert_eq!(state(&manager, id).await, OperationState::Running);
    // Now it runs: a pause, noted in the audit log.
    manager.bridge_workflow_ended(&workflow(id, 3), WorkflowEnd::Shutdown, "").await.unwrap();
    assert_eq!(state(&manager, id).await, OperationState::Paused);
    assert!(message().await.contains("is paused"));
    let audit = manager.audit(Some(environment.id), 0, 1000).await.unwrap();
    let pause = audit.iter().find(|entry| entry.action == "operation.pause").unwrap();
    assert_eq!(pause.reason.as_deref(), Some("its Workflow was ended (shutdown)"));
    assert_eq!(findings(&manager).await, vec![]);
}

#[tokio::test]
async fn what_an_operation_leaves_to_be_released_gets_a_bridge_after_its_end() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    let mut a = Bridge::new(id, 1, "crm/a");
    a.run(&manager, &world, success()).await;
    let mut b = Bridge::new(id, 1, "crm/b");
    let [attempt] = &b.starts(&manager).await[..] else { panic!("not one start") };
    b.observe(&manager, &world, attempt, ended_fact(world.now(), success())).await;
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
    // The Workflow goes before the release is carried out.
    manager.bridge_workflow_ended(&workflow(id, 1), WorkflowEnd::Deleted, "").await.unwrap();
    assert_eq!(waiting(&manager).await, [], "nobody has to decide anything");
    manager.check_workflows().await.unwrap();
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    let sinks: ArgoSinks = BTreeMap::from([(region(), Arc::new(sink) as _)]);
    manager.deliver_due(&sinks).await.unwrap();
    assert_eq!(pager.got.lock().unwrap().len(), 1, "also after the end");
    let order = discover(&manager, id, 2, two_hooks()).await;
    assert_eq!(ordered(&order), [("crm/b".to_owned(), vec![])]);
    let again = Bridge::new(id, 2, "crm/b");
    let lease = again.poll(&manager).await;
    assert_eq!(lease.commands.iter().map(|command| command.kind).collect::<Vec<_>>(), [CommandKind::Release]);
    manager.bridge_finish(&again.step, &[lease.commands[0].id]).await.unwrap();
    assert!(again.poll(&manager).await.end.unwrap().done);
    manager.check_workflows().await.unwrap();
    assert_eq!(rounds(&manager, id).await.len(), 2, "nothing is left");
}

/// A bridge that leaves with its Workflow right after it has told the end of its step, and a crash of the manager before
/// the next look: each further Workflow was one too few, and brought another.
#[tokio::test]
async fn what_a_bridge_has_not_let_go_of_is_let_go_of_in_the_next_workflow_and_brings_no_other() {
    let (world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    let mut first = Bridge::new(id, 1, "crm/a");
    let attempt = first.starts(&manager).await.remove(0);
    first.observe(&manager, &world, &attempt, running(&world)).await;
    manager.bridge_workflow_ended(&workflow(id, 1), WorkflowEnd::Deleted, "").await.unwrap();
    first.observe(&manager, &world, &attempt, ended_fact(world.now(), success())).await;
    resume(&manager, id).await;
    manager.check_workflows().await.unwrap();
    let answer = discover(&manager, id, 2, two_hooks()).await;
    assert_eq!(ordered(&answer), [("crm/a".to_owned(), vec![]), ("crm/b".to_owned(), vec![])]);
    manager.check_workflows().await.unwrap();
    assert_eq!(rounds(&manager, id).await.len(), 2);

    let second = Bridge::new(id, 2, "crm/a");
    let lease = second.poll(&manager).await;
    assert_eq!(lease.commands.iter().map(|one| one.kind).collect::<Vec<_>>(), [CommandKind::Release]);
    let ids: Vec<CommandId> = lease.commands.iter().map(|command| command.id).collect();
    manager.bridge_finish(&second.step, &ids).await.unwrap();
    assert!(second.poll(&manager).await.end.is_some_and(|end| end.done));
    Bridge::new(id, 2, "crm/b").run(&manager, &world, success()).await;
    assert_eq!(state(&manager, id).await, OperationState::Succeeded);
    manager.check_workflows().await.unwrap();
    assert_eq!(rounds(&manager, id).await.len(), 2);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn while_an_operation_is_planned_its_discovery_is_asked_to_look_again() {
    let (world, manager) = begin().await;
    let (_, first) = create(&manager, "prod").await;
    discover(&manager, first, 1, two_hooks()).await;
    for hook in ["crm/a", "crm/b"] {
        Bridge::new(first, 1, hook).run(&manager, &world, success()).await;
    }
    // One of them is being replaced when the next operation looks.
    let environment = manager.operation(first).await.unwrap().operation.environment;
    let id = ask(&manager, environment, Lifecycle::Reconcile).await.id;
    let one = vec![two_hooks().remove(0)];
    let waits = discover(&manager, id, 1, one).await;
    assert!(matches!(waits, OrderAnswer::Waiting { list_again: false, .. }), "{waits:?}");
    world.pass(SignedDuration::from_secs(30));
    let waits = manager.bridge_order(&workflow(id, 1), Duration::ZERO).await.unwrap();
    assert!(matches!(waits, OrderAnswer::Waiting { list_again: true, .. }), "{waits:?}");
    assert_eq!(ordered(&discover(&manager, id, 1, two_hooks()).await).len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_refuses_the_operation_with_its_name() {
    let (_world, manager) = begin().await;
    let (_, id) = create(&manager, "prod").await;
    let mut hooks = two_hooks();
    let problem = Problem {
        code: "suspend".to_owned(),
        pointer: "/spec/suspend".to_owned(),
        message: "suspend is not set".to_owned(),
        remedy: "set it".to_owned(),
    };
    hooks.push(ReportedHook { path: "crm/broken".parse().unwrap(), hook: None, problems: vec![problem] });
    let answer = discover(&manager, id, 1, hooks).await;
    let OrderAnswer::Over { succeeded: false, message } = answer else { panic!("{answer:?}") };
    assert!(message.contains("eu1/crm/broken") && message.contains("suspend is not set"), "{message}");
    let view = manager.operation(id).await.unwrap().operation;
    assert_eq!(
        (view.state, view.problem.as_deref()),
        (OperationState::Failed, Some("plan-hook-quarantined"))
    );
}

#[tokio::test]
async fn only_versions_that_are_in_the_cluster_can_be_replayed() {
    let (world, manager) = begin().await;
    let (environment, id) = create(&manager, "prod").await;
    discover(&manager, id, 1, two_hooks()).await;
    for hook in ["crm/a", "crm/b"] {
        Bridge::new(id, 1, hook).run(&manager, &world, success()).await;
    }
    let wish = || ReplayWish {
        versions: ReplayVersions::Frozen,
        reason: Some("again".to_owned()),
        validate_only: true,
        ..ReplayWish::default()
    };
    manager.replay_operation(&admin(), id, wish()).await.unwrap();
    // Another operation finds that a team has shipped another version meanwhile.
    let other = ask(&manager, environment.id, Lifecycle::Reconcile).await.id;
    let mut hooks = two_hooks();
    hooks[0].hook.as_mut().unwrap().hash = TemplateHash("new".to_owned());
    discover(&manager, other, 1, hooks).await;
    let refused = manager.replay_operation(&admin(), id, wish()).await.unwrap_err();
    assert_eq!(refused.code(), "replay-template-gone");
    assert!(refused.to_string().contains("eu1/crm/a"), "{refused}");
}

/// An event source that never answers.
struct Dead;

#[async_trait::async_trait]
impl tenantry_events::Sink for Dead {
    fn name(&self) -> &'static str {
        "dead"
    }
    async fn deliver(&self, _: &tenantry_events::CloudEvent) -> Result<(), tenantry_events::Undelivered> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_event_source_that_does_not_answer_keeps_no_other_region_waiting() {
    let mut world = World::new();
    let other: RegionName = "us1".parse().unwrap();
    world.config.argo_regions = BTreeSet::from([region(), other.clone()]);
    world.config.further_regions = BTreeSet::from([other.clone()]);
    let manager = world.manager().await;
    manager.declare_argo_regions().await.unwrap();
    manager.create_tenant(&admin(), "acme".parse().unwrap(), "Acme".to_owned()).await.unwrap();
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    let sinks: ArgoSinks = BTreeMap::from([(region(), Arc::new(Dead) as _), (other, Arc::new(sink) as _)]);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let deliver = manager.deliver_workflows(sinks, shutdown.clone());
    let both = async {
        for name in ["one", "two"] {
            create(&manager, name).await;
        }
        while pager.got.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    let done = async { tokio::join!(deliver, both) };
    tokio::time::timeout(Duration::from_mins(1), done).await.unwrap();
}
