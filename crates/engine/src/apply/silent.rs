//! Whoever speaks for steps (a region's agent, a step's bridge) is silent past the limit.

use super::draft::Draft;
use crate::rows::Rows;
use jiff::Timestamp;
use tenantry_model::HookRef;

/// Their attempts are unknown from then on. Proves nothing about them: each leaves unknown only by a report.
pub(super) fn apply(draft: &mut Draft<'_>, concerns: impl Fn(&HookRef) -> bool, since: Timestamp) {
    for hook in draft.live_hooks().into_iter().filter(concerns) {
        let open = draft.step(&hook).and_then(|step| draft.open_attempt(step));
        let Some(mut attempt) = open.filter(|attempt| attempt.unknown_since.is_none()).cloned() else {
            continue;
        };
        attempt.unknown_since = Some(since.min(draft.now()).max(attempt.created_at));
        draft.put_attempt(attempt);
    }
}
