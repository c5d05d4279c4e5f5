//! One transaction on one connection of a pool. Not the driver's own: that one leaves a transaction open when it is
//! cancelled while it begins, and an aborted one when its first statement fails, both in a connection that goes back
//! to the pool.

use crate::{errors, errors::failed, tables::Db};
use sqlx::{Executor as _, PgPool, Postgres, pool::PoolConnection};
use std::{io, time::Duration};
use tenantry_store::{Result, StoreError};
use tokio::{runtime::Handle, time::timeout};

/// How many broken connections are passed over: after a restart of the server, each one of a pool is broken once.
const TRIES: u32 = 10;
/// Of those that say nothing only one: it may be the connection alone that is dead, forgotten by a firewall; the next one
/// that says nothing means the server or the way to it, and whoever asks gets an answer in time.
const SILENT_TRIES: u32 = 1;
/// A read waits for no lock: a connection that gives no answer within this time is passed over. Most requests begin with a read,
/// and so does the answer to a balancer that asks.
pub const ANSWER: Duration = Duration::from_secs(5);
/// A connection that does not even roll back within this time is closed: the server does the same when it finds out.
const ROLLBACK: Duration = Duration::from_secs(10);

/// How a transaction begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    pub statement: &'static str,
    /// A connection that gives no answer within this time is passed over.
    pub answer: Duration,
}

/// An open transaction. Dropped before its commit it is rolled back before anybody else gets the connection.
pub struct Session {
    connection: Option<PoolConnection<Postgres>>,
}

impl Session {
    /// Begins. Nothing is done yet, so that after a broken connection the next one is tried.
    pub async fn begin(pool: &PgPool, how: Beginning) -> Result<Self> {
        past_broken("begin a transaction", || Self::begin_once(pool.clone(), how)).await
    }

    /// A task of its own sees it to its end: whoever gives up in between leaves a session that is dropped.
    async fn begin_once(pool: PgPool, how: Beginning) -> std::result::Result<Self, sqlx::Error> {
        let begun = tokio::spawn(async move {
            let mut session = Self { connection: Some(pool.acquire().await?) };
            match session.connection.as_mut() {
                Some(connection) => match timeout(how.answer, connection.execute(how.statement)).await {
                    Ok(begun) => begun.map(drop)?,
                    Err(elapsed) => {
                        session.give_up();
                        return Err(sqlx::Error::Io(elapsed.into()));
                    }
                },
                None => return Err(sqlx::Error::PoolClosed),
            }
            Ok(session)
        });
        begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// The connection.
    pub fn db(&mut self) -> Result<Db<'_>> {
        match &mut self.connection {
            Some(connection) => Ok(&mut *connection),
            None => Err(StoreError::Unavailable {
                what: "the connection was given up; begin a new transaction".to_owned(),
                source: "the transaction is over".into(),
            }),
        }
    }

    /// Commits. An error of the connection leaves open whether it did.
    pub async fn commit(mut self) -> std::result::Result<(), sqlx::Error> {
        let Some(connection) = self.connection.as_mut() else { return Err(sqlx::Error::WorkerCrashed) };
        connection.execute("COMMIT").await?;
        // Nothing is open any more: the pool may have it.
        self.connection = None;
        Ok(())
    }

    /// The connection does not answer: nobody shall get it again, and nobody waits for its answer.
    pub fn give_up(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

/// The one text that a statement finds under a key, outside of a transaction: a third of the way there and back. It changes
/// nothing, so that after a broken connection the next one is asked.
pub async fn text(pool: &PgPool, what: &'static str, sql: &'static str, key: &str) -> Result<Option<String>> {
    past_broken(what, || text_once(pool.clone(), sql, key.to_owned())).await
}

/// In a task of its own, as a transaction begins: whoever gives up leaves a connection that is given back in order.
async fn text_once(
    pool: PgPool,
    sql: &'static str,
    key: String,
) -> std::result::Result<Option<String>, sqlx::Error> {
    let asked = tokio::spawn(async move {
        let mut connection = pool.acquire().await?;
        let found = sqlx::query_scalar(sql).bind(key).fetch_optional(&mut *connection);
        timeout(ANSWER, found).await.unwrap_or_else(|elapsed| {
            connection.close_on_drop();
            Err(sqlx::Error::Io(elapsed.into()))
        })
    });
    asked.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// One connection after the other, past those that broke since they were given back, and past one that says nothing.
async fn past_broken<T, F>(what: &'static str, once: impl Fn() -> F + Send) -> Result<T>
where
    F: Future<Output = std::result::Result<T, sqlx::Error>> + Send,
{
    let mut silent = 0;
    for _ in 0..TRIES {
        match once().await {
            Err(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                if silent == SILENT_TRIES {
                    return Err(failed(what)(sqlx::Error::Io(error)));
                }
                silent += 1;
            }
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => {}
            Err(sqlx::Error::Database(error)) if errors::ends_session(error.as_ref()) => {}
            other => return other.map_err(failed(what)),
        }
    }
    once().await.map_err(failed(what))
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    // What was asked last may still be on its way, and behind a silent network for ever: a pool must
                    // not lose the connection for so long.
                    if !matches!(timeout(ROLLBACK, connection.execute("ROLLBACK")).await, Ok(Ok(_))) {
                        // The server rolls back what has no connection any more.
                        connection.close_on_drop();
                    }
                });
            }
            Err(_no_runtime) => connection.close_on_drop(),
        }
    }
}
