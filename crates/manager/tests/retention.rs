//! Retention over a real store and real logs: what is old goes, what is needed stays, a crash leaves nothing for ever, and
//! a clock that may be wrong makes nothing old.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::cell::Cell;
use std::time::Duration;
use tenantry_manager::{
    Duty, KeptAnswer, Lifecycle, LogPiece, Manager, Principal, RequestKey, RetentionConfig, Retired,
};
use tenantry_model::{Attention, AttentionKind, EnvironmentId, Operation, OperationId, Page};
use tenantry_store::{AttentionFilter, EventFilter, Store as _};
use tenantry_store_sqlite::SqliteStore;

const ALL: [&str; 3] = ["lifecycle.upsert", "lifecycle.backup", "lifecycle.restore"];

fn world() -> World {
    let mut world = World::new();
    let days = |days: i64| Some(SignedDuration::from_hours(24 * days));
    world.config.retention = RetentionConfig {
        operations: days(30),
        newest: 2,
        logs: days(10),
        events: days(5),
        attention: days(5),
        ..RetentionConfig::default()
    };
    world
}

/// Runs one operation to its end, with a log.
async fn run(
    world: &World,
    manager: &Manager,
    agent: &mut Agent,
    id: EnvironmentId,
    what: Lifecycle,
) -> Operation {
    let operation = ask(manager, id, what).await;
    for start in agent.starts(manager).await {
        let piece =
            LogPiece { attempt: start.attempt.clone(), offset: 0, data: b"done\n".to_vec(), last: true };
        manager.agent_logs(&region(), vec![piece]).await.unwrap();
        agent.ended(manager, &start.attempt, world.now(), success()).await;
    }
    // The release of its object.
    agent.starts(manager).await;
    operation
}

async fn there(manager: &Manager, id: OperationId) -> bool {
    manager.operation(id).await.is_ok()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_needed_stays() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, first) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let id = environment.id;
    let backup = run(&world, &manager, &mut agent, id, Lifecycle::Backup).await;
    let restore = run(&world, &manager, &mut agent, id, Lifecycle::Restore { backup: Some(backup.id) }).await;
    let mut upserts = Vec::new();
    for _ in 0..5 {
        upserts.push(run(&world, &manager, &mut agent, id, Lifecycle::Reconcile).await.id);
    }
    assert_eq!(manager.preview_retention().await.unwrap(), Retired::default(), "nothing is old yet");

    world.pass(SignedDuration::from_hours(24 * 11));
    let waits = ask(&manager, id, Lifecycle::Reconcile).await;
    let preview = manager.preview_retention().await.unwrap();
    let gone = manager.retire(&admin(), true).await.unwrap();
    assert_eq!((gone.operations, gone.logs, gone.orphans), (0, 7, 0), "{gone:?}");
    assert_eq!((preview.operations, preview.logs, preview.more), (0, 7, false));
    assert!(gone.events > 20 && preview.events == gone.events, "{preview:?} {gone:?}");
    let attempt = manager.operation(upserts[0]).await.unwrap().attempts.remove(0).id;
    let log = manager.read_log(&attempt, 0, 1000, Duration::ZERO).await.unwrap();
    assert!(log.end && log.bytes.starts_with("… the log was removed".as_bytes()), "{log:?}");

    world.pass(SignedDuration::from_hours(24 * 30));
    let gone = manager.retire(&admin(), true).await.unwrap();
    assert!(!there(&manager, first).await && !there(&manager, upserts[0]).await);
    assert_eq!(gone.operations, 5, "of seven upserts the newest two stay");
    for id in [backup.id, restore.id, upserts[4], waits.id] {
        assert!(there(&manager, id).await, "{id}");
    }
    assert_eq!(manager.retire(&admin(), true).await.unwrap().operations, 0, "a second time there is nothing");
    assert_eq!(findings(&manager).await, []);
    let audit = manager.audit(None, 0, 100).await.unwrap();
    let noted: Vec<_> = audit.iter().filter(|entry| entry.action == "retention.run").collect();
    assert_eq!(noted.len(), 2);
    assert_eq!(noted[1].after["operations"], 5);
}

