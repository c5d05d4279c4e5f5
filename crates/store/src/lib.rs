//! What the manager keeps, behind one door: [`Store`], its transactions, and the conformance suite that every
//! implementation must pass.
//!
//! This crate knows rows, pages and conflicts. It must never know SQL, HTTP or what an operation means: rules
//! live in the engine and the manager.

pub mod archive;
mod audit;
pub mod codec;
mod deliveries;
mod error;
mod inbox;
pub mod narrow;
mod records;
mod retention;
mod steering;
mod store;
mod workflows;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use audit::*;
pub use deliveries::*;
pub use error::StoreError;
pub use inbox::*;
pub use records::*;
pub use retention::*;
pub use steering::*;
pub use store::*;
pub use workflows::*;
