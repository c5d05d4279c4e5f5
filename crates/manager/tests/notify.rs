//! Attention on its way to a pager: a real HTTP server and a real program take it.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::pager::Pager;
use common::*;
use jiff::SignedDuration;
use std::os::unix::fs::PermissionsExt;
use tenantry_events::{CloudEvent, CommandSink, HttpSink, Sink};
use tenantry_manager::{Manager, Round};
use tenantry_model::*;
use tenantry_store::AttentionFilter;

/// Rounds until there is nothing to do now.
async fn drain(manager: &Manager, sink: &dyn Sink) -> Round {
    loop {
        match manager.notify_round(sink).await.unwrap() {
            Round::Moved => {}
            other => return other,
        }
    }
}

/// A step that waits for a decision; it is settled by a rerun that succeeds.
async fn raise(world: &World, manager: &Manager, agent: &mut Agent, name: &str) {
    // The agent speaks: without that its region would be silent after the pauses of a test.
    agent.lease(manager).await;
    create(manager, name).await;
    let start = agent.starts(manager).await.remove(0);
    agent.ended(manager, &start.attempt, world.now(), failure()).await;
}

async fn open(world: &World) -> (Manager, Agent) {
    let manager = world.manager().await;
    prepare(&manager).await;
    let agent = Agent::open(&manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    (manager, agent)
}

fn pair(kind: &str, what: &str) -> (String, String) {
    (kind.to_owned(), what.to_owned())
}

async fn kinds(manager: &Manager) -> Vec<AttentionKind> {
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    all.items.into_iter().map(|attention| attention.kind).collect()
}

/// The manager that had the sink's role died before the sink began.
#[tokio::test]
async fn a_new_sink_begins_now_whoever_has_its_role() {
    let world = World::new();
    let managers = world.managers(2).await;
    let (manager, other) = (&managers[0], &managers[1]);
    prepare(manager).await;
    let mut agent = Agent::open(manager, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    manager.take_role(&format!("notifier/{}", sink.name())).await.unwrap().unwrap();
    assert_eq!(drain(other, &sink).await, Round::Idle);
    raise(&world, manager, &mut agent, "prod").await;
    assert_eq!(drain(other, &sink).await, Round::Wait(SignedDuration::from_secs(15)));
    assert_eq!(pager.taken(), []);
    world.pass(SignedDuration::from_secs(16));
    assert_eq!(drain(other, &sink).await, Round::Idle);
    assert_eq!(pager.taken(), [pair("raised", "step-waiting")]);
}

#[tokio::test]
async fn a_new_sink_begins_now_and_a_restart_neither_forgets_nor_repeats() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    raise(&world, &manager, &mut agent, "before").await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, Some("s3cret".to_owned().into())).unwrap();
    assert_eq!(drain(&manager, &sink).await, Round::Idle);
    assert_eq!(pager.taken(), [], "a new sink is not flooded");
    raise(&world, &manager, &mut agent, "one").await;
    drain(&manager, &sink).await;
    raise(&world, &manager, &mut agent, "two").await;
    drop(manager);
    let manager = world.manager().await;
    drain(&manager, &sink).await;
    assert_eq!(pager.taken(), [pair("raised", "step-waiting"), pair("raised", "step-waiting")]);
    let got = pager.got.lock().unwrap().clone();
    let ((head, first), (_, second)) = (&got[0], &got[1]);
    assert!(head.starts_with("post /hooks/secret-part "), "{head}");
    assert!(head.contains("content-type: application/cloudevents+json"), "{head}");
    assert!(head.contains("authorization: bearer s3cret"), "{head}");
    assert_eq!(first.specversion, "1.0");
    assert!(first.source.starts_with("urn:uuid:") && first.source == second.source, "{first:?}");
    assert_ne!(first.id, second.id);
    assert!(first.data["remedy"].as_str().unwrap().starts_with("tenantry op rerun"), "{first:?}");
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_growing_pauses_and_in_order() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    drain(&manager, &sink).await;
    pager.answer(503, 2);
    raise(&world, &manager, &mut agent, "one").await;
    assert_eq!(drain(&manager, &sink).await, Round::Wait(SignedDuration::from_secs(5)));
    world.pass(SignedDuration::from_secs(5));
    assert_eq!(drain(&manager, &sink).await, Round::Wait(SignedDuration::from_secs(10)));
    // A restart does not begin the pauses anew, and does not hurry.
    drop(manager);
    let manager = world.manager().await;
    assert_eq!(drain(&manager, &sink).await, Round::Wait(SignedDuration::from_secs(10)));
    raise(&world, &manager, &mut agent, "two").await;
    world.pass(SignedDuration::from_secs(10));
    assert_eq!(drain(&manager, &sink).await, Round::Idle);
    assert_eq!(pager.taken().len(), 2);
    assert!(!kinds(&manager).await.contains(&AttentionKind::DeadLetter));
}