#[tokio::test]
async fn events_that_a_registered_reader_has_not_read_stay() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    create(&manager, "prod").await;
    drop(manager);
    {
        let store = SqliteStore::open(&world.folder.path().join("data")).await.unwrap();
        let mut write = store.write().await.unwrap();
        write.put_setting("event-readers", &serde_json::json!({ "fast": 9, "slow": 2 })).await.unwrap();
        write.commit().await.unwrap();
    }
    let manager = world.manager().await;
    world.pass(SignedDuration::from_hours(24 * 20));
    assert_eq!(manager.retire(&admin(), true).await.unwrap().events, 2);
    let left = manager.events_after(&EventFilter::default(), 0, 1, Duration::ZERO).await.unwrap();
    assert_eq!(left[0].position, 3);
}

#[tokio::test]
async fn logs_that_a_crash_left_behind_are_swept() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let operation = run(&world, &manager, &mut agent, environment.id, Lifecycle::Reconcile).await;
    drop(manager);
    {
        // As after a crash between the rows and the logs.
        let store = SqliteStore::open(&world.folder.path().join("data")).await.unwrap();
        let mut write = store.write().await.unwrap();
        write.delete_operation(operation.id).await.unwrap();
        write.commit().await.unwrap();
    }
    let manager = world.manager().await;
    let folder = world.folder.path().join("logs").join(operation.id.to_string());
    assert!(folder.is_dir());
    assert_eq!(findings(&manager).await.iter().filter(|finding| finding.check == "log-orphan").count(), 1);
    assert_eq!(manager.preview_retention().await.unwrap().orphans, 1);
    assert_eq!(manager.retire(&Principal::system(), false).await.unwrap().orphans, 1);
    assert!(!folder.exists());
    assert_eq!(findings(&manager).await, []);
}

thread_local! {
    /// How often this test's thread has warned.
    static WARNED: Cell<usize> = const { Cell::new(0) };
}

/// Counts what would be a WARN in the log; one for all tests, since what is enabled is judged once for all threads.
struct Warnings;

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        WARNED.set(WARNED.get() + 1);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// An installation that has run for a while, whose retention has had a turn, with something of everything that ages.
async fn in_use(world: &World) -> (Manager, Operation) {
    let (manager, operation) = in_use_before_its_first_run(world).await;
    assert!(manager.attend_to(Duty::Retention).await.unwrap());
    (manager, operation)
}

async fn in_use_before_its_first_run(world: &World) -> (Manager, Operation) {
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &ALL, &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let operation = run(world, &manager, &mut agent, environment.id, Lifecycle::Reconcile).await;
    for _ in 0..3 {
        run(world, &manager, &mut agent, environment.id, Lifecycle::Reconcile).await;
    }
    manager.create_tenant(&keyed(), "two".parse().unwrap(), "Two".to_owned()).await.unwrap();
    (manager, operation)
}

fn keyed() -> Principal {
    let request = RequestKey { key: "k".to_owned(), hash: "h".to_owned() };
    Principal { request: Some(request), ..admin() }
}

/// What ages, all of it.
async fn everything(manager: &Manager) -> (Vec<Operation>, u64, Option<KeptAnswer>) {
    let page = Page { after: None, limit: 1000 };
    let operations = manager.operations(&admin(), tenantry_store::OperationFilter::default(), &page).await;
    let first = manager.events_after(&EventFilter::default(), 0, 1, Duration::ZERO).await.unwrap();
    (operations.unwrap().items, first[0].position, manager.replay(&keyed()).await.unwrap())
}

async fn doubts(manager: &Manager) -> Vec<Attention> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap().items;
    all.into_iter().filter(|said| said.kind == AttentionKind::RetentionClock).collect()
}

async fn turns(manager: &Manager) {
    for duty in [Duty::Retention, Duty::Expiry, Duty::Retention] {
        assert!(manager.attend_to(duty).await.unwrap());
    }
}

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

