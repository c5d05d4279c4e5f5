//! What must hold of the manager's rows, attention and locks whenever something is committed.

use crate::checks::Check;
use crate::world::World;
use tenantry_engine::{Action, Change, RetryRule, Transition, keys, retry_rule};
use tenantry_model::{
    AttemptId, AttentionKind, ConflictPolicy, FailureReason, HookRef, LockClass, Operation, OperationId,
    OperationState,
};

impl World {
    pub fn check_changes(&mut self, id: OperationId, transition: &Transition) {
        let run = &self.manager.runs[&id];
        let rank = |change: &Change| match change {
            Change::Operation(_) => (0, None, 0),
            Change::Step(step) => (1, Some(step.hook.clone()), 0),
            Change::Attempt(attempt) => (2, Some(attempt.id.step.clone()), attempt.id.number),
        };
        let sorted = transition.changes.is_sorted_by(|one, two| rank(one) < rank(two));
        let changed = transition.changes.iter().all(|change| match change {
            Change::Operation(operation) => **operation != *run.operation(),
            Change::Step(step) => run.steps().get(&step.hook) != Some(step),
            Change::Attempt(attempt) => self.manager.attempt(&attempt.id) != Some(attempt),
        });
        self.verdict.hold(Check::TransitionsAreTidy, sorted && changed, || format!("{transition:?}"));
        for change in &transition.changes {
            let Change::Attempt(new) = change else { continue };
            let Some(old) = self.manager.attempt(&new.id).filter(|old| old.state.is_over()) else { continue };
            let same = old.state == new.state && old.outcome == new.outcome && old.nonce == new.nonce;
            self.verdict.hold(Check::LateIsHistory, same, || format!("{old:?} became {new:?}"));
        }
    }

    pub fn check_action(&mut self, id: OperationId, transition: &Transition, action: &Action) {
        let Action::Start(attempt) = action else { return };
        let row = |change: &Change| matches!(change, Change::Attempt(row) if row.id == *attempt);
        let has_row = transition.changes.iter().any(row);
        self.verdict.hold(Check::RowBeforeStart, has_row, || format!("{attempt} is started without a row"));
        let new = !self.manager.started.contains(attempt);
        self.verdict.hold(Check::NamesNeverReused, new, || format!("{attempt} is started twice"));
        // It may have to wait for others after it was asked for.
        let asked = self.manager.asked_for.get(&(id, attempt.step.clone())) == Some(&attempt.number);
        let before = AttemptId { number: attempt.number.saturating_sub(1), ..attempt.clone() };
        let killed = self.witness.killed.contains(&before);
        self.verdict.hold(Check::NoRetryAfterKill, asked || !killed, || format!("{attempt} follows a kill"));
        self.check_retries(id, attempt);
    }

    /// Of the attempts since the last rerun, as the rows say how they ended.
    pub fn check_retries(&mut self, id: OperationId, attempt: &AttemptId) {
        let since = self.manager.asked_for.get(&(id, attempt.step.clone())).copied().unwrap_or(1);
        let reasons: Vec<FailureReason> = (since..attempt.number)
            .filter_map(|number| self.manager.attempt(&AttemptId { number, ..attempt.clone() }))
            .filter_map(|row| row.outcome.as_ref()?.reason)
            .collect();
        let counted = reasons.iter().filter(|reason| retry_rule(**reason) == RetryRule::Counted).count();
        let allowed = self.script.hooks[&attempt.step].hook.policy.retries as usize;
        let in_a_row =
            reasons.split(|reason| retry_rule(*reason) == RetryRule::Counted).map(<[_]>::len).max();
        let bounded =
            counted <= allowed && in_a_row.unwrap_or(0) <= tenantry_engine::PLATFORM_RETRIES as usize;
        self.verdict.hold(Check::RetriesBounded, bounded, || format!("{attempt} after {reasons:?}"));
    }

    pub fn check_applied(&mut self, id: OperationId, hook: &HookRef) {
        let really = self.witness.of(id, hook).any(|(_, execution)| execution.success);
        let confirming = self.manager.runs[&id].steps()[hook].state == tenantry_model::StepState::Confirmed;
        self.verdict.hold(Check::AppliedIsTrue, really || confirming, || format!("{id} {hook}"));
    }

    /// What must hold of one run's rows and attention after every commit.
    pub fn check_run(&mut self, id: OperationId) {
        let manager = &self.manager;
        let run = &manager.runs[&id];
        for step in run.steps().values() {
            let raised = manager.attention.contains_key(&keys::step_waiting(id, &step.hook));
            self.verdict
                .hold(Check::WaitingRaises, raised || !step.waiting, || format!("{id} {}", step.hook));
            self.verdict
                .hold(Check::AttentionSettles, step.waiting || !raised, || format!("{id} {}", step.hook));
            let Some(attempt) = run.newest_attempt(step) else { continue };
            let raised = manager.attention.contains_key(&keys::attempt_unknown(&attempt.id));
            let cause = attempt.unknown_reported && !attempt.state.is_over();
            self.verdict.hold(Check::UnknownRaises, raised || !cause, || format!("{}", attempt.id));
            self.verdict.hold(Check::AttentionSettles, cause || !raised, || format!("{}", attempt.id));
        }
    }

    pub fn check_ended(&mut self, id: OperationId) {
        let open = self.manager.runs[&id].attempts().values().find(|attempt| !attempt.state.is_over());
        let open = open.map(|attempt| attempt.id.clone());
        let running =
            self.witness.running().find(|other| other.operation == id && !self.excused(other)).cloned();
        self.verdict.hold(Check::CancelWaits, open.is_none() && running.is_none(), || {
            format!("{id} ended with {open:?} open and {running:?} running")
        });
        let left =
            self.manager.attention.iter().find(|(_, (kind, operation))| {
                *operation == id && !matches!(kind, AttentionKind::PlanRefused)
            });
        self.verdict
            .hold(Check::AttentionSettles, left.is_none(), || format!("{id} ended and left {left:?}"));
    }

    pub fn check_overtaking(&mut self, starting: OperationId) {
        let operation = self.manager.runs[&starting].operation();
        let overtaken = self.manager.unfinished(operation).into_iter().find(|other| {
            other.state == OperationState::Pending
                && (other.created_at, other.id) < (operation.created_at, operation.id)
                && conflict(operation, other)
        });
        self.verdict.hold(Check::NobodyOvertakes, overtaken.is_none(), || format!("{starting} overtook"));
    }

    pub fn check_locks(&mut self, id: OperationId) {
        let mut all = self.manager.unfinished(self.manager.runs[&id].operation());
        all.push(self.manager.runs[&id].operation().clone());
        all.retain(|operation| !operation.state.is_final());
        for one in &all {
            for other in all.iter().filter(|other| other.id != one.id && conflict(one, other)) {
                let both = one.state.holds_lock() && other.state.holds_lock();
                self.verdict.hold(Check::ExclusiveAlone, !both, || format!("{} beside {}", one.id, other.id));
                let blocks = !self.manager.arriving
                    && one.definition.on_conflict == ConflictPolicy::CancelRunning
                    && one.state == OperationState::Pending
                    && (other.created_at, other.id) < (one.created_at, one.id)
                    && other.cancel.is_none();
                self.verdict
                    .hold(Check::SuspendGetsIn, !blocks, || format!("{} waits for {}", one.id, other.id));
            }
        }
    }
}

fn conflict(one: &Operation, other: &Operation) -> bool {
    let (one, other) = (one.definition.lock, other.definition.lock);
    one != LockClass::None
        && other != LockClass::None
        && (one == LockClass::Exclusive || other == LockClass::Exclusive)
}
