//! Two managers over one PostgreSQL, each with its own connections and memory. Ignored where there is no PostgreSQL.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used, clippy::wildcard_imports)] // in tests a panic is the message; `common` is their prelude

mod beside;
#[path = "../common/mod.rs"]
mod common;
mod conflicts;
mod duties;
mod holds;
mod keys;
mod outage;
mod purge;
mod retention;
mod sinks;

use common::*;
use jiff::SignedDuration;
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tenantry_logs::Limits;
use tenantry_manager::{Lifecycle, LogStore, Manager, ManagerError, Principal};
use tenantry_model::*;
use tenantry_postgres_test::server;
use tenantry_store::{CommandKind, EventFilter, StoreError};
use tenantry_store_postgres::{Database, PostgresStore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest wait for what has to happen by itself.
const DEADLINE: Duration = Duration::from_mins(2);

fn main() {
    // Half a minute, most of it waits past leases.
    let missing = std::env::var_os("TENANTRY_LONG").is_none() || server().is_none();
    let test = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_ignored_flag(missing)
    };
    let tests = vec![
        test("two_managers_by_turns_never_act_on_what_the_other_has_changed", || block(by_turns())),
        test("many_operations_over_two_managers_at_once_start_each_attempt_once", || block(at_once())),
        test("a_wait_at_one_manager_ends_with_a_commit_of_the_other", || block(wake_up())),
        test("a_manager_that_slept_past_its_role_cannot_write_in_it", || block(slept())),
        test("a_role_has_one_manager_and_passes_on_when_it_ends", || block(passes_on())),
        test("one_request_that_reaches_both_is_carried_out_once", || block(claimed())),
        test("a_plan_under_way_when_a_hold_is_set_is_caught_by_it", || block(holds::planned_before())),
        test("a_plan_begun_while_a_hold_is_being_set_sees_it", || block(holds::planned_after())),
        test("a_hold_lifted_while_it_is_being_told_stays_nowhere", || block(holds::lifted_meanwhile())),
        test("each_duty_has_one_manager_and_one_that_lost_it_writes_nothing", || {
            block(duties::once_and_passed_on());
        }),
        test("a_role_taken_by_a_clock_years_ahead_passes_on_at_once", || block(duties::clock_ahead())),
        test("the_manager_that_fires_hears_at_once_of_a_run_asked_for_elsewhere", || block(duties::told())),
        test("managers_go_on_when_a_database_that_became_read_only_is_mended", || block(outage::read_only())),
        test("a_conflict_with_another_manager_is_repeated_and_not_answered", || {
            block(conflicts::repeated());
        }),
        test("many_requests_at_two_managers_about_the_same_environments_are_all_answered", || {
            block(conflicts::many());
        }),
        test("an_operation_that_waits_is_replaced_by_choice_and_by_definition", || block(replaced())),
        test("reports_of_any_kind_lead_to_the_same_end", || block(hostile_reports())),
        test("a_key_that_two_managers_replace_at_once_is_replaced_twice", || block(keys::rotated_at_once())),
        test("a_manager_whose_clock_is_far_from_the_databases_removes_nothing", || {
            block(retention::clocks_apart());
        }),
        test("a_manager_that_stands_still_in_a_delivery_does_not_put_the_sink_back", || {
            block(sinks::stands_still());
        }),
        test("a_purge_asked_for_at_one_manager_is_approved_once_at_another", || {
            block(purge::asked_here_approved_there());
        }),
        test("of_two_purges_or_a_purge_and_an_undelete_at_once_one_is_first", || block(purge::at_once())),
        test("a_purge_whose_manager_is_killed_is_carried_out_once_by_the_other", || {
            block(purge::killed_between());
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn block(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Two managers and the clock that they share.
async fn two(world: &World) -> (Manager, Manager) {
    let (one, two, _) = two_over(world).await;
    (one, two)
}

/// The same with the URL of their database.
async fn two_over(world: &World) -> (Manager, Manager, String) {
    let url = server().unwrap().database().await.unwrap();
    let database = Database::new(&url, None).unwrap();
    let mut managers = Vec::new();
    for _ in 0..2 {
        let store = Arc::new(PostgresStore::open(&database, true).await.unwrap());
        let logs = LogStore::shared(&world.folder.path().join("logs"), Limits::default()).unwrap();
        managers.push(world.over(store, logs));
    }
    let two = managers.remove(1);
    (managers.remove(0), two, url)
}

async fn by_turns() {
    let world = World::new();
    let (one, two) = two(&world).await;
    prepare(&one).await;
    let upsert = ["lifecycle.upsert"];
    let hooks = ["crm/a", "crm/b", "crm/c"].map(|path| readable(hook(path, &upsert, &[])));
    let last = readable(hook("crm/z", &upsert, &["crm/a", "crm/b", "crm/c"]));
    let mut agent = Agent::open(&one, hooks.into_iter().chain([last]).collect()).await;
    let (environment, operation) = create(&one, "prod").await;
    let starts = agent.starts(&two).await;
    assert_eq!(starts.len(), 3);
    for (start, manager) in starts.iter().zip([&one, &two, &one]) {
        agent.ended(manager, &start.attempt, world.now(), success()).await;
    }
    let last = agent.starts(&two).await.remove(0);
    assert_eq!(last.attempt.step, hook_ref("crm/z"));
    agent.ended(&two, &last.attempt, world.now(), success()).await;
    assert_eq!(state(&one, operation).await, OperationState::Succeeded);
    assert!(two.verify_audit(Some(environment.id)).await.unwrap().is_ok());
}

async fn hostile_reports() {
    let world = World::new();
    let (one, _two) = two(&world).await;
    hostile::reports_of_any_kind_lead_to_the_same_end(&world, &one).await;
}

async fn replaced() {
    let world = World::new();
    let (one, _two) = two(&world).await;
    replace::what_waits_is_replaced(&world, &one).await;
}

/// Both managers' loops run, and the agent speaks to whichever; each report goes to both at the same time.
async fn at_once() {
    const ENVIRONMENTS: usize = 8;
    let world = World::new();
    let (one, two) = two(&world).await;
    prepare(&one).await;
    let upsert = ["lifecycle.upsert"];
    let hooks = vec![
        readable(hook("crm/a", &upsert, &[])),
        readable(hook("crm/b", &upsert, &[])),
        readable(hook("crm/c", &upsert, &["crm/a", "crm/b"])),
    ];
    let mut agent = Agent::open(&one, hooks).await;
    let shutdown = CancellationToken::new();
    for manager in [&one, &two] {
        let (manager, shutdown) = (manager.clone(), shutdown.clone());
        tokio::spawn(async move { manager.run(shutdown).await });
    }
    let mut made = Vec::new();
    for n in 0..ENVIRONMENTS {
        made.push(create(if n % 2 == 0 { &one } else { &two }, &format!("e{n}")).await);
    }
    let mut started: BTreeMap<AttemptId, u32> = BTreeMap::new();
    let work = async {
        while started.len() < ENVIRONMENTS * 3 {
            let wait = Duration::from_secs(5);
            let both = tokio::join!(
                one.agent_lease(&agent.region, agent.session, 2, wait),
                two.agent_lease(&agent.region, agent.session, 2, wait)
            );
            for command in both.0.unwrap().into_iter().chain(both.1.unwrap()) {
                agent.finish(&two, command.id).await;
                if command.kind != CommandKind::Start {
                    continue;
                }
                *started.entry(command.attempt.clone()).or_default() += 1;
                let fact = ended_fact(world.now(), success());
                let fact = agent.observation(&command.attempt, world.now(), fact);
                let both = tokio::join!(
                    one.agent_observe(&agent.region, vec![fact.clone()]),
                    two.agent_observe(&agent.region, vec![fact])
                );
                assert_eq!((both.0.unwrap(), both.1.unwrap()), (vec![], vec![]));
            }
        }
    };
    timeout(DEADLINE, Box::pin(work)).await.expect("everything starts");
    assert!(started.values().all(|times| *times == 1), "{started:?}");
    for (environment, operation) in made {
        assert_eq!(state(&one, operation).await, OperationState::Succeeded);
        assert!(two.verify_audit(Some(environment.id)).await.unwrap().is_ok());
        let filter = EventFilter { environment: Some(environment.id), operation: None };
        let events = two.events_after(&filter, 0, 1000, Duration::ZERO).await.unwrap();
        let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
        assert!(versions.is_sorted(), "{versions:?}");
    }
    shutdown.cancel();
}

async fn wake_up() {
    let world = World::new();
    let (one, two) = two(&world).await;
    prepare(&one).await;
    let agent = Agent::open(&one, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let last = two.last_event().await.unwrap();
    let every = EventFilter::default();
    let begun = std::time::Instant::now();
    let (commands, events, _) = tokio::join!(
        two.agent_lease(&agent.region, agent.session, 10, Duration::from_secs(30)),
        two.events_after(&every, last, 10, Duration::from_secs(30)),
        create(&one, "prod")
    );
    assert_eq!(commands.unwrap().len(), 1);
    assert!(!events.unwrap().is_empty());
    // The poll behind the signal is five seconds away.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

async fn slept() {
    let world = World::new();
    let (one, two) = two(&world).await;
    prepare(&one).await;
    let old = one.take_role("schedules").await.unwrap().unwrap();
    assert_eq!(two.take_role("schedules").await.unwrap(), None);
    let asleep = Principal { fence: Some(old), ..admin() };
    let late = |name: &'static str| {
        let (one, asleep) = (one.clone(), asleep.clone());
        async move { one.create_tenant(&asleep, name.parse().unwrap(), "Late".to_owned()).await }
    };
    late("in-time").await.unwrap();
    world.pass(SignedDuration::from_secs(60));
    late("nobody-took-it").await.unwrap();
    let new = two.take_role("schedules").await.unwrap().unwrap();
    let refused = late("too-late").await.unwrap_err();
    assert!(
        matches!(&refused, ManagerError::Store(StoreError::LeaseLost(role)) if role == "schedules"),
        "{refused}"
    );
    let tenants = two.tenants(&admin(), &Page { after: None, limit: 100 }).await.unwrap().items;
    assert!(!tenants.iter().any(|tenant| tenant.name.as_str() == "too-late"));
    let awake = Principal { fence: Some(new), ..admin() };
    two.create_tenant(&awake, "by-the-new".parse().unwrap(), "New".to_owned()).await.unwrap();
}

async fn passes_on() {
    let world = World::new();
    let (one, two) = two(&world).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (one, shutdown) = (one.clone(), shutdown.clone());
        async move { one.run(shutdown).await }
    });
    let taken = async {
        while two.take_role("regions").await.unwrap().is_some() {
            // It was first: give the other one a turn.
            world.pass(SignedDuration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, taken).await.expect("the running manager takes the role");
    shutdown.cancel();
    timeout(DEADLINE, running).await.unwrap().unwrap();
    assert!(two.take_role("regions").await.unwrap().is_some(), "given back in good order, before its time");
}

async fn claimed() {
    let world = World::new();
    let (one, two) = two(&world).await;
    prepare(&one).await;
    let _agent = Agent::open(&one, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let (environment, _) = create(&one, "prod").await;
    let request = tenantry_manager::RequestKey { key: "k".to_owned(), hash: "h".to_owned() };
    let who = Principal { request: Some(request), ..admin() };
    let ask = |manager: Manager| {
        let who = who.clone();
        async move {
            let options = tenantry_manager::LifecycleOptions {
                reason: Some("test".to_owned()),
                ..tenantry_manager::LifecycleOptions::default()
            };
            manager.lifecycle(&who, environment.id, Lifecycle::Reconcile, options).await
        }
    };
    let (first, second) = tokio::join!(ask(one.clone()), ask(two.clone()));
    let done = [&first, &second].into_iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done, 1, "{first:?} {second:?}");
    let refused = first.err().or(second.err()).unwrap();
    assert_eq!(refused.code(), "request-already-applied", "{refused}");
}
