//! The agent protocol, version 1 (docs/decisions/0003-agent-protocol.md). Outbound HTTPS only, all calls made by
//! the agent; JSON bodies. Leases fence commands; observations are facts and are taken in at any time.
//!
//! | call | what |
//! |---|---|
//! | `POST /agent/v1/join` | join token → the agent's own credential opens the region ([`JoinRequest`] → [`JoinAnswer`]) |
//! | `POST /agent/v1/sessions` | a new life of the agent: breaks the leases of earlier ones ([`SessionRequest`] → [`SessionAnswer`]) |
//! | `POST /agent/v1/inventory` | hooks, whole or changed ([`InventoryRequest`] → [`InventoryAnswer`]) |
//! | `POST /agent/v1/commands:lease` | long poll ([`LeaseRequest`] → [`LeaseAnswer`]); also the heartbeat |
//! | `POST /agent/v1/commands:finish` | these are carried out ([`FinishRequest`] → [`FinishAnswer`]) |
//! | `POST /agent/v1/observations` | facts ([`ObservationsRequest`] → [`ObservationsAnswer`]) |
//! | `POST /agent/v1/logs` | log chunks ([`LogsRequest`] → [`LogsAnswer`]) |

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tenantry_hook::{AttemptRequest, Hook};
use tenantry_model::{
    AgentSessionId, AttemptId, CommandId, Executor, HookPath, KillCause, Observation, Problem, RegionName,
    TemplateHash, TokenId,
};
use utoipa::ToSchema;
use uuid::Uuid;

/// The protocol's version; sent as header `tenantry-agent-protocol`. A manager refuses others with 426.
pub const VERSION: u32 = 1;
/// Header that carries [`VERSION`].
pub const VERSION_HEADER: &str = "tenantry-agent-protocol";
/// Header that names the region the agent serves (all calls but join). A credential of another region is refused with
/// 403 `wrong-region`: the agent would carry out that region's commands, and its own facts would be dropped.
pub const REGION_HEADER: &str = "tenantry-agent-region";
/// At most this many commands in a lease, observations or log chunks in a report, hooks in an inventory page.
pub const MAX_BATCH: usize = 500;
/// At most this many bytes of log text in one report.
pub const MAX_LOG_BYTES: usize = 1024 * 1024;
/// A command that is not finished within this time is given out again.
pub const LEASE_SECONDS: i64 = 60;
/// Longest wait of a lease call.
pub const MAX_POLL_SECONDS: u32 = 30;

/// Makes the agent's own credential the region's, by a join token (as bearer). The agent keeps the credential before it
/// asks, so that a call whose answer was lost is repeated with the same one; its secret never leaves the agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinRequest {
    /// Says which host it is, for people.
    pub host: String,
    /// The credential's id; UUIDv7, made by the agent.
    pub credential: TokenId,
    /// SHA-256 of its secret's text, as 64 lower-case hex digits.
    pub secret_sha256: String,
}

/// The credential is valid from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinAnswer {
    /// The region the agent speaks for from now on.
    pub region: RegionName,
}

/// A new life of the agent process.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionRequest {
    /// Made by the agent at its start; UUIDv7.
    pub session: AgentSessionId,
    /// What it runs attempts with.
    pub executor: Executor,
    /// The agent's version, for people.
    pub version: String,
}

/// What the manager knows of the region's attempts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAnswer {
    /// Attempts that are not over by the manager's rows: the agent looks for each and reports what it finds.
    pub open_attempts: Vec<OpenAttempt>,
    /// A region that says nothing for so long counts as silent: the agent chooses its polls so that one which nobody
    /// answers is found out and repeated before that. Managers before this field do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_after_seconds: Option<u32>,
}

