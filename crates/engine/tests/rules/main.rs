//! The engine's rules, one sentence a test, through its public doors.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod attempts;
mod bench;
mod holds;
mod locks;
mod operations;
mod pauses;
mod plans;
mod replays;
mod reruns;
mod scale;
mod verbs;
