//! Environments: what clients wish, and the lifecycle methods that bring it about.

mod change;
mod check;
mod lifecycle;
mod read;
mod types;

pub use types::*;
