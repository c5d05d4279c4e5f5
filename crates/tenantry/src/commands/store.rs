//! `tenantry store …`: migrate, check, export, import.

use crate::cli::StoreCommand;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::serve::storage::{Place, place, refused};
use crate::settings::{self, Settings};
use anyhow::{Context, Result};
use futures::StreamExt;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tenantry_model::with_causes;
use tenantry_store::archive::{self, Cell, Copied, TABLES, Whole};
use tenantry_store_postgres::PostgresStore;
use tenantry_store_sqlite::SqliteStore;

/// Runs the command.
pub async fn run(command: StoreCommand) -> Result<Exit> {
    match command {
        StoreCommand::Migrate { settings } => migrate(&here(settings)?).await,
        StoreCommand::Check { settings } => check(&here(settings)?).await,
        StoreCommand::Export { file, settings } => export(&here(settings)?, &file).await,
        StoreCommand::Import { file, settings } => import(&here(settings)?, &file).await,
    }
}

fn here(settings: Settings<settings::Store>) -> Result<Place> {
    let settings = settings.resolve().map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    place(&settings, &PathBuf::from(settings.need("data")?))
}

async fn migrate(place: &Place) -> Result<Exit> {
    let (before, now) = match place {
        Place::Sqlite(data) => SqliteStore::migrate(data).await,
        Place::Postgres(database) => PostgresStore::migrate(database).await,
    }
    .map_err(|error| refused(&error))?;
    let before = before.map_or_else(|| "none".to_owned(), |version| version.to_string());
    output::print(&format!("schema version {now} (before: {before})\n"))?;
    Ok(Exit::Done)
}

/// All rows. A SQLite store comes along, because the folder is ours as long as it lives.
async fn whole(place: &Place, write: bool) -> Result<(Box<dyn Whole>, Option<SqliteStore>)> {
    match place {
        Place::Sqlite(data) => {
            let store = SqliteStore::open(data).await.map_err(|error| refused(&error))?;
            let whole = store.whole().await.map_err(|error| refused(&error))?;
            Ok((whole, Some(store)))
        }
        Place::Postgres(database) => {
            if write {
                PostgresStore::migrate(database).await.map_err(|error| refused(&error))?;
            }
            let whole = PostgresStore::whole(database, write).await.map_err(|error| refused(&error))?;
            Ok((whole, None))
        }
    }
}

async fn check(place: &Place) -> Result<Exit> {
    let (mut whole, _store) = whole(place, false).await?;
    let mut problems = whole.examine().await.map_err(|error| refused(&error))?;
    let mut lines = String::new();
    for table in TABLES {
        let (mut count, mut rows) = (0_u64, whole.rows(table));
        while let Some(row) = rows.next().await {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    problems.push(format!("{}: {}", table.name, with_causes(&error)));
                    break;
                }
            };
            count += 1;
            let payload = table.columns.iter().position(|column| column.name == "payload");
            if let Some(Cell::Text(text)) = payload.and_then(|at| row.get(at))
                && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
            {
                problems.push(format!("{}: row {:?} is no JSON: {error}", table.name, &row[..table.key]));
            }
        }
        lines.push_str(&format!("{:>10}  {}\n", count, table.name));
    }
    output::print(&lines)?;
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    let advice = "restore a backup, or import an archive into a new store (tenantry store import)";
    Err(Failure::new(Exit::Failed, format!("{}\n{advice}", problems.join("\n"))).into())
}

async fn export(place: &Place, path: &Path) -> Result<Exit> {
    let (mut whole, _store) = whole(place, false).await?;
    // It holds customers' settings, like the database.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    let program = concat!("tenantry ", env!("CARGO_PKG_VERSION"));
    let now = jiff::Timestamp::now();
    let (out, copied) = archive::export(&mut *whole, BufWriter::new(file), program, now)
        .await
        .map_err(|error| refused(&error))?;
    out.into_inner().context("cannot write the archive")?.sync_all().context("cannot write the archive")?;
    said("exported", &copied, path)
}

async fn import(place: &Place, path: &Path) -> Result<Exit> {
    let open = || File::open(path).map(BufReader::new);
    // Before a store is made for it.
    archive::check(open().with_context(|| format!("cannot read {}", path.display()))?)
        .map_err(|error| refused(&error))?;
    let (whole, _store) = whole(place, true).await?;
    let copied = archive::import(whole, open).await.map_err(|error| refused(&error))?;
    said("imported", &copied, path)
}

fn said(what: &str, copied: &Copied, path: &Path) -> Result<Exit> {
    let rows: u64 = copied.rows.values().sum();
    output::print(&format!("{what} {rows} rows, content sha256 {}, {}\n", copied.content, path.display()))?;
    Ok(Exit::Done)
}
