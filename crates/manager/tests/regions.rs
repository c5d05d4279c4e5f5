//! Regions that come, go silent and come back; hooks that vanish; whose facts count.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_manager::{
    CheckResult, InventoryPart, Lifecycle, LogPiece, Manager, ManagerConfig, ReportedHook,
};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, EventFilter};
use uuid::Uuid;

const UPSERT: [&str; 1] = ["lifecycle.upsert"];

async fn waiting(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

#[tokio::test]
async fn an_operation_waits_for_its_region_says_so_and_goes_on_when_the_hooks_are_known() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let (_, operation) = create(&manager, "prod").await;
    let view = manager.operation(operation).await.unwrap();
    assert_eq!(view.operation.state, OperationState::Planning);
    assert!(view.operation.note.unwrap().contains("region eu1"));
    assert_eq!(waiting(&manager).await, [AttentionKind::RegionSilent]);

    let session = AgentSessionId(Uuid::now_v7());
    manager.agent_session(&region(), session, Executor::Process, "1").await.unwrap();
    assert_eq!(waiting(&manager).await, []);
    let page = |begin, end, path: &str| InventoryPart {
        begin,
        end,
        present: vec![readable(hook(path, &UPSERT, &[]))],
        absent: vec![],
    };
    manager.agent_inventory(&region(), session, page(true, false, "crm/one")).await.unwrap();
    manager.run_due().await.unwrap();
    assert_eq!(state(&manager, operation).await, OperationState::Planning, "half an inventory is none");
    manager.agent_inventory(&region(), session, page(false, true, "crm/two")).await.unwrap();
    // Their timers are due, also for a manager that was not there before.
    drop(manager);
    let manager = world.manager().await;
    assert_eq!(manager.run_due().await.unwrap(), 1);
    let view = manager.operation(operation).await.unwrap();
    assert_eq!((view.operation.state, view.steps.len()), (OperationState::Running, 2));
    assert_eq!(view.operation.note, None);
}

#[tokio::test]
async fn the_last_page_of_an_inventory_without_its_first_makes_nothing_absent() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/one", &UPSERT, &[]))]).await;
    let last = InventoryPart { begin: false, end: true, present: vec![], absent: vec![] };
    let error = manager.agent_inventory(&region(), agent.session, last).await.unwrap_err();
    assert_eq!(error.code(), "inventory-restart");
    assert_eq!(manager.hook(&hook_ref("crm/one")).await.unwrap().absent_since, None);
    agent.inventory(&manager, vec![]).await;
    assert!(manager.hook(&hook_ref("crm/one")).await.unwrap().absent_since.is_some());
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_silent_region_makes_its_attempts_unknown_until_a_new_session_has_looked() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let hooks = || vec![readable(hook("crm/tenant", &UPSERT, &[]))];
    let mut agent = Agent::open(&manager, hooks()).await;
    let (_, operation) = create(&manager, "prod").await;
    let start = agent.starts(&manager).await.remove(0);
    agent.running(&manager, &start.attempt, world.now()).await;
    let unknown = || async { manager.operation(operation).await.unwrap().attempts[0].unknown_since };
    manager.check_regions().await.unwrap();
    assert_eq!(unknown().await, None);

    world.pass(SignedDuration::from_secs(60));
    manager.check_regions().await.unwrap();
    manager.check_regions().await.unwrap();
    // As long as it takes to notice, however long nobody looked.
    let noticed = world.now() - ManagerConfig::default().agent_silent_after;
    assert_eq!(unknown().await, Some(noticed));
    assert_eq!(waiting(&manager).await, [AttentionKind::RegionSilent]);
    let error = manager.agent_lease(&region(), agent.session, 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code(), "session-expired");

    let session = AgentSessionId(Uuid::now_v7());
    let open = manager.agent_session(&region(), session, Executor::Process, "1").await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0].attempt, open[0].nonce), (&start.attempt, start.order.request.nonce));
    assert_eq!(waiting(&manager).await, []);
    agent.running(&manager, &start.attempt, world.now()).await;
    assert_eq!(unknown().await, None);
    agent.ended(&manager, &start.attempt, world.now(), success()).await;
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn an_operation_asked_for_in_a_silence_that_nobody_has_judged_goes_on_with_the_agents_next_word() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    world.pass(SignedDuration::from_secs(60));
    let (_, operation) = create(&manager, "prod").await;
    let view = manager.operation(operation).await.unwrap();
    assert_eq!(view.operation.state, OperationState::Planning);
    assert!(view.operation.note.unwrap().contains("silent"));
    // It is the same session: the agent only was not heard for a while.
    agent.lease(&manager).await;
    manager.run_due().await.unwrap();
    assert_eq!(agent.run_all(&manager, world.now()).await, ["crm/tenant"]);
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert_eq!(findings(&manager).await, []);
}