#[tokio::test]
async fn a_clock_years_ahead_or_behind_removes_nothing_and_says_so_until_it_is_mended() {
    let world = world();
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let (manager, operation) = in_use(&world).await;
    let before = everything(&manager).await;
    assert_eq!(WARNED.get(), 0);
    for (turn, wrong) in [YEAR * 5, YEAR * -20].into_iter().enumerate() {
        world.pass(wrong);
        turns(&manager).await;
        assert_eq!(everything(&manager).await, before, "{wrong:?}");
        let said = doubts(&manager).await;
        assert_eq!((said.len(), WARNED.get()), (1, turn + 1), "said once: {said:?}");
        assert!(said[0].message.contains("more than a week"), "{said:?}");
        assert!(said[0].remedy.contains("tenantry retention run --clock-is-right"), "{said:?}");
        let refused = manager.retire(&admin(), false).await.unwrap_err();
        assert_eq!((refused.code(), refused.retryable()), ("retention-clock", false));
        assert!(manager.preview_retention().await.unwrap().clock_doubted);
        assert_eq!(everything(&manager).await, before, "{wrong:?}");
        world.pass(-wrong);
        turns(&manager).await;
        assert_eq!(doubts(&manager).await, [], "it is mended");
    }
    // And goes on from there: six days later what is old goes, and nothing else.
    assert_eq!(everything(&manager).await, before);
    world.pass(SignedDuration::from_hours(6 * 24));
    turns(&manager).await;
    let after = everything(&manager).await;
    assert!(after.1 > before.1, "old events");
    assert_eq!((after.2, after.0), (None, before.0), "the old answer, and no operation");
    assert!(there(&manager, operation.id).await);
    assert_eq!(WARNED.get(), 2);
}

/// What lies between two old events goes with them, wherever a search by halves would have come out.
#[tokio::test]
async fn events_of_a_clock_that_was_wrong_for_a_while_keep_neither_old_ones_nor_take_new_ones_along() {
    const DAY: SignedDuration = SignedDuration::from_hours(24);
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    for wrong in [YEAR * 5, YEAR * -5] {
        for name in ["a", "b", "c", "d", "e"] {
            create(&manager, &format!("{name}{}", u8::from(wrong.is_negative()))).await;
        }
        world.pass(wrong);
        create(&manager, &format!("wrong{}", u8::from(wrong.is_negative()))).await;
        world.pass(-wrong);
    }
    create(&manager, "old").await;
    let last = manager.last_event().await.unwrap();
    world.pass(DAY * 6);
    create(&manager, "new").await;
    world.pass(YEAR * 5);
    create(&manager, "newest").await;
    world.pass(YEAR * -5);
    let gone = manager.preview_retention().await.unwrap();
    // A person has looked.
    let gone = (gone.events, manager.retire(&admin(), true).await.unwrap().events);
    let first = manager.events_after(&EventFilter::default(), 0, 1, Duration::ZERO).await.unwrap();
    assert_eq!(first[0].position, last + 1);
    assert_eq!(gone, (last, last), "all that is old, and nothing else");
}

#[tokio::test]
async fn a_clock_years_ahead_at_the_very_first_run_removes_nothing_either() {
    let world = world();
    let (manager, _) = in_use_before_its_first_run(&world).await;
    let before = everything(&manager).await;
    world.pass(YEAR * 5);
    // What the first turn tells is not taken for the moment that is known, and neither is what else happens.
    turns(&manager).await;
    create(&manager, "late").await;
    turns(&manager).await;
    let after = everything(&manager).await;
    assert_eq!((after.0.len(), after.1, after.2), (before.0.len() + 1, before.1, before.2));
    assert_eq!(doubts(&manager).await.len(), 1);
    world.pass(YEAR * -5);
    turns(&manager).await;
    assert_eq!(doubts(&manager).await, []);
}

