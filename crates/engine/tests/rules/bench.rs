//! One operation on the bench: events are applied one by one, rows are committed, time stands until it is moved.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use tenantry_engine::{
    Action, Event, Expected, Moment, Plan, Preview, Raised, Rejected, Rules, Run, StepVerb, Transition,
    apply, preview,
};
use tenantry_model::{
    Actor, ActorKind, Attempt, AttemptId, ConflictPolicy, EnvironmentId, Fact, FailureReason, HookRef,
    LockClass, Observation, OnFailure, OnLost, Operation, OperationDefinition, OperationId, OperationState,
    Outcome, Step, StepPolicy, StepState, TemplateHash,
};
use uuid::Uuid;

/// A hold or a pause of an hour is long.
pub const RULES: Rules = Rules { held_too_long: SignedDuration::from_hours(1) };

pub fn person() -> Actor {
    Actor { kind: ActorKind::Token, name: "ada".to_owned() }
}

pub fn hook(name: &str) -> HookRef {
    format!("eu1/team/{name}").parse().unwrap()
}

pub fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

pub fn time(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

pub fn failed(reason: FailureReason) -> Outcome {
    Outcome { reason: Some(reason), exit_code: Some(3), ..Outcome::default() }
}

pub fn operation(n: u128, lock: LockClass, on_conflict: ConflictPolicy, state: OperationState) -> Operation {
    let definition = OperationDefinition {
        lock,
        on_conflict,
        unknown_deadline: minutes(5),
        ..OperationDefinition::undefined("crm.reindex".parse().unwrap())
    };
    Operation {
        id: OperationId(Uuid::from_u128(n)),
        environment: EnvironmentId(Uuid::from_u128(0xe)),
        name: definition.name.clone(),
        definition,
        batch: None,
        state,
        note: None,
        problem: None,
        generation: 0,
        parameters: serde_json::Map::new(),
        scheduled_time: None,
        requested_by: person(),
        reason: None,
        created_at: time(i64::try_from(n).unwrap()),
        started_at: None,
        ended_at: None,
        deadline_at: None,
        late: false,
        traceparent: None,
        cancel: None,
        pause: None,
        replay: None,
        cause: None,
        revision: 0,
    }
}

/// A step as a plan has it; `after` names others.
pub fn step(name: &str, after: &[&str]) -> Step {
    let policy = StepPolicy { on_failure: OnFailure::Wait, on_lost: OnLost::Wait, retries: 0, timeout: None };
    let after = after.iter().map(|name| hook(name)).collect();
    Step::new(OperationId(Uuid::from_u128(1)), hook(name), TemplateHash("abc".to_owned()), policy, after)
}

pub struct Bench {
    pub run: Run,
    pub now: Timestamp,
    /// What the last applied event gave.
    pub last: Transition,
    /// Attention that waits, by key.
    pub attention: BTreeMap<String, Raised>,
    number: u64,
    seed: u128,
}

impl Bench {
    pub fn pending() -> Self {
        let operation = operation(1, LockClass::Exclusive, ConflictPolicy::Queue, OperationState::Pending);
        Self::of(operation)
    }

    pub fn of(operation: Operation) -> Self {
        Self::by(operation, RULES)
    }

    /// In an installation that has set other rules.
    pub fn by(operation: Operation, rules: Rules) -> Self {
        Self {
            run: Run::new(operation, [], [], rules),
            now: time(10),
            last: Transition::default(),
            attention: BTreeMap::new(),
            number: 0,
            seed: 0,
        }
    }

    pub fn planned(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::pending().plan(steps)
    }

    pub fn plan(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        let bench = &mut self;
        bench.on(&Event::Admitted { generation: 7 });
        let steps = steps.into_iter().map(|step| (step.hook.clone(), step)).collect();
        bench.on(&Event::Planned(Plan { steps, ..Plan::default() }));
        self
    }

    /// One step with a policy.
    pub fn with(change: impl FnOnce(&mut StepPolicy)) -> Self {
        let mut only = step("a", &[]);
        change(&mut only.policy);
        Self::planned([only])
    }

    pub fn apply(&mut self, event: &Event) -> Result<Transition, Rejected> {
        self.seed += 1;
        let moment = Moment { now: self.now, seed: Uuid::from_u128(self.seed) };
        let transition = apply(&self.run, event, moment)?;
        self.run.commit(&transition);
        for action in &transition.actions {
            match action {
                Action::Raise(raised) => _ = self.attention.insert(raised.key.clone(), raised.clone()),
                Action::Settle { key } => _ = self.attention.remove(key),
                _ => {}
            }
        }
        self.last = transition.clone();
        Ok(transition)
    }

    pub fn on(&mut self, event: &Event) -> Transition {
        self.apply(event).unwrap()
    }

    pub fn wait(&mut self, duration: SignedDuration) -> Transition {
        self.now += duration;
        self.on(&Event::Tick)
    }

    pub fn observation(&mut self, name: &str, attempt: u32, fact: Fact) -> Event {
        self.number += 1;
        let id = AttemptId { operation: self.run.operation().id, step: hook(name), number: attempt };
        Event::Observed(Observation { attempt: id, number: self.number, at: self.now, fact })
    }

    /// The region saw something of the newest attempt.
    pub fn sees(&mut self, name: &str, fact: Fact) -> Transition {
        let newest = self.step(name).attempt;
        let event = self.observation(name, newest, fact);
        self.on(&event)
    }

    pub fn runs(&mut self, name: &str) -> Transition {
        let started_at = self.now;
        let object = "pod team/a".to_owned();
        self.sees(name, Fact::Running { object, started_at, node: None, images: BTreeMap::new() })
    }

    pub fn end(&self, outcome: Outcome) -> Fact {
        Fact::Ended { started_at: None, ended_at: self.now, outcome, images: BTreeMap::new() }
    }

    pub fn succeeds(&mut self, name: &str) -> Transition {
        let fact = self.end(Outcome::default());
        self.sees(name, fact)
    }

    pub fn fails(&mut self, name: &str, reason: FailureReason) -> Transition {
        let fact = self.end(failed(reason));
        self.sees(name, fact)
    }

    pub fn loses_sight(&mut self, name: &str) -> Transition {
        self.sees(name, Fact::Unknown { why: "node n1 is silent".to_owned() })
    }

    pub fn verb(&mut self, name: &str, verb: StepVerb) -> Result<Transition, Rejected> {
        self.verb_with(name, verb, Some("runbook 7"), None)
    }

    pub fn verb_with(
        &mut self,
        name: &str,
        verb: StepVerb,
        reason: Option<&str>,
        expected: Option<Expected>,
    ) -> Result<Transition, Rejected> {
        let reason = reason.map(str::to_owned);
        self.apply(&Event::Verb { step: hook(name), verb, by: person(), reason, expected })
    }

    pub fn pause(&mut self) -> Transition {
        self.on(&Event::Pause { by: person(), reason: "change freeze".to_owned() })
    }

    pub fn resume(&mut self) -> Transition {
        self.on(&Event::Resume { by: person(), reason: None })
    }

    /// What an event would do, judged against what it then does.
    pub fn preview(&self, name: &str, verb: StepVerb) -> Preview {
        let reason = Some("runbook 7".to_owned());
        let event = Event::Verb { step: hook(name), verb, by: person(), reason, expected: None };
        preview(&self.run, &event, Moment { now: self.now, seed: Uuid::from_u128(self.seed + 1) }).unwrap()
    }

    pub fn cancel(&mut self) -> Transition {
        self.on(&Event::Cancel { by: person(), reason: "wrong customer".to_owned() })
    }

    pub fn step(&self, name: &str) -> &Step {
        &self.run.steps()[&hook(name)]
    }

    pub fn state(&self, name: &str) -> StepState {
        self.step(name).state
    }

    pub fn attempt(&self, name: &str, number: u32) -> &Attempt {
        &self.run.attempts()[&(hook(name), number)]
    }

    pub fn newest(&self, name: &str) -> &Attempt {
        self.attempt(name, self.step(name).attempt)
    }

    pub fn operation(&self) -> OperationState {
        self.run.operation().state
    }
}

pub fn starts(transition: &Transition) -> Vec<String> {
    let start = |action: &Action| match action {
        Action::Start(id) => Some(format!("{}#{}", id.step.name, id.number)),
        _ => None,
    };
    transition.actions.iter().filter_map(start).collect()
}

pub fn kills(transition: &Transition) -> usize {
    transition.actions.iter().filter(|action| matches!(action, Action::Kill { .. })).count()
}

pub fn hold() -> StepVerb {
    StepVerb::Hold { until: None }
}

pub fn release() -> StepVerb {
    StepVerb::Release { hold: None }
}

pub fn rerun() -> StepVerb {
    StepVerb::Rerun { with_successors: false }
}

pub fn rerun_all() -> StepVerb {
    StepVerb::Rerun { with_successors: true }
}
