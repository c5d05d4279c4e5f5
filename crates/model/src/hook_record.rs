//! What the centre keeps of a hook besides its contract: whether it is there, since when it is absent.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a hook: which rule, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable code of the rule (`selector-syntax`), with a section of its own in docs/hook-contract.md.
    pub code: String,
    /// JSON pointer into the manifest.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}
