//! Tokens as clusters sign them, made with real keys: the good one, and each way in which one is refused.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]

mod cluster;
mod document;
mod refusals;
mod rotation;
