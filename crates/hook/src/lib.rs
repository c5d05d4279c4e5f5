//! The hook contract: annotations → [`Hook`], order and cycles, template → attempt, the files a hook reads.
//!
//! Pure: no I/O, no clock, no async. Used by engine (order), agent and bridge (attempt), CLI (lint) alike, so that
//! a laptop and a cluster cannot disagree. It must never know a store, an API server or a manager.

mod contract;

pub use contract::*;
