//! A whole store as a file, to move it from one kind of store to another and to keep it: lines of JSON, the number of
//! rows of each table and a checksum at the end (docs/archive.md).
//!
//! It knows which tables and columns every kind of store has. It must never know what is in a row, nor SQL.

mod copy;
mod lines;
mod tables;

pub use copy::{Copied, export, import};
pub use lines::{ArchiveError, Contents, check};
pub use tables::{Column, Kind, TABLES, Table};

use crate::Result;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// None.
    Null(()),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// The values of a row, in the order of its table's columns.
pub type Row = Vec<Cell>;

/// All rows of a store, in one transaction.
#[async_trait]
pub trait Whole: Send {
    /// Which kind of store it is (`sqlite`, `postgres`).
    fn kind(&self) -> &'static str;
    /// The rows of a table in the order of its key.
    fn rows<'a>(&'a mut self, table: &'static Table) -> BoxStream<'a, Result<Row>>;
    /// Appends rows.
    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()>;
    /// The columns that a table has here, those that follow from others aside; `None`: there is no such table.
    async fn columns(&mut self, table: &str) -> Result<Option<Vec<String>>>;
    /// The tables that hold data here, in any order.
    async fn tables(&mut self) -> Result<Vec<String>>;
    /// What the database itself finds wrong with its files.
    async fn examine(&mut self) -> Result<Vec<String>>;
    /// Makes what was inserted visible and durable at once; dropping it keeps nothing.
    async fn commit(self: Box<Self>) -> Result<()>;
}
