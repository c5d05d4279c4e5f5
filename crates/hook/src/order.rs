//! `after` → edges between the hooks of one operation, and the cycles among them.
//!
//! One region at a time: `after` names hooks of its author's own region. It must never know an environment: whether
//! a selector deselects a hook is the plan's business (a deselected hook counts as done).

use crate::{AfterTarget, Hook, codes, problems::problem};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenantry_model::{HookPath, OperationName, Problem};

/// What the platform allows of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderPolicy {
    /// Whether `after` may name hooks of other namespaces; if not, such a target is a problem of its author.
    pub cross_namespace_after: bool,
}

/// The order of one operation's hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// For each given hook, those of the given hooks that must be done first. A hook with problems has its entry too
    /// (the edges that could be resolved).
    pub after: BTreeMap<HookPath, BTreeSet<HookPath>>,
    /// What is wrong, by the hook whose version is to be quarantined: `after-unknown` (a target that does not exist
    /// and is not optional), `after-cross-namespace`, `after-cycle` (one for each member of a cycle; the message
    /// names the members in order).
    pub problems: BTreeMap<HookPath, Vec<Problem>>,
}

/// Resolves the `after` of the hooks that take part in `operation`.
///
/// `hooks` are those registered for the operation, in one region. `exists` says whether a Job of that path is known
/// in the region at all (registered for whatever operation, or quarantined): such a target counts as done.
#[must_use]
pub fn resolve_edges(
    hooks: &BTreeMap<HookPath, &Hook>,
    operation: &OperationName,
    exists: &dyn Fn(&HookPath) -> bool,
    policy: OrderPolicy,
) -> Edges {
    let targets = hooks.iter().map(|(path, hook)| (path.clone(), hook.after_for(operation))).collect();
    resolve_targets(&targets, operation, exists, policy)
}

/// The same for who keeps no more of ten thousand hooks than the targets that hold for `operation`.
#[must_use]
pub fn resolve_targets(
    hooks: &BTreeMap<HookPath, &[AfterTarget]>,
    operation: &OperationName,
    exists: &dyn Fn(&HookPath) -> bool,
    policy: OrderPolicy,
) -> Edges {
    let mut edges = Edges::default();
    for (path, targets) in hooks {
        let waits = edges.after.entry(path.clone()).or_default();
        for target in *targets {
            let wrong = if target.hook.namespace != path.namespace && !policy.cross_namespace_after {
                problem(
                    codes::AFTER_CROSS_NAMESPACE,
                    ANNOTATIONS,
                    format!("{path} waits for {}, which is in another namespace", target.hook),
                    "this platform allows order within a namespace only: remove the target, or ask its operators",
                )
            } else if hooks.contains_key(&target.hook) {
                waits.insert(target.hook.clone());
                continue;
            } else if target.optional || exists(&target.hook) {
                continue;
            } else {
                problem(
                    codes::AFTER_UNKNOWN,
                    ANNOTATIONS,
                    format!("{path} waits for {}, which does not exist in this region", target.hook),
                    format!("correct the name, or write {}? if the hook may run without it", target.hook),
                )
            };
            edges.problems.entry(path.clone()).or_default().push(wrong);
        }
    }
    for cycle in cycles(&edges.after) {
        let around = cycle
            .path
            .iter()
            .chain(cycle.path.first())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" → ");
        for member in &cycle.members {
            edges.problems.entry(member.clone()).or_default().push(problem(
                codes::AFTER_CYCLE,
                ANNOTATIONS,
                format!("hooks wait for each other in {operation}: {around}"),
                format!("remove one of these from tenant.after, or give tenant.after.{operation} of its own"),
            ));
        }
    }
    edges
}

// The domain of the annotation is not known here, so the pointer names their parent.
const ANNOTATIONS: &str = "/metadata/annotations";

