//! Holds by predicate: set before anything runs, they catch steps of operations that start later and steps that have
//! not started of those that run.
//!
//! The row is committed first, so that every plan from then on sees it; then each running operation is told in a
//! transaction of its own. A crash in between leaves `told` unset, and the next manager goes on telling.

mod change;
mod keep;
mod reach;
mod types;

pub(crate) use keep::holds_for_plan;
pub use types::*;

use crate::Target;
use tenantry_model::{HoldId, HoldPredicate};

/// Most holds that are open at a time: every plan looks at all of them.
const LIMIT: u32 = 1000;

/// What a hold acts on: the region that its predicate names, or everything.
#[must_use]
pub fn hold_target(predicate: &HoldPredicate) -> Target {
    predicate.region.clone().map_or(Target::Installation, Target::Region)
}

/// The key of the attention about a hold that lasts.
fn long_key(id: HoldId) -> String {
    format!("hold-long/{id}")
}