#[tokio::test]
async fn what_is_never_taken_becomes_a_dead_letter_that_the_next_success_settles() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let pager = Pager::default();
    let url = pager.listen().await;
    let sink = HttpSink::new(&url, None).unwrap();
    drain(&manager, &sink).await;
    pager.answer(500, 10);
    raise(&world, &manager, &mut agent, "one").await;
    while let Round::Wait(time) = drain(&manager, &sink).await {
        world.pass(time);
    }
    assert_eq!(pager.taken(), [], "given up after ten tries, and its own dead letter is not sent to it");
    let all = manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
    let dead = all.items.iter().find(|item| item.kind == AttentionKind::DeadLetter).unwrap();
    assert!(dead.message.contains("1 notifications") && dead.message.contains("500"), "{}", dead.message);
    assert!(!dead.message.contains("secret-part"), "an address may hold a secret: {}", dead.message);
    // One that will never be taken is given up at once.
    pager.answer(413, 1);
    raise(&world, &manager, &mut agent, "two").await;
    assert_eq!(drain(&manager, &sink).await, Round::Idle);
    raise(&world, &manager, &mut agent, "three").await;
    drain(&manager, &sink).await;
    assert_eq!(pager.taken(), [pair("raised", "step-waiting")]);
    assert!(!kinds(&manager).await.contains(&AttentionKind::DeadLetter));
}

#[tokio::test]
async fn two_managers_deliver_each_event_once() {
    let world = World::new();
    let mut managers = world.managers(2).await;
    let (one, two) = (managers.remove(0), managers.remove(0));
    prepare(&one).await;
    let mut agent = Agent::open(&one, vec![readable(hook("crm/a", &["lifecycle.upsert"], &[]))]).await;
    let pager = Pager::default();
    let sink = HttpSink::new(&pager.listen().await, None).unwrap();
    drain(&one, &sink).await;
    for name in ["a", "b", "c", "d"] {
        raise(&world, &one, &mut agent, name).await;
    }
    // Whoever finds the other one busy waits; between them everything is delivered.
    while pager.taken().len() < 4 {
        tokio::join!(drain(&one, &sink), drain(&two, &sink));
    }
    let ids: std::collections::BTreeSet<String> =
        pager.got.lock().unwrap().iter().map(|(_, event)| event.id.clone()).collect();
    assert_eq!((ids.len(), pager.taken().len()), (4, 4));
}

#[tokio::test]
async fn a_program_gets_the_event_on_its_input_and_its_exit_code_decides() {
    let world = World::new();
    let (manager, mut agent) = open(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let (program, out) = (folder.path().join("page"), folder.path().join("out"));
    let script = format!(
        "#!/bin/sh\ntest -e '{0}' && {{ env >> '{0}'.env; cat >> '{0}'; exit 0; }}\ntouch '{0}'\necho nobody is there >&2\nexit 3\n",
        out.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let sink = CommandSink::new(&program);
    drain(&manager, &sink).await;
    raise(&world, &manager, &mut agent, "one").await;
    assert_eq!(drain(&manager, &sink).await, Round::Wait(SignedDuration::from_secs(5)), "exit code 3");
    world.pass(SignedDuration::from_secs(5));
    assert_eq!(drain(&manager, &sink).await, Round::Idle);
    let event: CloudEvent = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(event.data["kind"], "step-waiting");
    let seen = std::fs::read_to_string(folder.path().join("out.env")).unwrap();
    assert!(!seen.contains("CARGO"), "the manager's environment is its own: {seen}");
    let missing = CommandSink::new(&folder.path().join("missing"));
    let refused = missing.deliver(&event).await.unwrap_err();
    assert!(refused.message.contains("cannot be started") && !refused.permanent, "{refused:?}");
}
