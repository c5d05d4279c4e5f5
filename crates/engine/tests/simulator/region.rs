//! A region: an agent that crashes and forgets, nodes that vanish, objects that stay until they are released.
//!
//! What survives a crash of the agent: the objects, and its promises that an attempt was not and will never be
//! started. All else it sees again by looking.

use crate::checks::Check;
use crate::script::{MINUTE, SECOND, at};
use crate::world::{Ev, World};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{AttemptId, Fact, FailureReason, Observation, Outcome, RegionName};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Pending,
    Running { started: i64 },
    Ended { started: Option<i64>, at: i64, outcome: Outcome },
}

pub struct Object {
    pub nonce: Uuid,
    pub phase: Phase,
    pub node: usize,
    pub deleting: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Start { nonce: Uuid },
    Kill,
    Release,
}

pub struct Region {
    pub name: RegionName,
    pub session: u64,
    pub up: bool,
    pub partitioned: bool,
    pub disconnected_since: Option<i64>,
    pub objects: BTreeMap<AttemptId, Object>,
    /// Promises that an attempt was not and will never be started.
    pub never: BTreeMap<AttemptId, Outcome>,
    /// Starts that this session carried out already (a second delivery after the release must not run it again).
    pub carried_out: BTreeSet<AttemptId>,
    pub unacknowledged: Vec<Observation>,
    pub number: u64,
    pub nodes: [bool; 3],
    /// Nodes that were out of reach at some time: what ran there may have run unseen.
    pub flaky: [bool; 3],
    pub sending: bool,
}

impl Region {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.parse().unwrap(),
            session: 1,
            up: true,
            partitioned: false,
            disconnected_since: None,
            objects: BTreeMap::new(),
            never: BTreeMap::new(),
            carried_out: BTreeSet::new(),
            unacknowledged: Vec::new(),
            number: 0,
            nodes: [true; 3],
            flaky: [false; 3],
            sending: false,
        }
    }

    pub fn connected(&self) -> bool {
        self.up && !self.partitioned
    }
}

pub fn failure(reason: FailureReason) -> Outcome {
    let exit_code = (reason == FailureReason::HookFailed).then_some(1);
    Outcome { reason: Some(reason), exit_code, ..Outcome::default() }
}

impl World {
    pub fn carry_out(&mut self, r: usize, attempt: &AttemptId, order: &Order) {
        match order {
            Order::Start { nonce } => self.start(r, attempt, *nonce),
            Order::Kill => self.kill(r, attempt),
            Order::Release => {
                let ended = |object: &Object| matches!(object.phase, Phase::Ended { .. });
                if self.regions[r].objects.get(attempt).is_some_and(ended) {
                    self.regions[r].objects.remove(attempt);
                }
            }
        }
    }

    fn start(&mut self, r: usize, attempt: &AttemptId, nonce: Uuid) {
        let region = &mut self.regions[r];
        if region.never.contains_key(attempt) || region.objects.contains_key(attempt) {
            // Ours, since names are never reused: the nonce agrees.
            let ours = region.objects.get(attempt).is_none_or(|object| object.nonce == nonce);
            self.verdict.hold(Check::NamesNeverReused, ours, || format!("{attempt} has another nonce"));
            return self.look(r, attempt);
        }
        if !region.carried_out.insert(attempt.clone()) {
            return;
        }
        if self.rng.u32(0..100) < self.faults.refuse {
            use FailureReason::{NameCollision, Rejected, TemplateGone};
            let reason = *self.rng.choice(&[Rejected, TemplateGone, NameCollision]).unwrap();
            self.regions[r].never.insert(attempt.clone(), failure(reason));
            return self.look(r, attempt);
        }
        let node = self.rng.usize(0..3);
        self.witness_created(attempt, nonce);
        self.regions[r]
            .objects
            .insert(attempt.clone(), Object { nonce, phase: Phase::Pending, node, deleting: false });
        if self.rng.u32(0..100) < self.faults.never_runs {
            use FailureReason::{Evicted, ImagePull, Unschedulable};
            let reason = *self.rng.choice(&[ImagePull, Unschedulable, Evicted]).unwrap();
            let delay = self.rng.i64(SECOND..MINUTE);
            self.later(delay, Ev::End { region: r, attempt: attempt.clone(), outcome: failure(reason) });
        } else {
            let delay = self.rng.i64(SECOND..20 * SECOND);
            self.later(delay, Ev::Run { region: r, attempt: attempt.clone() });
        }
        self.look(r, attempt);
    }

