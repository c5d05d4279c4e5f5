//! The logs of attempts: append-only segment files beside the database, bounded per attempt, readable long after the
//! pods are gone.
//!
//! Bytes in, bytes out, addressed by their offset in the stream that the agent sends. It must never know a store or
//! HTTP, nor what is in a log: secrets are masked before they come here.

mod attempt;
mod error;
mod handles;
mod list;
mod record;
mod segment;
mod shared;
mod silent;
mod store;

pub use attempt::{Appended, Chunk, Extent, Missing};
pub use error::LogError;
pub use shared::folder_name;
pub use store::{Limits, LogStore};
