//! The two documents that a hook reads: `environment.yaml` and `changeset.yaml` (DESIGN §3, Files, Changeset).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tenantry_model::{
    Change, Environment, EnvironmentId, EnvironmentSpec, Operation, OperationId, OperationName,
};

/// `environment.yaml`: everything a hook needs to know of the environment it works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDocument {
    /// Always `tenantry.io/v1`.
    pub api_version: String,
    /// Always `TenantEnvironment`.
    pub kind: String,
    /// Which environment.
    pub metadata: EnvironmentMetadata,
    /// What is wished: apps and settings under the platform's own schema.
    pub spec: EnvironmentSpec,
    /// For which operation the hook runs.
    pub operation: OperationInfo,
    /// What the step's declared ancestors wrote to their output files, by `namespace/name`.
    pub outputs: BTreeMap<String, BTreeMap<String, String>>,
    /// Ancestors whose outputs had no room (64 KiB in all).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs_left_out: Vec<String>,
}

/// Which environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentMetadata {
    /// Never changes, never used again.
    pub id: EnvironmentId,
    /// Unique within the tenant.
    pub name: String,
    /// Its owner.
    pub tenant: String,
    /// Where it lives.
    pub region: String,
    /// What selectors match.
    pub labels: BTreeMap<String, String>,
    /// The generation that this operation applies.
    pub generation: u64,
}

/// For which operation a hook runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationInfo {
    /// The operation's id.
    pub id: OperationId,
    /// What it is called.
    pub name: OperationName,
    /// The batch it is part of; the operation's own id when it is in none.
    pub batch: String,
    /// When a schedule wanted it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
    /// What the caller gave.
    pub parameters: Map<String, Value>,
}

/// `changeset.yaml`: what is to be changed, from what this hook last applied to what is wished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangesetDocument {
    /// Always `tenantry.io/v1`.
    pub api_version: String,
    /// Always `TenantChangeset`.
    pub kind: String,
    /// Of which environment.
    pub environment: EnvironmentId,
    /// The generation that this hook last applied: a number; `none` for a hook that never ran for this environment;
    /// `unknown` after an attempt that did not succeed.
    pub from: FromGeneration,
    /// The generation that this operation applies.
    pub to: u64,
    /// In the order of their paths (JSON pointers into `environment.yaml`). With `none` and `unknown`, the whole
    /// document as additions.
    pub changes: Vec<Change>,
}

/// What a hook last applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FromGeneration {
    /// This generation.
    Known(u64),
    /// See [`FromWord`].
    Word(FromWord),
}

/// When there is no generation to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FromWord {
    /// The hook never ran for this environment.
    None,
    /// The last attempt did not succeed: what it left behind is not known.
    Unknown,
}

/// A document that cannot be written as YAML (never seen; kept so that no caller has to panic).
#[derive(Debug, thiserror::Error)]
#[error("cannot write {document}: {message}")]
pub struct FilesError {
    /// Which one.
    pub document: &'static str,
    /// Why.
    pub message: String,
}

impl EnvironmentDocument {
    /// Makes the document. `environment` must be as it was at the generation that the operation applies. `outputs`:
    /// of the step's declared ancestors only, by `namespace/name` (or `region/namespace/name` for another region).
    #[must_use]
    pub fn new(
        environment: &Environment,
        operation: &Operation,
        outputs: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Self {
        let _ = (environment, operation, outputs);
        todo!("signature first")
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, FilesError> {
        todo!("signature first")
    }
}

/// What changesets compare: the parts of the document that belong to a generation. Keep it per generation for as
/// long as a hook's applied generation names it.
#[must_use]
pub fn generation_document(environment: &Environment) -> Value {
    let _ = environment;
    todo!("signature first")
}

impl ChangesetDocument {
    /// Makes the document. `before`: number and [`generation_document`] of what the hook last applied.
    #[must_use]
    pub fn new(environment: &Environment, before: Before<'_>) -> Self {
        let _ = (environment, before);
        todo!("signature first")
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, FilesError> {
        todo!("signature first")
    }
}

/// Where a changeset begins.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// This generation, with its [`generation_document`].
    Known(u64, &'a Value),
    /// The hook never ran for this environment.
    None,
    /// The hook is dirty.
    Unknown,
}
