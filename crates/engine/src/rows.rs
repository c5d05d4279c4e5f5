//! The rows of one operation, as they are in a run or as one event has changed them so far.

use crate::run::Rules;
use tenantry_hook::{PLATFORM_RETRIES, RetryRule, retry_rule};
use tenantry_model::{Attempt, FailureReason, HookRef, Operation, OperationState, Step};

pub(crate) trait Rows {
    fn operation(&self) -> &Operation;

    fn rules(&self) -> Rules;

    fn attempt(&self, step: &HookRef, number: u32) -> Option<&Attempt>;

    fn is(&self, state: OperationState) -> bool {
        self.operation().state == state
    }

    /// Steps may be moved on by something else than their attempts.
    fn is_moving(&self) -> bool {
        self.is(OperationState::Running) || self.is(OperationState::Paused)
    }

    /// The newest attempt of a step, if it is not over.
    fn open_attempt(&self, step: &Step) -> Option<&Attempt> {
        self.attempt(&step.hook, step.attempt).filter(|attempt| !attempt.state.is_over())
    }

    /// How many attempts of the step in a row, up to `newest` and since a person last asked for another one, ended by
    /// the platform's fault or were left behind as lost. Looks at no more than decide whether the bound is reached.
    fn platform_streak(&self, step: &Step, newest: u32) -> u32 {
        let counts = |attempt: &Attempt| {
            let reason = attempt.outcome.as_ref().and_then(|outcome| outcome.reason);
            reason.is_some_and(|reason| {
                reason == FailureReason::Lost || retry_rule(reason) == RetryRule::Platform
            })
        };
        let automatic = newest.saturating_sub(step.retries_from);
        let mut streak = 0;
        while streak <= PLATFORM_RETRIES
            && streak < automatic
            && self.attempt(&step.hook, newest - streak).is_some_and(counts)
        {
            streak += 1;
        }
        streak
    }
}
