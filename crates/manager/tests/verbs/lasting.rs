//! What waits for a person is said once. The duty looks at it at every turn, and each commit wakes every manager, agent and
//! watcher: a look that finds nothing new must write nothing.

use super::*;
use futures::FutureExt;
use jiff::SignedDuration;
use std::collections::BTreeSet;
use tenantry_engine::VerbKind;
use tenantry_manager::{Duty, NewHold};
use tenantry_store::{EventFilter, Store};

/// Whether a turn of the duty commits anything.
async fn commits(store: &dyn Store, manager: &Manager) -> bool {
    let mut changed = store.changed();
    assert!((&mut changed).now_or_never().is_none(), "woken by nothing");
    assert!(manager.attend_to(Duty::Steering).await.unwrap());
    changed.now_or_never().is_some()
}

/// Everything that a turn could leave.
async fn left(store: &dyn Store) -> String {
    let mut read = store.read().await.unwrap();
    let events = read.events(&EventFilter::default(), 0, 1000).await.unwrap();
    let audit = read.audit(None, 0, 1000).await.unwrap();
    let page = Page { after: None, limit: 1000 };
    let filter = AttentionFilter { settled: true, ..AttentionFilter::default() };
    let attentions = read.attentions(&filter, &page).await.unwrap().items;
    let holds = read.holds(&tenantry_store::HoldFilter::default(), &page).await.unwrap().items;
    format!("{:?}\n{:?}\n{attentions:?}\n{holds:?}", events.last(), audit.last())
}

#[tokio::test]
async fn a_hold_that_lasts_is_committed_once_and_not_at_every_turn() {
    let mut world = World::new();
    world.config.four_eyes = BTreeSet::from([VerbKind::Skip]);
    let store = world.store().await;
    let manager = world.beside(store.clone());
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, hooks()).await;
    let (_, id) = create(&manager, "prod").await;
    for start in agent.starts(&manager).await {
        agent.ended(&manager, &start.attempt, world.now(), failure()).await;
    }
    let hold = |namespace: &str, until| NewHold {
        predicate: HoldPredicate { namespace: Some(namespace.parse().unwrap()), ..HoldPredicate::default() },
        until,
        reason: "freeze".to_owned(),
        max_steps: None,
        validate_only: false,
    };
    let endless = manager.create_hold(&admin(), hold("crm", None)).await.unwrap().row.hold.id;
    let tomorrow = world.now().checked_add(SignedDuration::from_hours(24)).unwrap();
    manager.create_hold(&admin(), hold("ops", Some(tomorrow))).await.unwrap();
    let ann = somebody("ann", Role::Operator);
    let asked = steer(&manager, &ann, id, "ops/c", StepVerb::Skip).await.unwrap();
    assert!(matches!(asked, Steered::Pending(_)));

    // The duty's role is taken now; its lease is not prolonged while the clock stands still.
    commits(&*store, &manager).await;
    assert!(!commits(&*store, &manager).await, "nothing lasts long yet");
    world.pass(SignedDuration::from_mins(61));
    manager.take_role(Duty::Steering.role()).await.unwrap();
    assert!(commits(&*store, &manager).await, "one hold has lasted too long");
    let told: Vec<Attention> = attention(&manager).await;
    assert_eq!(told.iter().filter(|row| row.kind == AttentionKind::HoldLong).count(), 1, "{told:?}");
    let before = left(&*store).await;
    for turn in 0..20 {
        assert!(!commits(&*store, &manager).await, "at turn {turn}");
    }
    assert_eq!(left(&*store).await, before);
    // Nor does a manager that comes after it say it again.
    let next = world.beside(store.clone());
    world.pass(SignedDuration::from_secs(16));
    next.take_role(Duty::Steering.role()).await.unwrap();
    assert!(!commits(&*store, &next).await, "the next manager");
    assert_eq!(left(&*store).await, before);
    next.lift_hold(&admin(), endless, None, false).await.unwrap();
    commits(&*store, &next).await;
    assert!(!commits(&*store, &next).await, "after its end");
}
