//! The engine: [`plan()`] (hooks → graph), [`apply()`] (event → changes and actions), [`admit()`] (locks).
//!
//! Pure and deterministic: no clock, no randomness, no I/O, no async; the same events give the same rows, actions
//! and order (invariant 3). It must never know how rows are stored, who delivers commands or what executes them.

mod apply;
mod event;
mod locks;
mod plan;
mod run;
mod transition;

pub use apply::apply;
pub use event::*;
pub use locks::*;
pub use plan::*;
pub use run::Run;
pub use transition::*;
