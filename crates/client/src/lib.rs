//! Clients of the manager's HTTP interfaces.
//!
//! They translate calls and errors; they decide nothing and keep nothing.

pub mod agent;
