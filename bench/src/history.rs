//! A history for a store: one operation that ran, copied as often as wanted, under ids that are older.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::{Path, PathBuf};
use tenantry_model::OperationId;

/// What is copied, and by which column it belongs to the operation.
const TABLES: [(&str, &str); 4] =
    [("operations", "id"), ("steps", "operation"), ("attempts", "operation"), ("events", "operation")];

/// Where the rows are.
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// The URL of a database.
    Postgres(String),
}

/// Copies a finished operation with its steps, attempts and events so often; answers how many rows that are.
pub fn fill(place: &Place, operation: OperationId, count: usize) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = i64::try_from(count)?;
    match place {
        Place::Sqlite(file) => runtime.block_on(sqlite(file, operation, count)),
        Place::Postgres(url) => runtime.block_on(postgres(url, operation, count)),
    }
}

/// What differs between the two: how columns are listed, numbers made, and an older id written.
struct Dialect {
    columns: &'static str,
    text: &'static str,
    /// Before the statement: a table `n (i)` of the numbers from 1 to the second argument.
    numbers: &'static str,
    older_id: &'static str,
}

const SQLITE: Dialect = Dialect {
    columns: "SELECT name, type FROM pragma_table_info($1)",
    text: "TEXT",
    numbers: "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)",
    older_id: "printf('01800000-0000-7000-8000-%012x', n.i)",
};

const POSTGRES: Dialect = Dialect {
    columns: "SELECT column_name::text, data_type::text FROM information_schema.columns
              WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'",
    text: "text",
    numbers: "WITH n (i) AS (SELECT generate_series(1, $2))",
    older_id: "'01800000-0000-7000-8000-' || lpad(to_hex(n.i), 12, '0')",
};

impl Dialect {
    /// Copies the rows whose `column` is the first argument. A position is given by the table itself.
    fn copy(&self, table: &str, column: &str, found: &[(String, String)]) -> String {
        let all = || found.iter().filter(|(name, _)| name != "position");
        let names: Vec<&str> = all().map(|(name, _)| name.as_str()).collect();
        let older = |(name, kind): &(String, String)| {
            if kind == self.text { format!("replace({name}, $1, {})", self.older_id) } else { name.clone() }
        };
        let copies: Vec<String> = all().map(older).collect();
        let (names, copies, numbers) = (names.join(", "), copies.join(", "), self.numbers);
        format!("{numbers} INSERT INTO {table} ({names}) SELECT {copies} FROM n, {table} WHERE {column} = $1")
    }
}

/// One transaction; its value is how many rows were written. The driver's types differ, not a word of the rest.
macro_rules! copy_all {
    ($database:expr, $dialect:expr, $operation:expr, $count:expr) => {{
        let mut transaction = $database.begin().await?;
        let mut rows = 0;
        for (table, column) in TABLES {
            let found: Vec<(String, String)> =
                sqlx::query_as($dialect.columns).bind(table).fetch_all(&mut *transaction).await?;
            let done = sqlx::query(AssertSqlSafe($dialect.copy(table, column, &found)))
                .bind($operation.to_string())
                .bind($count)
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("copy rows of {table}"))?;
            rows += done.rows_affected();
        }
        transaction.commit().await?;
        rows
    }};
}

async fn sqlite(file: &Path, operation: OperationId, count: i64) -> Result<u64> {
    let options = SqliteConnectOptions::new().filename(file);
    let mut database = SqliteConnection::connect_with(&options).await?;
    let rows = copy_all!(database, SQLITE, operation, count);
    database.close().await?;
    Ok(rows)
}

async fn postgres(url: &str, operation: OperationId, count: i64) -> Result<u64> {
    let mut database = PgConnection::connect(url).await?;
    let rows = copy_all!(database, POSTGRES, operation, count);
    // As it would have been by itself, long ago.
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut database).await?;
    database.close().await?;
    Ok(rows)
}
