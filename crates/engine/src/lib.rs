//! The engine: [`plan()`] (hooks → graph), [`apply()`] (event → changes and actions), [`admit()`] (locks).
//!
//! Pure and deterministic: no clock, no randomness, no I/O, no async; the same events give the same rows, actions
//! and order (invariant 3). It must never know how rows are stored, who delivers commands or what executes them.

mod apply;
mod attention;
mod event;
mod holds;
mod locks;
#[cfg(any(test, feature = "mutants"))]
pub mod mutants;
#[cfg(not(any(test, feature = "mutants")))]
mod mutants;
mod plan;
mod preview;
mod replay;
mod rows;
mod run;
mod timers;
mod transition;
mod verbs;
#[cfg(any(test, feature = "mutants"))]
pub mod work;
#[cfg(not(any(test, feature = "mutants")))]
mod work;

pub use apply::apply;
pub use attention::keys;
pub use event::*;
pub use holds::hold_matches;
pub use locks::*;
pub use plan::*;
pub use preview::*;
pub use replay::*;
pub use run::{Rules, Run};
pub use tenantry_hook::{PLATFORM_RETRIES, RetryRule, backoff, retry_rule};
pub use transition::*;
pub use verbs::*;
