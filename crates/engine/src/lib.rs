//! The engine: [`plan()`] (hooks → graph), [`apply()`] (event → changes and actions), [`admit()`] (locks).
//!
//! Pure and deterministic: no clock, no randomness, no I/O, no async; the same events give the same rows, actions
//! and order (invariant 3). It must never know how rows are stored, who delivers commands or what executes them.

mod apply;
mod attention;
mod event;
mod locks;
#[cfg(any(test, feature = "mutants"))]
pub mod mutants;
#[cfg(not(any(test, feature = "mutants")))]
mod mutants;
mod nonce;
mod plan;
mod retry;
mod run;
mod transition;
mod verbs;

pub use apply::apply;
pub use attention::keys;
pub use event::*;
pub use locks::*;
pub use plan::*;
pub use retry::{PLATFORM_RETRIES, RetryRule, backoff, retry_rule};
pub use run::Run;
pub use transition::*;
pub use verbs::*;
