//! Events on their way to a sink of the document `event-sinks`: a real HTTP server takes them, or does not.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::pager::Pager;
use common::*;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tenantry_events::{CloudEvent, HttpSink};
use tenantry_manager::{Manager, Outlet, ReplayFrom, Round, Wants};
use tenantry_model::*;
use tenantry_store::{AttentionFilter, DeadLetterRow, EventFilter, EventRecord};

const SINK: &str = "crm";

async fn outlet(receiver: &Pager, types: &[&str]) -> Outlet {
    let sink = HttpSink::new(&receiver.listen().await, None).unwrap().named(SINK);
    Outlet {
        sink: Arc::new(sink),
        wants: Wants::Types(types.iter().map(|&prefix| prefix.to_owned()).collect()),
        to: "http:crm".to_owned(),
    }
}

/// Rounds until there is nothing to do now.
async fn drain(manager: &Manager, outlet: &Outlet) -> Round {
    loop {
        match manager.publish_round(outlet).await.unwrap() {
            Round::Moved => {}
            other => return other,
        }
    }
}

/// Rounds until there is nothing to do at all, however long the pauses are.
async fn settle(world: &World, manager: &Manager, outlet: &Outlet) {
    for _ in 0..2000 {
        match drain(manager, outlet).await {
            Round::Wait(time) => world.pass(time),
            _ => return,
        }
    }
    panic!("the sink never comes to rest");
}

async fn open(world: &World) -> (Manager, Agent) {
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    (manager, agent)
}

/// Environments whose first operation has succeeded.
async fn live(world: &World, manager: &Manager, agent: &mut Agent, names: &[&str]) -> Vec<EnvironmentId> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(create(manager, name).await.0.id);
    }
    agent.run_all(manager, world.now()).await;
    ids
}

async fn outbox(manager: &Manager) -> Vec<EventRecord> {
    manager.events_after(&EventFilter::default(), 0, 1000, Duration::ZERO).await.unwrap()
}

/// Those that say nothing about the sink itself.
fn told(outbox: &[EventRecord]) -> Vec<u64> {
    let own = |event: &&EventRecord| {
        let key = event.data["key"].as_str().unwrap_or_default();
        !key.ends_with(&format!("/{SINK}"))
    };
    outbox.iter().filter(own).map(|event| event.position).collect()
}

fn position(event: &CloudEvent) -> u64 {
    event.sequence.as_deref().unwrap().parse().unwrap()
}

/// The first time that each event came: within an environment, and among what belongs to none, in order.
fn assert_in_order(events: &[CloudEvent]) {
    let mut last: BTreeMap<Option<String>, &CloudEvent> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in events.iter().filter(|event| seen.insert(event.id.clone())) {
        if let Some(before) = last.insert(event.partitionkey.clone(), event) {
            assert!(before.sequence < event.sequence, "{} came after {}", event.id, before.id);
            assert!(before.environmentversion <= event.environmentversion, "{before:?} {event:?}");
        }
    }
}

fn positions(events: &[CloudEvent]) -> Vec<u64> {
    let mut all: Vec<u64> = events.iter().map(position).collect();
    all.sort_unstable();
    all
}

async fn kinds(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

async fn letters(manager: &Manager) -> Vec<DeadLetterRow> {
    manager.dead_letters(SINK, &Page::default()).await.unwrap().items
}

#[tokio::test]
async fn every_third_delivery_is_refused_and_each_environments_events_come_once_and_in_order() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    let count = AtomicU32::new(0);
    receiver.judge(move |_| if count.fetch_add(1, Ordering::SeqCst) % 3 == 2 { 503 } else { 200 });
    live(&world, &manager, &mut agent, &["a", "b", "c"]).await;
    drain(&manager, &outlet).await;
    live(&world, &manager, &mut agent, &["d", "e"]).await;
    settle(&world, &manager, &outlet).await;
    let events = receiver.events();
    assert_in_order(&events);
    let all = outbox(&manager).await;
    assert_eq!(positions(&events), told(&all[before..]), "each once");
    let wanted = all.iter().find(|event| event.kind.contains(".attempt.")).unwrap();
    let got = events.iter().find(|event| position(event) == wanted.position).unwrap();
    assert_eq!(got.data, wanted.data);
    assert_eq!(got.dataschema, Some(tenantry_manager::schema_name(&wanted.kind)));
    assert!(got.traceparent.as_deref().unwrap().starts_with("00-"), "the operation's: {got:?}");
    assert!(got.source.starts_with("urn:uuid:"), "{got:?}");
    assert!(manager.event_sinks().await.unwrap()[0].parked.is_empty());
}

