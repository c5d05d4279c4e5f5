//! The database as a whole: opening, schema, pools, and how writes keep out of each other's way.
//!
//! `write` holds one lock alone, `write_one` holds the same lock with others of its kind: so code that thinks of one
//! writer at a time is right here too, and what is about one environment runs beside what is about another
//! (docs/decisions/0015). Events get their positions under a second lock, taken last and held until the commit.

use crate::{
    connect::{Database, LOCK},
    errors::{failed, of},
    listen::{self, Wakes},
    session::{self, ANSWER, Beginning, Session},
    tables::installation,
    tx::Tx,
    whole,
};
use async_trait::async_trait;
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tenantry_model::{Token, TokenId};
use tenantry_store::{
    Read, Result, Signal, Store, StoreError, Write,
    archive::{TABLES, Whole},
    codec::decode,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Numbered, only ever added to: a released one is never edited (its checksum is kept in the database).
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Longest wait for a connection; then the caller gets an error instead of hanging.
const ACQUIRE: Duration = Duration::from_secs(15);
/// Longest sleep of [`Store::changed`].
const POLL: Duration = Duration::from_secs(5);
/// Connections of one manager for each kind of transaction; apart, so that a write that needs to look elsewhere never
/// waits for other writes.
const CONNECTIONS: u32 = 8;

/// The lock of writes: exclusive for one that is alone, shared by those about one environment.
pub const LOCK_ALONE: &str = "7483, 1";

const READ: Beginning =
    Beginning { statement: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1", answer: ANSWER };
const WRITE: Beginning = Beginning {
    statement: "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(7483, 1)",
    answer: AFTER_LOCK,
};
const WRITE_ONE: Beginning = Beginning {
    statement: "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock_shared(7483, 1)",
    answer: AFTER_LOCK,
};
/// The server itself gives up waiting for a lock before that.
const AFTER_LOCK: Duration = LOCK.saturating_add(Duration::from_secs(5));

/// The store in one PostgreSQL database, together with other managers.
#[derive(Debug)]
pub struct PostgresStore {
    writers: PgPool,
    readers: PgPool,
    wakes: Arc<Wakes>,
    _stop: DropGuard,
}

impl PostgresStore {
    /// Opens the database. With `migrate` an older or empty schema is brought up to this version first.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] if a newer version wrote it, [`StoreError::TooOld`] if its schema is older and `migrate`
    /// is not set, [`StoreError::Unavailable`] if it cannot be reached or refuses us.
    pub async fn open(database: &Database, migrate: bool) -> Result<Self> {
        let mut connection = database.unlimited().connect().await.map_err(|error| at(database, error))?;
        let found = schema_version(&mut connection).await?;
        let known = known_version();
        match found {
            Some(found) if found > known => return Err(StoreError::TooNew { found, known }),
            Some(found) if found == known => {}
            found if !migrate => return Err(StoreError::TooOld { found: found.unwrap_or_default(), known }),
            _ => {}
        }
        if migrate {
            run_migrations(&mut connection).await?;
        }
        refuse_missing_tables(&mut connection).await?;
        connection.close().await.map_err(failed("close a connection"))?;
        let (writers, readers) = (pool(database, CONNECTIONS), pool(database, CONNECTIONS));
        let (wakes, stop) = (Arc::<Wakes>::default(), CancellationToken::new());
        tokio::spawn(listen::run(Arc::clone(&wakes), pool(database, 1), pool(database, 1), stop.clone()));
        Ok(Self { writers, readers, wakes, _stop: stop.drop_guard() })
    }

    /// Brings the schema up to this version; gives the version before (`None`: there was no schema) and now.
    pub async fn migrate(database: &Database) -> Result<(Option<i64>, i64)> {
        let mut connection = database.unlimited().connect().await.map_err(|error| at(database, error))?;
        let (found, known) = (schema_version(&mut connection).await?, known_version());
        if let Some(found) = found.filter(|found| *found > known) {
            return Err(StoreError::TooNew { found, known });
        }
        run_migrations(&mut connection).await?;
        connection.close().await.map_err(failed("close a connection"))?;
        Ok((found, known))
    }

    /// Begins a transaction over all rows, for archives: to `write`, with nobody else writing.
    pub async fn whole(database: &Database, write: bool) -> Result<Box<dyn Whole>> {
        whole::begin(database, write).await
    }

    /// Waits for transactions that are under way and closes every connection. Later calls answer
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

fn known_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

pub fn at(database: &Database, error: sqlx::Error) -> StoreError {
    of(&format!("connect to {database}"), error)
}

/// `None`: no schema yet.
async fn schema_version(connection: &mut PgConnection) -> Result<Option<i64>> {
    let read = failed("read the schema's version");
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(&read)?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await
        .map_err(&read)
}

/// A schema of this version in which a table is missing was changed by hand: said at the start, not in the night.
async fn refuse_missing_tables(connection: &mut PgConnection) -> Result<()> {
    let tables: Vec<&str> =
        TABLES.iter().map(|table| table.name).chain(["leases", "hook_operations"]).collect();
    let missing: Vec<String> =
        sqlx::query_scalar("SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL")
            .bind(tables)
            .fetch_all(connection)
            .await
            .map_err(failed("look for the tables"))?;
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(StoreError::Unavailable {
        what: format!(
            "the database was changed by hand: the table(s) {missing} are missing; restore it from a backup (tenantry \
             store import, or the server's own)"
        ),
        source: "tables are missing".into(),
    })
}

/// Managers that start at the same time take turns: the migrator holds a lock of the database.
async fn run_migrations(connection: &mut PgConnection) -> Result<()> {
    MIGRATIONS.run(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            of("bring the schema up to this version", error)
        }
        other => StoreError::Unavailable {
            what: "cannot bring the schema up to this version: the database was changed by other means; restore a \
                   backup of it"
                .to_owned(),
            source: Box::new(other),
        },
    })
}

fn pool(database: &Database, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .max_lifetime(Duration::from_mins(30))
        // A connection is asked when it is given back; one that broke since then shows at BEGIN, which is tried again.
        .test_before_acquire(false)
        .connect_lazy_with(database.limited())
}

#[async_trait]
impl Store for PostgresStore {
    async fn read(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(Tx::new(Session::begin(&self.readers, READ).await?, Arc::clone(&self.wakes), true)))
    }

    async fn token(&self, id: TokenId) -> Result<Option<Token>> {
        let found =
            session::text(&self.readers, "read a token", installation::TOKEN, &id.to_string()).await?;
        found.map(|payload| decode("tokens", id, &payload)).transpose()
    }

    async fn write(&self) -> Result<Box<dyn Write + '_>> {
        Ok(Box::new(Tx::new(Session::begin(&self.writers, WRITE).await?, Arc::clone(&self.wakes), true)))
    }

    async fn write_one(&self) -> Result<Box<dyn Write + '_>> {
        Ok(Box::new(Tx::new(Session::begin(&self.writers, WRITE_ONE).await?, Arc::clone(&self.wakes), false)))
    }

    // Written out instead of `async fn`: the wake-up must count from the call, not from the first poll, or a commit
    // between the caller's look and its await would be slept through.
    fn changed<'a, 'b>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let commit = self.wakes.here.notified();
        Box::pin(async move {
            // An elapsed timer is a wake-up like any other.
            let _ = tokio::time::timeout(POLL, commit).await;
        })
    }

    fn tell(&self, signal: Signal) {
        self.wakes.tell(signal);
    }

    async fn told(&self, signal: Signal) {
        match signal {
            Signal::Schedules => self.wakes.schedules.notified().await,
        }
    }

    async fn integrity(&self) -> Result<Vec<String>> {
        let mut connection = self.readers.acquire().await.map_err(failed("check the database"))?;
        whole::faults(&mut connection).await
    }

    async fn ping(&self) -> Result<()> {
        // As every transaction begins, past connections that broke: a database that is back counts as back.
        let mut session = Session::begin(&self.readers, READ).await?;
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM regions")
            .fetch_one(session.db()?)
            .await
            .map(drop)
            .map_err(failed("read the database"))
    }
}
