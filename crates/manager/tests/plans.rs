//! A plan is made from the hooks that concern its operation, and is the one that all hooks of the region would give.

#![allow(clippy::large_futures)] // a test's stack is large enough
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod common;

use common::*;
use jiff::SignedDuration;
use std::collections::BTreeMap;
use tenantry_engine::{Plan, PlanInput, PlanPolicy, PlanRefusal, RegisteredHook};
use tenantry_hook::{AfterTarget, Hook, codes};
use tenantry_manager::{EnvironmentKey, NewOperation, OperationAnswer};
use tenantry_model::*;
use tenantry_store::{HookRow, Retired, Store};

const WORLDS: u64 = 300;
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const OPERATIONS: [&str; 3] = ["crm.first", "crm.second", "crm.third"];

/// What the hooks of a region may look like, and worse.
struct Dice {
    random: fastrand::Rng,
    now: jiff::Timestamp,
}

impl Dice {
    fn one_in(&mut self, so_many: u32) -> bool {
        self.random.u32(..so_many) == 0
    }

    fn target(&mut self) -> AfterTarget {
        let name = self.random.choice(NAMES).unwrap();
        AfterTarget { hook: format!("crm/{name}").parse().unwrap(), optional: self.one_in(4) }
    }

    fn version(&mut self, name: &str) -> Hook {
        let mut hook = hook(&format!("crm/{name}"), &[], &[]);
        hook.hash = TemplateHash(format!("{name}@{}", self.random.u32(..3)));
        hook.operations =
            OPERATIONS.iter().filter(|_| self.random.bool()).map(|name| name.parse().unwrap()).collect();
        hook.after = (0..self.random.usize(..3)).map(|_| self.target()).collect();
        if self.one_in(4) {
            hook.after_for.insert(OPERATIONS[0].parse().unwrap(), vec![self.target()]);
        }
        if self.one_in(6) {
            let selectors = ["tier in (gold)", "tier in (silver)", "tier in"];
            hook.selector = selectors[self.random.usize(..3)].into();
        }
        hook
    }

    fn row(&mut self, name: &str) -> HookRow {
        let current = (!self.one_in(5)).then(|| self.version(name));
        let problems = match current {
            Some(_) => Vec::new(),
            None => vec![Problem {
                code: codes::SELECTOR_SYNTAX.to_owned(),
                pointer: "/metadata/annotations".to_owned(),
                message: "it cannot be read".to_owned(),
                remedy: "correct it".to_owned(),
            }],
        };
        let last_good = match self.random.u32(..3) {
            0 => None,
            1 => current.clone(),
            _ => Some(self.version(name)),
        };
        // A moment ago, and too long ago to be a replacement.
        let since = [SignedDuration::from_secs(30), SignedDuration::from_hours(1)][self.random.usize(..2)];
        let absent_since = self.one_in(5).then(|| self.now.checked_sub(since).unwrap());
        let retired = (absent_since.is_some() && self.one_in(3)).then(|| Retired {
            by: admin().actor,
            reason: "gone".to_owned(),
            at: self.now,
        });
        let planned = BTreeMap::new();
        HookRow {
            hook: hook_ref(&format!("crm/{name}")),
            current,
            problems,
            last_good,
            absent_since,
            retired,
            planned,
            seen_at: self.now,
        }
    }
}

/// All of a plan but whose it is.
type Seen = Result<(BTreeMap<HookRef, (StepState, TemplateHash, Vec<HookRef>)>, String, String), PlanRefusal>;

fn seen(plan: Result<Plan, PlanRefusal>) -> Seen {
    let Plan { steps, quarantined, good } = plan?;
    let steps = steps
        .into_iter()
        .map(|(hook, step)| (hook, (step.state, step.template_hash, step.after.into_iter().collect())))
        .collect();
    Ok((steps, format!("{quarantined:?}"), format!("{good:?}")))
}

#[tokio::test]
async fn a_plan_of_the_hooks_that_concern_it_is_the_plan_of_all_hooks() {
    let world = World::new();
    let store = world.store().await;
    let manager = world.beside(store.clone());
    prepare(&manager).await;
    let _agent = Agent::open(&manager, Vec::new()).await;
    let (environment, first) = create(&manager, "prod").await;
    assert!(state(&manager, first).await.is_final());
    let environment = manager.environment(&EnvironmentKey::Id(environment.id)).await.unwrap();
    let (mut refused, mut planned) = (0, 0);
    for seed in 0..WORLDS {
        let mut dice = Dice { random: fastrand::Rng::with_seed(seed), now: world.now() };
        let mut write = store.write().await.unwrap();
        for name in NAMES {
            write.put_hook(&dice.row(name)).await.unwrap();
            let expected = dice.one_in(4);
            let hook = hook_ref(&format!("crm/{name}"));
            let applied = AppliedHook { hook, generation: Some(1), dirty: false, expected, operation: first };
            write.put_applied(environment.id, &applied).await.unwrap();
        }
        write.commit().await.unwrap();

        let mut read = store.read().await.unwrap();
        let hooks: Vec<RegisteredHook> =
            read.hooks(&region()).await.unwrap().into_iter().map(all_of).collect();
        let applied = read.applied(environment.id).await.unwrap();
        drop(read);
        for name in OPERATIONS {
            let new = NewOperation { validate_only: true, ..NewOperation::named(name.parse().unwrap()) };
            let answer = manager.request_operation(&admin(), environment.id, new).await.unwrap();
            let OperationAnswer::Preview(preview) = answer else { panic!("only a preview was wanted") };
            let definition = manager.definition(&name.parse().unwrap()).await.unwrap();
            let policy = PlanPolicy {
                absent_grace: world.config.absent_grace,
                cross_namespace_after: true,
                further_regions: [].into(),
                strict_regions: [].into(),
            };
            let whole = tenantry_engine::plan(&PlanInput {
                operation: first,
                environment: &environment,
                definition: &definition,
                hooks: &hooks,
                applied: &applied,
                holds: &[],
                policy: &policy,
                now: world.now(),
            });
            let (whole, found) = (seen(whole), seen(preview.plan));
            assert_eq!(found, whole, "{name} of seed {seed}");
            *(if whole.is_ok() { &mut planned } else { &mut refused }) += 1;
        }
    }
    assert!(refused > 100 && planned > 100, "{refused} refused, {planned} planned");
}

fn all_of(row: HookRow) -> RegisteredHook {
    RegisteredHook {
        hook: row.hook,
        current: row.current,
        problems: row.problems,
        last_good: row.last_good,
        absent_since: row.absent_since,
        retired: row.retired.is_some(),
    }
}
