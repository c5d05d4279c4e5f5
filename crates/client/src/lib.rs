//! A typed client of the public API: requests, pages, streams that resume, waiting.
//!
//! What a caller must never care about lives here: Idempotency-Keys kept over retries, backoff, reconnection, the
//! place in a stream. It must never know a terminal, a configuration file or how the server decides.

pub mod agent;
mod audit;
mod check;
mod config;
mod connections;
mod credential;
mod environments;
mod error;
mod event_sinks;
mod events;
mod hooks;
mod inbox;
mod installation;
mod logs;
mod operations;
mod purge;
mod retention;
mod schedules;
mod sse;
mod steering;
mod transport;
mod wait;

pub use config::{Call, ClientConfig};
pub use credential::NewCredential;
pub use error::{ClientError, Result};
pub use events::EventScope;
pub use logs::LogRange;
pub use operations::{OperationVerb, Steered, StepVerb};
pub use purge::Purge;
pub use transport::Client;
pub use wait::{WaitFor, Waited};
