//! What the agent remembers on disk: the ledger of attempts with their unsent facts, and the log text.
//!
//! Append-only files. Facts are never dropped; log text is bounded, the oldest goes first. It must never know the
//! network or an executor.

mod journal;
mod ledger;
mod logs;
mod records;

pub use ledger::{Ledger, Record};
pub use logs::{LogLimits, LogSpool};
