//! The hook contract: annotations → [`Hook`], order and cycles, template → attempt, the files a hook reads.
//!
//! Pure: no I/O, no clock, no async. Used by engine (order), agent and bridge (attempt), CLI (lint) alike, so that
//! a laptop and a cluster cannot disagree. It must never know a store, an API server or a manager.

mod annotations;
mod attempt;
mod build;
pub mod codes;
mod contract;
mod decode;
mod domains;
mod expand;
mod files;
mod hash;
mod lint;
mod local;
mod nonce;
mod order;
mod outputs;
mod parse;
mod policy;
mod privileges;
mod problems;
mod process;
mod retry;
mod selector;
mod spec;
mod tree;
mod variables;

pub use attempt::*;
pub use build::{FILES_INLINE_LIMIT, build};
pub use contract::*;
pub use domains::*;
pub use files::*;
pub use hash::template_hash;
pub use lint::*;
pub use local::process_spec;
pub use nonce::attempt_nonce;
pub use order::*;
pub use outputs::*;
pub use parse::*;
pub use policy::*;
pub use process::*;
pub use retry::*;
pub use selector::*;
pub use spec::{FILES_DIR, STORE_DIR};
