//! Which steps a hold that was set by predicate catches.

use tenantry_hook::Selector;
use tenantry_model::{Environment, Hold, HookRef, OperationName};

/// Whether `hold` catches the step of `hook` in an operation of this name for `environment`.
///
/// A selector that cannot be read selects everything: what is held too much is seen and released, what starts
/// although somebody wanted to hold it cannot be taken back. Whoever sets a hold checks its selector first.
#[must_use]
pub fn hold_matches(
    hold: &Hold,
    environment: &Environment,
    operation: &OperationName,
    hook: &HookRef,
) -> bool {
    let predicate = &hold.predicate;
    predicate.hook.as_ref().is_none_or(|path| *path == hook.path())
        && predicate.namespace.as_ref().is_none_or(|namespace| *namespace == hook.namespace)
        && predicate.region.as_ref().is_none_or(|region| *region == hook.region)
        && predicate.operation.as_ref().is_none_or(|name| name == operation)
        && (predicate.selector.is_empty()
            || predicate
                .selector
                .parse::<Selector>()
                .map_or(true, |selector| selector.matches(&environment.labels)))
}