#[tokio::test]
async fn a_refused_event_keeps_back_its_environment_alone() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    let ids = live(&world, &manager, &mut agent, &["bad", "good"]).await;
    let (bad, broken) = (ids[0].to_string(), Arc::new(AtomicBool::new(true)));
    let rule = (bad.clone(), Arc::clone(&broken));
    receiver.judge(move |event| {
        let refused = event.partitionkey.as_ref() == Some(&rule.0) && rule.1.load(Ordering::SeqCst);
        if refused { 503 } else { 200 }
    });
    assert_eq!(drain(&manager, &outlet).await, Round::Wait(SignedDuration::from_secs(5)));
    let of = |events: &[CloudEvent], key: &str| {
        events.iter().filter(|event| event.partitionkey.as_deref() == Some(key)).count()
    };
    let events = receiver.events();
    let all = outbox(&manager).await;
    let good = all.iter().filter(|event| event.environment == Some(ids[1])).count();
    assert_eq!((of(&events, &bad), of(&events, &ids[1].to_string())), (0, good), "the others' have all come");
    // What comes meanwhile waits behind the one that was refused.
    ask(&manager, ids[0], tenantry_manager::Lifecycle::Suspend).await;
    world.pass(SignedDuration::from_secs(5));
    assert_eq!(drain(&manager, &outlet).await, Round::Wait(SignedDuration::from_secs(10)));
    let view = manager.event_sinks().await.unwrap().remove(0);
    let parked = &view.parked[0];
    assert_eq!((view.parked.len(), parked.environment, parked.tries), (1, Some(ids[0]), 2));
    assert!(parked.problem.as_deref().unwrap().contains("503"), "{parked:?}");
    assert_eq!(of(&receiver.events(), &bad), 0);
    broken.store(false, Ordering::SeqCst);
    // A restart does not hurry, and forgets nothing.
    drop(manager);
    let manager = world.manager().await;
    assert_eq!(drain(&manager, &outlet).await, Round::Wait(SignedDuration::from_secs(10)));
    world.pass(SignedDuration::from_secs(10));
    assert_eq!(drain(&manager, &outlet).await, Round::Idle);
    let events = receiver.events();
    assert_in_order(&events);
    assert_eq!(positions(&events), told(&outbox(&manager).await[before..]));
    assert!(manager.event_sinks().await.unwrap()[0].parked.is_empty());
}

/// An environment one of whose events is refused for ever; gives the receiver's switch and that event's position.
async fn poisoned(
    world: &World,
    manager: &Manager,
    agent: &mut Agent,
    receiver: &Pager,
    outlet: &Outlet,
) -> (Arc<AtomicBool>, u64) {
    drain(manager, outlet).await;
    let ids = live(world, manager, agent, &["one"]).await;
    let poison = outbox(manager).await.into_iter().find(|event| event.environment == Some(ids[0])).unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let rule = (poison.position, Arc::clone(&broken));
    receiver.judge(
        move |event| if position(event) == rule.0 && rule.1.load(Ordering::SeqCst) { 500 } else { 200 },
    );
    settle(world, manager, outlet).await;
    (broken, poison.position)
}

