//! What one attempt is asked to be, and what its objects say of themselves (DESIGN §3, The copy).
//!
//! It must never know an API server: creating, adopting and sweeping is for others.

use crate::{Hook, hash::sha256};
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenantry_model::{
    AttemptId, BatchId, EnvironmentId, FailureReason, HookRef, OperationId, OperationName, Problem,
    TemplateHash,
};
use uuid::Uuid;

/// Stays on Pod and Job (and on the Job's pods) until the outcome is committed.
pub const FINALIZER: &str = "tenantry.io/outcome";
/// Label: the operation's id.
pub const LABEL_OPERATION: &str = "tenantry.io/operation";
/// Label: [`step_label`] of the step; the exact step is the annotation [`ANNOTATION_STEP`].
pub const LABEL_STEP: &str = "tenantry.io/step";
/// Label: the attempt's number. Every object of tenantry has it: `tenantry.io/attempt` as a selector finds them all.
pub const LABEL_ATTEMPT: &str = "tenantry.io/attempt";
/// Label: the environment's id.
pub const LABEL_ENVIRONMENT: &str = "tenantry.io/environment";
/// Annotation: the step as `region/namespace/name`.
pub const ANNOTATION_STEP: &str = "tenantry.io/step";
/// Annotation: the attempt's nonce.
pub const ANNOTATION_NONCE: &str = "tenantry.io/attempt-nonce";
/// Annotation: the template's hash.
pub const ANNOTATION_TEMPLATE_HASH: &str = "tenantry.io/template-hash";
/// Annotation: the container whose exit code counts.
pub const ANNOTATION_CONTAINER: &str = "tenantry.io/container";

/// What the centre says about one attempt. Travels in the start command; never holds a pod spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRequest {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Told apart from another object of the same name by this.
    pub nonce: Uuid,
    /// For which environment.
    pub environment: EnvironmentId,
    /// What the operation is called.
    pub operation_name: OperationName,
    /// The batch; `None`: the operation's own id is injected.
    pub batch: Option<BatchId>,
    /// When a schedule wanted the operation.
    #[schemars(with = "Option<String>")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_time: Option<Timestamp>,
    /// W3C trace context of this attempt.
    pub traceparent: Option<String>,
    /// Text of `environment.yaml` ([`crate::EnvironmentDocument::to_yaml`]).
    pub environment_file: String,
    /// Text of `changeset.yaml` ([`crate::ChangesetDocument::to_yaml`]).
    pub changeset_file: String,
    /// Set for operations that write or read a backup.
    pub object_store: Option<ObjectStoreUse>,
}

/// The one prefix of the object store that an attempt sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStoreUse {
    /// Whose prefix: the operation itself for a backup, the backup that is read for a restore.
    pub operation: OperationId,
    /// A restore only reads.
    pub read_only: bool,
}

/// The operation whose attempts get a prefix of the object store of their own.
pub const WRITES_BACKUP: &str = "lifecycle.backup";
/// The operation whose attempts read another operation's prefix.
const READS_BACKUP: &str = "lifecycle.restore";
/// The parameter that names it.
pub const BACKUP_PARAMETER: &str = "backup";

impl ObjectStoreUse {
    /// What the attempts of an operation see; `None` for operations that neither write nor read a backup.
    #[must_use]
    pub fn of(
        operation: OperationId,
        name: &OperationName,
        parameters: &serde_json::Map<String, serde_json::Value>,
    ) -> Option<Self> {
        match name.as_str() {
            WRITES_BACKUP => Some(Self { operation, read_only: false }),
            READS_BACKUP => {
                let backup = parameters.get(BACKUP_PARAMETER).and_then(serde_json::Value::as_str);
                let operation = backup.and_then(|id| id.parse::<OperationId>().ok())?;
                Some(Self { operation, read_only: true })
            }
            _ => None,
        }
    }

    /// The prefix within a namespace's claim or folder: `<environment>/<operation>`.
    #[must_use]
    pub fn prefix(&self, environment: EnvironmentId) -> String {
        format!("{environment}/{}", self.operation)
    }
}

/// The objects of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptObjects {
    /// To be created first; swept by label. Only for files above 200 KiB.
    pub config_map: Option<ConfigMap>,
    /// The attempt itself.
    pub workload: Workload,
}

