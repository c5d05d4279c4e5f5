//! What clients may wish, and what they are told when they may not.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tenantry_manager::{
    ChangeOptions, Credential, EnvironmentChange, EnvironmentKey, ErrorClass, KeptAnswer, Lifecycle,
    LifecycleOptions, Manager, NewOperation, OperationAnswer, OwnCredential, Principal, RequestKey, Target,
};
use tenantry_model::*;
use tenantry_store::EnvironmentFilter;
use uuid::Uuid;

async fn ready(world: &World) -> Manager {
    let manager = world.manager().await;
    prepare(&manager).await;
    manager
}

fn spec(settings: &Value) -> EnvironmentSpec {
    EnvironmentSpec { settings: settings.as_object().cloned().unwrap(), ..EnvironmentSpec::default() }
}

async fn refused(manager: &Manager, new: tenantry_manager::NewEnvironment) -> tenantry_manager::ManagerError {
    manager.create_environment(&admin(), new, ChangeOptions::default()).await.unwrap_err()
}

async fn count(manager: &Manager) -> usize {
    let filter = EnvironmentFilter::default();
    manager.environments(&admin(), filter, &Page::default()).await.unwrap().items.len()
}

#[tokio::test]
async fn settings_are_checked_against_the_platforms_schema_and_breaches_named_by_pointer() {
    let world = World::new();
    let manager = ready(&world).await;
    let schema = json!({"properties": {"settings": {"properties": {"size": {"type": "integer"}}}}});
    manager.set_platform_schema(&admin(), Some(schema)).await.unwrap();
    let mut new = new_environment("prod");
    new.spec = spec(&json!({"size": "big"}));
    let error = refused(&manager, new).await;
    assert_eq!((error.code(), error.class()), ("invalid-request", ErrorClass::Invalid));
    assert_eq!(error.fields()[0].pointer, "/spec/settings/size");
    assert_eq!(count(&manager).await, 0);
    manager.set_platform_schema(&admin(), None).await.unwrap();
    assert_eq!(manager.platform_schema().await.unwrap(), None);
    let nonsense = manager.set_platform_schema(&admin(), Some(json!({"type": 7}))).await.unwrap_err();
    assert_eq!(nonsense.code(), "invalid-schema");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_document_of_five_megabytes_is_refused_with_the_limit_and_nothing_is_kept() {
    let world = World::new();
    let manager = ready(&world).await;
    let mut new = new_environment("prod");
    new.spec = spec(&json!({"blob": "x".repeat(5 * 1024 * 1024)}));
    let error = refused(&manager, new).await;
    assert_eq!(error.code(), "too-large");
    assert!(error.to_string().contains("1048576"), "{error}");
    assert_eq!(count(&manager).await, 0);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn names_aliases_and_ids_are_taken_once_and_unknown_owners_are_named() {
    let world = World::new();
    let manager = ready(&world).await;
    let mut first = new_environment("prod");
    first.aliases = BTreeSet::from(["shop.example".parse().unwrap()]);
    let answer =
        manager.create_environment(&admin(), first, ChangeOptions::default()).await.unwrap().environment;
    let mut same_alias = new_environment("other");
    same_alias.aliases.clone_from(&answer.aliases);
    let mut same_id = new_environment("third");
    same_id.id = Some(answer.id);
    for new in [new_environment("prod"), same_alias, same_id] {
        let error = refused(&manager, new).await;
        assert_eq!((error.code(), error.class()), ("already-exists", ErrorClass::Conflict), "{error}");
    }
    let mut no_tenant = new_environment("x");
    no_tenant.tenant = "nobody".parse().unwrap();
    let mut no_region = new_environment("x");
    no_region.region = "mars".parse().unwrap();
    for new in [no_tenant, no_region] {
        assert_eq!(refused(&manager, new).await.class(), ErrorClass::NotFound);
    }
    assert_eq!(count(&manager).await, 1);
    for key in [answer.id.to_string(), "acme/prod".to_owned(), "shop.example".to_owned()] {
        let key: EnvironmentKey = key.parse().unwrap();
        assert_eq!(manager.environment(&key).await.unwrap().id, answer.id);
    }
    let in_use = manager.delete_tenant(&admin(), &"acme".parse().unwrap(), None).await.unwrap_err();
    assert_eq!(in_use.code(), "tenant-in-use");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn only_a_real_difference_raises_the_generation_and_a_stale_revision_changes_nothing() {
    let world = World::new();
    let manager = ready(&world).await;
    let (environment, _) = create(&manager, "prod").await;
    let id = environment.id;
    let same = EnvironmentChange { spec: Some(environment.spec.clone()), ..Default::default() };
    let answer = manager.update_environment(&admin(), id, same, ChangeOptions::default()).await.unwrap();
    assert_eq!((answer.environment.generation, answer.operation), (1, None));
    let bigger = || EnvironmentChange { spec: Some(spec(&json!({"size": 2}))), ..Default::default() };
    let dry = ChangeOptions { validate_only: true, ..ChangeOptions::default() };
    let answer = manager.update_environment(&admin(), id, bigger(), dry).await.unwrap();
    assert!(matches!(answer.operation, Some(OperationAnswer::Preview(_))));
    assert_eq!(manager.environment(&EnvironmentKey::Id(id)).await.unwrap().generation, 1);
    let quiet = ChangeOptions { reconcile: false, expected_revision: Some(1), ..ChangeOptions::default() };
    let answer = manager.update_environment(&admin(), id, bigger(), quiet.clone()).await.unwrap();
    assert_eq!((answer.environment.generation, answer.operation), (2, None));
    let error = manager.update_environment(&admin(), id, bigger(), quiet).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("revision-mismatch", ErrorClass::Precondition));
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_changeset_goes_from_what_the_hook_last_applied_to_what_the_operation_applies() {
    let world = World::new();
    let manager = ready(&world).await;
    let mut agent =
        Agent::open(&manager, vec![readable(hook("crm/tenant", &["lifecycle.upsert"], &[]))]).await;
    let (environment, _) = create(&manager, "prod").await;
    agent.run_all(&manager, world.now()).await;
    let change = |size| EnvironmentChange { spec: Some(spec(&json!({"size": size}))), ..Default::default() };
    let update = |size| {
        let (manager, change) = (&manager, change(size));
        async move {
            manager
                .update_environment(&admin(), environment.id, change, ChangeOptions::default())
                .await
                .unwrap()
        }
    };
    update(22).await;
    let start = agent.starts(&manager).await.remove(0);
    // Wished while generation 2 is being applied: the running operation keeps to its own.
    update(333).await;
    let changeset = &start.order.request.changeset_file;
    assert!(changeset.contains("/spec/settings/size") && changeset.contains("22"), "{changeset}");
    assert!(!changeset.contains("/metadata/labels"), "{changeset}");
    agent.ended(&manager, &start.attempt, world.now(), success()).await;
    assert_eq!(manager.applied(environment.id).await.unwrap()[0].generation, Some(2));
    let next = agent.starts(&manager).await.remove(0);
    let changeset = &next.order.request.changeset_file;
    assert!(changeset.contains("333") && changeset.contains("22"), "{changeset}");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn what_does_not_fit_the_environments_state_is_refused() {
    let world = World::new();
    let manager = ready(&world).await;
    let (environment, _) = create(&manager, "prod").await;
    let wish = |what| {
        let manager = &manager;
        async move { manager.lifecycle(&admin(), environment.id, what, LifecycleOptions::default()).await }
    };
    for what in [Lifecycle::Backup, Lifecycle::Undelete, Lifecycle::Resume] {
        assert_eq!(wish(what).await.unwrap_err().code(), "environment-state");
    }
    let mut agent = Agent::open(&manager, vec![]).await;
    agent.run_all(&manager, world.now()).await;
    let nothing = wish(Lifecycle::Restore { backup: None }).await.unwrap_err();
    assert_eq!(nothing.code(), "backup-unusable");
    let too_long = Some(SignedDuration::from_hours(24 * 36_600));
    let error = wish(Lifecycle::Decommission { retention: too_long }).await.unwrap_err();
    assert_eq!(error.fields()[0].pointer, "/retention");
    wish(Lifecycle::Decommission { retention: Some(SignedDuration::from_mins(1)) }).await.unwrap();
    let change = EnvironmentChange { labels: Some([].into()), ..Default::default() };
    let error = manager.update_environment(&admin(), environment.id, change, ChangeOptions::default()).await;
    assert_eq!(error.unwrap_err().code(), "environment-state");
    world.pass(SignedDuration::from_mins(2));
    let late = wish(Lifecycle::Undelete).await.unwrap_err();
    assert!(late.to_string().contains("retention ended"), "{late}");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_defined_operation_checks_its_parameters_and_built_in_meanings_stay() {
    let world = World::new();
    let manager = ready(&world).await;
    let name: OperationName = "crm.reindex".parse().unwrap();
    let mut definition = OperationDefinition::undefined(name.clone());
    definition.parameters = Some(json!({"required": ["index"], "properties": {"index": {"type": "string"}}}));
    definition.empty_plan = EmptyPlan::Succeed;
    manager.put_definition(&admin(), definition).await.unwrap();
    let (environment, _) = create(&manager, "prod").await;
    Agent::open(&manager, vec![]).await;
    let ask = |parameters: Value| {
        let mut new = NewOperation::named("crm.reindex".parse().unwrap());
        new.parameters = parameters.as_object().cloned().unwrap();
        let (manager, id) = (&manager, environment.id);
        async move { manager.request_operation(&admin(), id, new).await }
    };
    assert_eq!(ask(json!({"index": 7})).await.unwrap_err().fields()[0].pointer, "/parameters/index");
    assert_eq!(requested(ask(json!({"index": "a"})).await.unwrap()).state, OperationState::Succeeded);

    let upsert: OperationName = "lifecycle.upsert".parse().unwrap();
    let mut changed = manager.definition(&upsert).await.unwrap();
    changed.required_hooks = BTreeSet::from(["crm/tenant".parse().unwrap()]);
    manager.put_definition(&admin(), changed.clone()).await.unwrap();
    let refused = self::ask(&manager, environment.id, Lifecycle::Reconcile).await;
    assert_eq!(refused.problem.as_deref(), Some("plan-required-hook-missing"));
    changed.lock = LockClass::None;
    assert_eq!(manager.put_definition(&admin(), changed).await.unwrap_err().code(), "built-in");
    manager.delete_definition(&admin(), &upsert).await.unwrap();
    assert_eq!(manager.delete_definition(&admin(), &upsert).await.unwrap_err().code(), "built-in");
    let invented = OperationDefinition::undefined("lifecycle.mine".parse().unwrap());
    assert_eq!(manager.put_definition(&admin(), invented).await.unwrap_err().code(), "built-in");
    let by_name = NewOperation::named(upsert);
    let error = manager.request_operation(&admin(), environment.id, by_name).await.unwrap_err();
    assert_eq!(error.code(), "invalid-request");
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_repeated_request_is_carried_out_once_and_what_it_came_to_is_known_to_the_next_manager() {
    let world = World::new();
    let manager = ready(&world).await;
    let with_key = |hash: &str| Principal {
        token: Some(TokenId(uuid::Uuid::nil())),
        request: Some(RequestKey { key: "k1".to_owned(), hash: hash.to_owned() }),
        ..admin()
    };
    let who = with_key("h1");
    assert_eq!(manager.replay(&who).await.unwrap(), None);
    let create_it = || manager.create_environment(&who, new_environment("prod"), ChangeOptions::default());
    let made = create_it().await.unwrap();
    // The manager died before anybody heard of it.
    let kept = manager.replay(&who).await.unwrap().unwrap();
    let KeptAnswer::Accepted { environment, operation } = kept else { panic!("{kept:?}") };
    assert_eq!(
        (*environment, operation.map(|row| row.id)),
        (made.environment, made.operation.map(|row| requested(row).id))
    );
    let other = manager.create_environment(&who, new_environment("two"), ChangeOptions::default()).await;
    assert_eq!(other.unwrap_err().code(), "request-already-applied");
    assert_eq!(count(&manager).await, 1);
    let reused = manager.replay(&with_key("h2")).await.unwrap_err();
    assert_eq!(reused.code(), "idempotency-key-reused");
    world.pass(SignedDuration::from_hours(25));
    assert_eq!(manager.expire_answers().await.unwrap(), 1);
    assert_eq!(manager.replay(&who).await.unwrap(), None);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn the_first_token_is_kept_before_it_is_valid_and_made_again_when_it_could_not_be() {
    let world = World::new();
    let manager = ready(&world).await;
    let full = manager.ensure_admin_token_kept(|_| Err("the disk is full".to_owned())).await.unwrap_err();
    assert_eq!(full.code(), "internal");
    assert!(manager.tokens(&Page { after: None, limit: 10 }).await.unwrap().items.is_empty());
    let kept = std::sync::Mutex::new(Vec::new());
    let keep = |secret: &secrecy::SecretString| {
        kept.lock().unwrap().push(secret.expose_secret().to_owned());
        Ok(())
    };
    assert!(manager.ensure_admin_token_kept(keep).await.unwrap().is_some());
    assert!(manager.ensure_admin_token_kept(keep).await.unwrap().is_none());
    let kept = kept.into_inner().unwrap();
    assert_eq!(kept.len(), 1);
    assert!(matches!(manager.verify(&kept[0], None).await, Ok(Credential::Api(_))));
}

#[tokio::test]
async fn a_token_is_shown_once_opens_what_it_says_and_is_refused_when_revoked_or_expired() {
    let world = World::new();
    let manager = ready(&world).await;
    let first = manager.ensure_admin_token().await.unwrap().unwrap();
    assert!(manager.ensure_admin_token().await.unwrap().is_none());
    let Credential::Api(root) = manager.verify(first.secret.expose_secret(), None).await.unwrap() else {
        panic!("no client's token")
    };
    assert_eq!((root.role, root.actor.name.as_str()), (Role::Admin, "admin"));
    assert!(!first.token.secret_hash.contains(first.secret.expose_secret()));

    let scopes = vec![Scope::Tenant("acme".parse().unwrap())];
    let expires = world.now().checked_add(SignedDuration::from_hours(1)).ok();
    let ci =
        manager.create_token(&root, "ci".to_owned(), Role::Operator, scopes.clone(), expires).await.unwrap();
    let Credential::Api(who) = manager.verify(ci.secret.expose_secret(), None).await.unwrap() else {
        panic!("no client's token")
    };
    assert!(who.may(Role::Operator, &Target::Tenant("acme".parse().unwrap())));
    assert!(!who.may(Role::Viewer, &Target::Installation));
    let more = manager.create_token(&who, "more".to_owned(), Role::Admin, scopes, None).await.unwrap_err();
    assert_eq!(more.class(), ErrorClass::Forbidden);
    manager.create_tenant(&admin(), "other".parse().unwrap(), String::new()).await.unwrap();
    let seen = manager.tenants(&who, &Page::default()).await.unwrap().items;
    assert_eq!(seen.len(), 1);

    let mut wrong = ci.secret.expose_secret().to_owned();
    wrong.pop();
    for bad in [wrong.as_str(), "", "tnt_x_y"] {
        assert_eq!(manager.verify(bad, None).await.unwrap_err().class(), ErrorClass::Unauthenticated);
    }
    world.pass(SignedDuration::from_hours(2));
    assert!(manager.verify(ci.secret.expose_secret(), None).await.is_err());
    manager.revoke_token(&root, first.token.id, Some("leaked".to_owned())).await.unwrap();
    assert!(manager.verify(first.secret.expose_secret(), None).await.is_err());
    assert!(manager.verify_audit(None).await.unwrap().unwrap() >= 4);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn a_join_token_opens_its_region_once() {
    let world = World::new();
    let manager = ready(&world).await;
    let join = manager.create_join_token(&admin(), &region()).await.unwrap();
    let verified = manager.verify(join.secret.expose_secret(), None).await.unwrap();
    assert_eq!(verified, Credential::Join { token: join.token.id, region: region() });
    // SHA-256 of `abc` (FIPS 180-2, appendix B.1).
    let secret_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
    let own = OwnCredential { id: TokenId(Uuid::now_v7()), secret_sha256 };
    for _ in 0..2 {
        manager.agent_join(join.token.id, "host-1", &own, None).await.unwrap();
    }
    let bearer = format!("tnt_{}_abc", own.id.0.simple());
    let verified = manager.verify(&bearer, None).await.unwrap();
    assert_eq!(verified, Credential::Agent { token: own.id, region: region() });
    let other = OwnCredential { id: TokenId(Uuid::now_v7()), ..own };
    let second = manager.agent_join(join.token.id, "host-2", &other, None).await.unwrap_err();
    assert_eq!(second.class(), ErrorClass::Unauthenticated);
    assert_eq!(findings(&manager).await, []);
}

#[tokio::test]
async fn an_operation_keeps_to_the_generation_it_began_with_in_its_plan_and_in_later_steps() {
    let world = World::new();
    let manager = ready(&world).await;
    // Without an agent, the operation has its lock and waits to be planned.
    let (environment, operation) = create(&manager, "prod").await;
    let change = EnvironmentChange {
        labels: Some([("tier".to_owned(), "silver".to_owned())].into()),
        spec: Some(spec(&json!({"size": 777}))),
        ..Default::default()
    };
    manager.update_environment(&admin(), environment.id, change, ChangeOptions::default()).await.unwrap();
    let upsert = ["lifecycle.upsert"];
    let mut gold = hook("crm/gold", &upsert, &["crm/first"]);
    gold.selector = "tier=gold".to_owned();
    let mut agent =
        Agent::open(&manager, vec![readable(hook("crm/first", &upsert, &[])), readable(gold)]).await;
    for path in ["crm/first", "crm/gold"] {
        let start = agent.starts(&manager).await.remove(0);
        assert_eq!(start.attempt.step, hook_ref(path));
        let document = &start.order.request.environment_file;
        assert!(document.contains("gold") && !document.contains("size: 777"), "{document}");
        agent.ended(&manager, &start.attempt, world.now(), success()).await;
    }
    assert_eq!(state(&manager, operation).await, OperationState::Succeeded);
    let next = agent.starts(&manager).await.remove(0);
    assert!(next.order.request.environment_file.contains("size: 777"));
    assert_eq!(manager.operation(next.attempt.operation).await.unwrap().operation.generation, 2);
    assert_eq!(findings(&manager).await, []);
}