/// Version 1 kept no moment of a run. What the upgraded manager does before retention's first turn it does by the wrong clock,
/// which is then the newest moment that the rows have seen.
#[tokio::test]
async fn a_clock_that_was_wrong_during_the_upgrade_is_not_believed_for_what_it_has_written() {
    for wrong in [YEAR * 5, YEAR * -20] {
        let world = world();
        let (manager, _) = in_use_before_its_first_run(&world).await;
        let before = everything(&manager).await;
        drop(manager);
        world.pass(wrong);
        let manager = world.manager().await;
        create(&manager, "late").await;
        turns(&manager).await;
        let after = everything(&manager).await;
        assert_eq!((after.0.len(), after.1, after.2), (before.0.len() + 1, before.1, before.2), "{wrong:?}");
        assert_eq!(doubts(&manager).await.len(), 1, "{wrong:?}");
        // Mended within a week of what was believed, it goes on by itself.
        world.pass(-wrong + SignedDuration::from_hours(6 * 24));
        turns(&manager).await;
        assert_eq!(doubts(&manager).await, [], "{wrong:?}");
        assert!(everything(&manager).await.1 > before.1, "old events go");
    }
}

#[tokio::test]
async fn an_installation_that_was_switched_off_for_a_year_goes_on_after_a_persons_word() {
    let world = world();
    let (manager, operation) = in_use(&world).await;
    drop(manager);
    world.pass(YEAR);
    let manager = world.manager().await;
    turns(&manager).await;
    assert!(there(&manager, operation.id).await);
    assert_eq!(doubts(&manager).await.len(), 1);
    let preview = manager.preview_retention().await.unwrap();
    assert_eq!((preview.clock_doubted, preview.operations), (true, 3), "{preview:?}");
    let request = RequestKey { key: "word".to_owned(), hash: "h".to_owned() };
    let ann = Principal { request: Some(request), ..admin() };
    let gone = manager.retire(&ann, true).await.unwrap();
    assert_eq!((gone.clock_doubted, gone.operations), (false, 3), "of five upserts the newest two stay");
    assert_eq!(manager.replay(&ann).await.unwrap(), Some(KeptAnswer::Retired(gone)));
    assert!(!there(&manager, operation.id).await);
    assert_eq!(doubts(&manager).await, []);
    let audit = manager.audit(None, 0, 100).await.unwrap();
    let said_so = audit.iter().find(|entry| entry.action == "retention.clock").unwrap();
    assert_eq!(said_so.actor.name, "ann");
    assert_ne!(said_so.before["lastRun"], said_so.after["lastRun"]);
    // Nobody has to say it again.
    world.pass(SignedDuration::from_hours(24));
    turns(&manager).await;
    assert_eq!(doubts(&manager).await, []);
    assert!(!manager.retire(&admin(), false).await.unwrap().clock_doubted);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn an_agent_is_told_to_keep_versions_that_only_a_wrong_clock_makes_old() {
    let world = world();
    let manager = world.manager().await;
    prepare(&manager).await;
    let hooks = |version: &str| {
        let mut hook = hook("crm/tenant", &ALL, &[]);
        hook.hash = tenantry_model::TemplateHash(version.to_owned());
        vec![readable(hook)]
    };
    let mut agent = Agent::open(&manager, hooks("one")).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    assert!(manager.attend_to(Duty::Retention).await.unwrap());
    agent.inventory(&manager, hooks("two")).await;
    let kept = async |agent: &mut Agent| {
        run(&world, &manager, agent, environment.id, Lifecycle::Reconcile).await;
        let part = tenantry_manager::InventoryPart {
            begin: true,
            end: true,
            present: hooks("two"),
            absent: Vec::new(),
        };
        let kept = manager.agent_inventory(&agent.region, agent.session, part).await.unwrap();
        kept.into_iter().map(|hash| hash.0).collect::<Vec<_>>()
    };
    assert_eq!(kept(&mut agent).await, ["one", "two"]);
    world.pass(YEAR * 5);
    assert_eq!(kept(&mut agent).await, ["one", "two"], "the clock is in doubt");
    manager.retire(&admin(), true).await.unwrap();
    world.pass(SignedDuration::from_hours(2));
    assert_eq!(kept(&mut agent).await, ["two"], "it is right: five years are long enough");
}