/// Pod or Job.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// The default.
    Pod(Box<Pod>),
    /// See [`crate::AttemptKind::Job`].
    Job(Box<Job>),
}

/// Why no attempt can be made of this template and request. Nothing was started and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(|p| format!("{} ({}): {}", p.code, p.pointer, p.message)).collect::<Vec<_>>().join("; "))]
pub struct Refusal {
    /// As the attempt's outcome gives it.
    pub reason: FailureReason,
    /// Everything that is in the way; never empty.
    pub problems: Vec<Problem>,
}

/// The name of the attempt's Pod, Job, config map, folder: readable prefix, operation, attempt and a hash of all three;
/// a DNS label of at most 63 characters, different for different attempts.
#[must_use]
pub fn attempt_name(attempt: &AttemptId) -> String {
    let mut prefix: String =
        attempt.step.name.as_str().chars().map(|c| if c == '.' { '-' } else { c }).take(24).collect();
    prefix.truncate(prefix.trim_end_matches('-').len());
    let operation = attempt.operation.0.simple().to_string();
    // The end of a UUIDv7 is its random part; people find the operation by it, the hash makes the name unique.
    let tail = &operation[operation.len() - 8..];
    format!("{prefix}-{tail}-{}-{}", attempt.number, short_hash(&attempt.to_string(), 12))
}

/// The step as a label's value: `region.namespace.name`, cut and hashed above 63 characters.
#[must_use]
pub fn step_label(step: &HookRef) -> String {
    let slug = step.slug();
    if slug.len() <= 63 {
        return slug;
    }
    // Names are ASCII, so cutting at a byte is cutting at a character.
    format!("{}-{}", slug[..50].trim_end_matches(['-', '.']), short_hash(&slug, 12))
}

/// Lower-case base32 of the SHA-256, cut to `length` characters of five bits each.
#[must_use]
pub fn short_hash(text: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = sha256(text.as_bytes());
    let bit = |index: usize| digest.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1);
    (0..length)
        .map(|place| {
            let value = (0..5).fold(0, |value, offset| value << 1 | usize::from(bit(place * 5 + offset)));
            char::from(ALPHABET[value])
        })
        .collect()
}

/// What an object of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptIdentity {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: Uuid,
    /// Of which template.
    pub template_hash: TemplateHash,
    /// For which environment.
    pub environment: EnvironmentId,
    /// The container whose exit code counts.
    pub container: String,
}

/// The labels of every object of an attempt.
pub(crate) fn labels(request: &AttemptRequest) -> BTreeMap<String, String> {
    [
        (LABEL_OPERATION, request.attempt.operation.to_string()),
        (LABEL_STEP, step_label(&request.attempt.step)),
        (LABEL_ATTEMPT, request.attempt.number.to_string()),
        (LABEL_ENVIRONMENT, request.environment.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The annotations of every object of an attempt.
pub(crate) fn annotations(request: &AttemptRequest, hook: &Hook) -> BTreeMap<String, String> {
    [
        (ANNOTATION_STEP, request.attempt.step.to_string()),
        (ANNOTATION_NONCE, request.nonce.to_string()),
        (ANNOTATION_TEMPLATE_HASH, hook.hash.to_string()),
        (ANNOTATION_CONTAINER, hook.container.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Reads back what [`crate::build()`] wrote; `None` for an object that is not (or only pretends to be) ours.
#[must_use]
pub fn attempt_identity(metadata: &ObjectMeta) -> Option<AttemptIdentity> {
    let label = |key: &str| metadata.labels.as_ref()?.get(key);
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key);
    Some(AttemptIdentity {
        attempt: AttemptId {
            operation: label(LABEL_OPERATION)?.parse().ok()?,
            step: annotation(ANNOTATION_STEP)?.parse().ok()?,
            number: label(LABEL_ATTEMPT)?.parse().ok()?,
        },
        nonce: annotation(ANNOTATION_NONCE)?.parse().ok()?,
        template_hash: TemplateHash(annotation(ANNOTATION_TEMPLATE_HASH)?.clone()),
        environment: label(LABEL_ENVIRONMENT)?.parse().ok()?,
        container: annotation(ANNOTATION_CONTAINER)?.clone(),
    })
}
