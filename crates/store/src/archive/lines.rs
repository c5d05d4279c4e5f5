//! The form of an archive: lines in, lines out, counted and hashed on the way.

use super::{Row, TABLES, Table};
use crate::StoreError;
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

/// The form that this program writes and reads.
const VERSION: u32 = 1;

/// Why an archive was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("the archive cannot be read or written")]
    File(#[from] io::Error),
    /// The file is no archive, or of a form that this program does not know.
    #[error("this is no archive that this version reads: {0}")]
    Foreign(String),
    /// The file is not as it was written.
    #[error("the archive is damaged: {0}; nothing was imported")]
    Damaged(String),
    /// There are rows already.
    #[error("the store is not empty (table {0} has rows): import into a new one")]
    NotEmpty(&'static str),
    /// What was written does not read back.
    #[error("what was imported does not read back as it is in the archive ({0}); nothing was kept")]
    Different(String),
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct First {
    tenantry_archive: u32,
    program: String,
    store: String,
    made_at: jiff::Timestamp,
}

/// Before the rows of each table.
#[derive(Debug, Serialize, Deserialize)]
struct Begin {
    table: String,
    columns: Vec<String>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Last {
    rows: BTreeMap<String, u64>,
    /// Of every byte before this line, lower-case hex.
    sha256: String,
}

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many rows, by table.
    pub rows: BTreeMap<String, u64>,
    /// SHA-256 of the tables' lines: equal for two archives of the same rows, whenever and wherever they were made.
    pub content: String,
}

/// Hashes the bytes of the file, and apart from the first line those of the rows.
struct Hashes {
    file: Context,
    content: Context,
}

impl Hashes {
    fn new() -> Self {
        Self { file: Context::new(&SHA256), content: Context::new(&SHA256) }
    }
}

fn finish(context: Context) -> String {
    tenantry_model::hex(context.finish().as_ref())
}

/// Writes an archive line by line.
pub struct Writer<W> {
    out: W,
    hashes: Hashes,
    rows: BTreeMap<String, u64>,
}

impl<W: Write> Writer<W> {
    /// Begins.
    pub fn new(out: W, store: &str, program: &str, made_at: jiff::Timestamp) -> Result<Self, ArchiveError> {
        let mut writer = Self { out, hashes: Hashes::new(), rows: BTreeMap::new() };
        let first = First {
            tenantry_archive: VERSION,
            program: program.to_owned(),
            store: store.to_owned(),
            made_at,
        };
        let line = line(&first)?;
        writer.hashes.file.update(&line);
        writer.out.write_all(&line)?;
        Ok(writer)
    }

    /// Begins a table.
    pub fn table(&mut self, table: &Table) -> Result<(), ArchiveError> {
        let columns = table.columns.iter().map(|column| column.name.to_owned()).collect();
        self.rows.insert(table.name.to_owned(), 0);
        self.write(&Begin { table: table.name.to_owned(), columns })
    }

    /// A row of the table that was begun last.
    pub fn row(&mut self, table: &Table, row: &Row) -> Result<(), ArchiveError> {
        *self.rows.entry(table.name.to_owned()).or_default() += 1;
        self.write(row)
    }

    fn write(&mut self, what: &impl Serialize) -> Result<(), ArchiveError> {
        let line = line(what)?;
        self.hashes.file.update(&line);
        self.hashes.content.update(&line);
        Ok(self.out.write_all(&line)?)
    }

    /// Ends: without this the archive is cut.
    pub fn end(mut self) -> Result<(W, Contents), ArchiveError> {
        let last = Last { rows: self.rows.clone(), sha256: finish(self.hashes.file) };
        self.out.write_all(&line(&last)?)?;
        self.out.flush()?;
        Ok((self.out, Contents { rows: self.rows, content: finish(self.hashes.content) }))
    }
}

fn line(what: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut line = serde_json::to_vec(what).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

/// What comes next in an archive.
pub enum Next {
    /// The rows of this table follow.
    Table(&'static Table),
    /// A row.
    Row(Row),
    /// The end, and everything was as it was written.
    End(Contents),
}

/// Reads an archive line by line; believes nothing before [`Next::End`].
pub struct Reader<R> {
    input: R,
    hashes: Hashes,
    rows: BTreeMap<String, u64>,
    table: Option<&'static Table>,
    number: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub fn new(input: R) -> Result<Self, ArchiveError> {
        let mut reader = Self { input, hashes: Hashes::new(), rows: BTreeMap::new(), table: None, number: 0 };
        let line = reader.line()?.ok_or_else(|| ArchiveError::Foreign("the file is empty".to_owned()))?;
        let first: First = serde_json::from_slice(&line).map_err(|error| {
            ArchiveError::Foreign(format!("its first line is not one of an archive: {error}"))
        })?;
        if first.tenantry_archive != VERSION {
            let found = first.tenantry_archive;
            return Err(ArchiveError::Foreign(format!(
                "it has version {found}, this program reads {VERSION}"
            )));
        }
        reader.hashes.file.update(&line);
        Ok(reader)
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, ArchiveError> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line)?;
        self.number += 1;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(self.damaged("the last line is cut")),
        }
    }

    fn damaged(&self, why: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::Damaged(format!("line {}: {why}", self.number))
    }

    /// The next line's meaning.
    pub fn next(&mut self) -> Result<Next, ArchiveError> {
        let Some(line) = self.line()? else { return Err(self.damaged("the end is missing: it is cut")) };
        if line.first() == Some(&b'[') {
            let table = self.table.ok_or_else(|| self.damaged("a row before any table"))?;
            let row: Row = serde_json::from_slice(&line).map_err(|error| self.damaged(error))?;
            if row.len() != table.columns.len() {
                return Err(self.damaged(format!("a row of {} has {} values", table.name, row.len())));
            }
            self.take(&line);
            *self.rows.entry(table.name.to_owned()).or_default() += 1;
            return Ok(Next::Row(row));
        }
        if let Ok(begin) = serde_json::from_slice::<Begin>(&line) {
            let known = TABLES.iter().find(|table| table.name == begin.table);
            let table =
                known.filter(|table| table.columns.iter().map(|column| column.name).eq(&begin.columns));
            let Some(table) = table else {
                return Err(ArchiveError::Foreign(format!(
                    "its table {} is not one of this version; use the version of tenantry that wrote it, or a newer one",
                    begin.table
                )));
            };
            self.take(&line);
            self.rows.insert(table.name.to_owned(), 0);
            self.table = Some(table);
            return Ok(Next::Table(table));
        }
        let last: Last = serde_json::from_slice(&line).map_err(|error| self.damaged(error))?;
        let file = finish(self.hashes.file.clone());
        if last.sha256 != file {
            return Err(self.damaged("the checksum does not fit: it was changed"));
        }
        if last.rows != self.rows {
            return Err(self.damaged("the numbers of rows do not fit"));
        }
        if self.line()?.is_some() {
            return Err(self.damaged("something follows its end"));
        }
        Ok(Next::End(Contents { rows: self.rows.clone(), content: finish(self.hashes.content.clone()) }))
    }

    fn take(&mut self, line: &[u8]) {
        self.hashes.file.update(line);
        self.hashes.content.update(line);
    }
}

/// Reads a whole archive and believes it only if it is as it was written.
pub fn check(input: impl BufRead) -> Result<Contents, ArchiveError> {
    let mut reader = Reader::new(input)?;
    loop {
        if let Next::End(contents) = reader.next()? {
            return Ok(contents);
        }
    }
}
