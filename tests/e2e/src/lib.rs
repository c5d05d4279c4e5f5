//! What the end-to-end tests stand on: real programs, a real cluster, and a witness that trusts neither.
//!
//! It starts and ends things and reads what they left. It must never know how tenantry works inside: it uses the
//! binary, the public API through the client library, and Kubernetes.
#![allow(clippy::needless_pass_by_value)] // ids and `json!` documents read best as they are

pub mod argo;
mod balance;
mod cli;
mod cluster;
mod hooks;
pub mod instant;
mod managers;
mod postgres;
mod program;
mod proxy;
mod reap;
mod runner;
mod secure;
mod site;
mod site_log;
mod team;
mod wait;
mod witness;

pub use cli::{Answer, tenantry};
pub use cluster::{Cluster, testbed};
pub use hooks::Hook;
pub use managers::Ways;
pub use postgres::{Postgres, on_postgres};
pub use program::Program;
pub use proxy::Proxy;
pub use reap::{down_all, on_signals};
pub use runner::{LONG, Needs, World, run, trial};
pub use site::{AgentSettings, Site, succeeded};
pub use site_log::LogCheck;
pub use team::Team;
pub use wait::{eventually, within};
pub use witness::{Record, Run, Witness};

use std::path::PathBuf;

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap_or_default()
}

/// The program under test: `TENANTRY_BIN`, or the one that was built beside this test.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TENANTRY_BIN") {
        return PathBuf::from(path);
    }
    // …/target/debug/deps/e2e-HASH
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).map(|folder| folder.join("tenantry")).unwrap_or_default()
}

/// The bridge under test: `TENANTRY_BRIDGE_BIN`, or the one that was built beside this test.
#[must_use]
pub fn bridge() -> PathBuf {
    std::env::var_os("TENANTRY_BRIDGE_BIN")
        .map_or_else(|| binary().with_file_name("tenantry-bridge"), PathBuf::from)
}
