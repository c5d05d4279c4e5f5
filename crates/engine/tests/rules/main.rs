//! The engine's rules, one sentence a test, through its public doors.

mod attempts;
mod bench;
mod locks;
mod operations;
mod plans;
mod verbs;
