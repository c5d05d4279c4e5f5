//! Hooks that should be there and are not: a step never vanishes silently.

use super::{PlanInput, PlanRefusal, RegisteredHook, selects, takes_part};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::HookRef;

/// Refuses a plan that would miss a hook. One that ran for this environment before is missed for good when it stays
/// absent past the grace period; within it, one that would run for the first time is waited for as well, since
/// its author cannot know that an operation came while the template was being replaced.
pub(super) fn check(input: &PlanInput<'_>) -> Result<(), PlanRefusal> {
    let known: BTreeMap<&HookRef, &RegisteredHook> =
        input.hooks.iter().map(|hook| (&hook.hook, hook)).collect();
    let expected: BTreeSet<&HookRef> =
        input.applied.iter().filter(|row| row.expected).map(|row| &row.hook).collect();
    let mut gone = Vec::new();
    let mut for_now = Vec::new();
    let mut until: Option<Timestamp> = None;
    let candidates: BTreeSet<&HookRef> = expected.iter().copied().chain(known.keys().copied()).collect();
    for hook in candidates.into_iter().filter(|hook| takes_part(input, &hook.region)) {
        let Some(registered) = known.get(hook) else {
            gone.push(hook.clone());
            continue;
        };
        let Some(since) = registered.absent_since.filter(|_| !registered.retired) else { continue };
        let relevance = would_run(input, registered);
        let missed = expected.contains(hook) && relevance != Some(false);
        let grace_ends = grace_ends(input, since);
        if grace_ends > input.now && (missed || relevance == Some(true)) {
            for_now.push(hook.clone());
            until = Some(until.map_or(grace_ends, |until| until.min(grace_ends)));
        } else if missed {
            gone.push(hook.clone());
        }
    }
    match until {
        _ if !gone.is_empty() => Err(PlanRefusal::Absent(gone)),
        Some(until) => Err(PlanRefusal::AbsentForNow { hooks: for_now, until }),
        None => Ok(()),
    }
}

/// Until when an absence may be a replacement.
pub(super) fn grace_ends(input: &PlanInput<'_>, since: Timestamp) -> Timestamp {
    since.checked_add(input.policy.absent_grace).unwrap_or(Timestamp::MAX)
}

/// Whether the version that was there last would run for this operation and environment; `None`: no version is known.
fn would_run(input: &PlanInput<'_>, registered: &RegisteredHook) -> Option<bool> {
    let version = registered.current.as_ref().or(registered.last_good.as_ref())?;
    Some(version.operations.contains(&input.definition.name) && selects(version, input.environment))
}