/// An attempt that the manager believes may exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: Uuid,
    /// The highest observation number that the manager has taken in.
    pub observed: u64,
    /// How many bytes of its log the manager has.
    pub log_offset: u64,
    /// Nobody knows whether it is still there: if it is found, that is to be told although nothing of it has changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// The hooks of the region.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InventoryRequest {
    /// The agent process.
    pub session: AgentSessionId,
    /// `true` on the first page of a whole inventory: what no page of it names is absent when the last page is in.
    pub begin: bool,
    /// `true` on the last page of a whole inventory. Both are `false` for a report of changes.
    pub end: bool,
    /// Hooks that are there, with their newest version.
    pub present: Vec<HookReport>,
    /// Hooks that are gone (only in a report of changes).
    pub absent: Vec<HookPath>,
}

/// One hook as the region sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookReport {
    /// Which.
    pub path: HookPath,
    /// The contract, if it can be read.
    pub hook: Option<Hook>,
    /// Why it cannot.
    pub problems: Vec<Problem>,
}

/// Answer to [`InventoryRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryAnswer {
    /// Versions that unfinished or replayable operations may need: the agent keeps these templates. Of a whole
    /// inventory only the answer to the last page says them.
    pub keep: Vec<TemplateHash>,
}

/// Asks for commands; also says that the agent lives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseRequest {
    /// The agent process.
    pub session: AgentSessionId,
    /// At most this many, up to [`MAX_BATCH`].
    pub limit: u32,
    /// How long to wait for the first one, up to [`MAX_POLL_SECONDS`].
    pub wait_seconds: u32,
    /// The poll before this one got no answer: commands that it leased are given out again now, and not only when their
    /// lease has run out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// Commands; each is the agent's alone for [`LEASE_SECONDS`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseAnswer {
    /// In the order in which they must be carried out per attempt.
    pub commands: Vec<LeasedCommand>,
}

/// One command.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeasedCommand {
    /// For [`FinishRequest`].
    pub id: CommandId,
    /// About which attempt.
    pub attempt: AttemptId,
    /// What to do.
    pub order: Order,
}

/// What to do. Carrying one out twice changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "order")]
pub enum Order {
    /// Start the attempt, or find it running.
    Start(Box<StartOrder>),
    /// End it. Of an attempt that was never started: answer with `NotStarted` and never start it.
    #[serde(rename_all = "camelCase")]
    Kill {
        /// Why.
        cause: KillCause,
    },
    /// The outcome is committed: release the finalizer, clean up by policy.
    Release,
}

/// Everything a start needs besides the template. Never a pod spec: the region holds the templates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartOrder {
    /// The hook's namespace and name.
    pub hook: HookPath,
    /// The frozen version.
    pub hash: TemplateHash,
    /// What the centre says about the attempt: ids, nonce, files, object store.
    pub request: AttemptRequest,
    /// Of this attempt, from its start. The manager sends a kill when it is over; the agent enforces it too, so that
    /// a region that is cut off keeps to it.
    #[schema(value_type = Option<String>)]
    pub timeout: Option<SignedDuration>,
}

/// These commands are carried out; their effects are reported as observations.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinishRequest {
    /// The agent process.
    pub session: AgentSessionId,
    /// Which.
    pub commands: Vec<CommandId>,
}

/// Answer to [`FinishRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishAnswer {}

/// Facts, in any order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObservationsRequest {
    /// The agent process.
    pub session: AgentSessionId,
    /// Up to [`MAX_BATCH`].
    pub observations: Vec<Observation>,
}

/// All of them are committed (those about unknown attempts are dropped, and named).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservationsAnswer {
    /// Attempts that the manager does not know, or that are of another region.
    pub unknown: Vec<AttemptId>,
}

/// Log text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogsRequest {
    /// The agent process.
    pub session: AgentSessionId,
    /// Up to [`MAX_BATCH`] chunks with up to [`MAX_LOG_BYTES`] in all.
    pub chunks: Vec<LogChunk>,
}

/// A piece of one attempt's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogChunk {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it begins, in bytes from the start of the attempt's log as the agent sends it (after masking).
    pub offset: u64,
    /// The bytes, base64.
    pub data: String,
    /// Nothing follows.
    pub last: bool,
}

/// The chunks are stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogsAnswer {
    /// Attempts that the manager does not know, or that are of another region.
    pub unknown: Vec<AttemptId>,
}