#[tokio::test]
async fn what_is_never_taken_becomes_a_dead_letter_and_the_next_event_flows() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    let (broken, poison) = poisoned(&world, &manager, &mut agent, &receiver, &outlet).await;
    let events = receiver.events();
    assert_in_order(&events);
    let wanted: Vec<u64> =
        told(&outbox(&manager).await[before..]).into_iter().filter(|at| *at != poison).collect();
    assert_eq!(positions(&events), wanted, "all but the one, and nothing of the sink's own troubles");
    let dead = letters(&manager).await;
    assert_eq!((dead.len(), dead[0].event.position, dead[0].tries), (1, poison, 10));
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let shown = all.items.iter().find(|item| item.kind == AttentionKind::DeadLetter).unwrap();
    assert!(shown.remedy.contains("tenantry event dead-letter redeliver crm"), "{shown:?}");
    assert!(!shown.message.contains("secret-part"), "an address may hold a secret: {shown:?}");
    // Refused again, it stays; taken, it is gone and the attention with it.
    manager.redeliver(&admin(), SINK, &[], Some("again")).await.unwrap();
    settle(&world, &manager, &outlet).await;
    let dead = letters(&manager).await;
    assert_eq!((dead.len(), dead[0].tries, dead[0].wanted), (1, 11, false));
    broken.store(false, Ordering::SeqCst);
    let changed = manager.redeliver(&admin(), SINK, &[poison], Some("repaired")).await.unwrap();
    assert_eq!((changed.positions, changed.more), (vec![poison], false));
    settle(&world, &manager, &outlet).await;
    assert_eq!(letters(&manager).await, []);
    assert!(receiver.events().iter().any(|event| position(event) == poison));
    assert!(!kinds(&manager).await.contains(&AttentionKind::DeadLetter));
    let audit = manager.audit(None, 0, 100).await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry.action == "event-sink.redeliver").count(), 2);
}

#[tokio::test]
async fn dead_letters_can_be_thrown_away_with_a_reason() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    let (_, poison) = poisoned(&world, &manager, &mut agent, &receiver, &outlet).await;
    assert_eq!(manager.discard(&admin(), SINK, &[], " ").await.unwrap_err().code(), "invalid-request");
    assert_eq!(manager.discard(&admin(), SINK, &[poison + 1], "x").await.unwrap_err().code(), "not-found");
    assert_eq!(manager.discard(&admin(), "nobody", &[], "x").await.unwrap_err().code(), "not-found");
    manager.discard(&admin(), SINK, &[poison], "the receiver does not need it").await.unwrap();
    assert_eq!(letters(&manager).await, []);
    assert!(!kinds(&manager).await.contains(&AttentionKind::DeadLetter));
}

#[tokio::test]
async fn a_sink_that_does_not_answer_loses_nothing_and_no_try_counts() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    receiver.judge(|_| 0);
    live(&world, &manager, &mut agent, &["a", "b"]).await;
    let mut rounds = 0;
    while !kinds(&manager).await.contains(&AttentionKind::SinkDown) {
        if let Round::Wait(time) = drain(&manager, &outlet).await {
            world.pass(time);
        }
        rounds += 1;
        assert!(rounds < 50, "nobody is told");
    }
    for _ in 0..20 {
        world.pass(SignedDuration::from_mins(10));
        drain(&manager, &outlet).await;
    }
    assert_eq!((letters(&manager).await.len(), receiver.events().len()), (0, 0));
    receiver.judge(|_| 200);
    settle(&world, &manager, &outlet).await;
    let events = receiver.events();
    assert_in_order(&events);
    assert_eq!(positions(&events), told(&outbox(&manager).await[before..]));
    assert!(!kinds(&manager).await.contains(&AttentionKind::SinkDown));
}

