//! Whether an attempt that did not succeed is followed by another one without asking anybody, and when.

use jiff::SignedDuration;
use tenantry_model::FailureReason;

/// How a reason counts (DESIGN §3, Result).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRule {
    /// Counts against `tenant.retries`.
    Counted,
    /// The platform's fault: does not count against the hook, bounded by [`PLATFORM_RETRIES`].
    Platform,
    /// Another attempt cannot or must not follow by itself: a person ended it, or the frozen version is gone.
    Never,
}

/// At most this many automatic attempts in a row follow reasons of the platform (and losses under
/// `on-lost: retry`), so that a region that evicts everything does not run a hook for ever.
pub const PLATFORM_RETRIES: u32 = 5;

const FIRST: SignedDuration = SignedDuration::from_secs(5);
/// No automatic attempt waits for longer.
pub const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(5);

/// How `reason` counts.
#[must_use]
pub fn retry_rule(reason: FailureReason) -> RetryRule {
    match reason {
        reason if reason.is_platform() => RetryRule::Platform,
        // A loss is only ever followed by an attempt under `on-lost: retry`, which decides by itself.
        FailureReason::Killed | FailureReason::Lost | FailureReason::TemplateGone => RetryRule::Never,
        _ => RetryRule::Counted,
    }
}

/// The pause before an automatic attempt after `before` earlier ones: 5 s, doubled each time, at most 5 min.
#[must_use]
pub fn backoff(before: u32) -> SignedDuration {
    let doubled = 2_i32.checked_pow(before).and_then(|factor| FIRST.checked_mul(factor));
    doubled.map_or(LONGEST_BACKOFF, |pause| pause.min(LONGEST_BACKOFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_stays_bounded() {
        let seconds: Vec<_> = [0, 1, 2, 5, 6, 31, u32::MAX].map(|n| backoff(n).as_secs()).to_vec();
        assert_eq!(seconds, [5, 10, 20, 160, 300, 300, 300]);
    }

    #[test]
    fn what_the_platform_did_does_not_count_and_what_a_person_did_is_not_repeated() {
        use FailureReason as R;
        for reason in R::ALL {
            let expected = match reason {
                R::Evicted | R::Unschedulable | R::Deleted => RetryRule::Platform,
                R::Killed | R::Lost | R::TemplateGone => RetryRule::Never,
                _ => RetryRule::Counted,
            };
            assert_eq!(retry_rule(reason), expected, "{reason:?}");
        }
    }
}
