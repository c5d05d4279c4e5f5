//! The public API, version 1: bodies of requests and answers, headers, limits.
//!
//! Requests refuse unknown members (a typing error must not be lost in silence); answers may grow, so clients
//! ignore members they do not know. It must never know routes, stores or how a service decides.

mod approval;
mod attention;
mod audit;
mod check;
mod definition;
mod environment;
mod event;
mod event_sink;
mod hold;
mod hook;
mod inbox;
mod operation;
mod page;
mod preview;
mod problem;
mod purge;
mod region;
mod retention;
mod schedule;
mod steering;
mod step;
mod tenant;
mod token;

pub use approval::*;
pub use attention::*;
pub use audit::*;
pub use check::*;
pub use definition::*;
pub use environment::*;
pub use event::*;
pub use event_sink::*;
pub use hold::*;
pub use hook::*;
pub use inbox::*;
pub use operation::*;
pub use page::*;
pub use preview::*;
pub use problem::*;
pub use purge::*;
pub use region::*;
pub use retention::*;
pub use schedule::*;
pub use steering::*;
pub use step::*;
pub use tenant::*;
pub use token::*;

/// Request header that makes a POST safe to repeat: up to 255 visible ASCII characters, unique per token and request.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Answer header, `true` when the answer is the stored one of an earlier request with the same key.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// Answer header with the request's id; the same as `instance` in a problem document.
pub const REQUEST_ID: &str = "x-request-id";
/// Answer header of a log range: the offset of the byte after the last one sent; the next range begins there.
pub const LOG_NEXT_OFFSET: &str = "tenantry-log-next-offset";
/// Answer header of a log range: `true` when nothing follows, ever.
pub const LOG_COMPLETE: &str = "tenantry-log-complete";
/// Largest request body in bytes (agents' log reports included).
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// Largest log range in bytes.
pub const MAX_LOG_RANGE_BYTES: u32 = 1024 * 1024;

/// The ETag of a resource's revision.
#[must_use]
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}