/// What may run at once, level after level: each member stands in the first level in which all that it waits for stands
/// in earlier ones. What is not a key of `after` counts as done. Members of a cycle, and what waits for them, stand in
/// no level: ask [`cycles`] first.
#[must_use]
pub fn levels<T: Ord + Clone>(after: &BTreeMap<T, BTreeSet<T>>) -> Vec<BTreeSet<T>> {
    let mut left: BTreeMap<&T, usize> = BTreeMap::new();
    let mut successors: BTreeMap<&T, Vec<&T>> = BTreeMap::new();
    for (member, waits) in after {
        let waits = waits.iter().filter(|target| after.contains_key(*target));
        left.insert(member, waits.clone().count());
        for target in waits {
            successors.entry(target).or_default().push(member);
        }
    }
    let mut found = Vec::new();
    let mut level: BTreeSet<&T> =
        left.iter().filter(|(_, waits)| **waits == 0).map(|(member, _)| *member).collect();
    while !level.is_empty() {
        let mut next = BTreeSet::new();
        for successor in level.iter().flat_map(|member| successors.get(*member).into_iter().flatten()) {
            if let Some(waits) = left.get_mut(*successor) {
                *waits -= 1;
                if *waits == 0 {
                    next.insert(*successor);
                }
            }
        }
        found.push(level.into_iter().cloned().collect());
        level = next;
    }
    found
}

/// The cycles of a graph: for each strongly connected group of more than one member (or a member that waits for
/// itself) one cycle through it, beginning with its smallest member; and the whole group. Deterministic.
#[must_use]
pub fn cycles<T: Ord + Clone>(after: &BTreeMap<T, BTreeSet<T>>) -> Vec<Cycle<T>> {
    let mut found: Vec<Cycle<T>> = components(after)
        .into_iter()
        .filter(|members| {
            members.len() > 1
                || members.iter().any(|only| after.get(only).is_some_and(|next| next.contains(only)))
        })
        .map(|members| Cycle { path: shortest(after, &members), members })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A knot in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle<T> {
    /// One way around, each waits for the next, the last for the first.
    pub path: Vec<T>,
    /// All that are in the knot.
    pub members: BTreeSet<T>,
}

#[derive(Clone, Copy)]
struct Seen {
    index: usize,
    low: usize,
    on_stack: bool,
}

// Tarjan's strongly connected components, without recursion: a chain of a thousand hooks is no stack overflow.
fn components<T: Ord + Clone>(after: &BTreeMap<T, BTreeSet<T>>) -> Vec<BTreeSet<T>> {
    let mut seen: BTreeMap<&T, Seen> = BTreeMap::new();
    let mut stack: Vec<&T> = Vec::new();
    let mut found = Vec::new();
    for root in after.keys() {
        if seen.contains_key(root) {
            continue;
        }
        let mut calls: Vec<(&T, Vec<&T>)> = Vec::new();
        let mut enter = Some(root);
        loop {
            if let Some(node) = enter.take() {
                let index = seen.len();
                seen.insert(node, Seen { index, low: index, on_stack: true });
                stack.push(node);
                let mut next: Vec<&T> = after.get(node).into_iter().flatten().collect();
                next.reverse();
                calls.push((node, next));
            }
            let Some((node, next)) = calls.last_mut() else { break };
            let node = *node;
            if let Some(target) = next.pop() {
                match seen.get(target).copied() {
                    None => enter = Some(target),
                    Some(other) if other.on_stack => lower(&mut seen, node, other.index),
                    Some(_) => {}
                }
                continue;
            }
            calls.pop();
            let Some(mine) = seen.get(node).copied() else { continue };
            if let Some((parent, _)) = calls.last() {
                lower(&mut seen, *parent, mine.low);
            }
            if mine.low == mine.index {
                let mut members = BTreeSet::new();
                while let Some(member) = stack.pop() {
                    if let Some(entry) = seen.get_mut(member) {
                        entry.on_stack = false;
                    }
                    members.insert(member.clone());
                    if member == node {
                        break;
                    }
                }
                found.push(members);
            }
        }
    }
    found
}

fn lower<T: Ord>(seen: &mut BTreeMap<&T, Seen>, node: &T, low: usize) {
    if let Some(entry) = seen.get_mut(node) {
        entry.low = entry.low.min(low);
    }
}

// The shortest way from the smallest member back to itself: the one that is easiest to read.
fn shortest<T: Ord + Clone>(after: &BTreeMap<T, BTreeSet<T>>, members: &BTreeSet<T>) -> Vec<T> {
    let Some(start) = members.first() else { return Vec::new() };
    let mut from: BTreeMap<&T, &T> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in after.get(node).into_iter().flatten().filter(|next| members.contains(*next)) {
            if next == start {
                let mut path = vec![node.clone()];
                let mut at = node;
                while let Some(previous) = from.get(at) {
                    path.push((*previous).clone());
                    at = previous;
                }
                path.reverse();
                return path;
            }
            if !from.contains_key(next) {
                from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    members.iter().cloned().collect()
}
