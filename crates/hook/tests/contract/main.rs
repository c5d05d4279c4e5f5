//! Tests of the contract as its users see it: one binary, a module per subject.
#![allow(clippy::unwrap_used)] // in tests a panic is the message

mod annotations;
mod attempts;
mod common;
mod fields;
mod files;
mod lint;
mod local;
mod names;
mod order;
mod page;
mod selectors;