/// Two operations that run in a region which falls silent, with the manager that judged it dead after so many polls;
/// whether it had finished.
async fn silent_and_dead(polls: usize) -> (World, Agent, [OperationId; 2], bool) {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let operations = [create(&manager, "prod").await.1, create(&manager, "test").await.1];
    for start in agent.starts(&manager).await {
        agent.running(&manager, &start.attempt, world.now()).await;
    }
    world.pass(SignedDuration::from_secs(60));
    let survived = die_after(polls, manager.check_regions()).await.is_some();
    (world, agent, operations, survived)
}

async fn unknown_of(manager: &Manager, operations: [OperationId; 2]) -> Vec<AttemptId> {
    let mut unknown = Vec::new();
    for operation in operations {
        let attempts = manager.operation(operation).await.unwrap().attempts;
        unknown.extend(attempts.into_iter().filter(|a| a.unknown_since.is_some()).map(|a| a.id));
    }
    unknown
}

#[tokio::test]
async fn a_manager_that_dies_while_it_gives_a_region_up_leaves_no_operation_untold() {
    let mut tellings = BTreeSet::new();
    // Where a poll stops depends on what the store's thread has done by then: again, until each kind of death was met.
    for _ in 0..30 {
        for polls in 0.. {
            let (world, _agent, operations, survived) = silent_and_dead(polls).await;
            let manager = world.manager().await;
            tellings.insert(unknown_of(&manager, operations).await.len());
            manager.check_regions().await.unwrap();
            assert_eq!(unknown_of(&manager, operations).await.len(), 2, "after {polls} polls");
            assert_eq!(waiting(&manager).await, [AttentionKind::RegionSilent]);
            if survived {
                break;
            }
        }
        if tellings.len() == 3 {
            return;
        }
    }
    panic!("deaths before, between and after are wanted, and these were met: {tellings:?}");
}

#[tokio::test]
async fn an_agent_that_is_back_while_its_region_is_given_up_is_asked_for_all_that_was_lost_sight_of() {
    for polls in 0.. {
        let (world, agent, operations, survived) = silent_and_dead(polls).await;
        let manager = world.manager().await;
        let mut asked = Vec::new();
        if let Err(error) = manager.agent_lease(&region(), agent.session, 1, Duration::ZERO).await {
            assert_eq!(error.code(), "session-expired");
            let session = AgentSessionId(Uuid::now_v7());
            let open = manager.agent_session(&region(), session, Executor::Process, "1").await.unwrap();
            asked.extend(open.into_iter().filter(|open| open.unknown).map(|open| open.attempt));
        }
        manager.check_regions().await.unwrap();
        let mut unknown = unknown_of(&manager, operations).await;
        unknown.sort();
        asked.sort();
        assert_eq!(unknown, asked, "after {polls} polls: nobody would tell of the others again");
        if survived {
            break;
        }
    }
}

