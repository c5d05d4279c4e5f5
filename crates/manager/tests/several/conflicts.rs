//! What meets another manager's transaction is begun again, and whoever asked hears nothing of it.

use crate::beside::Beside;
use crate::common::*;
use crate::holds::{ready, reindex};
use crate::two_over;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::Map;
use tenantry_engine::StepVerb;
use tenantry_manager::{
    ChangeOptions, Decide, EnvironmentChange, ErrorClass, ExpectedOperation, Lifecycle, LifecycleOptions,
    Manager, ManagerError, NewHold, NewSchedule, OperationVerb, Principal, ReplayWish, Steered, StepOptions,
};
use tenantry_model::*;
use uuid::Uuid;

type Asked = BoxFuture<'static, Result<(), ManagerError>>;

fn options() -> StepOptions {
    StepOptions { reason: Some("because".to_owned()), ..StepOptions::default() }
}

/// A service with what it is asked; it begins when it is awaited.
macro_rules! asked {
    ($manager:ident, $call:expr) => {{
        let $manager = $manager.clone();
        let asked: Asked = Box::pin(async move { $call.await.map(|_| ()) });
        asked
    }};
}

/// Each of the API's services in turn comes into a circle of locks with somebody else, is the one that has to give
/// way, and is carried out all the same.
#[allow(clippy::too_many_lines)] // a list of all services
pub async fn repeated() {
    let mut world = World::new();
    world.config.four_eyes = [tenantry_engine::VerbKind::Skip].into();
    world.config.audit.key_file = Some(world.folder.path().join("key.pem"));
    let (one, _two, url) = two_over(&world).await;
    let (mut agent, environments) = ready(&one, &["prod", "test"]).await;
    let (prod, test) = (environments[0].id, environments[1].id);
    let done = requested(one.request_operation(&admin(), test, reindex()).await.unwrap()).id;
    agent.run_all(&one, world.now()).await;
    let running = requested(one.request_operation(&admin(), prod, reindex()).await.unwrap()).id;
    let step = hook_ref("crm/a");
    let first = agent.starts(&one).await.remove(0).attempt;
    agent.ended(&one, &first, world.now(), failure()).await;
    let Steered::Pending(approval) =
        one.steer_step(&admin(), running, &step, StepVerb::Skip, options()).await.unwrap()
    else {
        panic!("needs a second person");
    };
    let second = Principal { token: Some(TokenId(Uuid::now_v7())), ..admin() };
    let verb = |verb| {
        let manager = one.clone();
        asked!(
            manager,
            manager.steer_operation(
                &admin(),
                running,
                verb,
                Some("because".to_owned()),
                ExpectedOperation::default(),
                false
            )
        )
    };
    let hold = NewHold {
        predicate: HoldPredicate { namespace: Some("ops".parse().unwrap()), ..HoldPredicate::default() },
        until: None,
        reason: "freeze".to_owned(),
        max_steps: None,
        validate_only: false,
    };
    let lifted = one.create_hold(&admin(), hold.clone()).await.unwrap().row.hold.id;
    let labels = EnvironmentChange {
        labels: Some([("tier".to_owned(), "tin".to_owned())].into()),
        ..EnvironmentChange::default()
    };
    let replay = ReplayWish { reason: Some("again".to_owned()), ..ReplayWish::default() };
    let schedule = NewSchedule {
        name: "nightly".parse().unwrap(),
        description: String::new(),
        operation: "crm.reindex".parse().unwrap(),
        parameters: Map::new(),
        target: ScheduleTarget::Environment(prod),
        cron: "0 22 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up: CatchUp::Latest,
        overlap: Overlap::Queue,
        deadline: None,
        validate_only: false,
    };
    let nightly: ScheduleName = "nightly".parse().unwrap();
    let later = world.now() + SignedDuration::from_hours(1);
    let made = |text: &str| text.parse::<TenantName>().unwrap();
    let (again, named) = (nightly.clone(), nightly.clone());
    let services: Vec<(&str, Asked)> = vec![
        ("pause", verb(OperationVerb::Pause)),
        ("resume", verb(OperationVerb::Resume)),
        ("approve", asked!(one, one.decide_approval(&second, approval.id, Decide::Approve, None, false))),
        ("request", asked!(one, one.request_operation(&admin(), prod, reindex()))),
        ("replay", asked!(one, one.replay_operation(&admin(), done, replay.clone()))),
        (
            "update",
            asked!(one, one.update_environment(&admin(), test, labels.clone(), ChangeOptions::default())),
        ),
        (
            "create",
            asked!(one, one.create_environment(&admin(), new_environment("third"), ChangeOptions::default())),
        ),
        ("hold", asked!(one, one.create_hold(&admin(), hold.clone()))),
        ("lift", asked!(one, one.lift_hold(&admin(), lifted, None, false))),
        ("schedule", asked!(one, one.create_schedule(&admin(), schedule.clone()))),
        ("pause a schedule", asked!(one, one.pause_schedule(&admin(), &again, "why".to_owned()))),
        ("run a schedule", asked!(one, one.run_schedule(&admin(), &named, None, false))),
        ("tenant", asked!(one, one.create_tenant(&admin(), made("two"), "Two".to_owned()))),
        (
            "token",
            asked!(
                one,
                one.create_token(&admin(), "t".to_owned(), Role::Viewer, vec![Scope::All], Some(later))
            ),
        ),
        ("region", asked!(one, one.create_region(&admin(), "us1".parse().unwrap()))),
        ("rotate the audit key", asked!(one, one.rotate_audit_key(&admin(), "once a year"))),
    ];
    let mut beside = Beside::new(&url).await;
    for (name, service) in services {
        beside.keep("audit").await;
        let asked = tokio::spawn(service);
        beside.until_waiting("relation", 1).await;
        // Now each has what the other one wants.
        beside.want_to_be_alone().await;
        beside.let_go().await;
        asked.await.unwrap().unwrap_or_else(|error| panic!("{name}: {error} ({})", error.code()));
    }
    // Once each, although begun twice.
    let entries = "SELECT count(*) FROM audit WHERE payload LIKE '%\"tenant.create\"%' AND payload LIKE '%tenants/two%'";
    assert_eq!(beside.count(entries).await, 1);
    let requests = one
        .operations(
            &admin(),
            tenantry_store::OperationFilter {
                environment: Some(prod),
                ..tenantry_store::OperationFilter::default()
            },
            &Page::default(),
        )
        .await
        .unwrap()
        .items;
    assert_eq!(requests.iter().filter(|operation| operation.name.as_str() == "crm.reindex").count(), 2);
    assert!(one.verify_audit(Some(prod)).await.unwrap().is_ok());
    assert!(one.verify_audit(None).await.unwrap().is_ok());
    assert_eq!(one.audit_keys().await.unwrap().len(), 2, "the first one and the one that follows it");
}

