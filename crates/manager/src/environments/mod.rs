//! Environments: what clients wish, and the lifecycle methods that bring it about.

mod change;
mod check;
mod forgotten;
mod lifecycle;
mod purge;
mod read;
mod types;

pub use purge::*;
pub use types::*;
