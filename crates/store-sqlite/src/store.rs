//! The database as a whole: opening, migrations, the two pools, wake-ups. Statements live in `tables`.

use crate::{
    errors::{failed, unavailable},
    folder::Folder,
    tx::Tx,
};
use async_trait::async_trait;
use sqlx::{
    Connection as _, Pool, Sqlite, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{path::Path, pin::Pin, sync::Arc, time::Duration};
use tenantry_store::{Read, Result, Signal, Store, StoreError, Write};
use tokio::sync::Notify;

/// Numbered, only ever added to: a released one is never edited (its checksum is kept in the database).
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Longest wait for the one writer or for a reader; then the caller gets an error instead of hanging.
const ACQUIRE: Duration = Duration::from_secs(30);
/// Longest sleep of [`Store::changed`].
const POLL: Duration = Duration::from_secs(5);
/// Readers at a time; each is a thread, so a few: SQLite answers in microseconds.
const READERS: u32 = 4;
/// Pages that each of them keeps, as kibibytes below zero: the kernel has the file's pages anyway, and by default four readers keep 8 MB
/// of them once more.
const READERS_CACHE: &str = "-512";

/// The store in one SQLite database of a data folder, which is held by this process alone while this lives.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Pool<Sqlite>,
    readers: Pool<Sqlite>,
    commits: Arc<Notify>,
    schedules: Notify,
    // Last: connections are given up before the folder is.
    _folder: Folder,
}

impl SqliteStore {
    /// Opens the database of `data_folder`, makes folder and database if there are none, and brings its schema up to
    /// this version.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process holds the folder (with its pid), [`StoreError::TooNew`] if a newer
    /// version wrote it, [`StoreError::Unavailable`] if it cannot be read or written, or is damaged.
    pub async fn open(data_folder: &Path) -> Result<Self> {
        Ok(Self::open_and_tell(data_folder).await?.0)
    }

    /// Brings the schema of a folder at rest up to this version, as [`SqliteStore::open`] does; gives the version before
    /// (`None`: there was no schema) and now.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn migrate(data_folder: &Path) -> Result<(Option<i64>, i64)> {
        let (store, (found, known)) = Self::open_and_tell(data_folder).await?;
        store.close().await;
        Ok(((found > 0).then_some(found), known))
    }

    async fn open_and_tell(data_folder: &Path) -> Result<(Self, (i64, i64))> {
        let folder = Folder::take(data_folder)?;
        let options = SqliteConnectOptions::new()
            .filename(&folder.database)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(512);
        let writer = pool(1)
            .connect_with(
                options
                    .clone()
                    .journal_mode(SqliteJournalMode::Wal)
                    // NORMAL may forget the last commits when the power fails, and a forgotten attempt row would
                    // break invariant 1.
                    .synchronous(SqliteSynchronous::Full),
            )
            .await
            .map_err(failed("open the database"))?;
        let versions = migrate(&writer).await?;
        // Whoever held them is gone: the folder is ours.
        sqlx::query("UPDATE leases SET until = 0")
            .execute(&writer)
            .await
            .map_err(failed("take over leases"))?;
        let reading = options.read_only(true).pragma("cache_size", READERS_CACHE);
        let readers = pool(READERS).connect_with(reading).await.map_err(failed("open the database"))?;
        let store =
            Self { writer, readers, commits: Arc::default(), schedules: Notify::new(), _folder: folder };
        Ok((store, versions))
    }

    /// Opens the database of a folder at rest to look at it: takes the folder, changes nothing, brings nothing up to
    /// this version.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; also if there is no database, or one of an older version.
    pub async fn open_to_look(data_folder: &Path) -> Result<Self> {
        let folder = Folder::take_existing(data_folder)?;
        let options = SqliteConnectOptions::new()
            .filename(&folder.database)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(512);
        let readers =
            pool(READERS).connect_with(options.clone()).await.map_err(failed("open the database"))?;
        match versions(&readers).await? {
            (found, known) if found > known => return Err(StoreError::TooNew { found, known }),
            (found, known) if found < known => {
                return Err(StoreError::Unavailable {
                    what: format!(
                        "the data has schema version {found}, this program knows {known}: start its manager once, which \
                         brings it up to this version"
                    ),
                    source: "the data is of an older version".into(),
                });
            }
            _ => {}
        }
        let writer = pool(1).connect_with(options).await.map_err(failed("open the database"))?;
        Ok(Self { writer, readers, commits: Arc::default(), schedules: Notify::new(), _folder: folder })
    }

    /// Waits for transactions that are under way, moves the WAL into the database file, and closes it: for an
    /// orderly end, and before the folder is copied. Later calls answer [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(crate) fn writer(&self) -> &Pool<Sqlite> {
        &self.writer
    }
}

