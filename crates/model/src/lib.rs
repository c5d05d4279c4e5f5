//! The nouns of tenantry: ids, environments, operations, steps, attempts, their states, and the changeset.
//!
//! Plain data and pure rules. This crate never does I/O, never awaits, never reads a clock: every
//! function gets the time it needs as an argument. It knows no store, no HTTP and no Kubernetes.

mod actor;
mod approval;
mod attempt;
mod attention;
mod causes;
mod changeset;
mod definition;
mod environment;
mod event_mode;
mod hex;
mod hold;
mod hook_record;
mod ids;
mod names;
mod observation;
mod operation;
mod page;
mod region;
mod schedule;
mod step;

pub use actor::*;
pub use approval::*;
pub use attempt::*;
pub use attention::*;
pub use causes::with_causes;
pub use changeset::*;
pub use definition::*;
pub use environment::*;
pub use event_mode::EventMode;
pub use hex::hex;
pub use hold::*;
pub use hook_record::*;
pub use ids::*;
pub use names::*;
pub use observation::*;
pub use operation::*;
pub use page::*;
pub use region::*;
pub use schedule::*;
pub use step::*;
