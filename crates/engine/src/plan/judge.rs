//! Which version of each hook takes part, and in which order: bad versions step back to their last good one.
//!
//! Repeated until nothing changes, since a version that steps back may change what others wait for. Each round takes
//! at least one version away, so that it ends.

use super::{PlanInput, Quarantined, RegisteredHook, absent, takes_part};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::{Edges, Hook, OrderPolicy, Selector, codes, cycles, resolve_edges};
use tenantry_model::{HookPath, HookRef, OperationName, Problem, RegionName};

pub(super) struct Judged<'a> {
    /// The versions that are registered for the operation and in force.
    pub(super) versions: BTreeMap<HookRef, &'a Hook>,
    /// Their edges.
    pub(super) after: BTreeMap<HookRef, BTreeSet<HookRef>>,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) good: Vec<(HookRef, Hook)>,
}

/// The hooks of one region: edges never leave it.
#[derive(Default)]
struct Region<'a> {
    candidates: BTreeMap<HookPath, Candidate<'a>>,
    replaced: BTreeSet<HookPath>,
}

/// One hook that is present, and which of its versions is considered.
struct Candidate<'a> {
    registered: &'a RegisteredHook,
    version: Option<&'a Hook>,
    problems: Vec<Problem>,
}

impl<'a> Candidate<'a> {
    fn new(registered: &'a RegisteredHook) -> Self {
        let mut candidate = Self { registered, version: registered.current.as_ref(), problems: Vec::new() };
        if candidate.version.is_none() {
            candidate.version = registered.last_good.as_ref();
            candidate.problems.clone_from(&registered.problems);
        }
        candidate
    }

    /// The version differs from the last good one: it is what changed.
    fn is_new(&self) -> bool {
        self.version.is_some() && self.version != self.registered.last_good.as_ref()
    }

    /// The version is bad: its last good one instead, or none.
    fn step_back(&mut self, problems: Vec<Problem>) {
        self.version = if self.is_new() { self.registered.last_good.as_ref() } else { None };
        self.problems.extend(problems);
    }

    fn is_quarantined(&self) -> bool {
        self.registered.current.is_none() || !self.problems.is_empty()
    }
}

pub(super) fn judge<'a>(input: &PlanInput<'a>) -> Judged<'a> {
    let mut regions: BTreeMap<RegionName, Region<'a>> = BTreeMap::new();
    for registered in input.hooks.iter().filter(|hook| takes_part(input, &hook.hook.region)) {
        let region = regions.entry(registered.hook.region.clone()).or_default();
        let path = registered.hook.path();
        match registered.absent_since {
            None => _ = region.candidates.insert(path, Candidate::new(registered)),
            // Being replaced: it exists for those that wait for it, and counts as done. A plan in which it would run
            // was refused before.
            Some(since) if !registered.retired && absent::grace_ends(input, since) > input.now => {
                region.replaced.insert(path);
            }
            Some(_) => {}
        }
    }
    let mut judged = Judged {
        versions: BTreeMap::new(),
        after: BTreeMap::new(),
        quarantined: Vec::new(),
        good: Vec::new(),
    };
    let policy = OrderPolicy { cross_namespace_after: input.policy.cross_namespace_after };
    for (name, mut region) in regions {
        let edges = settle(&mut region, &input.definition.name, policy);
        let full = |path: HookPath| HookRef::new(name.clone(), path);
        for (path, waits) in edges.after {
            judged.after.insert(full(path), waits.into_iter().map(full).collect());
        }
        for candidate in region.candidates.into_values() {
            take_in(&mut judged, candidate, &input.definition.name);
        }
    }
    judged
}

/// Steps bad versions back until the order of the rest is sound.
fn settle(region: &mut Region<'_>, operation: &OperationName, policy: OrderPolicy) -> Edges {
    let Region { candidates, replaced } = region;
    let exists: BTreeSet<HookPath> = candidates.keys().chain(replaced.iter()).cloned().collect();
    loop {
        let taking_part: BTreeMap<HookPath, &Hook> = candidates
            .iter()
            .filter_map(|(path, candidate)| Some((path.clone(), candidate.version?)))
            .filter(|(_, version)| version.operations.contains(operation))
            .collect();
        let edges = resolve_edges(&taking_part, operation, &|path| exists.contains(path), policy);
        let bad =
            bad_versions(&taking_part, &edges, |path| candidates.get(path).is_some_and(Candidate::is_new));
        if bad.is_empty() {
            return edges;
        }
        for (path, problems) in bad {
            if let Some(candidate) = candidates.get_mut(&path) {
                candidate.step_back(problems);
            }
        }
    }
}

/// The versions that step back in this round. Those that are wrong by themselves go first, since a cycle may be gone
/// with them. Of a cycle the newly changed members go; if none is, all do: nobody can tell who is to blame.
fn bad_versions(
    versions: &BTreeMap<HookPath, &Hook>,
    edges: &Edges,
    is_new: impl Fn(&HookPath) -> bool,
) -> BTreeMap<HookPath, Vec<Problem>> {
    let mut bad: BTreeMap<HookPath, Vec<Problem>> = BTreeMap::new();
    for (path, problems) in &edges.problems {
        let own: Vec<Problem> =
            problems.iter().filter(|problem| problem.code != codes::AFTER_CYCLE).cloned().collect();
        if !own.is_empty() {
            bad.insert(path.clone(), own);
        }
    }
    for (path, version) in versions {
        if let Err(error) = version.selector.parse::<Selector>() {
            bad.entry(path.clone()).or_default().push(Problem {
                code: codes::SELECTOR_SYNTAX.to_owned(),
                pointer: "/metadata/annotations".to_owned(),
                message: format!("the selector of {path} cannot be read: {error}"),
                remedy: "write it as a Kubernetes label selector".to_owned(),
            });
        }
    }
    if !bad.is_empty() {
        return bad;
    }
    for cycle in cycles(&edges.after) {
        let new: BTreeSet<HookPath> = cycle.members.iter().filter(|member| is_new(member)).cloned().collect();
        for member in if new.is_empty() { cycle.members } else { new } {
            let problems = edges.problems.get(&member).cloned().unwrap_or_default();
            bad.insert(member, problems);
        }
    }
    bad
}

fn take_in<'a>(judged: &mut Judged<'a>, candidate: Candidate<'a>, operation: &OperationName) {
    let hook = &candidate.registered.hook;
    if let Some(version) = candidate.version.filter(|version| version.operations.contains(operation)) {
        judged.versions.insert(hook.clone(), version);
        if candidate.is_new() {
            judged.good.push((hook.clone(), version.clone()));
        }
    }
    if candidate.is_quarantined() {
        judged.quarantined.push(Quarantined {
            hook: hook.clone(),
            last_good_in_force: candidate.version.is_some(),
            problems: candidate.problems,
        });
    }
}
