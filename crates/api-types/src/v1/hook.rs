//! `/v1/hooks`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{
    Actor, EnvironmentId, HookPath, HookRef, OperationName, Problem, RegionName, StepPolicy, TemplateHash,
};
use utoipa::{IntoParams, ToSchema};

/// A hook as its region last reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// `region.namespace.name`: its id in URLs.
    pub id: String,
    /// Identity.
    pub hook: HookRef,
    /// Short word for people: `ready`, `quarantined`, `absent`, `retired`.
    pub state: HookState,
    /// The version in the region now; absent when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<HookVersion>,
    /// Why it cannot be read.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The version that was last part of a good plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<HookVersion>,
    /// Since when the region has no such Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Timestamp>,
    /// Who declared its removal, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<HookRetirement>,
    /// When the current version was first seen.
    pub seen_at: Timestamp,
}

/// State of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// Its current version takes part.
    Ready,
    /// Its current version cannot be read.
    Quarantined,
    /// Its region has no such Job.
    Absent,
    /// Its removal was declared.
    Retired,
}

/// One version of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookVersion {
    /// Content hash.
    pub hash: TemplateHash,
    /// For which operations it is registered.
    pub operations: BTreeSet<OperationName>,
    /// `tenant.after`.
    pub after: Vec<HookAfter>,
    /// `tenant.after.<operation>`.
    #[serde(default)]
    pub after_for: BTreeMap<OperationName, Vec<HookAfter>>,
    /// `tenant.selector`; empty selects everything.
    pub selector: String,
    /// on-failure, on-lost, retries, timeout.
    pub policy: StepPolicy,
    /// `pod` or `job`.
    pub kind: HookKind,
    /// The container whose exit code counts.
    pub container: String,
}

/// Whether an attempt is a Pod or a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// A Pod.
    Pod,
    /// A Job.
    Job,
}

/// One target of `after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookAfter {
    /// Which hook, in the author's own region.
    pub hook: HookPath,
    /// It may not exist at all.
    pub optional: bool,
}

impl From<tenantry_hook::Hook> for HookVersion {
    fn from(from: tenantry_hook::Hook) -> Self {
        let after = |targets: Vec<tenantry_hook::AfterTarget>| {
            targets.into_iter().map(|t| HookAfter { hook: t.hook, optional: t.optional }).collect()
        };
        Self {
            hash: from.hash,
            operations: from.operations,
            after: after(from.after),
            after_for: from.after_for.into_iter().map(|(name, targets)| (name, after(targets))).collect(),
            selector: from.selector,
            policy: from.policy,
            kind: match from.kind {
                tenantry_hook::AttemptKind::Pod => HookKind::Pod,
                tenantry_hook::AttemptKind::Job => HookKind::Job,
            },
            container: from.container,
        }
    }
}

/// A declared removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookRetirement {
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Declares that a hook is gone for good: body of `:retire`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetireHook {
    /// Why.
    pub reason: String,
}

/// Which hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HooksQuery {
    /// Of one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// At most this many items, 1 to 1,000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub page_size: Option<u32>,
    /// `nextPageToken` of the page before, unchanged; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
}

/// For which environment and operation `:explain` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// Whose environment.
    pub environment: EnvironmentId,
    /// Which operation.
    pub operation: OperationName,
}

/// Why a hook does or does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookExplanation {
    /// Which hook.
    pub hook: HookRef,
    /// For which operation.
    pub operation: OperationName,
    /// It would be a step that runs.
    pub runs: bool,
    /// One sentence.
    pub summary: String,
    /// Each question, in the order in which they decide.
    pub checks: Vec<HookCheck>,
    /// The steps it would wait for.
    pub waits_for: Vec<HookRef>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookCheck {
    /// Stable name (`exists`, `readable`, `registered`, `selector`, `order`, `absent`, `region`, `planned`).
    pub name: String,
    /// How it came out.
    pub result: HookCheckResult,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// How a question came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookCheckResult {
    /// Nothing in the way.
    Pass,
    /// This keeps the hook from running.
    Fail,
    /// It runs, but somebody should know.
    Warn,
    /// Could not be answered because of an earlier failure, or not from here.
    Unknown,
}
