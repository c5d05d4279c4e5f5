//! What a template says, once its annotations have been read.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{HookPath, OperationName, StepPolicy, TemplateHash};

/// Whether an attempt is a Pod or a Job (DESIGN §3, Kind).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptKind {
    /// The default.
    #[default]
    Pod,
    /// Completions or parallelism > 1, Indexed, or asked for by `tenant.attempt-kind: job`.
    Job,
}

/// One target of `tenant.after`.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AfterTarget {
    /// Which hook, in the author's own region.
    pub hook: HookPath,
    /// Written with `?`: may not exist at all.
    pub optional: bool,
}

/// A template as the contract reads it. What the manager knows of a version: never the pod spec itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookContract)]
pub struct Hook {
    /// Namespace and name of the template.
    pub path: HookPath,
    /// Content hash of contract annotations and allow-listed spec.
    pub hash: TemplateHash,
    /// For which operations it is registered.
    pub operations: BTreeSet<OperationName>,
    /// `tenant.after`.
    pub after: Vec<AfterTarget>,
    /// `tenant.after.<operation>`: replaces `after` for one operation; may be empty.
    pub after_for: BTreeMap<OperationName, Vec<AfterTarget>>,
    /// `tenant.selector` as written (checked when it was parsed). Empty selects everything.
    pub selector: String,
    /// on-failure, on-lost, retries, timeout.
    pub policy: StepPolicy,
    /// Pod or Job.
    pub kind: AttemptKind,
    /// The container whose exit code counts.
    pub container: String,
}

impl Hook {
    /// The targets of `after` that hold for `operation`.
    #[must_use]
    pub fn after_for(&self, operation: &OperationName) -> &[AfterTarget] {
        self.after_for.get(operation).unwrap_or(&self.after)
    }
}
