//! Operations: asking for one, steering it, reading it.

mod explain;
mod preview;
mod read;
mod request;
mod steer;
mod types;

pub(crate) use request::{Wish, check_reason};
pub use types::*;
