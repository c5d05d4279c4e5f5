//! Operators: at random while there are faults, then one by one through whatever waits; and the last judgement.

use crate::checks::Check;
use crate::script::person;
use crate::world::World;
use std::collections::BTreeMap;
use tenantry_engine::{Event, StepVerb, keys};
use tenantry_model::{AttemptState, AttentionKind, HookRef, OperationId, OperationState, StepState};

impl World {
    pub fn person_acts(&mut self) {
        let open = |world: &Self| -> Vec<OperationId> {
            let runs = world.manager.runs.iter();
            runs.filter(|(_, run)| !run.operation().state.is_final()).map(|(id, _)| *id).collect()
        };
        let open = open(self);
        let Some(id) = self.rng.choice(&open).copied() else { return };
        if self.rng.u32(0..12) == 0 {
            let cancel = Event::Cancel { by: person(), reason: "wrong button".to_owned() };
            let _ = self.commit(id, &cancel);
            return;
        }
        let steps: Vec<HookRef> = self.manager.runs[&id].steps().keys().cloned().collect();
        let Some(step) = self.rng.choice(&steps).cloned() else { return };
        let confirm = StepVerb::Confirm { outputs: BTreeMap::from([("by".to_owned(), "hand".to_owned())]) };
        let verbs = [
            StepVerb::Rerun { with_successors: false },
            StepVerb::Kill,
            StepVerb::Kill,
            StepVerb::Skip,
            confirm,
            StepVerb::DeclareLost,
        ];
        let verb = self.rng.choice(&verbs).unwrap();
        self.verb(&step, id, verb);
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
                if !ended && !waits_for_other && !named(&step.hook) {
                    lost.push(format!("{id} {} is {:?} for ever", step.hook, step.state));
                }
            }
            if !anyone {
                lost.push(format!("{id} waits for nobody"));
            }
        }
        self.verdict.hold(Check::NoLostStep, lost.is_empty(), || lost.join("; "));
        self.unknown_are_named();
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
            let waits = |step: &&tenantry_model::Step| match kind {
                AttentionKind::StepStale => *key == keys::step_stale(*id, &step.hook),
                AttentionKind::StepWaiting => *key == keys::step_waiting(*id, &step.hook),
                AttentionKind::AttemptUnknown => {
                    run.newest_attempt(step).is_some_and(|attempt| *key == keys::attempt_unknown(&attempt.id))
                }
                _ => false,
            };
            run.steps().values().find(waits).map(|step| (*kind, *id, step.hook.clone()))
        });
        let Some((kind, id, step)) = first else { return false };
        let verb = match (kind, self.rng.u32(0..3)) {
            (AttentionKind::AttemptUnknown, _) => StepVerb::DeclareLost,
            (_, 0) => StepVerb::Skip,
            (_, 1) => StepVerb::Confirm { outputs: BTreeMap::new() },
            _ => StepVerb::Rerun { with_successors: false },
        };
        let accepted = self.verb(&step, id, &verb);
        self.verdict.hold(Check::NoLostStep, accepted, || format!("{id} {step}: {verb:?} is no way out"));
        accepted
    }

    pub fn at_the_end(&mut self) {
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        for (id, run) in &self.manager.runs {
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
