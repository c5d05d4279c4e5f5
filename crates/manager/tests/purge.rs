//! The end of an environment: what purge asks for, what goes, what stays, who else must agree.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tenantry_manager::{
    ChangeOptions, Decide, Decided, Duty, EnvironmentChange, EnvironmentKey, KeptAnswer, Lifecycle,
    LifecycleOptions, Manager, ManagerError, NewSchedule, Principal, PurgeAnswer, PurgeWish, Purged,
    RequestKey,
};
use tenantry_model::*;
use tenantry_store::{ApprovalFilter, EnvironmentFilter, EventFilter, Store as _};
use tenantry_store_sqlite::SqliteStore;
use uuid::Uuid;

const HOOKS: [&str; 4] = ["lifecycle.upsert", "lifecycle.backup", "lifecycle.decommission", "crm.reindex"];

/// A manager with one hook and the environment `acme/prod`, which is in use and has a backup.
async fn in_use(world: &World) -> (Manager, Agent, Environment, Operation) {
    over(world, world.store().await).await
}

async fn over(world: &World, store: Arc<SqliteStore>) -> (Manager, Agent, Environment, Operation) {
    let manager = world.beside(store);
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(hook("crm/tenant", &HOOKS, &[]))]).await;
    let mut new = new_environment("prod");
    new.aliases = ["acme.example.com".parse().unwrap()].into();
    let made = manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
    agent.run_all(&manager, world.now()).await;
    let backup = ask(&manager, made.environment.id, Lifecycle::Backup).await;
    agent.run_all(&manager, world.now()).await;
    (manager, agent, made.environment, backup)
}

/// The same, decommissioned with an hour to bring it back.
async fn decommissioned(world: &World) -> (Manager, Agent, Environment, Operation) {
    let (manager, mut agent, environment, backup) = in_use(world).await;
    decommission(&manager, &mut agent, world, environment.id).await;
    let environment = read(&manager, environment.id).await;
    (manager, agent, environment, backup)
}

async fn decommission(manager: &Manager, agent: &mut Agent, world: &World, id: EnvironmentId) {
    let retention = Some(SignedDuration::from_hours(1));
    ask(manager, id, Lifecycle::Decommission { retention }).await;
    agent.run_all(manager, world.now()).await;
    assert_eq!(read(manager, id).await.state, EnvironmentState::Decommissioned);
}

async fn read(manager: &Manager, id: EnvironmentId) -> Environment {
    manager.environment(&EnvironmentKey::Id(id)).await.unwrap()
}

fn wish(name: &str) -> PurgeWish {
    PurgeWish {
        name: name.parse().unwrap(),
        before_retention_ends: false,
        reason: "contract ended".to_owned(),
        expected_revision: None,
        validate_only: false,
    }
}

async fn refused(manager: &Manager, id: EnvironmentId, wish: PurgeWish) -> ManagerError {
    manager.purge_environment(&admin(), id, wish).await.unwrap_err()
}

async fn purged(manager: &Manager, id: EnvironmentId, wish: PurgeWish) -> Purged {
    match manager.purge_environment(&admin(), id, wish).await.unwrap() {
        PurgeAnswer::Done(purged) => *purged,
        other => panic!("{other:?}"),
    }
}

fn nightly(name: &str, target: ScheduleTarget) -> NewSchedule {
    NewSchedule {
        name: name.parse().unwrap(),
        description: String::new(),
        operation: "crm.reindex".parse().unwrap(),
        parameters: serde_json::Map::new(),
        target,
        cron: "0 22 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        catch_up: CatchUp::Latest,
        overlap: Overlap::Queue,
        deadline: None,
        validate_only: false,
    }
}

fn somebody(name: &str, role: Role) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Token, name: name.to_owned() },
        role,
        token: Some(TokenId(Uuid::now_v7())),
        ..Principal::system()
    }
}

