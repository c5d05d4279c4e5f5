//! Operations: asking for one, steering it, reading it.

mod explain;
mod preview;
mod read;
mod replay;
mod request;
mod steer;
mod types;

pub use replay::ReplayError;
pub(crate) use request::{Wish, check_reason, own_method};
pub use types::*;
