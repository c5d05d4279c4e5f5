//! Events on their way out: the envelope that every receiver gets, and the sinks that take it.
//!
//! A sink delivers one event and says whether it was taken; order, retries and what was given up are the caller's
//! rows. This crate must never know a store, an operation or who asked.

mod command;
mod envelope;
mod http;
mod sink;

pub use command::CommandSink;
pub use envelope::CloudEvent;
pub use http::{Bearer, HttpSink};
pub use sink::{Sink, Undelivered};
