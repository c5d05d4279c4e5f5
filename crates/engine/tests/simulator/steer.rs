//! Persons' verbs, and what the witness makes of them. A decision is noted before the transition that it makes is
//! judged, and taken back when it was refused.

use crate::checks::Check;
use crate::script::{MINUTE, at, person};
use crate::witness::Key;
use crate::world::World;
use std::collections::BTreeSet;
use tenantry_engine::{Event, StepVerb, hold_matches};
use tenantry_model::{AttemptId, Hold, HoldId, HoldPredicate, HookRef, OperationId, OperationState};
use uuid::Uuid;

impl World {
    pub fn verb(&mut self, step: &HookRef, id: OperationId, verb: &StepVerb) -> bool {
        let event = Event::Verb {
            step: step.clone(),
            verb: verb.clone(),
            by: person(),
            reason: Some("the runbook says so".to_owned()),
            expected: None,
        };
        let key = (id, step.clone());
        let again = self.begin_again(&key, verb);
        let asked_before = self.manager.asked_for.clone();
        for (key, newest) in &again {
            self.manager.asked_for.insert(key.clone(), newest + 1);
        }
        let open = self.open(&key);
        let gives_up = matches!(verb, StepVerb::DeclareLost | StepVerb::Skip | StepVerb::Confirm { .. });
        let lost =
            open.clone().filter(|attempt| gives_up && self.witness.declared_lost.insert(attempt.clone()));
        let thrown: Vec<AttemptId> = again.iter().filter_map(|(key, _)| self.open(key)).collect();
        let thrown: Vec<AttemptId> =
            thrown.into_iter().filter(|attempt| self.witness.thrown_away.insert(attempt.clone())).collect();
        // What was never done has no consumers, unless they were told not to wait for it.
        let rows = self.manager.runs[&id].steps();
        let was_done = |(key, _): &&(Key, u32)| rows.get(&key.1).is_some_and(tenantry_model::Step::is_done);
        let redone: Vec<Key> = again.iter().filter(was_done).map(|(key, _)| key.clone()).collect();
        let newly_ignored = self.newly_ignored(&key, verb);
        self.witness.ignored.extend(newly_ignored.iter().cloned());
        let released = match verb {
            StepVerb::Release { hold } => {
                self.witness.holds.get_mut(&key).and_then(|holds| holds.remove_entry(hold))
            }
            _ => None,
        };
        let by_hand = (self.witness.confirmed.clone(), self.witness.skipped.clone());
        let now = self.witness.next();
        match verb {
            StepVerb::Skip => _ = self.witness.skipped.insert(key.clone()),
            StepVerb::Confirm { .. } => {
                self.witness.skipped.remove(&key);
                self.witness.confirmed.insert(key.clone(), now);
            }
            _ => {}
        }
        if self.commit(id, &event).is_err() {
            (self.witness.confirmed, self.witness.skipped) = by_hand;
            self.manager.asked_for = asked_before;
            if let Some(attempt) = lost {
                self.witness.declared_lost.remove(&attempt);
            }
            for attempt in &thrown {
                self.witness.thrown_away.remove(attempt);
            }
            for entry in &newly_ignored {
                self.witness.ignored.remove(entry);
            }
            if let Some((hold, until)) = released {
                self.witness.holds.entry(key).or_default().insert(hold, until);
            }
            return false;
        }
        let now = self.witness.next();
        match verb {
            StepVerb::Hold { until } | StepVerb::Stop { until } => {
                let until = until.map(|until| until.as_millisecond() - at(0).as_millisecond());
                self.witness.holds.entry(key).or_default().insert(None, until);
            }
            StepVerb::Kill => self.witness.killed.extend(open),
            StepVerb::Rerun { with_successors } => {
                self.witness.asked_again.extend(redone.into_iter().map(|key| (key, now)));
                self.asked_again(&key, *with_successors, &again);
            }
            _ => {}
        }
        true
    }

