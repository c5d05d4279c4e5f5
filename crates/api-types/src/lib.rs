//! What travels over HTTP: the agent protocol ([`agent`]), the bridge protocol ([`bridge`]) and the public API ([`v1`]).
//!
//! Plain data that clients link. It must never know how anything is served or stored.

pub mod agent;
pub mod bridge;
pub mod v1;
