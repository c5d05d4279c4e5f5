//! A region's agent is silent past its limit.

use super::draft::Draft;
use crate::rows::Rows;
use jiff::Timestamp;
use tenantry_model::RegionName;

/// Its attempts are unknown from then on. Proves nothing about them: each leaves unknown only by a report.
pub(super) fn apply(draft: &mut Draft<'_>, region: &RegionName, since: Timestamp) {
    for hook in draft.live_hooks().into_iter().filter(|hook| hook.region == *region) {
        let open = draft.step(&hook).and_then(|step| draft.open_attempt(step));
        let Some(mut attempt) = open.filter(|attempt| attempt.unknown_since.is_none()).cloned() else {
            continue;
        };
        attempt.unknown_since = Some(since.min(draft.now()).max(attempt.created_at));
        draft.put_attempt(attempt);
    }
}
