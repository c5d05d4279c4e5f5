//! Every verb that changes the truth by hand can be set to need two, by the installation and by a definition.

use super::*;
use std::collections::BTreeSet;
use tenantry_engine::VerbKind;
use tenantry_manager::Decide;
use tenantry_store::ApprovalFilter;

/// A verb, and the step that is in a state for it.
struct Case {
    verb: StepVerb,
    guarded: GuardedVerb,
    step: &'static str,
}

fn cases() -> Vec<Case> {
    let confirm = StepVerb::Confirm { outputs: [("url".to_owned(), "x".to_owned())].into() };
    let ignore = StepVerb::IgnoreDependency { on: Some(hook_ref("crm/a")) };
    vec![
        Case { verb: confirm, guarded: GuardedVerb::Confirm, step: "crm/a" },
        Case { verb: ignore, guarded: GuardedVerb::IgnoreDependency, step: "crm/b" },
        Case { verb: StepVerb::DeclareLost, guarded: GuardedVerb::DeclareLost, step: "crm/a" },
        Case { verb: StepVerb::Skip, guarded: GuardedVerb::Skip, step: "crm/a" },
    ]
}

impl Case {
    fn kind(&self) -> VerbKind {
        self.verb.kind()
    }

    /// An operation in which the verb is possible: `crm/a` has failed, runs, or is not known of any more.
    async fn ready(&self, world: &World, manager: &Manager, agent: &mut Agent, name: &str) -> OperationId {
        let (_, id) = create(manager, name).await;
        let starts = agent.starts(manager).await;
        let of_it = |attempt: &AttemptId| attempt.operation == id && attempt.step == hook_ref("crm/a");
        let a = &starts.iter().find(|start| of_it(&start.attempt)).unwrap().attempt;
        agent.running(manager, a, world.now()).await;
        match self.verb {
            StepVerb::Confirm { .. } | StepVerb::Skip => {
                agent.ended(manager, a, world.now(), failure()).await;
            }
            StepVerb::DeclareLost => {
                let unknown = Fact::Unknown { why: "the node is silent".to_owned() };
                let seen = agent.observation(a, world.now(), unknown);
                assert_eq!(manager.agent_observe(&agent.region, vec![seen]).await.unwrap(), vec![]);
            }
            _ => {}
        }
        // What was ended is let go of.
        assert!(agent.starts(manager).await.is_empty());
        id
    }

    /// What an approval carries out, seen at the rows and at what the agent is told.
    async fn is_done(&self, manager: &Manager, agent: &Agent, id: OperationId) {
        let row = step(manager, id, self.step).await;
        let decision = match self.guarded {
            GuardedVerb::Confirm => {
                assert_eq!((row.state, row.outputs["url"].as_str()), (StepState::Confirmed, "x"));
                row.decision.unwrap()
            }
            GuardedVerb::IgnoreDependency => {
                assert_eq!(row.state, StepState::Running, "it starts beside crm/a");
                let starts = agent.starts(manager).await;
                assert_eq!(starts.len(), 1);
                assert_eq!(starts[0].attempt.step, hook_ref("crm/b"));
                row.ignored[&hook_ref("crm/a")].clone()
            }
            GuardedVerb::DeclareLost => {
                assert_eq!((row.state, row.waiting), (StepState::Failed, true));
                let view = manager.operation(id).await.unwrap();
                let lost = view.attempts.iter().find(|attempt| attempt.id.step == hook_ref("crm/a"));
                assert_eq!(lost.unwrap().state, AttemptState::Lost);
                row.decision.unwrap()
            }
            GuardedVerb::Skip => {
                assert_eq!(row.state, StepState::Skipped);
                row.decision.unwrap()
            }
            GuardedVerb::Purge => unreachable!("no verb on a step"),
        };
        assert_eq!((decision.verb.as_str(), decision.by.name.as_str()), (self.kind().name(), "ann"));
        assert!(decision.reason.unwrap().contains("approved by bob: seen"));
    }
}

async fn pending(manager: &Manager) -> Vec<Approval> {
    manager.approvals(&admin(), ApprovalFilter::default(), &Page::default()).await.unwrap().items
}

async fn ask(manager: &Manager, who: &Principal, id: OperationId, case: &Case) -> Approval {
    let asked = steer(manager, who, id, case.step, case.verb.clone()).await.unwrap();
    let Steered::Pending(approval) = asked else { panic!("{:?} was carried out: {asked:?}", case.verb) };
    *approval
}

