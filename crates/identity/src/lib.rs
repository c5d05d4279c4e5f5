//! Who a bridge is: checks the projected service account token that it presents against the keys of its region.
//!
//! Reads the document of the regions of Argo and their clusters' public keys. It must never know HTTP, a store, what a
//! caller may do, nor a cluster's API server: a manager need not reach one. It never prints a token.

mod claims;
mod document;
mod error;
mod file;
mod identities;
mod keys;

pub use document::{EXAMPLE, EventsConfig, IdentityConfig, RegionOfArgo, RegionsOfArgo, ServiceAccount};
pub use error::{ConfigError, IdentityError};
pub use file::MAX_FILE_BYTES;
pub use identities::{Caller, Identities, LEEWAY, MAX_TOKEN_BYTES, Pod};
pub use keys::REREAD_AFTER;
