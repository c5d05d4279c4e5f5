//! Between a store and an archive.

use super::{
    ArchiveError, Contents, Row, TABLES, Table, Whole,
    lines::{Next, Reader, Writer, check},
};
use futures::StreamExt as _;
use std::io::{self, BufRead, Write};

/// Rows that are inserted at a time.
const BATCH: usize = 200;

/// What was copied.
pub type Copied = Contents;

/// Writes all rows as one transaction sees them.
///
/// # Errors
/// Nothing that was written counts: an archive without its last line is refused.
pub async fn export<W: Write>(
    store: &mut dyn Whole,
    out: W,
    program: &str,
    made_at: jiff::Timestamp,
) -> Result<(W, Copied), ArchiveError> {
    let mut writer = Writer::new(out, store.kind(), program, made_at)?;
    for table in TABLES {
        writer.table(table)?;
        let mut rows = store.rows(table);
        while let Some(row) = rows.next().await {
            writer.row(table, &row?)?;
        }
    }
    writer.end()
}

/// Puts an archive into an empty store, all of it or nothing. `open` gives the archive from its start: it is read once
/// to see that it is whole, and once for its rows; then the store is read and compared before anything is kept.
///
/// # Errors
/// Nothing was kept.
pub async fn import<R: BufRead>(
    mut store: Box<dyn Whole>,
    mut open: impl FnMut() -> io::Result<R>,
) -> Result<Copied, ArchiveError> {
    let whole = check(open()?)?;
    for table in TABLES {
        if store.rows(table).next().await.transpose()?.is_some() {
            return Err(ArchiveError::NotEmpty(table.name));
        }
    }
    let mut reader = Reader::new(open()?)?;
    let mut batch: (Option<&'static Table>, Vec<Row>) = (None, Vec::with_capacity(BATCH));
    loop {
        match reader.next()? {
            Next::Row(row) => {
                batch.1.push(row);
                if batch.1.len() < BATCH {
                    continue;
                }
                insert(&mut *store, &mut batch).await?;
            }
            Next::Table(table) => {
                insert(&mut *store, &mut batch).await?;
                batch.0 = Some(table);
            }
            Next::End(_) => {
                insert(&mut *store, &mut batch).await?;
                break;
            }
        }
    }
    let (_, stored) = export(&mut *store, io::sink(), "", jiff::Timestamp::UNIX_EPOCH).await?;
    if let Some((table, count)) =
        whole.rows.iter().find(|(table, count)| stored.rows.get(*table) != Some(count))
    {
        let found = stored.rows.get(table).copied().unwrap_or_default();
        return Err(ArchiveError::Different(format!("table {table} has {found} rows instead of {count}")));
    }
    // An archive of an older version leaves out tables that are new and empty; then only the numbers can be compared.
    if whole.rows.len() == stored.rows.len() && whole.content != stored.content {
        return Err(ArchiveError::Different("the checksums of the rows differ".to_owned()));
    }
    store.commit().await?;
    Ok(whole)
}

async fn insert(
    store: &mut dyn Whole,
    (table, rows): &mut (Option<&'static Table>, Vec<Row>),
) -> Result<(), ArchiveError> {
    if let (Some(table), false) = (table, rows.is_empty()) {
        store.insert(table, rows).await?;
        rows.clear();
    }
    Ok(())
}