/// Verbs and requests in a crowd, half of them at each manager, on two environments that all share and on one of their
/// own: some do not fit the state that they meet, but the store is always there.
pub async fn many() {
    const CALLERS: usize = 12;
    const TURNS: usize = 4;
    let world = World::new();
    let (one, two, _) = two_over(&world).await;
    let names: Vec<String> = (0..CALLERS + 2).map(|n| format!("e{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_agent, environments) = ready(&one, &names).await;
    let ids: Vec<EnvironmentId> = environments.iter().map(|environment| environment.id).collect();
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        let managers = [one.clone(), two.clone()];
        let mine = [ids[CALLERS], ids[CALLERS + 1], ids[caller]];
        callers.push(tokio::spawn(async move {
            let (mut done, mut refused) = (0, Vec::new());
            for turn in 0..TURNS {
                let manager = &managers[(caller + turn) % 2];
                let environment = mine[(caller + turn) % 3];
                for answer in verbs(manager, environment).await {
                    match answer {
                        Ok(()) => done += 1,
                        Err(error) => refused.push(error),
                    }
                }
            }
            (done, refused)
        }));
    }
    let mut all = 0;
    for caller in callers {
        let (done, refused) = caller.await.unwrap();
        all += done;
        for error in refused {
            assert_eq!(error.class(), ErrorClass::Conflict, "{error} ({})", error.code());
        }
    }
    assert!(all >= CALLERS * TURNS, "{all}");
    for id in ids {
        assert!(two.verify_audit(Some(id)).await.unwrap().is_ok());
    }
}

/// Requests one and steers it in every way.
async fn verbs(manager: &Manager, environment: EnvironmentId) -> Vec<Result<(), ManagerError>> {
    let who = admin();
    let asked = match manager.request_operation(&who, environment, reindex()).await {
        Ok(asked) => requested(asked).id,
        Err(error) => return vec![Err(error)],
    };
    let mut answers = vec![Ok(())];
    for verb in [OperationVerb::Pause, OperationVerb::Resume, OperationVerb::Cancel] {
        let reason = Some("because".to_owned());
        let expected = ExpectedOperation::default();
        let steered = manager.steer_operation(&who, asked, verb, reason, expected, false).await;
        answers.push(steered.map(|_| ()));
    }
    let backup = manager.lifecycle(&who, environment, Lifecycle::Backup, LifecycleOptions::default()).await;
    answers.push(backup.map(|_| ()));
    answers
}
