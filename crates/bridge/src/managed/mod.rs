//! With a manager: discovery says what it found and prints what the manager wants to be run; a bridge leases the commands of
//! its one step and reports what it sees (docs/decisions/0043-a-bridge-leases-its-step.md).
//!
//! The manager decides, the cluster's objects say what is. Nothing is kept here that a crash would lose: the next life is
//! given again what this one had leased, and is told which attempts are open. It must never start an attempt that nobody
//! ordered, and never end one because it ends itself.

mod discovery;
mod leave;
mod manager;
mod orders;
mod outbox;
mod record;
mod step;
mod told;

pub(crate) use discovery::{manager, order};
pub use manager::ManagerError;
pub(crate) use manager::{Manager, workflow_name};
pub(crate) use step::step;
