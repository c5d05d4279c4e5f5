//! `/v1/retention`: what is old and needed by nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much went, or would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Operations with their steps, attempts and logs.
    pub operations: u64,
    /// Operations of which the logs alone went.
    pub logs: u64,
    /// Log folders whose operation does not exist.
    pub orphans: u64,
    /// Events; a preview counts positions, of which some may have been empty.
    pub events: u64,
    /// Settled attentions.
    pub attentions: u64,
    /// Answers under an Idempotency-Key.
    pub answers: u64,
    /// There was no time for everything: there is more.
    pub more: bool,
    /// Nothing goes: the clock may be wrong. It is set, or somebody says that it is right (`clockIsRight`).
    #[serde(default)]
    pub clock_doubted: bool,
}

/// Removes what is old now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRetention {
    /// A person's word that the manager's clock is right although it has moved by more than a week since the last run.
    /// Default `false`: then nothing is removed, and the answer says so.
    #[serde(default)]
    pub clock_is_right: bool,
}
