//! `/v1/holds`: holds by predicate.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{Actor, HoldId, HoldPredicate, HookRef, OperationId};
use utoipa::{IntoParams, ToSchema};

/// A hold that was set by predicate: what it fits does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// When.
    pub since: Timestamp,
    /// When it lifts by itself; absent: when somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Its end; absent while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<HoldLifted>,
    /// How many steps of running operations it holds; with `validateOnly` would hold; for `:lift` held. Never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The first thousand of them; never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<HeldStep>>,
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldLifted {
    /// Who; the system when its time had come.
    pub by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A step that a hold is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldStep {
    /// Of which operation.
    pub operation: OperationId,
    /// Which step.
    pub step: HookRef,
}

/// Sets a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateHold {
    /// Which steps: all given parts must fit; none given matches everything and needs `maxSteps`.
    #[serde(default)]
    pub predicate: HoldPredicate,
    /// Why.
    pub reason: String,
    /// When it lifts by itself; absent: when somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The most steps of running operations that it may hold now; needed where that is more than the installation's
    /// limit. Operations that start later are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
}

/// Lifts a hold: body of `:lift`. Doing it twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LiftHold {
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HoldsQuery {
    /// Lifted ones too. Default `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifted: bool,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}
