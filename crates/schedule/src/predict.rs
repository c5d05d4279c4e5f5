//! Whether a run will miss its deadline: past runs' durations, laid over what is left of this one.
//!
//! Each step that is left counts with the 80th percentile of what it took in the last runs; the longest way through
//! these steps ends at the predicted time. Pure, like everything here.

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::HookRef;

/// With fewer past runs nothing is predicted.
pub const MIN_RUNS: usize = 3;
/// Of a hundred.
const PERCENTILE: usize = 80;

/// A step as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLeft {
    /// Which.
    pub hook: HookRef,
    /// Those it waits for.
    pub after: BTreeSet<HookRef>,
    /// Nothing of it is left.
    pub done: bool,
    /// Since when it runs; `None` if it has not begun, waits for a decision or is held: then all of it is left.
    pub running_since: Option<Timestamp>,
}

/// How long each step of a past run took; steps that did not run are not in it.
pub type PastRun = BTreeMap<HookRef, SignedDuration>;

/// What is to be expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// When the run will have ended.
    pub ends_at: Timestamp,
    /// The steps that decide it, in order: the longest way at that percentile.
    pub path: Vec<HookRef>,
    /// From how many past runs.
    pub runs: usize,
}

/// Predicts the end of a run from its steps and the newest past runs. `None` with fewer than [`MIN_RUNS`], or if no
/// step that is left has ever run.
///
/// A step that has never run counts as the median of what the other steps count. Of a running step the rest of its
/// percentile is left, but at least a tenth of the time that it runs already.
#[must_use]
pub fn predict(steps: &[StepLeft], past: &[PastRun], now: Timestamp) -> Option<Prediction> {
    if past.len() < MIN_RUNS {
        return None;
    }
    let left = in_order(steps);
    let own: BTreeMap<&HookRef, SignedDuration> =
        left.iter().filter_map(|step| Some((&step.hook, percentile(&step.hook, past)?))).collect();
    let mut usual: Vec<SignedDuration> = own.values().copied().collect();
    usual.sort();
    let stranger = match usual.get(usual.len() / 2) {
        Some(median) => *median,
        None if left.is_empty() => SignedDuration::ZERO,
        None => return None,
    };
    let time = |step: &StepLeft| {
        let usual = own.get(&step.hook).copied().unwrap_or(stranger);
        match step.running_since {
            Some(since) => still(usual, now.duration_since(since).max(SignedDuration::ZERO)),
            None => usual,
        }
    };
    let (length, path) = longest(&left, time);
    Some(Prediction { ends_at: now.checked_add(length).ok()?, path, runs: past.len() })
}

/// What is left of a step that has run for `elapsed`. One that outlasts its percentile is expected to end soon, and
/// later the longer it has run: what an overdue step still takes is not in the past of those that were on time.
fn still(usual: SignedDuration, elapsed: SignedDuration) -> SignedDuration {
    (usual - elapsed).max(elapsed / 10)
}

/// Of what a step took in those runs in which it ran; by nearest rank.
fn percentile(hook: &HookRef, past: &[PastRun]) -> Option<SignedDuration> {
    let mut sample: Vec<SignedDuration> = past.iter().filter_map(|run| run.get(hook).copied()).collect();
    sample.sort();
    let rank = (sample.len() * PERCENTILE).div_ceil(100);
    sample.get(rank.saturating_sub(1)).copied()
}

/// The longest way from now to the end, and its length.
fn longest(left: &[&StepLeft], time: impl Fn(&StepLeft) -> SignedDuration) -> (SignedDuration, Vec<HookRef>) {
    let mut ends: BTreeMap<&HookRef, (SignedDuration, Option<&HookRef>)> = BTreeMap::new();
    for step in left {
        let last = step.after.iter().filter_map(|hook| Some((ends.get(hook)?.0, hook))).max();
        let begin = last.map_or(SignedDuration::ZERO, |(end, _)| end);
        ends.insert(&step.hook, (begin.saturating_add(time(step)), last.map(|(_, hook)| hook)));
    }
    let Some((last, (length, _))) = ends.iter().max_by_key(|(_, (end, _))| *end) else {
        return (SignedDuration::ZERO, Vec::new());
    };
    let mut path = vec![(*last).clone()];
    let mut at = *last;
    while let Some((_, Some(before))) = ends.get(at) {
        path.push((*before).clone());
        at = before;
    }
    path.reverse();
    (*length, path)
}

/// The steps that are not done, each after those it waits for. A plan has no cycles; should one come, its steps are
/// left out rather than waited for.
fn in_order(steps: &[StepLeft]) -> Vec<&StepLeft> {
    let mut waiting: Vec<&StepLeft> = steps.iter().filter(|step| !step.done).collect();
    let mut open: BTreeSet<&HookRef> = waiting.iter().map(|step| &step.hook).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|step| !step.after.iter().any(|hook| open.contains(hook)));
        if ready.is_empty() {
            return sorted;
        }
        for step in &ready {
            open.remove(&step.hook);
        }
        sorted.extend(ready);
        waiting = rest;
    }
}