    fn kill(&mut self, r: usize, attempt: &AttemptId) {
        let region = &mut self.regions[r];
        let Some(object) = region.objects.get_mut(attempt) else {
            if !region.carried_out.contains(attempt) || region.never.contains_key(attempt) {
                region.never.entry(attempt.clone()).or_insert_with(|| failure(FailureReason::Killed));
                self.look(r, attempt);
            }
            return;
        };
        if matches!(object.phase, Phase::Ended { .. }) {
            return self.look(r, attempt);
        }
        object.deleting = true;
        let delay = self.rng.i64(0..30 * SECOND);
        // Some programs leave with 0 when they are told to stop.
        let outcome = if self.rng.bool() { Outcome::default() } else { failure(FailureReason::Killed) };
        self.later(delay, Ev::End { region: r, attempt: attempt.clone(), outcome });
    }

    /// The container starts.
    pub fn run(&mut self, r: usize, attempt: &AttemptId) {
        let now = self.now;
        let Some(object) = self.regions[r].objects.get_mut(attempt) else { return };
        if object.phase != Phase::Pending || object.deleting {
            return;
        }
        object.phase = Phase::Running { started: now };
        self.witness_started(attempt);
        let failing = self.script.hooks[&attempt.step].failing.min(self.faults.failing);
        let outcome = match self.rng.u32(0..100) {
            n if n < failing => {
                use FailureReason::{BadOutput, Deleted, Evicted, HookFailed, OutOfMemory};
                let reasons = [HookFailed, HookFailed, HookFailed, OutOfMemory, BadOutput, Evicted, Deleted];
                failure(*self.rng.choice(&reasons).unwrap())
            }
            _ => Outcome {
                outputs: [("n".to_owned(), attempt.number.to_string())].into(),
                ..Outcome::default()
            },
        };
        let hangs = self.rng.u32(0..100) < self.faults.hangs;
        let duration = if hangs { 600 * MINUTE } else { self.rng.i64(SECOND..20 * MINUTE) };
        self.later(duration, Ev::End { region: r, attempt: attempt.clone(), outcome });
        self.look(r, attempt);
    }

    /// The process is over, or could not be brought to run. On a node that cannot be reached only the witness knows.
    pub fn end(&mut self, r: usize, attempt: &AttemptId, outcome: Outcome) {
        let now = self.now;
        let region = &mut self.regions[r];
        let Some(object) = region.objects.get_mut(attempt) else { return };
        let started = match object.phase {
            Phase::Running { started } => Some(started),
            Phase::Pending => None,
            Phase::Ended { .. } => return,
        };
        // A kill reaches a process only through its node; it is carried out when the node is back.
        let natural = outcome.reason != Some(FailureReason::Killed);
        if object.deleting && !region.nodes[object.node] && (started.is_none() || !natural) {
            return;
        }
        let outcome =
            if started.is_none() && outcome.is_success() { failure(FailureReason::Killed) } else { outcome };
        object.phase = Phase::Ended { started, at: now, outcome: outcome.clone() };
        if started.is_some() {
            self.witness_ended(r, attempt, outcome.is_success());
        }
        self.look(r, attempt);
    }

