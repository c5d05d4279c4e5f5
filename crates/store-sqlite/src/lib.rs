//! [`tenantry_store::Store`] on one embedded SQLite database in the data folder: the default, for one manager.
//!
//! One writer at a time (`BEGIN IMMEDIATE`), readers beside it (WAL), every commit on the disk before it returns.
//! It knows rows and SQL. It must never know what an operation means, and never keep logs.

mod errors;
mod folder;
mod keys;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod plans;
mod store;
mod tables;
mod tx;
mod whole;

pub use store::SqliteStore;
use tenantry_store::codec;
