//! The end of an environment where two managers see to it: asked for at one and approved at the other, at both at the
//! same moment, and with one that dies in the middle.

use crate::beside::Beside;
use crate::common::*;
use crate::{DEADLINE, two_over};
use jiff::SignedDuration;
use tenantry_manager::{
    ChangeOptions, Decide, Decided, EnvironmentKey, ErrorClass, KeptAnswer, Lifecycle, LifecycleOptions,
    Manager, ManagerError, Principal, PurgeAnswer, PurgeWish, RequestKey,
};
use tenantry_model::*;
use tokio::time::timeout;
use uuid::Uuid;

const HOOKS: [&str; 2] = ["lifecycle.upsert", "lifecycle.decommission"];

fn somebody(name: &str) -> Principal {
    let actor = Actor { kind: ActorKind::Token, name: name.to_owned() };
    Principal { actor, token: Some(TokenId(Uuid::now_v7())), ..admin() }
}

/// Whoever asks, the retention need not have ended.
fn wish(name: &str) -> PurgeWish {
    PurgeWish {
        name: name.parse().unwrap(),
        before_retention_ends: true,
        reason: "contract ended".to_owned(),
        expected_revision: None,
        validate_only: false,
    }
}

/// Environments that have been torn down, with a day to bring them back.
async fn torn_down(world: &World, manager: &Manager, names: &[String]) -> (Agent, Vec<EnvironmentId>) {
    prepare(manager).await;
    let mut agent = Agent::open(manager, vec![readable(hook("crm/tenant", &HOOKS, &[]))]).await;
    let mut ids = Vec::new();
    for name in names {
        let id = create(manager, name).await.0.id;
        agent.run_all(manager, world.now()).await;
        let retention = Some(SignedDuration::from_hours(24));
        ask(manager, id, Lifecycle::Decommission { retention }).await;
        agent.run_all(manager, world.now()).await;
        assert_eq!(read(manager, id).await.state, EnvironmentState::Decommissioned);
        ids.push(id);
    }
    (agent, ids)
}

async fn read(manager: &Manager, id: EnvironmentId) -> Environment {
    manager.environment(&EnvironmentKey::Id(id)).await.unwrap()
}

async fn ask_for_a_second(manager: &Manager, id: EnvironmentId, name: &str) -> ApprovalId {
    match manager.purge_environment(&somebody("ann"), id, wish(name)).await.unwrap() {
        PurgeAnswer::Pending(approval) => approval.id,
        other => panic!("needs a second person: {other:?}"),
    }
}

async fn approve(
    manager: &Manager,
    who: &Principal,
    id: ApprovalId,
) -> Result<(Approval, Option<Decided>), ManagerError> {
    manager.decide_approval(who, id, Decide::Approve, Some("seen".to_owned()), false).await
}

/// It went once, everybody agrees, and nothing about it waits for anybody.
async fn is_purged_once(managers: [&Manager; 2], id: EnvironmentId) {
    for manager in managers {
        let left = read(manager, id).await;
        assert_eq!((left.state, left.aliases.len()), (EnvironmentState::Purged, 0));
        let chain = manager.audit(Some(id), 0, 1000).await.unwrap();
        assert_eq!(chain.iter().filter(|entry| entry.action == "environment.purge").count(), 1);
        assert!(manager.verify_audit(Some(id)).await.unwrap().is_ok());
        let filter = tenantry_store::AttentionFilter::default();
        let open = manager.attentions(&admin(), filter, &Page::default()).await.unwrap().items;
        assert!(open.iter().all(|open| open.environment != Some(id)), "{open:?}");
    }
}

/// One person asks at the one manager; two others approve, one at each, at the same moment.
pub async fn asked_here_approved_there() {
    const TURNS: usize = 6;
    let mut world = World::new();
    world.config.purge_four_eyes = true;
    let (one, two, _) = two_over(&world).await;
    let names: Vec<String> = (0..TURNS).map(|n| format!("e{n}")).collect();
    let (_agent, ids) = torn_down(&world, &one, &names).await;
    let (bob, cid) = (somebody("bob"), somebody("cid"));
    for (id, name) in ids.into_iter().zip(&names) {
        let approval = ask_for_a_second(&one, id, name).await;
        // The question is the same at the other one.
        let again = two.purge_environment(&bob, id, wish(name)).await.unwrap_err();
        assert_eq!(again.code(), "already-exists", "{again}");
        let (first, second) = tokio::join!(approve(&one, &bob, approval), approve(&two, &cid, approval));
        let (done, late) = if first.is_ok() { (first, second) } else { (second, first) };
        let (decided, came) = done.unwrap();
        assert_eq!(decided.state, ApprovalState::Approved);
        assert!(matches!(came, Some(Decided::Purge(PurgeAnswer::Done(_)))), "{came:?}");
        assert_eq!(late.unwrap_err().code(), "approval-decided");
        is_purged_once([&one, &two], id).await;
        // Its name is free, for one of two who want it at the same moment.
        let (mine, yours) = tokio::join!(made(&one, name), made(&two, name));
        let (done, refused) = if mine.is_ok() { (mine, yours) } else { (yours, mine) };
        assert_ne!(done.unwrap(), id);
        assert_eq!(refused.unwrap_err().code(), "already-exists");
    }
    assert_eq!(findings(&two).await, []);
}

