//! Somebody else in the same database, who stands in the managers' way for as long as the test wants.

use crate::DEADLINE;
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// A connection beside the managers, and one that looks who waits.
pub struct Beside {
    other: PgConnection,
    look: PgConnection,
}

impl Beside {
    pub async fn new(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        Self { other: options.connect().await.unwrap(), look: options.connect().await.unwrap() }
    }

    /// Begins and lets nobody write to the table.
    pub async fn keep(&mut self, table: &str) {
        // Whoever else is in the same circle finds out first and gives way.
        let sql = format!("BEGIN; SET LOCAL deadlock_timeout = '1h'; LOCK TABLE {table} IN SHARE MODE");
        self.run(&sql).await;
    }

    /// Takes the lock of a manager that writes alone; comes back when it has it.
    pub async fn want_to_be_alone(&mut self) {
        self.run("SELECT pg_advisory_xact_lock(7483, 1)").await;
    }

    /// Ends what was begun.
    pub async fn let_go(&mut self) {
        self.run("ROLLBACK").await;
    }

    pub async fn run(&mut self, sql: &str) {
        self.other.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    pub async fn count(&mut self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.look).await.unwrap()
    }

    /// Waits until so many sessions wait for a lock of this kind (`relation`, `advisory`).
    pub async fn until_waiting(&mut self, kind: &str, sessions: i64) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock' AND wait_event = '{kind}'"
        );
        let waiting = async {
            while self.count(&sql).await < sessions {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("nobody waits for a lock ({kind})"));
    }
}
