//! Operators: at random while there are faults, then one by one through whatever waits; and the last judgement.

use crate::checks::Check;
use crate::script::{MINUTE, at, person};
use crate::world::World;
use std::collections::BTreeMap;
use tenantry_engine::{Event, StepVerb, keys};
use tenantry_model::{
    AttemptState, AttentionKind, HoldId, HookRef, Operation, OperationId, OperationState, Replay,
    ReplayVersions, Step, StepState,
};
use uuid::Uuid;

impl World {
    pub fn person_acts(&mut self) {
        let open = |world: &Self| -> Vec<OperationId> {
            let runs = world.manager.runs.iter();
            runs.filter(|(_, run)| !run.operation().state.is_final()).map(|(id, _)| *id).collect()
        };
        let open = open(self);
        let Some(id) = self.rng.choice(&open).copied() else { return };
        match self.rng.u32(0..40) {
            0..2 => {
                let cancel = Event::Cancel { by: person(), reason: "wrong button".to_owned() };
                let _ = self.commit(id, &cancel);
            }
            2..5 => self.pause(id),
            5..7 => _ = self.resume(id),
            7..9 => self.hold_by_predicate(),
            9 => {
                let holds: Vec<HoldId> = self.manager.holds.iter().map(|hold| hold.id).collect();
                if let Some(hold) = self.rng.choice(&holds) {
                    self.lift(*hold);
                }
            }
            10..13 => self.replay_something(),
            _ => self.steer_something(id),
        }
    }

    fn steer_something(&mut self, id: OperationId) {
        let steps: Vec<HookRef> = self.manager.runs[&id].steps().keys().cloned().collect();
        let Some(step) = self.rng.choice(&steps).cloned() else { return };
        let until = self.rng.bool().then(|| at(self.now + self.rng.i64(MINUTE..60 * MINUTE)));
        let after: Vec<HookRef> = self.script.hooks[&step].after.iter().cloned().collect();
        let verb = match self.rng.u32(0..16) {
            0..3 => StepVerb::Rerun { with_successors: false },
            3..6 => StepVerb::Rerun { with_successors: true },
            6..8 => StepVerb::Kill,
            8 => StepVerb::Skip,
            9 => StepVerb::Confirm { outputs: BTreeMap::from([("by".to_owned(), "hand".to_owned())]) },
            10 => StepVerb::DeclareLost,
            11..13 => StepVerb::Hold { until },
            13 => StepVerb::Stop { until },
            14 => StepVerb::Release { hold: None },
            _ => StepVerb::IgnoreDependency { on: self.rng.choice(&after).cloned() },
        };
        self.verb(&step, id, &verb);
    }

    /// Something that has ended, again.
    fn replay_something(&mut self) {
        let runs = self.manager.runs.values();
        let ended = runs.filter(|run| run.operation().state.is_final() && !run.steps().is_empty());
        let ended: Vec<OperationId> = ended.map(|run| run.operation().id).collect();
        let Some(of) = self.rng.choice(&ended).copied() else { return };
        let original = &self.manager.runs[&of];
        let steps: Vec<HookRef> = original.steps().keys().cloned().collect();
        let from = self.rng.choice(&steps).filter(|_| self.rng.u32(0..4) > 0).cloned().into_iter().collect();
        let versions = *self.rng.choice(&[ReplayVersions::Frozen, ReplayVersions::Current]).unwrap();
        let operation = Operation {
            id: OperationId(Uuid::from_u128(0x0b00 + self.manager.runs.len() as u128)),
            state: OperationState::Pending,
            started_at: None,
            ended_at: None,
            deadline_at: None,
            late: false,
            note: None,
            problem: None,
            cancel: None,
            pause: None,
            revision: 0,
            replay: Some(Replay { of, from, versions, changed: BTreeMap::new() }),
            ..original.operation().clone()
        };
        self.manager.count("replay");
        self.arrive(operation);
    }

    /// Nothing will happen any more without a person: whatever is not over must be named by some attention.
    pub fn at_rest(&mut self) {
        let mut lost = Vec::new();
        for (id, run) in &self.manager.runs {
            match run.operation().state {
                state if state.is_final() => continue,
                OperationState::Pending => {
                    let blocker = self.manager.unfinished(run.operation());
                    if !blocker.iter().any(|other| other.state.holds_lock()) {
                        lost.push(format!("{id} is pending for nobody"));
                    }
                    continue;
                }
                OperationState::Paused
                    if self.manager.attention.contains_key(&keys::operation_paused(*id)) =>
                {
                    continue;
                }
                OperationState::Planning => lost.push(format!("{id} is planning for ever")),
                _ => {}
            }
            let named = |step: &HookRef| {
                let newest = run.steps().get(step).and_then(|step| run.newest_attempt(step));
                let unknown = newest.map(|attempt| keys::attempt_unknown(&attempt.id));
                let about_it =
                    [keys::step_waiting(*id, step), keys::step_stale(*id, step), keys::step_held(*id, step)];
                about_it.iter().any(|key| self.manager.attention.contains_key(key))
                    || unknown.is_some_and(|key| self.manager.attention.contains_key(&key))
            };
            let mut anyone = false;
            for step in run.steps().values().filter(|step| !step.is_settled()) {
                let waits_for_other = step.state == StepState::Blocked
                    && step.after.iter().any(|target| !run.steps()[target].is_settled());
                anyone |= named(&step.hook);
                let ended =
                    run.operation().state == OperationState::Cancelling && step.state != StepState::Running;
                // What it made is being thrown away; that has not ended, and is named itself.
                let downstream = self.script.downstream(&step.hook);
                let restarting = |other: &Step| other.restarting && downstream.contains(&other.hook);
                let waits_for_end = step.state == StepState::Ready && run.steps().values().any(restarting);
                if !ended && !waits_for_other && !waits_for_end && !named(&step.hook) {
                    lost.push(format!("{id} {} is {:?} for ever", step.hook, step.state));
                }
            }
            if !anyone {
                lost.push(format!("{id} waits for nobody"));
            }
        }
        self.verdict.hold(Check::NoLostStep, lost.is_empty(), || lost.join("; "));
        self.unknown_are_named();
        self.holds_have_ended();
    }

