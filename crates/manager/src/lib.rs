//! The manager's services: what clients and agents may ask, as transactions over engine, store and logs.
//!
//! Each service takes a [`Principal`], audits what it changes and puts events into the outbox in the same
//! transaction. It must never know HTTP, Kubernetes or SQL; the api translates, the store keeps.

mod access;
mod agents;
mod approvals;
mod argo;
mod attention;
mod audit;
mod check;
mod config;
mod definitions;
mod duties;
mod environments;
mod error;
mod events;
mod holds;
mod hooks;
mod idempotency;
mod inbox;
mod latest;
mod logs;
mod manager;
mod notify;
mod operations;
mod outbox;
mod reconcile;
mod regions;
mod repeat;
mod retention;
mod roles;
mod runner;
mod schedules;
mod schema;
mod silence;
mod tenants;
mod tokens;
mod wait;
mod work;

pub use access::*;
pub use agents::*;
pub use approvals::*;
pub use argo::{ArgoSinks, StepLease, StepPoll};
pub use audit::{AuditExport, AuditKey};
pub use check::CheckOptions;
pub use config::{AuditConfig, ManagerConfig, ScheduleConfig};
pub use duties::Duty;
pub use environments::*;
pub use error::{ErrorClass, Fault, FieldError, ManagerError, Result};
pub use holds::*;
pub use idempotency::*;
pub use inbox::{
    EventRefusal, Inbox, LettersDiscarded, MAX_EVENT_BYTES, OPERATION_REQUEST, OperationRequest,
    RequestEvent, Taken,
};
pub use manager::{Clock, Manager};
pub use notify::{DeadLettersChanged, EventSinkView, Outlet, ReplayFrom, Round, Wants};
pub use operations::*;
pub use outbox::{EventType, asyncapi, event_types, received_types, schema_name};
pub use retention::{ClockDoubt, RetentionConfig, Retired};
pub use schedules::*;
pub use tenantry_audit::{Line as AuditLine, SignedHead};
pub use tenantry_logs::{Chunk as LogPart, LogStore, Missing};
pub use tokens::*;