    fn asked_again(&mut self, root: &Key, with_successors: bool, again: &[(Key, u32)]) {
        for (key, _) in again {
            self.witness.confirmed.remove(key);
            self.witness.skipped.remove(key);
            self.witness.kept.remove(key);
        }
        if with_successors {
            let downstream = self.script.downstream(&root.1);
            let dropped = |(key, _): &(Key, HookRef)| key.0 == root.0 && downstream.contains(&key.1);
            self.witness.ignored.retain(|entry| !dropped(entry));
        }
    }

    /// The steps that would begin again, with the number of their newest attempt.
    fn begin_again(&self, root: &Key, verb: &StepVerb) -> Vec<(Key, u32)> {
        let mut hooks = match verb {
            StepVerb::Rerun { with_successors: true } => self.script.downstream(&root.1),
            StepVerb::Rerun { with_successors: false } | StepVerb::Stop { .. } => BTreeSet::new(),
            _ => return Vec::new(),
        };
        hooks.insert(root.1.clone());
        let newest = |hook: &HookRef| self.witness.newest(root.0, hook).map_or(0, |attempt| attempt.number);
        hooks
            .into_iter()
            .map(|hook| {
                let newest = newest(&hook);
                ((root.0, hook), newest)
            })
            .collect()
    }

    fn open(&self, key: &Key) -> Option<AttemptId> {
        let newest = self.witness.newest(key.0, &key.1)?;
        let open = self.manager.attempt(newest).is_some_and(|row| !row.state.is_over());
        open.then(|| newest.clone())
    }

    fn newly_ignored(&self, key: &Key, verb: &StepVerb) -> Vec<(Key, HookRef)> {
        let StepVerb::IgnoreDependency { on } = verb else { return Vec::new() };
        let Some(script) = self.script.hooks.get(&key.1) else { return Vec::new() };
        let targets: Vec<HookRef> = match on {
            Some(target) => vec![target.clone()],
            None => script.after.iter().cloned().collect(),
        };
        let entries = targets.into_iter().map(|target| (key.clone(), target));
        entries.filter(|entry| !self.witness.ignored.contains(entry)).collect()
    }

    pub fn hold_by_predicate(&mut self) {
        let mut predicate = HoldPredicate::default();
        let hooks: Vec<HookRef> = self.script.hooks.keys().cloned().collect();
        match self.rng.u32(0..4) {
            0 => predicate.region = Some("two".parse().unwrap()),
            1 => predicate.hook = self.rng.choice(&hooks).map(HookRef::path),
            2 => predicate.operation = Some("sim.upsert".parse().unwrap()),
            _ => "tier in (gold)".clone_into(&mut predicate.selector),
        }
        let until = self.rng.bool().then(|| at(self.now + self.rng.i64(MINUTE..90 * MINUTE)));
        let id = HoldId(Uuid::from_u128(0xd000 + self.manager.holds.len() as u128));
        let hold =
            Hold { id, predicate, by: person(), reason: "freeze".to_owned(), since: at(self.now), until };
        self.manager.holds.push(hold.clone());
        for id in self.manager.runs.keys().copied().collect::<Vec<_>>() {
            let run = &self.manager.runs[&id];
            let operation = run.operation();
            if !matches!(operation.state, OperationState::Running | OperationState::Paused) {
                continue;
            }
            let environment =
                self.script.environments.iter().find(|e| e.id == operation.environment).unwrap();
            let fits = |hook: &&HookRef| hold_matches(&hold, environment, &operation.name, hook);
            let steps: BTreeSet<HookRef> = run.steps().keys().filter(fits).cloned().collect();
            let caught: Vec<HookRef> =
                steps.iter().filter(|hook| !run.steps()[*hook].is_done()).cloned().collect();
            self.note_holds(id, &hold, caught);
            let _ = self.commit(id, &Event::Held { hold: hold.on_step(at(self.now)), steps });
        }
        self.manager.count("hold by predicate");
    }

    /// The witness notes what a predicate holds.
    pub fn note_holds(&mut self, id: OperationId, hold: &Hold, hooks: impl IntoIterator<Item = HookRef>) {
        let until = hold.until.map(|until| until.as_millisecond() - at(0).as_millisecond());
        for hook in hooks {
            self.manager.count("caught by a predicate");
            self.witness.holds.entry((id, hook)).or_default().insert(Some(hold.id), until);
        }
    }

