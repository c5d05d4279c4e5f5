//! Events on their way out: the envelope that every receiver gets, and the sinks that take it. And messages on their way in.
//!
//! A sink delivers one event and says whether it was taken; order, retries and what was given up are the caller's
//! rows. This crate must never know a store, an operation or who asked.

mod command;
mod document;
mod envelope;
mod http;
mod inbox_document;
mod nats;
mod nats_source;
pub mod signature;
mod sink;

pub use command::CommandSink;
pub use document::{Configured, EXAMPLE as EVENT_SINKS, EventSink, EventSinks, Http, Nats};
pub use envelope::{CloudEvent, sortable};
pub use http::{Bearer, HttpSink};
pub use inbox_document::{EXAMPLE as EVENT_INBOX, EventInbox, NatsInbox};
pub use nats::{NatsConfig, NatsSink};
pub use nats_source::{Message, Messages, NatsSource, Received, SourceConfig};
pub use sink::{Sink, Undelivered};
