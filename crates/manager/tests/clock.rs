//! A clock that is set back by hours, or ahead: nothing waits for what the clock has been already, and nothing that a healthy
//! region does is taken for lost. (Schedules: `schedules/clock.rs`; retention: `retention.rs`; agents: their ledger.)

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use tenantry_hook::Hook;
use tenantry_manager::Manager;
use tenantry_model::*;
use tenantry_store::AttentionFilter;

const BACK: SignedDuration = SignedDuration::from_hours(-3);

/// A manager that knows what its clock said, with an operation of this hook whose first attempt runs or has been leased.
struct Place {
    world: World,
    manager: Manager,
    agent: Agent,
    operation: OperationId,
}

fn work(policy: StepPolicy) -> Hook {
    Hook { policy, ..hook("crm/work", &["lifecycle.upsert"], &[]) }
}

fn policy() -> StepPolicy {
    StepPolicy { on_failure: OnFailure::Wait, on_lost: OnLost::Wait, retries: 0, timeout: None }
}

impl Place {
    async fn new(hook: Hook) -> Self {
        let world = World::new();
        let manager = world.manager().await;
        prepare(&manager).await;
        let agent = Agent::open(&manager, vec![readable(hook)]).await;
        let (_, operation) = create(&manager, "prod").await;
        manager.check_clock().await.unwrap();
        Self { world, manager, agent, operation }
    }

    async fn set(&self, by: SignedDuration) {
        self.world.pass(by);
        self.manager.check_clock().await.unwrap();
        self.manager.run_due().await.unwrap();
    }

    async fn attempts(&self) -> Vec<Attempt> {
        self.manager.operation(self.operation).await.unwrap().attempts
    }

    async fn waiting(&self) -> Vec<AttentionKind> {
        let all =
            self.manager.attentions(&admin(), AttentionFilter::default(), &Page::default()).await.unwrap();
        all.items.into_iter().map(|attention| attention.kind).collect()
    }
}

#[tokio::test]
async fn a_retry_does_not_wait_for_a_clock_that_was_set_back() {
    let mut place = Place::new(work(StepPolicy { retries: 1, ..policy() })).await;
    let first = place.agent.starts(&place.manager).await.remove(0);
    let now = place.world.now();
    place.agent.running(&place.manager, &first.attempt, now).await;
    place.agent.ended(&place.manager, &first.attempt, now, failure()).await;
    assert!(place.agent.starts(&place.manager).await.is_empty(), "its backoff is not over");
    place.set(BACK).await;
    let second = place.agent.starts(&place.manager).await;
    assert_eq!(second.iter().map(|start| start.attempt.number).collect::<Vec<_>>(), [2]);
    assert_eq!(findings(&place.manager).await, []);
}

#[tokio::test]
async fn a_command_that_was_given_out_is_given_out_again_after_the_clock_was_set_back() {
    let place = Place::new(work(policy())).await;
    let leased = place.agent.lease(&place.manager).await;
    assert_eq!(leased.len(), 1);
    assert!(place.agent.lease(&place.manager).await.is_empty(), "it is leased");
    // Its agent did not get it through and relies on the lease's end.
    place.set(BACK).await;
    let again = place.agent.lease(&place.manager).await;
    assert_eq!(again.iter().map(|command| command.id).collect::<Vec<_>>(), [leased[0].id]);
}

#[tokio::test]
async fn a_region_whose_agent_dies_after_the_clock_was_set_back_is_silent_in_its_time() {
    let mut place = Place::new(work(policy())).await;
    let first = place.agent.starts(&place.manager).await.remove(0);
    place.agent.running(&place.manager, &first.attempt, place.world.now()).await;
    place.set(BACK).await;
    place.manager.check_regions().await.unwrap();
    assert_eq!(place.waiting().await, [], "nobody is silent because of that");
    // Its word is taken down although a later one is there.
    place.world.pass(SignedDuration::from_secs(40));
    place.agent.lease(&place.manager).await;
    place.world.pass(SignedDuration::from_secs(40));
    place.manager.check_regions().await.unwrap();
    assert_eq!(place.waiting().await, []);
    place.world.pass(SignedDuration::from_secs(10));
    place.manager.check_regions().await.unwrap();
    assert_eq!(place.waiting().await, [AttentionKind::RegionSilent]);
    assert!(place.attempts().await[0].unknown_since.is_some());
}

#[tokio::test]
async fn an_unknown_attempt_and_an_unanswered_kill_are_told_of_by_the_clock_as_it_is() {
    let mut place =
        Place::new(work(StepPolicy { timeout: Some(SignedDuration::from_secs(60)), ..policy() })).await;
    let first = place.agent.starts(&place.manager).await.remove(0);
    place.agent.running(&place.manager, &first.attempt, place.world.now()).await;
    place.set(SignedDuration::from_secs(61)).await;
    assert!(place.attempts().await[0].kill.is_some(), "its timeout is over");
    place.set(BACK).await;
    let patience =
        place.manager.operation(place.operation).await.unwrap().operation.definition.unknown_deadline;
    place.world.pass(patience + SignedDuration::from_secs(1));
    place.agent.lease(&place.manager).await;
    place.manager.run_due().await.unwrap();
    assert!(place.waiting().await.contains(&AttentionKind::AttemptUnknown), "{:?}", place.waiting().await);
}

#[tokio::test]
async fn a_manager_that_begins_after_the_clock_was_set_back_sees_it_by_the_newest_event_and_has_its_duties() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, vec![readable(work(StepPolicy { retries: 1, ..policy() }))]).await;
    create(&manager, "prod").await;
    let first = agent.starts(&manager).await.remove(0);
    agent.ended(&manager, &first.attempt, world.now(), failure()).await;
    assert!(manager.take_role("schedules").await.unwrap().is_some());
    // Killed: its roles are not given back.
    drop(manager);
    world.pass(BACK);
    let manager = world.manager().await;
    assert!(manager.take_role("schedules").await.unwrap().is_some(), "nobody else can have it");
    manager.check_clock().await.unwrap();
    manager.run_due().await.unwrap();
    assert_eq!(agent.starts(&manager).await.len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_corrected_by_a_moment_changes_nothing() {
    let place = Place::new(work(policy())).await;
    assert_eq!(place.agent.lease(&place.manager).await.len(), 1);
    place.set(SignedDuration::from_secs(-4)).await;
    assert!(place.agent.lease(&place.manager).await.is_empty(), "still leased");
}

#[tokio::test]
async fn a_clock_set_ahead_starts_no_attempt_beside_one_that_runs() {
    let mut place = Place::new(work(StepPolicy { on_lost: OnLost::Retry, ..policy() })).await;
    let first = place.agent.starts(&place.manager).await.remove(0);
    place.agent.running(&place.manager, &first.attempt, place.world.now()).await;
    place.set(SignedDuration::from_hours(3)).await;
    // The agent is well, but by this clock it has said nothing for hours.
    place.manager.check_regions().await.unwrap();
    place.manager.run_due().await.unwrap();
    assert_eq!(place.attempts().await.len(), 1, "it is not left behind because of a clock");
    // It comes back with a new session, and the attempt is as it was.
    let session = AgentSessionId(uuid::Uuid::now_v7());
    place.manager.agent_session(&region(), session, Executor::Process, "test").await.unwrap();
    let now = place.world.now();
    place.agent.running(&place.manager, &first.attempt, now).await;
    place.set(SignedDuration::from_hours(1)).await;
    assert_eq!(place.attempts().await.len(), 1);
    assert!(place.attempts().await[0].unknown_since.is_none());
}