    pub fn lift(&mut self, id: HoldId) {
        self.manager.holds.retain(|hold| hold.id != id);
        for holds in self.witness.holds.values_mut() {
            holds.remove(&Some(id));
        }
        for operation in self.manager.runs.keys().copied().collect::<Vec<_>>() {
            let _ = self.commit(operation, &Event::Lifted { hold: id });
        }
        self.manager.count("lift");
    }

    pub fn pause(&mut self, id: OperationId) {
        let pause = Event::Pause { by: person(), reason: "change freeze".to_owned() };
        if self.commit(id, &pause).is_ok() {
            self.witness.paused.insert(id);
            self.manager.count("pause");
        }
    }

    pub fn resume(&mut self, id: OperationId) -> bool {
        let was = self.witness.paused.remove(&id);
        let accepted = self.commit(id, &Event::Resume { by: person(), reason: None }).is_ok();
        if accepted {
            self.manager.count("resume");
        } else if was {
            self.witness.paused.insert(id);
        }
        accepted
    }

    /// Judged when the manager orders an attempt.
    pub fn check_order(&mut self, attempt: &AttemptId) {
        let key = (attempt.operation, attempt.step.clone());
        let now = self.now;
        let witness = &self.witness;
        let awaited: Vec<HookRef> = self.script.hooks[&attempt.step]
            .after
            .iter()
            .filter(|target| !self.script.hooks[*target].deselected && !witness.ignores(&key, target))
            .cloned()
            .collect();
        let held = awaited.iter().find(|target| witness.is_held(&(key.0, (*target).clone()), now)).cloned();
        let held = held.or_else(|| witness.is_held(&key, now).then(|| attempt.step.clone()));
        let paused = witness.paused.contains(&attempt.operation);
        let stale = awaited.iter().find_map(|target| Some((target.clone(), self.stale_by(key.0, target)?)));
        self.verdict
            .hold(Check::HeldWaits, held.is_none(), || format!("{attempt} starts although {held:?} is held"));
        self.verdict.hold(Check::PauseWaits, !paused, || format!("{attempt} starts in a pause"));
        self.verdict.hold(Check::StaleIsSettled, stale.is_none(), || {
            format!("{attempt} uses what is stale: {stale:?}")
        });
        self.check_restart(attempt);
        let kept =
            self.witness.kept.contains(&key) && self.manager.asked_for.get(&key) != Some(&attempt.number);
        self.verdict.hold(Check::ReplayKeeps, !kept, || format!("{attempt} runs although it is kept"));
    }

    /// What this step's last `--with-successors` threw away must really be over, unless it was given up.
    fn check_restart(&mut self, attempt: &AttemptId) {
        let downstream = self.script.downstream(&attempt.step);
        let alive = self.witness.running().find(|other| {
            other.operation == attempt.operation
                && downstream.contains(&other.step)
                && self.witness.thrown_away.contains(other)
                && !self.excused(other)
        });
        let alive = alive.cloned();
        self.verdict
            .hold(Check::RestartWaits, alive.is_none(), || format!("{attempt} starts while {alive:?} runs"));
    }

    /// The step upstream that was asked to run again after this one used what it had made; judged by orders.
    pub fn stale_by(&self, id: OperationId, hook: &HookRef) -> Option<HookRef> {
        let key = (id, hook.clone());
        let witness = &self.witness;
        if self.script.hooks[hook].deselected || witness.skipped.contains(&key) {
            return None;
        }
        let used = match witness.confirmed.get(&key) {
            Some(said) => *said,
            None if witness.kept.contains(&key) => 0,
            None => *witness.ordered.get(witness.newest(id, hook)?)?,
        };
        let mut seen = BTreeSet::new();
        let mut ahead = vec![hook.clone()];
        while let Some(later) = ahead.pop() {
            for target in &self.script.hooks[&later].after {
                let cut =
                    self.script.hooks[target].deselected || witness.ignores(&(id, later.clone()), target);
                if cut || !seen.insert(target.clone()) {
                    continue;
                }
                if witness.asked_again.get(&(id, target.clone())).is_some_and(|asked| *asked > used) {
                    return Some(target.clone());
                }
                ahead.push(target.clone());
            }
        }
        None
    }
}
