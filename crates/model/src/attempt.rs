//! One execution of a step.

use crate::{HookRef, OperationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Identity of an attempt. Its object's name is a function of it and never used again (invariant 1).
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AttemptId {
    /// Of which operation.
    pub operation: OperationId,
    /// Of which step.
    pub step: HookRef,
    /// 1, 2, …: also the fencing token `LIFECYCLE_ATTEMPT`.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.operation, self.step, self.number)
    }
}
impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// State of an attempt (DESIGN §7). *Unknown* is beside it: [`Attempt::unknown_since`].
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptState {
    /// The row is committed; whether its object exists is not known yet.
    Created,
    /// The object exists; no container runs yet.
    Starting,
    /// The hook's container runs.
    Running,
    /// Ended with 0.
    Succeeded,
    /// Ended otherwise; see its reason.
    Failed,
    /// Ended by a kill, a cancel.
    Killed,
    /// Declared lost by a person, or left behind by `on-lost: retry`. A later report is history only.
    Lost,
    /// Ended because its step begins again (`stop`, `rerun --with-successors`); whatever it did does not count.
    Superseded,
}

impl AttemptState {
    /// Known (or declared) to be over.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Created | Self::Starting | Self::Running)
    }
}

/// An attempt's row. Committed before its Pod, Job or process is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Which one.
    pub id: AttemptId,
    /// Told apart from another object of the same name by this (invariant 1).
    pub nonce: Uuid,
    /// Where it is.
    pub state: AttemptState,
    /// Nothing is known of it since then: asked for and unanswered, agent silent, node gone.
    pub unknown_since: Option<Timestamp>,
    /// Set when the unknown lasted past its deadline and attention was raised.
    pub unknown_reported: bool,
    /// A kill was asked for: by whom and why.
    pub kill: Option<KillRequest>,
    /// How it ended; `None` while it is not over.
    pub outcome: Option<Outcome>,
    /// What a superseded or lost attempt was later seen to have done; history only.
    pub late_outcome: Option<Outcome>,
    /// Images by container, with digest where the kubelet told it.
    pub images: BTreeMap<String, String>,
    /// The Pod, Job or process, as people find it (`pod crm/crm-tenant-…`).
    pub object: Option<String>,
    /// Node or host it ran on.
    pub node: Option<String>,
    /// What it waits for while starting (`image pull`, `unschedulable`), or why it is unknown, in the platform's
    /// words.
    pub waiting_for: Option<String>,
    /// The highest observation number taken in: older ones change nothing.
    pub observed: u64,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the container started, by the region's clock.
    pub started_at: Option<Timestamp>,
    /// When it was over, by the region's clock; for a declared loss by the manager's.
    pub ended_at: Option<Timestamp>,
}

/// A kill that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KillRequest {
    /// Who; the system for timeouts.
    pub by: crate::Actor,
    /// Why.
    pub reason: String,
    /// What the end then counts as.
    pub cause: KillCause,
    /// When.
    #[schemars(with = "String")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Why an attempt is being ended; decides whether an automatic retry may follow.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KillCause {
    /// A person's `kill`, `stop` or `rerun --with-successors`: never followed by an automatic retry.
    Operator,
    /// The operation is cancelled or has failed.
    Cancel,
    /// The attempt's timeout: counts as a failure (deadline), may be retried.
    Timeout,
}

/// How an attempt ended. The default is a plain end with 0.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `None`: ended with 0.
    pub reason: Option<FailureReason>,
    /// The container's exit code, where there was one.
    pub exit_code: Option<i32>,
    /// The platform's own words, cut to 1,000 characters.
    #[serde(default)]
    pub message: String,
    /// What the hook wrote to `LIFECYCLE_OUTPUT_FILE`.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
}

impl Outcome {
    /// Ended with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.reason.is_none()
    }
}

/// Why an attempt did not succeed (DESIGN §3, Result).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The hook ended with another code than 0.
    HookFailed,
    /// The hook ended with 0 but its output file breaks the rule (JSON object of strings, 4 KiB).
    BadOutput,
    /// The kernel ended it for its memory.
    OutOfMemory,
    /// The image cannot be had.
    ImagePull,
    /// No node takes it.
    Unschedulable,
    /// The node had to make room (memory, local storage, pre-emption).
    Evicted,
    /// The attempt's timeout.
    Deadline,
    /// Ended by a person or by a cancel.
    Killed,
    /// Declared lost, or unknown past its deadline.
    Lost,
    /// An object of that name exists that is not ours.
    NameCollision,
    /// The API server refuses the object (quota, admission, a missing service account).
    Rejected,
    /// The container could not be started (command not found, a missing Secret or volume).
    CannotStart,
    /// The region no longer has this version of the hook.
    TemplateGone,
    /// Somebody deleted the object while it ran.
    Deleted,
}

impl FailureReason {
    /// The platform's fault, not the hook's: may be retried without counting against the hook.
    #[must_use]
    pub fn is_platform(self) -> bool {
        matches!(self, Self::Evicted | Self::Unschedulable | Self::Deleted)
    }

    /// Every reason, for tables and tests.
    pub const ALL: [Self; 14] = [
        Self::HookFailed,
        Self::BadOutput,
        Self::OutOfMemory,
        Self::ImagePull,
        Self::Unschedulable,
        Self::Evicted,
        Self::Deadline,
        Self::Killed,
        Self::Lost,
        Self::NameCollision,
        Self::Rejected,
        Self::CannotStart,
        Self::TemplateGone,
        Self::Deleted,
    ];
}
