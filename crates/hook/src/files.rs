//! The two documents that a hook reads: `environment.yaml` and `changeset.yaml` (DESIGN §3, Files, Changeset).
//!
//! Plain types with JSON Schemas (docs/schemas), so that an author's editor can check and complete. They must never
//! hold a secret's value: settings refer to secrets, and the references resolve in the hook's namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tenantry_model::{
    Change, Environment, EnvironmentId, EnvironmentSpec, Operation, OperationId, OperationName, additions,
    differences,
};

/// `environment.yaml`: everything a hook needs to know of the environment it works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentDocument {
    /// Always `tenantry.io/v1`.
    #[schemars(extend("const" = "tenantry.io/v1"))]
    pub api_version: String,
    /// Always `TenantEnvironment`.
    #[schemars(extend("const" = "TenantEnvironment"))]
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
    #[schemars(extend("const" = "tenantry.io/v1"))]
    pub api_version: String,
    /// Always `TenantChangeset`.
    #[schemars(extend("const" = "TenantChangeset"))]
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

/// The `apiVersion` of both documents.
pub const FILES_API_VERSION: &str = "tenantry.io/v1";
/// The `kind` of `environment.yaml`.
pub const ENVIRONMENT_KIND: &str = "TenantEnvironment";
/// The `kind` of `changeset.yaml`.
pub const CHANGESET_KIND: &str = "TenantChangeset";
/// The sum of names and values of all outputs that one document holds, in bytes.
pub const OUTPUTS_TOTAL_LIMIT: usize = 64 * 1024;

impl EnvironmentDocument {
    /// Makes the document. `environment` must be as it was at the generation that the operation applies. `outputs`:
    /// of the step's declared ancestors only, by `namespace/name` (or `region/namespace/name` for another region).
    /// An ancestor's outputs are in it as a whole or not at all: half a set would look like a whole one.
    #[must_use]
    pub fn new(
        environment: &Environment,
        operation: &Operation,
        outputs: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Self {
        let mut room = OUTPUTS_TOTAL_LIMIT;
        let mut kept = BTreeMap::new();
        let mut left_out = Vec::new();
        for (step, written) in outputs {
            let size =
                step.len() + written.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            if size <= room {
                room -= size;
                kept.insert(step.clone(), written.clone());
            } else {
                left_out.push(step.clone());
            }
        }
        Self {
            api_version: FILES_API_VERSION.to_owned(),
            kind: ENVIRONMENT_KIND.to_owned(),
            metadata: EnvironmentMetadata {
                id: environment.id,
                name: environment.name.to_string(),
                tenant: environment.tenant.to_string(),
                region: environment.region.to_string(),
                labels: environment.labels.clone(),
                generation: environment.generation,
            },
            spec: environment.spec.clone(),
            operation: OperationInfo {
                id: operation.id,
                name: operation.name.clone(),
                batch: operation.batch.map_or_else(|| operation.id.to_string(), |batch| batch.to_string()),
                scheduled_time: operation.scheduled_time.map(|time| time.to_string()),
                parameters: operation.parameters.clone(),
            },
            outputs: kept,
            outputs_left_out: left_out,
        }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, FilesError> {
        yaml("environment.yaml", self)
    }
}

/// What changesets compare: the parts of the document that belong to a generation, in the places that they have in
/// `environment.yaml`. Keep it per generation for as long as a hook's applied generation names it.
#[must_use]
pub fn generation_document(environment: &Environment) -> Value {
    serde_json::json!({
        "metadata": {
            "name": environment.name,
            "tenant": environment.tenant,
            "region": environment.region,
            "labels": environment.labels,
        },
        "spec": {
            "apps": environment.spec.apps,
            "settings": environment.spec.settings,
        },
    })
}

impl ChangesetDocument {
    /// Makes the document: from what the hook last applied to `environment` as it is at its generation.
    #[must_use]
    pub fn new(environment: &Environment, before: Before<'_>) -> Self {
        let wanted = generation_document(environment);
        let (from, changes) = match before {
            Before::Known(generation, document) => {
                (FromGeneration::Known(generation), differences(document, &wanted))
            }
            Before::None => (FromGeneration::Word(FromWord::None), additions(&wanted)),
            Before::Unknown => (FromGeneration::Word(FromWord::Unknown), additions(&wanted)),
        };
        Self {
            api_version: FILES_API_VERSION.to_owned(),
            kind: CHANGESET_KIND.to_owned(),
            environment: environment.id,
            from,
            to: environment.generation,
            changes,
        }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> Result<String, FilesError> {
        yaml("changeset.yaml", self)
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

// Every text is quoted: readers of YAML 1.1 (PyYAML, Ansible) would take `no`, `1e3` or `12:30` for something else.
fn yaml<T: Serialize>(document: &'static str, value: &T) -> Result<String, FilesError> {
    let options = serde_saphyr::ser_options! { quote_all: true };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|error| FilesError { document, message: error.to_string() })
}
