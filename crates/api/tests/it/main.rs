//! The API as clients see it: a real server on a loopback port, over SQLite in a temporary folder.

#![allow(clippy::unwrap_used)] // helpers too: a test that unwraps says what it expects

mod agent;
mod authorisation;
mod bad_input;
mod bridge;
mod changes;
mod checks;
mod documents;
mod environments;
mod events;
mod harness;
mod inbox;
mod purge;
mod repeats;
mod schedules;
mod serving;
mod site;
mod steering;
mod streams;