/// Connections are made once and kept: there is no server that could drop them.
fn pool(connections: u32) -> PoolOptions<Sqlite> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // When SQLite has ended a transaction by itself (disk full), the driver still believes in it and would refuse
        // every later one on this connection: such a connection is replaced.
        .before_acquire(|connection: &mut SqliteConnection, _| {
            Box::pin(async { Ok(!connection.is_in_transaction()) })
        })
}

/// The schema's version in the data (0: there is none yet) and the one that this program knows.
async fn versions(pool: &SqlitePool) -> Result<(i64, i64)> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let fresh =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(pool)
            .await
            .map_err(failed("read the schema's version"))?
            == 0;
    if fresh {
        return Ok((0, known));
    }
    let found =
        sqlx::query_scalar::<_, i64>("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
            .fetch_one(pool)
            .await
            .map_err(failed("read the schema's version"))?;
    Ok((found, known))
}

/// Gives what [`versions`] gave before.
async fn migrate(writer: &SqlitePool) -> Result<(i64, i64)> {
    let (found, known) = versions(writer).await?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            unavailable("bring the schema up to this version", error)
        }
        other => StoreError::Unavailable {
            what:
                "cannot bring the schema up to this version: the database was changed by other means; put a \
                   backup in its place"
                    .to_owned(),
            source: Box::new(other),
        },
    })?;
    Ok((found, known))
}

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self) -> Result<Box<dyn Read + '_>> {
        // The first SELECT fixes what a SQLite transaction sees; so it is part of the beginning.
        let tx = self
            .readers
            .begin_with("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")
            .await
            .map_err(failed("begin to read"))?;
        Ok(Box::new(Tx::new(tx, Arc::clone(&self.commits))))
    }

    async fn write(&self) -> Result<Box<dyn Write + '_>> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin to write"))?;
        Ok(Box::new(Tx::new(tx, Arc::clone(&self.commits))))
    }

    // Written out instead of `async fn`: the wake-up must count from the call, not from the first poll, or a commit
    // between the caller's look and its await would be slept through.
    fn changed<'a, 'b>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let commit = self.commits.notified();
        Box::pin(async move {
            // An elapsed timer is a wake-up like any other.
            let _ = tokio::time::timeout(POLL, commit).await;
        })
    }

    fn tell(&self, signal: Signal) {
        match signal {
            Signal::Schedules => self.schedules.notify_one(),
        }
    }

    async fn told(&self, signal: Signal) {
        match signal {
            Signal::Schedules => self.schedules.notified().await,
        }
    }

    async fn integrity(&self) -> Result<Vec<String>> {
        let mut faults: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(100)")
            .fetch_all(&self.readers)
            .await
            .map_err(failed("check the database"))?;
        faults.retain(|fault| fault != "ok");
        let orphans: Vec<(String, Option<i64>, String, i64)> = sqlx::query_as("PRAGMA foreign_key_check")
            .fetch_all(&self.readers)
            .await
            .map_err(failed("check the database"))?;
        let orphans = orphans.into_iter().map(|(table, row, parent, _)| {
            format!(
                "row {} of {table} refers to a row of {parent} that does not exist",
                row.unwrap_or_default()
            )
        });
        faults.extend(orphans.take(100_usize.saturating_sub(faults.len())));
        Ok(faults)
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM regions")
            .fetch_one(&self.readers)
            .await
            .map(|_| ())
            .map_err(failed("read the database"))
    }
}
