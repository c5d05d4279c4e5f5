//! `after` → edges between the hooks of one operation, and the cycles among them.
//!
//! One region at a time: `after` names hooks of its author's own region. It must never know an environment: whether
//! a selector deselects a hook is the plan's business (a deselected hook counts as done).

use crate::Hook;
use std::collections::{BTreeMap, BTreeSet};
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
    let _ = (hooks, operation, exists, policy);
    todo!("signature first")
}

/// The cycles of a graph: for each strongly connected group of more than one member (or a member that waits for
/// itself) one cycle through it, beginning with its smallest member; and the whole group. Deterministic.
#[must_use]
pub fn cycles<T: Ord + Clone>(after: &BTreeMap<T, BTreeSet<T>>) -> Vec<Cycle<T>> {
    let _ = after;
    todo!("signature first")
}

/// A knot in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle<T> {
    /// One way around, each waits for the next, the last for the first.
    pub path: Vec<T>,
    /// All that are in the knot.
    pub members: BTreeSet<T>,
}