    /// The agent looks at one attempt and notes what it sees.
    pub fn look(&mut self, r: usize, attempt: &AttemptId) {
        let now = self.now;
        let region = &mut self.regions[r];
        if !region.up {
            return;
        }
        let fact = if let Some(outcome) = region.never.get(attempt) {
            Fact::NotStarted { outcome: outcome.clone() }
        } else {
            let Some(object) = region.objects.get(attempt) else { return };
            let name = format!("pod {attempt}");
            match &object.phase {
                _ if !region.nodes[object.node] => {
                    Fact::Unknown { why: format!("node {} is silent", object.node) }
                }
                Phase::Pending => Fact::Starting { object: name, waiting_for: None },
                Phase::Running { started } => Fact::Running {
                    object: name,
                    started_at: at(*started),
                    node: Some(format!("node-{}", object.node)),
                    images: BTreeMap::new(),
                },
                Phase::Ended { started, at: ended, outcome } => Fact::Ended {
                    started_at: started.map(at),
                    ended_at: at(*ended),
                    outcome: outcome.clone(),
                    images: BTreeMap::new(),
                },
            }
        };
        region.number += 1;
        let number = (region.session << 20) + region.number;
        let observation = Observation { attempt: attempt.clone(), number, at: at(now), fact };
        region.unacknowledged.push(observation);
        self.send_soon(r);
    }

    pub fn look_at_everything(&mut self, r: usize) {
        let region = &self.regions[r];
        let all: Vec<AttemptId> = region.objects.keys().chain(region.never.keys()).cloned().collect();
        for attempt in all {
            self.look(r, &attempt);
        }
    }

    pub fn send_soon(&mut self, r: usize) {
        let region = &mut self.regions[r];
        if !region.sending && !region.unacknowledged.is_empty() {
            region.sending = true;
            let delay = self.rng.i64(SECOND..5 * SECOND);
            self.later(delay, Ev::Send { region: r });
        }
    }

    /// Everything that was not acknowledged, again; each report by itself, so that they overtake each other.
    pub fn send(&mut self, r: usize) {
        self.regions[r].sending = false;
        if !self.regions[r].connected() || self.regions[r].unacknowledged.is_empty() {
            return;
        }
        for observation in self.regions[r].unacknowledged.clone() {
            if self.rng.u32(0..100) < self.faults.lose {
                continue;
            }
            let delay = self.rng.i64(10..10 * SECOND);
            self.later(delay, Ev::Report { region: r, observation: observation.clone() });
            if self.rng.u32(0..100) < self.faults.duplicate {
                let delay = self.rng.i64(SECOND..30 * MINUTE);
                self.later(delay, Ev::Report { region: r, observation });
            }
        }
        self.regions[r].sending = true;
        let again = self.rng.i64(20 * SECOND..40 * SECOND);
        self.later(again, Ev::Send { region: r });
    }

    pub fn crash(&mut self, r: usize) {
        let forgets = self.rng.bool();
        let region = &mut self.regions[r];
        region.up = false;
        region.session += 1;
        region.number = 0;
        region.carried_out = region.objects.keys().cloned().collect();
        if forgets {
            region.unacknowledged.clear();
        }
        self.disconnected(r);
        let delay = self.rng.i64(SECOND..10 * MINUTE);
        self.later(delay, Ev::Restart { region: r });
    }

    pub fn node_vanishes(&mut self, r: usize) {
        let node = self.rng.usize(0..3);
        if !std::mem::replace(&mut self.regions[r].nodes[node], false) {
            return;
        }
        self.regions[r].flaky[node] = true;
        let dies = self.rng.bool();
        for attempt in self.on_node(r, node) {
            if dies {
                self.end(r, &attempt, failure(FailureReason::HookFailed));
            }
            self.look(r, &attempt);
        }
        if self.rng.u32(0..10) < 7 {
            let delay = self.rng.i64(MINUTE..2 * 60 * MINUTE);
            self.later(delay, Ev::NodeBack { region: r, node });
        }
    }

    pub fn node_back(&mut self, r: usize, node: usize) {
        self.regions[r].nodes[node] = true;
        for attempt in self.on_node(r, node) {
            if self.regions[r].objects[&attempt].deleting {
                self.end(r, &attempt, failure(FailureReason::Killed));
            }
            self.look(r, &attempt);
        }
    }

    fn on_node(&self, r: usize, node: usize) -> Vec<AttemptId> {
        let objects = self.regions[r].objects.iter();
        objects.filter(|(_, object)| object.node == node).map(|(id, _)| id.clone()).collect()
    }
}