/// A receiver that breaks at one event and answers all others.
#[tokio::test]
async fn an_event_that_is_never_answered_becomes_a_dead_letter_and_keeps_nobody_else() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    let ids = live(&world, &manager, &mut agent, &["one"]).await;
    let poison = outbox(&manager).await.into_iter().find(|event| event.environment == Some(ids[0])).unwrap();
    let at = poison.position;
    receiver.judge(move |event| if position(event) == at { 0 } else { 200 });
    // Something else is told between two tries: without that it could as well be the receiver.
    for n in 0..40 {
        manager.create_tenant(&admin(), format!("t{n}").parse().unwrap(), "T".to_owned()).await.unwrap();
        if let Round::Wait(time) = drain(&manager, &outlet).await {
            world.pass(time);
        }
    }
    settle(&world, &manager, &outlet).await;
    let dead = letters(&manager).await;
    assert_eq!((dead.len(), dead[0].event.position, dead[0].tries), (1, at, 10));
    let events = receiver.events();
    assert_in_order(&events);
    let wanted: Vec<u64> =
        told(&outbox(&manager).await[before..]).into_iter().filter(|one| *one != at).collect();
    assert_eq!(positions(&events), wanted);
}

/// A balancer without a server behind it: it is not the events.
#[tokio::test]
async fn a_sink_that_refuses_everybodys_events_is_out_of_order_and_buries_none() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &["io.tenantry.environment.", "io.tenantry.operation."]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    receiver.judge(|_| 503);
    let names: Vec<String> = (0..20).map(|n| format!("e{n}")).collect();
    live(&world, &manager, &mut agent, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // A day.
    for _ in 0..150 {
        world.pass(SignedDuration::from_mins(10));
        drain(&manager, &outlet).await;
    }
    let view = manager.event_sinks().await.unwrap().remove(0);
    assert_eq!((view.dead_letters, receiver.events().len()), (0, 0), "{view:?}");
    assert!(kinds(&manager).await.contains(&AttentionKind::SinkDown));
    receiver.judge(|_| 200);
    settle(&world, &manager, &outlet).await;
    let events = receiver.events();
    assert_in_order(&events);
    let wanted = outbox(&manager).await.split_off(before);
    let wanted: Vec<u64> = wanted
        .iter()
        .filter(|event| event.kind.contains(".environment.") || event.kind.contains(".operation."))
        .map(|event| event.position)
        .collect();
    assert_eq!(positions(&events), wanted, "each once, and of other types none");
}

#[tokio::test]
async fn a_replay_delivers_again_from_there_under_the_same_ids_and_in_order() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    live(&world, &manager, &mut agent, &["a"]).await;
    drain(&manager, &outlet).await;
    world.pass(SignedDuration::from_hours(1));
    let noon = world.now();
    live(&world, &manager, &mut agent, &["b"]).await;
    drain(&manager, &outlet).await;
    let mut first = receiver.events();
    // Environments beside each other: in which order is nobody's promise.
    let sorted = |events: &mut Vec<CloudEvent>| events.sort_by_key(position);
    sorted(&mut first);
    let from = position(&first[3]);
    let view =
        manager.replay_events(&admin(), SINK, ReplayFrom::Position(from), Some("lost a disk")).await.unwrap();
    assert_eq!(view.position, from - 1);
    drain(&manager, &outlet).await;
    let mut again = receiver.events().split_off(first.len());
    assert_in_order(&again);
    sorted(&mut again);
    assert_eq!(again, first[3..], "the same, from there on");
    manager.replay_events(&admin(), SINK, ReplayFrom::Time(noon), None).await.unwrap();
    drain(&manager, &outlet).await;
    let mut later = receiver.events().split_off(first.len() + again.len());
    assert_in_order(&later);
    sorted(&mut later);
    let wanted: Vec<CloudEvent> = first.iter().filter(|event| event.time >= noon).cloned().collect();
    assert!(!later.is_empty() && later == wanted, "{later:?}");
    let ahead = ReplayFrom::Position(manager.last_event().await.unwrap() + 10);
    assert_eq!(
        manager.replay_events(&admin(), SINK, ahead, None).await.unwrap_err().code(),
        "invalid-request"
    );
    let audit = manager.audit(None, 0, 100).await.unwrap();
    let noted: Vec<_> = audit.iter().filter(|entry| entry.action == "event-sink.replay").collect();
    assert_eq!((noted.len(), noted[0].reason.as_deref()), (2, Some("lost a disk")));
}

