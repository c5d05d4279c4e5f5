//! Why a service did not do what was asked; the api turns these into problem documents (RFC 9457).

use crate::operations::ReplayError;
use crate::{ClockDoubt, EventRefusal, PurgeRefusal};
use tenantry_engine::{PlanRefusal, Rejected};
use tenantry_model::{ApprovalId, ApprovalState, InvalidName, OperationId, Problem};
use tenantry_schedule::{LineRefusal, UnknownZone};
use tenantry_store::StoreError;

/// Result of a service.
pub type Result<T> = std::result::Result<T, ManagerError>;

/// Which kind of answer an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The request breaks a rule (400, 422).
    Invalid,
    /// The credential is missing, unknown, expired or revoked (401).
    Unauthenticated,
    /// The credential does not allow it (403).
    Forbidden,
    /// What it is about does not exist (404).
    NotFound,
    /// It does not fit the present state (409).
    Conflict,
    /// The stated revision is not the present one (412).
    Precondition,
    /// Something that is needed does not answer (503).
    Unavailable,
    /// A defect of tenantry or damaged data (500).
    Internal,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Who asked must ask differently.
    Caller,
    /// Nobody's: something else happened first; look and ask again.
    Circumstance,
    /// tenantry or what it runs on.
    Server,
}

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer into the request's body (`/spec/settings/tier`).
    pub pointer: String,
    /// Which rule.
    pub message: String,
}