#[tokio::test]
async fn a_purged_environment_leaves_a_tombstone_and_frees_its_names() {
    let world = World::new();
    let store = world.store().await;
    let (manager, mut agent, made, backup) = over(&world, store.clone()).await;
    let id = made.id;
    decommission(&manager, &mut agent, &world, id).await;
    let before = read(&manager, id).await;
    let own = nightly("own", ScheduleTarget::Environment(id));
    manager.create_schedule(&admin(), own).await.unwrap();
    let all = ScheduleTarget::Selector { tenant: None, region: None, labels: String::new(), cap: 10 };
    manager.create_schedule(&admin(), nightly("all", all)).await.unwrap();
    world.pass(SignedDuration::from_hours(1));

    let look = PurgeWish { validate_only: true, ..wish("prod") };
    let PurgeAnswer::Preview(preview) = manager.purge_environment(&admin(), id, look).await.unwrap() else {
        panic!("only looked")
    };
    assert_eq!(read(&manager, id).await, before, "looking changes nothing");
    assert_eq!(manager.applied(id).await.unwrap().len(), 1);

    let gone = purged(&manager, id, wish("prod")).await;
    assert_eq!(gone.aliases, preview.aliases);
    assert_eq!(gone.aliases, before.aliases);
    assert_eq!((gone.generations, preview.generations), (1, 1));
    assert_eq!((&gone.hooks, &preview.hooks), (&vec![hook_ref("crm/tenant")], &gone.hooks));
    assert_eq!((&gone.schedules, &preview.schedules), (&vec!["own".parse().unwrap()], &gone.schedules));
    assert_eq!(gone.backups, [backup.id]);

    let left = read(&manager, id).await;
    assert_eq!(left, gone.environment);
    let expected = Environment {
        aliases: BTreeSet::new(),
        labels: [].into(),
        spec: EnvironmentSpec::default(),
        state: EnvironmentState::Purged,
        retention: None,
        revision: before.revision + 1,
        version: left.version,
        updated_at: world.now(),
        ..before.clone()
    };
    assert_eq!(left, expected);
    assert!(left.version > before.version);
    assert_eq!(manager.applied(id).await.unwrap(), []);
    assert_eq!(store.read().await.unwrap().generation(id, 1).await.unwrap(), None);
    let schedules = store.read().await.unwrap().schedules().await.unwrap();
    assert_eq!(schedules.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["all"]);
    assert!(manager.operation(backup.id).await.is_ok(), "operations stay until retention takes them");

    let audit = manager.audit(Some(id), 0, 1000).await.unwrap();
    let entry = audit.iter().find(|entry| entry.action == "environment.purge").unwrap();
    assert_eq!(entry.reason.as_deref(), Some("contract ended"));
    assert_eq!(entry.before["state"], "decommissioned");
    assert_eq!(entry.after["environment"]["state"], "purged");
    assert_eq!(entry.after["beforeRetentionEnds"], false);
    assert!(!entry.after.to_string().contains("\"size\""), "{entry:?}");
    assert!(audit.iter().any(|entry| entry.action == "schedule.delete"));
    let filter = EventFilter { environment: Some(id), ..EventFilter::default() };
    let events = store.read().await.unwrap().events(&filter, 0, 1000).await.unwrap();
    let last = events.iter().rfind(|event| event.kind == "io.tenantry.environment.changed.v1").unwrap();
    assert_eq!((&last.data["state"], last.version), (&json!("purged"), left.version));

    // The same name and alias again, for another one.
    let mut new = new_environment("prod");
    new.aliases = before.aliases.clone();
    let again = manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap();
    agent.run_all(&manager, world.now()).await;
    assert_ne!(again.environment.id, id);
    let by_name = EnvironmentKey::Name("acme".parse().unwrap(), "prod".parse().unwrap());
    assert_eq!(manager.environment(&by_name).await.unwrap().id, again.environment.id);
    let by_alias = EnvironmentKey::Alias("acme.example.com".parse().unwrap());
    assert_eq!(manager.environment(&by_alias).await.unwrap().id, again.environment.id);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn what_is_purged_is_over_for_good_and_hidden_in_lists() {
    let world = World::new();
    let (manager, mut agent, environment, backup) = decommissioned(&world).await;
    let id = environment.id;
    let delete = async || {
        let tenant = manager.tenant(&environment.tenant).await.unwrap();
        manager.delete_tenant(&admin(), &tenant.name, Some(tenant.revision)).await
    };
    assert_eq!(delete().await.unwrap_err().code(), "tenant-in-use");
    world.pass(SignedDuration::from_hours(1));
    purged(&manager, id, wish("prod")).await;
    for what in [
        Lifecycle::Reconcile,
        Lifecycle::Suspend,
        Lifecycle::Resume,
        Lifecycle::Backup,
        Lifecycle::Restore { backup: Some(backup.id) },
        Lifecycle::Decommission { retention: None },
        Lifecycle::Undelete,
    ] {
        let options = LifecycleOptions::default();
        let error = manager.lifecycle(&admin(), id, what.clone(), options).await.unwrap_err();
        assert_eq!(error.code(), "environment-state", "{what:?}");
    }
    let change = EnvironmentChange { labels: Some([].into()), ..EnvironmentChange::default() };
    let error = manager.update_environment(&admin(), id, change, ChangeOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), "environment-state");
    assert_eq!(refused(&manager, id, wish("prod")).await.code(), "environment-state");
    let list = async |filter: EnvironmentFilter| {
        let page = Page::default();
        let found = manager.environments(&admin(), filter, &page).await.unwrap().items;
        found.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(EnvironmentFilter::default()).await, []);
    assert_eq!(list(EnvironmentFilter { purged: true, ..Default::default() }).await, [id]);
    let state = Some(EnvironmentState::Purged);
    assert_eq!(list(EnvironmentFilter { state, ..Default::default() }).await, [id]);
    delete().await.unwrap();
    assert_eq!(read(&manager, id).await.state, EnvironmentState::Purged, "the tombstone outlives its tenant");
    assert_eq!(agent.run_all(&manager, world.now()).await, Vec::<String>::new());
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_purge_is_refused_by_name_time_state_and_work() {
    let world = World::new();
    let (manager, mut agent, environment, _) = in_use(&world).await;
    let id = environment.id;
    let active = refused(&manager, id, wish("prod")).await;
    assert_eq!(active.code(), "environment-state");
    assert!(active.to_string().contains("decommission it first"), "{active}");
    decommission(&manager, &mut agent, &world, id).await;
    let until = read(&manager, id).await.retention.unwrap().until;
    let other = refused(&manager, id, wish("test")).await;
    assert_eq!(other.code(), "purge-other-name");
    assert!(other.to_string().contains("acme/prod"), "{other}");
    let early = refused(&manager, id, wish("prod")).await;
    assert_eq!((early.code(), early.retryable()), ("purge-too-early", true));
    assert!(early.to_string().contains(&format!("{until:.0}")), "{early}");
    let silent = PurgeWish { reason: " ".to_owned(), ..wish("prod") };
    assert_eq!(refused(&manager, id, silent).await.code(), "invalid-request");
    let now = |validate_only| PurgeWish { before_retention_ends: true, validate_only, ..wish("prod") };
    let stale = PurgeWish { expected_revision: Some(1), ..now(false) };
    assert_eq!(refused(&manager, id, stale).await.code(), "revision-mismatch");

    // Torn down once more: until that has ended nothing is purged, whoever asks.
    let again = ask(&manager, id, Lifecycle::Decommission { retention: None }).await;
    let busy = refused(&manager, id, now(false)).await;
    assert_eq!(busy.code(), "purge-unfinished");
    assert!(busy.to_string().contains(&again.id.to_string()), "{busy}");
    agent.run_all(&manager, world.now()).await;
    assert_eq!(read(&manager, id).await.state, EnvironmentState::Decommissioned);

    purged(&manager, id, now(false)).await;
    let audit = manager.audit(Some(id), 0, 1000).await.unwrap();
    let entry = audit.iter().find(|entry| entry.action == "environment.purge").unwrap();
    assert_eq!(entry.after["beforeRetentionEnds"], true, "who was early is on record");
    assert_eq!(entry.before["retention"]["until"], json!(until));
}

#[tokio::test]
async fn a_repeated_request_purges_once() {
    let world = World::new();
    let (manager, _agent, environment, _) = decommissioned(&world).await;
    world.pass(SignedDuration::from_hours(1));
    let request = Some(RequestKey { key: "k".to_owned(), hash: "h".to_owned() });
    let who = Principal { request, token: Some(TokenId(Uuid::now_v7())), ..admin() };
    let look = PurgeWish { validate_only: true, ..wish("prod") };
    manager.purge_environment(&who, environment.id, look).await.unwrap();
    assert_eq!(manager.replay(&who).await.unwrap(), None, "a look claims nothing");
    let PurgeAnswer::Done(purged) =
        manager.purge_environment(&who, environment.id, wish("prod")).await.unwrap()
    else {
        panic!("it is done at once")
    };
    // The answer was kept with the purge itself.
    assert_eq!(manager.replay(&who).await.unwrap(), Some(KeptAnswer::Purged(purged)));
    let audit = manager.audit(Some(environment.id), 0, 1000).await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry.action == "environment.purge").count(), 1);
}

