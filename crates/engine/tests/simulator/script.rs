//! What a seed makes of the world before it begins: regions, hooks, operations, and what hooks will do.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::RegisteredHook;
use tenantry_hook::{AfterTarget, AttemptKind, Hook};
use tenantry_model::{
    Actor, ActorKind, ConflictPolicy, Converges, Effect, EmptyPlan, Environment, EnvironmentId,
    EnvironmentSpec, EnvironmentState, HookRef, LockClass, OnFailure, OnLost, Operation, OperationDefinition,
    OperationId, OperationState, RegionName, StepPolicy, TemplateHash,
};
use uuid::Uuid;

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// Milliseconds of the world's clock as a timestamp.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

pub fn person() -> Actor {
    Actor { kind: ActorKind::Token, name: "night shift".to_owned() }
}

/// A hook as the world knows it, independent of what the engine makes of it.
pub struct HookScript {
    pub hook: Hook,
    pub after: BTreeSet<HookRef>,
    pub deselected: bool,
    /// How often of 100 an execution fails by itself.
    pub failing: u32,
}

pub struct Script {
    pub environments: Vec<Environment>,
    pub hooks: BTreeMap<HookRef, HookScript>,
    pub operations: Vec<(i64, Operation)>,
}

const OPERATIONS: [(&str, LockClass, ConflictPolicy); 6] = [
    ("sim.upsert", LockClass::Exclusive, ConflictPolicy::Queue),
    ("sim.backup", LockClass::Shared, ConflictPolicy::Queue),
    ("sim.report", LockClass::None, ConflictPolicy::Queue),
    ("sim.refuse", LockClass::Exclusive, ConflictPolicy::Refuse),
    ("sim.nightly", LockClass::Exclusive, ConflictPolicy::Replace),
    ("sim.suspend", LockClass::Exclusive, ConflictPolicy::CancelRunning),
];

impl Script {
    /// Everything after a hook, by the declared order; nothing waits for it through a deselected one.
    pub fn downstream(&self, root: &HookRef) -> BTreeSet<HookRef> {
        let mut found = BTreeSet::new();
        let mut ahead = vec![root.clone()];
        while let Some(hook) = ahead.pop() {
            let after = |script: &HookScript| !script.deselected && script.after.contains(&hook);
            for (later, _) in self.hooks.iter().filter(|(_, script)| after(script)) {
                if found.insert(later.clone()) {
                    ahead.push(later.clone());
                }
            }
        }
        found
    }

    pub fn write(rng: &mut Rng) -> Self {
        let regions: [RegionName; 2] = ["one".parse().unwrap(), "two".parse().unwrap()];
        let environments: Vec<_> = (0..rng.u128(1..=2)).map(|n| environment(n, &regions[0])).collect();
        let hooks = hooks(rng, &regions);
        let operations = (0..rng.u128(2..=5))
            .map(|n| {
                let environment = &environments[rng.usize(0..environments.len())];
                let arrival = rng.i64(0..2 * HOUR);
                (arrival, operation(rng, n, environment, arrival))
            })
            .collect();
        Self { environments, hooks, operations }
    }

    pub fn registered(&self) -> Vec<RegisteredHook> {
        let registered = |(hook, script): (&HookRef, &HookScript)| RegisteredHook {
            hook: hook.clone(),
            current: Some(script.hook.clone()),
            problems: Vec::new(),
            last_good: Some(script.hook.clone()),
            absent_since: None,
            retired: false,
        };
        self.hooks.iter().map(registered).collect()
    }
}

fn environment(n: u128, region: &RegionName) -> Environment {
    Environment {
        id: EnvironmentId(Uuid::from_u128(0xe000 + n)),
        tenant: "acme".parse().unwrap(),
        name: format!("env-{n}").parse().unwrap(),
        aliases: BTreeSet::new(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        region: region.clone(),
        spec: EnvironmentSpec::default(),
        state: EnvironmentState::Active,
        generation: 1,
        revision: 1,
        version: 1,
        retention: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn hooks(rng: &mut Rng, regions: &[RegionName; 2]) -> BTreeMap<HookRef, HookScript> {
    let mut hooks: BTreeMap<HookRef, HookScript> = BTreeMap::new();
    for n in 0..rng.usize(2..=6) {
        let region = &regions[usize::from(rng.u32(0..4) == 0)];
        let hook: HookRef = format!("{region}/team-{}/hook-{n}", n % 2).parse().unwrap();
        let earlier: Vec<HookRef> = hooks.keys().filter(|other| other.region == *region).cloned().collect();
        let after: BTreeSet<HookRef> = earlier.into_iter().filter(|_| rng.u32(0..2) == 0).collect();
        let optional = rng.bool();
        let targets = after.iter().map(|target| AfterTarget { hook: target.path(), optional });
        let deselected = rng.u32(0..8) == 0;
        let script = HookScript {
            hook: Hook {
                path: hook.path(),
                hash: TemplateHash(format!("hash-{n}")),
                operations: OPERATIONS.iter().map(|(name, ..)| name.parse().unwrap()).collect(),
                after: targets.collect(),
                after_for: BTreeMap::new(),
                selector: if deselected { "tier in (silver)" } else { "" }.to_owned(),
                policy: StepPolicy {
                    on_failure: *rng
                        .choice(&[OnFailure::Wait, OnFailure::Wait, OnFailure::Fail, OnFailure::Continue])
                        .unwrap(),
                    on_lost: *rng.choice(&[OnLost::Wait, OnLost::Retry]).unwrap(),
                    retries: rng.u32(0..3),
                    timeout: (rng.u32(0..2) == 0).then(|| SignedDuration::from_mins(30)),
                },
                kind: AttemptKind::Pod,
                container: "main".to_owned(),
            },
            after,
            deselected,
            failing: *rng.choice(&[0, 10, 40, 100]).unwrap(),
        };
        hooks.insert(hook, script);
    }
    hooks
}

fn operation(rng: &mut Rng, n: u128, environment: &Environment, arrival: i64) -> Operation {
    let (name, lock, on_conflict) = OPERATIONS[rng.usize(0..OPERATIONS.len())];
    let name: tenantry_model::OperationName = name.parse().unwrap();
    let definition = OperationDefinition {
        lock,
        on_conflict,
        empty_plan: EmptyPlan::Succeed,
        effect: Effect::None,
        converges: Converges::Yes,
        unknown_deadline: SignedDuration::from_mins(5),
        ..OperationDefinition::undefined(name.clone())
    };
    Operation {
        id: OperationId(Uuid::from_u128(0x0a00 + n)),
        environment: environment.id,
        name,
        definition,
        batch: None,
        state: OperationState::Pending,
        note: None,
        problem: None,
        generation: 0,
        parameters: serde_json::Map::new(),
        scheduled_time: None,
        requested_by: person(),
        reason: None,
        created_at: at(arrival),
        started_at: None,
        ended_at: None,
        deadline_at: rng.bool().then(|| at(arrival + HOUR)),
        late: false,
        traceparent: None,
        cancel: None,
        pause: None,
        replay: None,
        cause: None,
        revision: 0,
    }
}
