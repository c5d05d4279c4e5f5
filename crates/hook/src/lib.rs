//! The hook contract: annotations → [`Hook`], order and cycles, template → attempt, the files a hook reads.
//!
//! Pure: no I/O, no clock, no async. Used by engine (order), agent and bridge (attempt), CLI (lint) alike, so that
//! a laptop and a cluster cannot disagree. It must never know a store, an API server or a manager.

mod attempt;
pub mod codes;
mod contract;
mod domains;
mod files;
mod lint;
mod order;
mod outputs;
mod parse;
mod policy;
mod problems;
mod process;
mod selector;

pub use attempt::*;
pub use contract::*;
pub use domains::*;
pub use files::*;
pub use lint::*;
pub use order::*;
pub use outputs::*;
pub use parse::*;
pub use policy::*;
pub use process::*;
pub use selector::*;
