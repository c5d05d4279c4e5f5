//! A history for a store: one operation that ran, copied as often as wanted, under ids that are older.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::path::PathBuf;
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

async fn sqlite(file: &std::path::Path, operation: OperationId, count: i64) -> Result<u64> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut database = SqliteConnection::connect_with(&options).await?;
    let mut transaction = database.begin().await?;
    let mut rows = 0;
    for (table, column) in TABLES {
        let found: Vec<(String, String)> = sqlx::query_as("SELECT name, type FROM pragma_table_info(?)")
            .bind(table)
            .fetch_all(&mut *transaction)
            .await?;
        let is_text = |kind: &str| kind == "TEXT";
        let (names, copies) =
            columns(&found, is_text, "replace({}, ?1, printf('01800000-0000-7000-8000-%012x', n.i))");
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             INSERT INTO {table} ({names}) SELECT {copies} FROM n, {table} WHERE {column} = ?1"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(operation.to_string())
            .bind(count)
            .execute(&mut *transaction)
            .await
            .with_context(|| format!("copy rows of {table}"))?;
        rows += done.rows_affected();
    }
    transaction.commit().await?;
    database.close().await?;
    Ok(rows)
}

async fn postgres(url: &str, operation: OperationId, count: i64) -> Result<u64> {
    let mut database = PgConnection::connect(url).await?;
    let mut transaction = database.begin().await?;
    let mut rows = 0;
    for (table, column) in TABLES {
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'",
        )
        .bind(table)
        .fetch_all(&mut *transaction)
        .await?;
        let is_text = |kind: &str| kind == "text";
        let copy = "replace({}, $1, '01800000-0000-7000-8000-' || lpad(to_hex(n.i), 12, '0'))";
        let (names, copies) = columns(&found, is_text, copy);
        let sql = format!(
            "INSERT INTO {table} ({names}) SELECT {copies} FROM generate_series(1, $2) AS n(i), {table}
             WHERE {column} = $1"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(operation.to_string())
            .bind(count)
            .execute(&mut *transaction)
            .await
            .with_context(|| format!("copy rows of {table}"))?;
        rows += done.rows_affected();
    }
    transaction.commit().await?;
    // As it would have been by itself, long ago.
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut database).await?;
    database.close().await?;
    Ok(rows)
}

/// Names and copies of a table's columns. A position is given by the table itself.
fn columns(found: &[(String, String)], is_text: impl Fn(&str) -> bool, copy: &str) -> (String, String) {
    let all = || found.iter().filter(|(name, _)| name != "position");
    let names: Vec<&str> = all().map(|(name, _)| name.as_str()).collect();
    let copies: Vec<String> = all()
        .map(|(name, kind)| if is_text(kind) { copy.replace("{}", name) } else { name.clone() })
        .collect();
    (names.join(", "), copies.join(", "))
}