#[tokio::test]
async fn a_manager_that_dies_at_any_point_loses_no_event_and_what_comes_twice_has_one_id() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let before = outbox(&manager).await.len();
    let count = AtomicU32::new(0);
    receiver.judge(move |_| if count.fetch_add(1, Ordering::SeqCst) % 5 == 4 { 503 } else { 200 });
    live(&world, &manager, &mut agent, &["a", "b", "c"]).await;
    drop(manager);
    // Later and later in a round, and always by a manager that knows nothing but rows.
    for polls in 0..150 {
        let manager = world.manager().await;
        die_after(polls % 50, manager.publish_round(&outlet)).await;
        drop(manager);
        // The dead one's role.
        world.pass(SignedDuration::from_secs(16));
    }
    let manager = world.manager().await;
    settle(&world, &manager, &outlet).await;
    let events = receiver.events();
    assert_in_order(&events);
    let ids: BTreeSet<(&str, u64)> =
        events.iter().map(|event| (event.id.as_str(), position(event))).collect();
    let came: Vec<u64> = ids.iter().map(|(_, at)| *at).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(came, told(&outbox(&manager).await[before..]), "nothing is lost");
    assert_eq!(ids.len(), came.len(), "one id each");
    assert!(events.len() > ids.len(), "nothing came twice: no death was between a delivery and its row");
}

#[tokio::test]
async fn two_managers_deliver_each_event_once() {
    let world = World::new();
    let mut managers = world.managers(2).await;
    let (one, two) = (managers.remove(0), managers.remove(0));
    prepare(&one).await;
    let mut agent = Agent::open(&one, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &["io.tenantry.step."]).await;
    drain(&one, &outlet).await;
    live(&world, &one, &mut agent, &["a", "b", "c", "d"]).await;
    let all = outbox(&one).await;
    let wanted: Vec<u64> =
        all.iter().filter(|event| event.kind.contains(".step.")).map(|event| event.position).collect();
    while receiver.events().len() < wanted.len() {
        tokio::join!(drain(&one, &outlet), drain(&two, &outlet));
    }
    assert_eq!(positions(&receiver.events()), wanted);
}

#[tokio::test]
async fn events_that_a_slow_sink_has_not_got_stay_until_it_is_forgotten() {
    let mut world = World::new();
    world.config.retention.events = Some(SignedDuration::from_hours(24));
    let (manager, mut agent) = open(&world).await;
    let receiver = Pager::default();
    let outlet = outlet(&receiver, &[]).await;
    drain(&manager, &outlet).await;
    let ids = live(&world, &manager, &mut agent, &["slow", "other"]).await;
    let slow = ids[0].to_string();
    receiver.judge(move |event| if event.partitionkey.as_ref() == Some(&slow) { 503 } else { 200 });
    drain(&manager, &outlet).await;
    let first = outbox(&manager).await.into_iter().find(|event| event.environment == Some(ids[0])).unwrap();
    world.pass(SignedDuration::from_hours(24 * 3));
    manager.retire(&admin(), true).await.unwrap();
    assert_eq!(outbox(&manager).await[0].position, first.position, "what is parked is still to come");
    manager.forget_event_sink(&admin(), SINK, "not needed any more").await.unwrap();
    assert_eq!(manager.event_sinks().await.unwrap(), []);
    manager.retire(&admin(), true).await.unwrap();
    assert!(outbox(&manager).await[0].position > first.position);
    // The same name again is a new sink.
    drain(&manager, &outlet).await;
    let view = manager.event_sinks().await.unwrap().remove(0);
    assert_eq!((view.position, view.parked.len()), (view.newest, 0));
}
