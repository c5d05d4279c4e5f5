//! [`tenantry_store::Store`] on PostgreSQL: for several managers at a time, on several machines.
//!
//! Transactions about one environment go on beside each other under row locks; every other write is alone
//! (`store.rs` says how). It knows rows and SQL. It must never know what an operation means, and never keep logs.

mod connect;
mod errors;
mod keys;
mod listen;
mod session;
mod store;
mod tables;
mod tx;
mod whole;

pub use connect::{Database, Password};
pub use store::PostgresStore;
use tenantry_store::codec;