async fn made(manager: &Manager, name: &str) -> Result<EnvironmentId, ManagerError> {
    let made = manager.create_environment(&admin(), new_environment(name), ChangeOptions::default()).await?;
    Ok(made.environment.id)
}

/// Two purge the same environment at the same moment, or one purges it while the other one brings it back: one of them
/// is first, and the other one is told what is now.
pub async fn at_once() {
    const TURNS: usize = 8;
    let world = World::new();
    let (one, two, _) = two_over(&world).await;
    let names: Vec<String> = (0..TURNS).map(|n| format!("e{n}")).collect();
    let (mut agent, ids) = torn_down(&world, &one, &names).await;
    for (turn, (id, name)) in ids.into_iter().zip(&names).enumerate() {
        let who = admin();
        let purge = one.purge_environment(&who, id, wish(name));
        if turn % 2 == 0 {
            let (first, second) = tokio::join!(purge, two.purge_environment(&who, id, wish(name)));
            let (done, late) = if first.is_ok() { (first, second) } else { (second, first) };
            assert!(matches!(done.unwrap(), PurgeAnswer::Done(_)));
            assert_eq!(late.unwrap_err().code(), "environment-state");
            is_purged_once([&one, &two], id).await;
            continue;
        }
        let options = LifecycleOptions::default();
        let (purged, back) = tokio::join!(purge, two.lifecycle(&who, id, Lifecycle::Undelete, options));
        match (purged, back) {
            (Ok(_), Err(refused)) => {
                assert_eq!(refused.code(), "environment-state", "{refused}");
                is_purged_once([&one, &two], id).await;
            }
            (Err(refused), Ok(_)) => {
                assert_eq!(refused.code(), "purge-unfinished", "{refused}");
                agent.run_all(&two, world.now()).await;
                assert_eq!(read(&one, id).await.state, EnvironmentState::Active);
            }
            both => panic!("{both:?}"),
        }
    }
    assert_eq!(findings(&one).await, []);
}

/// How a manager ends while it carries out what was approved.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its process: nobody reads what the database says any more.
    Process,
    /// Its connection.
    Connection,
}

/// The second person's manager ends after it has written and before it has committed: nothing was done, the question is
/// still there, and the other manager carries it out, once.
pub async fn killed_between() {
    let mut world = World::new();
    world.config.purge_four_eyes = true;
    let (one, two, url) = two_over(&world).await;
    let names = ["a".to_owned(), "b".to_owned()];
    let (_agent, ids) = torn_down(&world, &one, &names).await;
    let mut beside = Beside::new(&url).await;
    for ((id, name), end) in ids.into_iter().zip(&names).zip([End::Process, End::Connection]) {
        let approval = ask_for_a_second(&one, id, name).await;
        let request = RequestKey { key: format!("purge-{name}"), hash: "h".to_owned() };
        let bob = Principal { request: Some(request), ..somebody("bob") };
        beside.keep("audit").await;
        let dying = tokio::spawn({
            let (two, bob) = (two.clone(), bob.clone());
            async move { approve(&two, &bob, approval).await }
        });
        beside.until_waiting("relation", 1).await;
        match end {
            End::Process => {
                dying.abort();
                assert!(dying.await.unwrap_err().is_cancelled());
            }
            End::Connection => {
                beside
                    .count(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'",
                    )
                    .await;
                let told = timeout(DEADLINE, dying).await.unwrap().unwrap().unwrap_err();
                assert_eq!(told.class(), ErrorClass::Unavailable, "{end:?}: {told}");
            }
        }
        assert_eq!(read(&one, id).await.state, EnvironmentState::Decommissioned, "{end:?}");
        assert_eq!(one.approval(approval).await.unwrap().state, ApprovalState::Pending, "{end:?}");
        assert_eq!(one.replay(&bob).await.unwrap(), None, "{end:?}: nothing was answered");
        // Whoever asked asks again, under the same key, and comes to the other one.
        let again = tokio::spawn({
            let (one, bob) = (one.clone(), bob.clone());
            async move { approve(&one, &bob, approval).await }
        });
        beside.let_go().await;
        let (decided, came) = timeout(DEADLINE, again).await.expect("no lock is left").unwrap().unwrap();
        let Some(Decided::Purge(PurgeAnswer::Done(purged))) = came else { panic!("{end:?}: {came:?}") };
        is_purged_once([&one, &two], id).await;
        let kept = KeptAnswer::Decided { approval: Box::new(decided), operation: None, purged: Some(purged) };
        assert_eq!(two.replay(&bob).await.unwrap(), Some(kept), "the same answer at either");
    }
    assert_eq!(findings(&two).await, []);
}
