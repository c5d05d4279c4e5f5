//! Operations that are asked for by events: by HTTP, where whoever asks is answered, and from a stream, where nobody is.
//!
//! Both go the same way: the event's source and id are the key of the request, claimed in the transaction of the operation.
//! A manager that dies between its commit and the stream's acknowledgement is given the message again, and finds what it came
//! to. So all managers share one consumer, and there is no role for it.

mod event;
mod intake;
mod letters;
mod message;
mod take;

pub use event::{EventRefusal, MAX_EVENT_BYTES, OPERATION_REQUEST, OperationRequest, RequestEvent};
pub use intake::Inbox;
pub(crate) use letters::LETTERS;
pub use letters::LettersDiscarded;
pub use message::Taken;