/// Asked, refused for the same person, rejected by another one; asked again, approved.
async fn takes_two(world: &World, manager: &Manager, agent: &mut Agent, case: &Case, name: &str) {
    let (ann, bob) = (somebody("ann", Role::Operator), somebody("bob", Role::Operator));
    let id = case.ready(world, manager, agent, name).await;
    let before = manager.operation(id).await.unwrap();
    let untouched = async || {
        assert_eq!(manager.operation(id).await.unwrap(), before, "{:?}", case.verb);
        assert!(agent.lease(manager).await.is_empty(), "{:?}", case.verb);
    };
    let decide = async |who: &Principal, approval: &Approval, what| {
        manager.decide_approval(who, approval.id, what, Some("seen".to_owned()), false).await
    };

    let first = ask(manager, &ann, id, case).await;
    assert_eq!((first.verb.as_str(), first.state), (case.kind().name(), ApprovalState::Pending));
    untouched().await;
    let waits = attention(manager).await;
    let waits = waits.iter().find(|row| row.kind == AttentionKind::ApprovalPending).unwrap();
    assert!(waits.remedy.contains(&first.id.to_string()), "{waits:?}");
    let same = decide(&ann, &first, Decide::Approve).await.unwrap_err();
    assert_eq!(same.code(), "second-person");
    untouched().await;
    let (rejected, done) = decide(&bob, &first, Decide::Reject).await.unwrap();
    assert_eq!((rejected.state, done), (ApprovalState::Rejected, None));
    untouched().await;
    assert_eq!(pending(manager).await, []);
    assert!(attention(manager).await.iter().all(|row| row.kind != AttentionKind::ApprovalPending));
    assert_eq!(decide(&bob, &first, Decide::Approve).await.unwrap_err().code(), "approval-decided");

    let second = ask(manager, &ann, id, case).await;
    let (approved, _) = decide(&bob, &second, Decide::Approve).await.unwrap();
    assert_eq!(approved.state, ApprovalState::Approved);
    case.is_done(manager, agent, id).await;
    assert!(attention(manager).await.iter().all(|row| row.kind != AttentionKind::ApprovalPending));

    let environment = before.operation.environment;
    let log = manager.audit(Some(environment), 0, 1000).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|entry| entry.action.as_str()).collect();
    let verb = format!("step.{}", case.kind().name());
    for (action, times) in
        [("approval.request", 2), ("approval.reject", 1), ("approval.approve", 1), (verb.as_str(), 1)]
    {
        assert_eq!(actions.iter().filter(|found| **found == action).count(), times, "{action}: {actions:?}");
    }
    let entry = log.iter().find(|entry| entry.action == verb).unwrap();
    assert_eq!(entry.actor.name, "bob", "whose request it was");
    assert_eq!(entry.after["approval"]["requestedBy"]["name"], "ann");
}

#[tokio::test]
async fn what_the_installation_guards_takes_two() {
    for case in cases() {
        let mut world = World::new();
        world.config.four_eyes = BTreeSet::from([case.kind()]);
        let manager = world.manager().await;
        prepare(&manager).await;
        let mut agent = Agent::open(&manager, hooks()).await;
        takes_two(&world, &manager, &mut agent, &case, "prod").await;
        assert_eq!(findings(&manager).await, []);
    }
}

#[tokio::test]
async fn what_a_definition_guards_takes_two_and_nothing_else_does() {
    let world = World::new();
    let manager = world.manager().await;
    prepare(&manager).await;
    let mut agent = Agent::open(&manager, hooks()).await;
    let shipped = manager.definition(&"lifecycle.upsert".parse().unwrap()).await.unwrap();
    for case in cases() {
        let strict = OperationDefinition { four_eyes: [case.guarded].into(), ..shipped.clone() };
        manager.put_definition(&admin(), strict).await.unwrap();
        takes_two(&world, &manager, &mut agent, &case, case.kind().name()).await;
        for other in cases().into_iter().filter(|other| other.guarded != case.guarded) {
            let name = format!("{}-{}", case.kind().name(), other.kind().name());
            let id = other.ready(&world, &manager, &mut agent, &name).await;
            let ann = somebody("ann", Role::Operator);
            let done = steer(&manager, &ann, id, other.step, other.verb.clone()).await.unwrap();
            assert!(matches!(done, Steered::Done(_)), "{:?}", other.verb);
            agent.starts(&manager).await;
        }
    }
    assert_eq!(findings(&manager).await, []);
}
