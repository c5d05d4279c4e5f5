//! The statements, one module for each group of tables, as in the store for SQLite. They take a connection that is in a
//! transaction; whose, and whether it commits, they never know.

pub mod approvals;
pub mod attentions;
pub mod audit;
pub mod audit_list;
pub mod commands;
pub mod deliveries;
pub mod environments;
pub mod events;
pub mod holds;
pub mod hooks;
pub mod installation;
pub mod leases;
pub mod letters;
pub mod moved;
pub mod operations;
pub mod retention;
pub mod schedules;
pub mod steps;
pub mod tenants;
pub mod workflows;

use sqlx::PgConnection;

/// The connection of a transaction.
pub type Db<'a> = &'a mut PgConnection;

/// A key and a payload.
pub type Pair = (String, String);