#[tokio::test]
async fn what_an_unanswered_poll_gave_out_is_given_again_to_the_session_that_says_so() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let hooks = || vec![readable(hook("crm/tenant", &UPSERT, &[]))];
    let old = Agent::open(&manager, hooks()).await;
    create(&manager, "prod").await;
    let lost = manager.agent_lease(&region(), old.session, 10, Duration::ZERO).await.unwrap();
    assert_eq!(lost.len(), 1);
    let again = manager.agent_lease(&region(), old.session, 10, Duration::ZERO).await.unwrap();
    assert_eq!(again, [], "leased is leased, until somebody says that it was lost");
    manager.agent_unanswered(&region(), old.session).await.unwrap();
    let again = manager.agent_lease(&region(), old.session, 10, Duration::ZERO).await.unwrap();
    assert_eq!(again.iter().map(|c| c.id).collect::<Vec<_>>(), [lost[0].id]);
    let new = Agent::open(&manager, hooks()).await;
    assert_eq!(manager.agent_lease(&region(), new.session, 10, Duration::ZERO).await.unwrap().len(), 1);
    let error = manager.agent_unanswered(&region(), old.session).await.unwrap_err();
    assert_eq!(error.code(), "session-superseded", "a life that is over takes nothing away");
    assert_eq!(manager.agent_lease(&region(), new.session, 10, Duration::ZERO).await.unwrap(), []);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn facts_count_after_the_session_is_lost_and_commands_do_not() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut old = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let (_, operation) = create(&manager, "prod").await;
    let start = old.starts(&manager).await.remove(0);
    let new = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let error = manager.agent_lease(&region(), old.session, 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code(), "session-superseded");
    old.ended(&manager, &start.attempt, world.now(), success()).await;
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    assert!(new.starts(&manager).await.is_empty());
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn facts_and_logs_of_other_regions_are_dropped_and_named() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let us: RegionName = "us1".parse().unwrap();
    manager.create_region(&admin(), us.clone()).await.unwrap();
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let (_, operation) = create(&manager, "prod").await;
    let start = agent.starts(&manager).await.remove(0);
    let fact = agent.observation(&start.attempt, world.now(), ended_fact(world.now(), success()));
    assert_eq!(
        manager.agent_observe(&us, vec![fact.clone()]).await.unwrap(),
        std::slice::from_ref(&start.attempt)
    );
    assert_eq!(state(&manager, operation).await, OperationState::Running);
    let never = AttemptId { number: 9, ..start.attempt.clone() };
    let of_nobody = AttemptId { operation: OperationId(Uuid::now_v7()), ..start.attempt.clone() };
    for unknown in [never, of_nobody] {
        let fact = Observation { attempt: unknown.clone(), ..fact.clone() };
        assert_eq!(manager.agent_observe(&region(), vec![fact]).await.unwrap(), [unknown]);
    }

    let piece = |data: &[u8], offset| LogPiece {
        attempt: start.attempt.clone(),
        offset,
        data: data.to_vec(),
        last: offset > 0,
    };
    assert_eq!(
        manager.agent_logs(&us, vec![piece(b"x", 0)]).await.unwrap(),
        std::slice::from_ref(&start.attempt)
    );
    let pieces = vec![piece(b"hello ", 0), piece(b"hello ", 0), piece(b"world", 6)];
    assert_eq!(manager.agent_logs(&region(), pieces).await.unwrap(), []);
    let part = manager.read_log(&start.attempt, 0, 100, Duration::ZERO).await.unwrap();
    let rest = manager.read_log(&start.attempt, part.next, 100, Duration::from_secs(5)).await.unwrap();
    let text = [part.bytes.as_ref(), rest.bytes.as_ref()].concat();
    assert_eq!(text, b"hello world");
    assert!(part.end || rest.end);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_hook_that_vanished_is_waited_for_then_named_then_retired() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    agent.inventory(&manager, vec![]).await;
    let waits = ask(&manager, environment.id, Lifecycle::Reconcile).await;
    assert_eq!(waits.state, OperationState::Planning);
    let early = manager.retire_hook(&admin(), &hook_ref("crm/nobody"), "gone".to_owned()).await.unwrap_err();
    assert_eq!(early.code(), "not-found");
    // Its agent lives on while the grace period passes.
    for _ in 0..5 {
        world.pass(SignedDuration::from_secs(30));
        agent.lease(&manager).await;
        manager.run_due().await.unwrap();
    }
    let refused = manager.operation(waits.id).await.unwrap().operation;
    assert_eq!(refused.state, OperationState::Failed);
    assert_eq!(refused.problem.as_deref(), Some("plan-hook-absent"));
    assert_eq!(waiting(&manager).await, [AttentionKind::PlanRefused]);
    manager.retire_hook(&admin(), &hook_ref("crm/tenant"), "crm is gone".to_owned()).await.unwrap();
    let again = ask(&manager, environment.id, Lifecycle::Reconcile).await;
    assert_eq!(again.state, OperationState::Succeeded, "nobody has anything to do");
    assert_eq!(waiting(&manager).await, []);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn an_unreadable_hook_raises_attention_and_explain_says_why_it_does_not_run() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let bad = ReportedHook {
        path: "crm/bad".parse().unwrap(),
        hook: None,
        problems: vec![Problem {
            code: "not-suspended".to_owned(),
            pointer: "/spec/suspend".to_owned(),
            message: "must be true".to_owned(),
            remedy: "set spec.suspend: true".to_owned(),
        }],
    };
    let mut selective = hook("crm/silver", &UPSERT, &[]);
    selective.selector = "tier=silver".to_owned();
    let good = hook("crm/tenant", &UPSERT, &[]);
    let agent = Agent::open(&manager, vec![bad, readable(selective), readable(good.clone())]).await;
    assert_eq!(waiting(&manager).await, [AttentionKind::HookLeftOut]);
    let (environment, _) = create(&manager, "prod").await;
    let upsert: OperationName = "lifecycle.upsert".parse().unwrap();
    let explain = |path: &'static str| {
        let (manager, upsert, id) = (&manager, &upsert, environment.id);
        async move { manager.explain_hook(&hook_ref(path), id, upsert).await.unwrap() }
    };
    let failed = |explanation: &tenantry_manager::Explanation| {
        let failed = explanation.checks.iter().find(|check| check.result == CheckResult::Fail);
        failed.map(|check| check.name)
    };
    let tenant = explain("crm/tenant").await;
    assert!(tenant.runs, "{tenant:?}");
    let cases = [("crm/bad", "readable"), ("crm/silver", "selector"), ("crm/nobody", "exists")];
    for (path, name) in cases {
        let explanation = explain(path).await;
        assert!(!explanation.runs);
        assert_eq!(failed(&explanation), Some(name), "{}", explanation.summary);
    }
    assert!(explain("crm/bad").await.summary.contains("/spec/suspend"));

    let fixed = hook("crm/bad", &UPSERT, &[]);
    agent.inventory(&manager, vec![readable(fixed), readable(good)]).await;
    assert_eq!(waiting(&manager).await, []);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_waiting_lease_and_a_waiting_reader_of_events_are_woken_by_the_commit() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &UPSERT, &[]))]).await;
    let last = manager.last_event().await.unwrap();
    let long = Duration::from_secs(20);
    let region = region();
    let filter = EventFilter::default();
    let began = std::time::Instant::now();
    let (commands, events, _) = tokio::join!(
        manager.agent_lease(&region, agent.session, 10, long),
        manager.events_after(&filter, last, 100, long),
        create(&manager, "prod"),
    );
    assert_eq!(commands.unwrap().len(), 1);
    assert!(!events.unwrap().is_empty());
    assert!(began.elapsed() < Duration::from_secs(10), "a commit wakes, not a deadline");
    assert_eq!(findings(&manager).await, []);
}