/// Why a service did not do what was asked. Nothing was changed, unless a variant says so.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Fields of the request break rules.
    #[error("{}", fields(.0))]
    Invalid(Vec<FieldError>),
    /// A name breaks its rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The document is larger than allowed.
    #[error("{what} is {size} bytes as JSON; at most {limit} bytes are allowed")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// As given.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not exist (or the caller must not know that it does).
    #[error("{what} {name} does not exist")]
    NotFound {
        /// "environment", "operation", …
        what: &'static str,
        /// As asked for.
        name: String,
    },
    /// It exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// The stated revision is not the present one.
    #[error("{what} has moved on: it has revision {present}, {stated} was stated")]
    Revision {
        /// Which resource.
        what: String,
        /// Now.
        present: u64,
        /// As stated.
        stated: u64,
    },
    /// The tenant has environments.
    #[error("tenant {0} has environments that are not purged: decommission and purge them first")]
    TenantInUse(String),
    /// It does not fit the environment's state.
    #[error("{what} is not possible: environment {environment} is {state:?}{hint}")]
    EnvironmentState {
        /// What was asked for.
        what: String,
        /// Which environment.
        environment: String,
        /// Its state.
        state: tenantry_model::EnvironmentState,
        /// What to do, beginning with a separator; or empty.
        hint: String,
    },
    /// The caller saw the environment in another state.
    #[error("the environment is {state:?}, not {expected:?}")]
    EnvironmentMoved {
        /// Its state now.
        state: tenantry_model::EnvironmentState,
        /// As stated.
        expected: tenantry_model::EnvironmentState,
    },
    /// What came is no event that asks for an operation, or is not taken any more.
    #[error(transparent)]
    Event(#[from] EventRefusal),
    /// A message that was refused cannot be tried again.
    #[error("{0}")]
    LetterUnusable(&'static str),
    /// The environment cannot be purged, or not yet.
    #[error(transparent)]
    Purge(#[from] PurgeRefusal),
    /// Other operations are in the way, and the conflict policy refuses.
    #[error("operation {name} conflicts with {} unfinished operation(s) of the environment: {}", .with.len(), ids(.with))]
    OperationConflict {
        /// What was asked for.
        name: String,
        /// What is in the way.
        with: Vec<OperationId>,
    },
    /// Too many operations wait.
    #[error("the environment has {0} unfinished operations already: wait for some or cancel them")]
    TooManyOperations(usize),
    /// The engine refuses: the verb does not fit what the step or the operation is doing.
    #[error(transparent)]
    Rejected(Rejected),
    /// The caller saw the operation in another state.
    #[error("operation {operation} has moved on: it is {state:?}")]
    OperationMoved {
        /// Which.
        operation: OperationId,
        /// Its state now.
        state: tenantry_model::OperationState,
    },
    /// The predicate of a hold catches more than was allowed for.
    #[error(
        "the predicate {}catches {steps} steps of {operations} running operations; {allowed} are allowed without a larger cap (maxSteps)",
        if *.everything { "matches everything: it " } else { "" }
    )]
    HoldTooWide {
        /// How many steps it would hold now.
        steps: usize,
        /// In how many operations.
        operations: usize,
        /// The stated cap, or the installation's limit.
        allowed: usize,
        /// The predicate has no part at all.
        everything: bool,
    },
    /// The approval was decided, or has expired.
    #[error("approval {id} is {state:?}: it can be decided no more")]
    ApprovalDecided {
        /// Which.
        id: ApprovalId,
        /// Its state.
        state: ApprovalState,
    },
    /// The first person cannot be the second one.
    #[error("{0}")]
    SecondPerson(String),
    /// What is to be replayed cannot be.
    #[error(transparent)]
    Replay(ReplayError),
    /// The backup that a restore names cannot be read.
    #[error("{0}")]
    Backup(String),
    /// A built-in definition or a reserved name cannot be changed so.
    #[error("{0}")]
    BuiltIn(String),
    /// The region is used.
    #[error("the region of environment {0} cannot be changed by an update once hooks ran for it: migrate it")]
    RegionFixed(String),
    /// A hook that is there cannot be retired.
    #[error("hook {0} is in its region: only an absent hook can be retired; delete its Job first")]
    HookPresent(String),
    /// The platform's schema or a definition's parameter schema is no JSON Schema.
    #[error("{what} is no valid JSON Schema: {message}")]
    Schema {
        /// Which schema.
        what: String,
        /// Why.
        message: String,
    },
    /// A cron line is refused.
    #[error(transparent)]
    Cron(LineRefusal),
    /// There is no such time zone.
    #[error(transparent)]
    TimeZone(UnknownZone),
    /// More environments match than the schedule may run for.
    #[error(
        "the selector matches {matched} environments, more than its cap of {cap}: narrow it, or raise the cap"
    )]
    ScheduleTooWide {
        /// So many match now.
        matched: usize,
        /// So many may.
        cap: u32,
    },
    /// The credential is not known, or not for this.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The credential does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The region has no session (never opened, or given up after a silence): the agent opens a new one.
    #[error("region {0} has no session any more: open a new one")]
    SessionExpired(String),
    /// Another agent process has taken over the region.
    #[error("another agent has taken over region {0}")]
    SessionSuperseded(String),
    /// The region is one of Argo, where no agent speaks.
    #[error("region {0} is one of Argo (argo-regions): it has no agent")]
    RegionOfArgo(String),
    /// Pages of an inventory are missing: begin again.
    #[error("the first page of region {0}'s inventory is missing: send the whole inventory again")]
    InventoryRestart(String),
    /// A request under the same Idempotency-Key was carried out, and its answer held what is shown once.
    #[error(
        "the request under this Idempotency-Key was carried out: it made {0}, and its answer held a secret that is shown \
         once and kept nowhere; if that answer is lost, revoke {0} and make another under a new key"
    )]
    AlreadyApplied(String),
    /// Another request came under the same Idempotency-Key.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// The logs.
    #[error("the log cannot be read or written: {what}")]
    Logs {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Things are not judged to be old by a clock that may be wrong.
    #[error(transparent)]
    RetentionClock(ClockDoubt),
    /// The audit log's key, or the place for its signed heads.
    #[error("{what}")]
    AuditKey {
        /// What cannot be used.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Rows contradict each other or a document cannot be written: a defect.
    #[error("{0}")]
    Internal(String),
}

impl ManagerError {
    /// Stable code, kebab-case; has a page in the docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-request",
            Self::Name(_) => "invalid-name",
            Self::TooLarge { .. } => "too-large",
            Self::NotFound { .. } => "not-found",
            Self::Exists(_) | Self::Store(StoreError::Duplicate(_)) => "already-exists",
            Self::Revision { .. } => "revision-mismatch",
            Self::TenantInUse(_) => "tenant-in-use",
            Self::EnvironmentState { .. } => "environment-state",
            Self::OperationConflict { .. } => "operation-conflict",
            Self::TooManyOperations(_) => "too-many-operations",
            Self::Rejected(Rejected::UnknownStep(_)) => "unknown-step",
            Self::Rejected(Rejected::UnknownAttempt(_)) => "unknown-attempt",
            Self::Rejected(Rejected::WrongState { .. }) => "wrong-state",
            Self::Rejected(Rejected::Expectation { .. })
            | Self::OperationMoved { .. }
            | Self::EnvironmentMoved { .. } => "moved-on",
            Self::Event(refusal) => refusal.code(),
            Self::LetterUnusable(_) => "letter-unusable",
            Self::Rejected(Rejected::OperationState { .. }) => "operation-state",
            Self::Rejected(Rejected::ReasonRequired(_)) => "reason-required",
            Self::Rejected(Rejected::OutputsTooLarge { .. }) => "outputs-too-large",
            Self::Rejected(Rejected::NoDependency { .. }) => "no-dependency",
            Self::HoldTooWide { .. } => "hold-too-wide",
            Self::ApprovalDecided { .. } => "approval-decided",
            Self::SecondPerson(_) => "second-person",
            Self::Replay(error) => error.code(),
            Self::Purge(refusal) => refusal.code(),
            Self::Backup(_) => "backup-unusable",
            Self::BuiltIn(_) => "built-in",
            Self::RegionFixed(_) => "region-fixed",
            Self::HookPresent(_) => "hook-present",
            Self::Schema { .. } => "invalid-schema",
            Self::Cron(LineRefusal::Unreadable { .. }) => "cron-invalid",
            Self::Cron(LineRefusal::Seconds(_)) => "cron-too-often",
            Self::Cron(LineRefusal::Never(_)) => "cron-never-fires",
            Self::TimeZone(_) => "time-zone-unknown",
            Self::ScheduleTooWide { .. } => "schedule-too-wide",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::SessionExpired(_) => "session-expired",
            Self::SessionSuperseded(_) => "session-superseded",
            Self::RegionOfArgo(_) => "region-of-argo",
            Self::InventoryRestart(_) => "inventory-restart",
            Self::AlreadyApplied(_) => "request-already-applied",
            Self::KeyReused => "idempotency-key-reused",
            Self::Store(StoreError::Conflict { .. } | StoreError::LeaseLost(_)) => "store-conflict",
            Self::Store(StoreError::Unknown { .. }) => "outcome-unknown",
            Self::Store(StoreError::Damaged { .. }) => "store-damaged",
            Self::Store(_) => "store-unavailable",
            Self::Logs { .. } => "logs-unavailable",
            Self::RetentionClock(_) => "retention-clock",
            Self::AuditKey { .. } => "audit-key-unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// Which kind of answer it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_)
            | Self::Name(_)
            | Self::TooLarge { .. }
            | Self::Schema { .. }
            | Self::Cron(_)
            | Self::TimeZone(_)
            | Self::HoldTooWide { .. }
            | Self::Event(_)
            | Self::Purge(PurgeRefusal::OtherName { .. })
            | Self::Replay(ReplayError::Refused(PlanRefusal::UnknownSteps(_) | PlanRefusal::Deselected(_)))
            | Self::Rejected(Rejected::ReasonRequired(_) | Rejected::OutputsTooLarge { .. }) => {
                ErrorClass::Invalid
            }
            Self::NotFound { .. }
            | Self::Rejected(Rejected::UnknownStep(_) | Rejected::UnknownAttempt(_)) => ErrorClass::NotFound,
            Self::Revision { .. } => ErrorClass::Precondition,
            Self::Unauthenticated(_) => ErrorClass::Unauthenticated,
            Self::Forbidden(_) | Self::SecondPerson(_) => ErrorClass::Forbidden,
            Self::Exists(_)
            | Self::Store(StoreError::Duplicate(_))
            | Self::TenantInUse(_)
            | Self::EnvironmentState { .. }
            | Self::Purge(_)
            | Self::OperationConflict { .. }
            | Self::TooManyOperations(_)
            | Self::Rejected(_)
            | Self::OperationMoved { .. }
            | Self::EnvironmentMoved { .. }
            | Self::LetterUnusable(_)
            | Self::ApprovalDecided { .. }
            | Self::Replay(_)
            | Self::Backup(_)
            | Self::BuiltIn(_)
            | Self::RegionFixed(_)
            | Self::HookPresent(_)
            | Self::ScheduleTooWide { .. }
            | Self::SessionExpired(_)
            | Self::SessionSuperseded(_)
            | Self::RegionOfArgo(_)
            | Self::InventoryRestart(_)
            | Self::AlreadyApplied(_)
            | Self::RetentionClock(_)
            | Self::KeyReused => ErrorClass::Conflict,
            Self::Store(StoreError::Damaged { .. }) | Self::Internal(_) => ErrorClass::Internal,
            Self::Store(_) | Self::Logs { .. } | Self::AuditKey { .. } => ErrorClass::Unavailable,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self.class() {
            ErrorClass::Invalid
            | ErrorClass::Unauthenticated
            | ErrorClass::Forbidden
            | ErrorClass::NotFound => Fault::Caller,
            ErrorClass::Conflict | ErrorClass::Precondition => Fault::Circumstance,
            ErrorClass::Unavailable | ErrorClass::Internal => Fault::Server,
        }
    }

    /// Whether the very same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.class() == ErrorClass::Unavailable
            || matches!(
                self,
                Self::OperationConflict { .. }
                    | Self::TooManyOperations(_)
                    | Self::InventoryRestart(_)
                    | Self::Purge(PurgeRefusal::Retained { .. } | PurgeRefusal::Unfinished { .. })
            )
    }

    /// The places that break a rule, for `invalid-request`.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(fields) => fields,
            Self::Event(EventRefusal::Invalid(field)) => std::slice::from_ref(field),
            _ => &[],
        }
    }

    /// One field that breaks a rule.
    pub(crate) fn field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    pub(crate) fn not_found(what: &'static str, name: impl std::fmt::Display) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }
}

impl From<StoreError> for ManagerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Rejected> for ManagerError {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

fn fields(fields: &[FieldError]) -> String {
    let mut text =
        fields
            .iter()
            .take(10)
            .map(|f| {
                if f.pointer.is_empty() { f.message.clone() } else { format!("{}: {}", f.pointer, f.message) }
            })
            .collect::<Vec<_>>()
            .join("; ");
    if fields.len() > 10 {
        text.extend(["; and ".to_owned(), (fields.len() - 10).to_string(), " more".to_owned()]);
    }
    text
}

fn ids(ids: &[OperationId]) -> String {
    ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The problems of a hook as one sentence.
pub(crate) fn problems(problems: &[Problem]) -> String {
    problems
        .iter()
        .take(5)
        .map(|p| format!("{} ({}): {}", p.code, p.pointer, p.message))
        .collect::<Vec<_>>()
        .join("; ")
}
