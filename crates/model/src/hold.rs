//! Holds: what keeps a step from starting, and its successors from going on, until a person or a time lifts it.
//!
//! A step may be held by one person and by any number of predicates; it goes on when none is left. Plain data: which
//! steps a predicate catches is the engine's business.

use crate::{Actor, HoldId, HookPath, Namespace, OperationName, RegionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A hold that is set beforehand: it catches steps of operations that start later as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// UUIDv7.
    pub id: HoldId,
    /// Which steps it catches.
    pub predicate: HoldPredicate,
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When it was set.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it lifts by itself; `None`: a person lifts it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

impl Hold {
    /// What it puts on a step that it catches now.
    #[must_use]
    pub fn on_step(&self, now: Timestamp) -> StepHold {
        StepHold {
            id: Some(self.id),
            by: self.by.clone(),
            reason: self.reason.clone(),
            since: now,
            until: self.until,
        }
    }
}

/// Which steps a hold catches: all that fit every part that is given. The empty one catches everything.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HoldPredicate {
    /// This hook, in whichever region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookPath>,
    /// Hooks of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Hooks of this region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// Steps of operations of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationName>,
    /// Steps for environments whose labels this Kubernetes label selector selects; empty: all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

/// A hold on one step of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepHold {
    /// The hold by predicate that caught the step; `None`: the verb `hold` or `stop` on this very step.
    #[serde(default)]
    pub id: Option<HoldId>,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when it holds this step.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it lifts by itself; `None`: never.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}
