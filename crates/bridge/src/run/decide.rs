//! What to do next, from what is there of earlier attempts. Pure.

use super::unsigned;
use std::time::Duration;
use tenantry_hook::{PLATFORM_RETRIES, RetryRule, backoff, retry_rule};
use tenantry_kube_run::SeenAttempt;
use tenantry_model::{FailureReason, Outcome};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step has succeeded, and that was told.
    Done(Outcome),
    /// Go on with the attempt of this number: it runs, or nobody has told its end.
    Adopt(u32),
    /// Make the attempt of this number.
    Start(u32),
}

/// Decides from the attempts that are there, in the order of their numbers. A failure that was told is followed by
/// another attempt: whoever starts the bridge again after it wants that.
#[must_use]
pub fn next(earlier: &[SeenAttempt]) -> Next {
    let Some(last) = earlier.last() else { return Next::Start(1) };
    let number = last.identity.attempt.number;
    match &last.outcome {
        Some(outcome) if last.released && outcome.is_success() => Next::Done(outcome.clone()),
        // Released while it ran: it was let go of with its Workflow, and the same number would overlap it.
        None if last.released => Next::Adopt(number),
        _ if last.released => Next::Start(number + 1),
        _ => Next::Adopt(number),
    }
}

/// How often the step has failed, as `tenant.retries` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    counted: u32,
    platform_in_a_row: u32,
}

impl Tally {
    /// Attempts that were told count: the one that is gone on with is counted when it ends.
    pub(super) fn of(earlier: &[SeenAttempt]) -> Self {
        let mut tally = Self::default();
        for outcome in earlier.iter().filter(|seen| seen.released).filter_map(|seen| seen.outcome.as_ref()) {
            tally.take(outcome);
        }
        tally
    }

    fn take(&mut self, outcome: &Outcome) -> RetryRule {
        let rule = retry_rule(outcome.reason.unwrap_or(FailureReason::HookFailed));
        match rule {
            RetryRule::Platform => self.platform_in_a_row += 1,
            RetryRule::Counted => {
                self.counted += 1;
                self.platform_in_a_row = 0;
            }
            RetryRule::Never => self.platform_in_a_row = 0,
        }
        rule
    }

    /// The pause before another attempt after this outcome; `None`: there is none.
    pub(super) fn after(&mut self, outcome: &Outcome, retries: u32) -> Option<Duration> {
        if outcome.is_success() {
            return None;
        }
        match self.take(outcome) {
            RetryRule::Counted if self.counted <= retries => Some(unsigned(backoff(self.counted - 1))),
            RetryRule::Platform if self.platform_in_a_row <= PLATFORM_RETRIES => {
                Some(unsigned(backoff(self.platform_in_a_row - 1)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenantry_hook::AttemptIdentity;
    use tenantry_model::{AttemptId, TemplateHash};

    /// How an attempt ended: well, or why not.
    type Ended = Result<(), FailureReason>;

    fn seen(number: u32, ended: Option<Ended>, released: bool) -> SeenAttempt {
        SeenAttempt {
            identity: AttemptIdentity {
                attempt: AttemptId {
                    operation: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap(),
                    step: "eu1/crm/a".parse().unwrap(),
                    number,
                },
                nonce: uuid::Uuid::nil(),
                template_hash: TemplateHash(String::new()),
                environment: "0192f0c8-a7b3-7c3e-8f00-00000000abcd".parse().unwrap(),
                container: "hook".to_owned(),
            },
            outcome: ended.map(|ended| Outcome { reason: ended.err(), ..Outcome::default() }),
            released,
        }
    }

    #[test]
    fn an_attempt_whose_end_was_not_told_is_gone_on_with_and_one_that_was_told_is_not_run_again() {
        let failed = Some(Err(FailureReason::HookFailed));
        assert_eq!(next(&[]), Next::Start(1));
        assert_eq!(next(&[seen(1, None, false)]), Next::Adopt(1));
        assert_eq!(next(&[seen(1, failed, false)]), Next::Adopt(1));
        assert_eq!(next(&[seen(1, Some(Ok(())), false)]), Next::Adopt(1));
        assert_eq!(next(&[seen(1, Some(Ok(())), true)]), Next::Done(Outcome::default()));
        assert_eq!(next(&[seen(1, failed, true)]), Next::Start(2));
        assert_eq!(next(&[seen(1, failed, true), seen(2, None, false)]), Next::Adopt(2));
        assert_eq!(next(&[seen(3, None, true)]), Next::Adopt(3), "it still runs");
    }

    fn after(tally: &mut Tally, reason: FailureReason, retries: u32) -> Option<u64> {
        let outcome = Outcome { reason: Some(reason), ..Outcome::default() };
        tally.after(&outcome, retries).map(|pause| pause.as_secs())
    }

    #[test]
    fn retries_are_counted_over_restarts_of_the_bridge() {
        use FailureReason::{Evicted, HookFailed, Killed};
        let mut tally = Tally::default();
        assert_eq!(after(&mut tally, HookFailed, 2), Some(5));
        assert_eq!(after(&mut tally, HookFailed, 2), Some(10));
        assert_eq!(after(&mut tally, HookFailed, 2), None);
        assert_eq!(after(&mut Tally::default(), Killed, 2), None, "a person's kill is not repeated");

        let earlier = [seen(1, Some(Err(HookFailed)), true), seen(2, Some(Err(Evicted)), true)];
        let mut tally = Tally::of(&earlier);
        assert_eq!(after(&mut tally, Evicted, 0), Some(10), "the platform's fault does not count");
        assert_eq!(after(&mut tally, HookFailed, 1), None);
        assert_eq!(after(&mut Tally::of(&[seen(1, Some(Err(HookFailed)), false)]), HookFailed, 1), Some(5));
        let mut tally = Tally::default();
        for _ in 0..PLATFORM_RETRIES {
            assert!(after(&mut tally, Evicted, 0).is_some());
        }
        assert_eq!(after(&mut tally, Evicted, 0), None, "a region that evicts everything");
    }

    #[test]
    fn a_success_is_the_end() {
        assert_eq!(Tally::default().after(&Outcome::default(), 5), None);
    }
}