    fn holds_have_ended(&mut self) {
        let unfinished = self.manager.runs.values().filter(|run| !run.operation().state.is_final());
        let mut steps = unfinished
            .filter(|run| run.operation().state != OperationState::Cancelling)
            .flat_map(|run| run.steps().values());
        let expired =
            |step: &&Step| step.holds.iter().any(|hold| hold.until.is_some_and(|until| until < at(self.now)));
        let kept = steps.find(expired).map(|step| (step.operation, step.hook.clone()));
        self.verdict
            .hold(Check::HoldsEnd, kept.is_none(), || format!("{kept:?} is held past the hold's end"));
    }

    fn unknown_are_named(&mut self) {
        for run in self.manager.runs.values() {
            let open = run.attempts().values().filter(|attempt| !attempt.state.is_over());
            for attempt in open.filter(|attempt| attempt.unknown_since.is_some() || attempt.kill.is_some()) {
                let raised = self.manager.attention.contains_key(&keys::attempt_unknown(&attempt.id));
                self.verdict
                    .hold(Check::UnknownRaises, raised, || format!("{} is unknown, unsaid", attempt.id));
            }
        }
    }

    /// A person takes the first thing that waits. False: nothing waits.
    pub fn resolve_one(&mut self) -> bool {
        let first = self.manager.attention.iter().find_map(|(key, (kind, id))| {
            let run = &self.manager.runs[id];
            let about = |step: &&Step| match kind {
                AttentionKind::StepStale => *key == keys::step_stale(*id, &step.hook),
                AttentionKind::StepHeld => *key == keys::step_held(*id, &step.hook),
                AttentionKind::StepWaiting => *key == keys::step_waiting(*id, &step.hook),
                AttentionKind::AttemptUnknown => {
                    run.newest_attempt(step).is_some_and(|attempt| *key == keys::attempt_unknown(&attempt.id))
                }
                _ => false,
            };
            let step = run.steps().values().find(about).cloned();
            (step.is_some() || *kind == AttentionKind::OperationPaused).then_some((*kind, *id, step))
        });
        let Some((kind, id, step)) = first else { return false };
        let Some(step) = step else {
            let resumed = self.resume(id);
            self.verdict.hold(Check::NoLostStep, resumed, || format!("{id} cannot be resumed"));
            return resumed;
        };
        let confirm = StepVerb::Confirm { outputs: BTreeMap::new() };
        let with_successors = self.rng.bool();
        let verb = match (kind, self.rng.u32(0..3)) {
            (AttentionKind::AttemptUnknown, _) => StepVerb::DeclareLost,
            (AttentionKind::StepHeld, n) => {
                let hold = step.holds.first().and_then(|hold| hold.id);
                match hold.filter(|_| n == 0) {
                    Some(hold) => {
                        self.lift(hold);
                        return true;
                    }
                    None => StepVerb::Release { hold },
                }
            }
            (_, 0) => StepVerb::Skip,
            (_, 1) => confirm,
            _ => StepVerb::Rerun { with_successors },
        };
        let accepted = self.verb(&step.hook, id, &verb);
        self.verdict
            .hold(Check::NoLostStep, accepted, || format!("{id} {}: {verb:?} is no way out", step.hook));
        accepted
    }

    pub fn at_the_end(&mut self) {
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        let mut stale = Vec::new();
        for (id, run) in &self.manager.runs {
            if run.operation().state == OperationState::Succeeded {
                stale.extend(
                    run.steps()
                        .keys()
                        .filter_map(|hook| Some((*id, hook.clone(), self.stale_by(*id, hook)?))),
                );
            }
            if !run.operation().state.is_final() {
                lost.push(format!("{id} is {:?} in the end", run.operation().state));
            }
            for attempt in run.attempts().values() {
                let reported = attempt.state != AttemptState::Lost || attempt.late_outcome.is_some();
                if attempt.state.is_over() && reported && !self.manager.is_released(&attempt.id) {
                    kept.push(attempt.id.clone());
                }
            }
        }
        self.count_the_end();
        self.verdict.hold(Check::StaleIsSettled, stale.is_empty(), || format!("{stale:?} in the end"));
        self.verdict.hold(Check::NoLostStep, lost.is_empty(), || lost.join("; "));
        self.verdict.hold(Check::EverythingReleased, kept.is_empty(), || format!("{kept:?}"));
    }

    fn count_the_end(&mut self) {
        let mut seen = Vec::new();
        for run in self.manager.runs.values() {
            seen.push(format!("operation {:?}", run.operation().state));
            seen.extend(run.steps().values().map(|step| format!("step {:?}", step.state)));
            for attempt in run.attempts().values() {
                seen.push(format!("attempt {:?}", attempt.state));
                seen.extend(attempt.kill.as_ref().map(|kill| format!("kill by {:?}", kill.cause)));
                seen.extend(attempt.late_outcome.as_ref().map(|_| "late outcome".to_owned()));
                let reason = attempt.outcome.as_ref().and_then(|outcome| outcome.reason);
                seen.extend(reason.map(|reason| format!("reason {reason:?}")));
            }
        }
        for what in seen {
            self.manager.count(what);
        }
    }
}