#[tokio::test]
async fn a_purge_waits_for_a_second_person_where_that_is_set() {
    let mut world = World::new();
    world.config.purge_four_eyes = true;
    let (manager, _agent, environment, _) = decommissioned(&world).await;
    let id = environment.id;
    let (ann, bob) = (somebody("ann", Role::Admin), somebody("bob", Role::Admin));
    world.pass(SignedDuration::from_hours(1));
    let asked = manager.purge_environment(&ann, id, wish("prod")).await.unwrap();
    let PurgeAnswer::Pending(approval) = asked else { panic!("{asked:?}") };
    assert_eq!((approval.verb.as_str(), approval.operation(), approval.step()), ("purge", None, None));
    assert_eq!(
        read(&manager, id).await,
        Environment { version: read(&manager, id).await.version, ..environment }
    );
    let open = async || {
        let filter = tenantry_store::AttentionFilter::default();
        manager.attentions(&admin(), filter, &Page::default()).await.unwrap().items
    };
    let waiting = open().await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((waiting[0].kind, waiting[0].environment), (AttentionKind::ApprovalPending, Some(id)));
    assert!(waiting[0].message.contains("ann wants to purge environment acme/prod"), "{waiting:?}");
    let filter = ApprovalFilter { environment: Some(id), ..ApprovalFilter::default() };
    let listed = manager.approvals(&admin(), filter, &Page::default()).await.unwrap().items;
    assert_eq!(listed, [(*approval).clone()]);
    assert_eq!(manager.purge_environment(&bob, id, wish("prod")).await.unwrap_err().code(), "already-exists");
    assert_eq!(findings(&manager).await, []);

    let decide = async |who: &Principal, validate_only| {
        let reason = Some("seen".to_owned());
        manager.decide_approval(who, approval.id, Decide::Approve, reason, validate_only).await
    };
    assert_eq!(decide(&ann, false).await.unwrap_err().code(), "second-person");
    let operator = somebody("olga", Role::Operator);
    assert_eq!(decide(&operator, false).await.unwrap_err().code(), "second-person");
    let (_, look) = decide(&bob, true).await.unwrap();
    assert!(matches!(look, Some(Decided::Purge(PurgeAnswer::Preview(_)))), "{look:?}");
    assert_eq!(manager.approval(approval.id).await.unwrap().state, ApprovalState::Pending);
    let (done, came) = decide(&bob, false).await.unwrap();
    assert_eq!(done.state, ApprovalState::Approved);
    assert!(matches!(came, Some(Decided::Purge(PurgeAnswer::Done(_)))), "{came:?}");
    assert_eq!(read(&manager, id).await.state, EnvironmentState::Purged);
    assert_eq!(open().await, []);
    let audit = manager.audit(Some(id), 0, 1000).await.unwrap();
    let entry = audit.iter().find(|entry| entry.action == "environment.purge").unwrap();
    assert_eq!((entry.actor.name.as_str(), entry.reason.as_deref()), ("bob", Some("contract ended")));
    assert_eq!(entry.after["approval"]["requestedBy"]["name"], "ann");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_purge_that_waits_ends_with_an_undelete() {
    let mut world = World::new();
    world.config.purge_four_eyes = true;
    let (manager, mut agent, environment, _) = decommissioned(&world).await;
    let id = environment.id;
    let early = PurgeWish { before_retention_ends: true, ..wish("prod") };
    let asked = manager.purge_environment(&somebody("ann", Role::Admin), id, early).await.unwrap();
    let PurgeAnswer::Pending(approval) = asked else { panic!("{asked:?}") };
    manager.check_approvals().await.unwrap();
    assert_eq!(manager.approval(approval.id).await.unwrap().state, ApprovalState::Pending);
    ask(&manager, id, Lifecycle::Undelete).await;
    let bob = somebody("bob", Role::Admin);
    let busy = manager.decide_approval(&bob, approval.id, Decide::Approve, None, false).await.unwrap_err();
    assert_eq!(busy.code(), "purge-unfinished");
    agent.run_all(&manager, world.now()).await;
    let moved = manager.decide_approval(&bob, approval.id, Decide::Approve, None, false).await.unwrap_err();
    assert_eq!(moved.code(), "revision-mismatch", "it is not what ann saw");
    manager.check_approvals().await.unwrap();
    let ended = manager.approval(approval.id).await.unwrap();
    assert_eq!(ended.state, ApprovalState::Expired);
    assert_eq!(ended.decision_reason.as_deref(), Some("the environment was undeleted"));
    assert_eq!(read(&manager, id).await.state, EnvironmentState::Active);
}

#[tokio::test]
async fn the_definition_of_decommission_can_want_the_second_person_too() {
    let world = World::new();
    let (manager, _agent, environment, _) = decommissioned(&world).await;
    let decommission = manager.definition(&"lifecycle.decommission".parse().unwrap()).await.unwrap();
    let strict = OperationDefinition { four_eyes: [GuardedVerb::Purge].into(), ..decommission };
    manager.put_definition(&admin(), strict).await.unwrap();
    world.pass(SignedDuration::from_hours(1));
    let asked = manager.purge_environment(&somebody("ann", Role::Admin), environment.id, wish("prod")).await;
    assert!(matches!(asked, Ok(PurgeAnswer::Pending(_))), "{asked:?}");
}

#[tokio::test]
async fn an_environment_past_its_retention_raises_attention_until_it_is_purged() {
    let world = World::new();
    let (manager, _agent, environment, _) = decommissioned(&world).await;
    let id = environment.id;
    let open = async || {
        assert!(manager.attend_to(Duty::Expiry).await.unwrap());
        let filter = tenantry_store::AttentionFilter::default();
        manager.attentions(&admin(), filter, &Page::default()).await.unwrap().items
    };
    let day = SignedDuration::from_hours(24);
    // Retention has its turns all the while, and knows that time has passed.
    let pass = async |days: i32| {
        for _ in 0..days {
            world.pass(day);
            assert!(manager.attend_to(Duty::Retention).await.unwrap());
        }
    };
    assert!(manager.attend_to(Duty::Retention).await.unwrap());
    pass(7).await;
    assert_eq!(open().await, [], "six days and 23 hours after its end nobody is told");
    world.pass(SignedDuration::from_hours(1));
    let said = open().await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].kind, said[0].environment), (AttentionKind::RetentionOver, Some(id)));
    assert!(said[0].message.contains("acme/prod") && said[0].message.contains("retention ended"), "{said:?}");
    assert!(said[0].remedy.contains("tenantry env purge acme/prod"), "{said:?}");
    assert!(!said[0].remedy.contains("--confirm prod"), "the name is typed by a person: {said:?}");
    pass(1).await;
    assert_eq!(open().await, said, "once");
    assert_eq!(findings(&manager).await, []);
    // A clock that turns out to have been ahead, by less than retention asks about.
    world.pass(-day * 2);
    assert_eq!(open().await, []);
    world.pass(day * 2);
    assert_eq!(open().await.len(), 1);
    purged(&manager, id, wish("prod")).await;
    assert_eq!(open().await, []);
    assert_eq!(findings(&manager).await, []);
}
