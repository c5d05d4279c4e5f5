//! All rows of the database, for archives.

use crate::{
    connect::Database,
    errors::{self, failed},
    store::{LOCK_ALONE, at},
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Postgres, QueryBuilder, Row as _,
    postgres::PgRow,
};
use tenantry_store::{
    AuditEntry, Result,
    archive::{Cell, Kind, Row, Table, Whole},
    codec::decode,
};

/// A connection of its own, in a transaction; closed without a commit it keeps nothing.
struct All(PgConnection);

/// Begins a transaction over all rows: to read, as they are at this moment; to write, with nobody else.
pub async fn begin(database: &Database, write: bool) -> Result<Box<dyn Whole>> {
    let mut connection = database.unlimited().connect().await.map_err(|error| at(database, error))?;
    let begin = if write {
        format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK_ALONE}); SET CONSTRAINTS ALL DEFERRED")
    } else {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()
    };
    connection.execute(AssertSqlSafe(begin)).await.map_err(failed("begin to copy"))?;
    Ok(Box::new(All(connection)))
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

fn read(table: &Table, row: &PgRow) -> std::result::Result<Row, sqlx::Error> {
    let cell = |(at, kind)| {
        Ok(match kind {
            Kind::Text => row.try_get::<Option<String>, _>(at)?.map_or(Cell::Null(()), Cell::Text),
            Kind::Number => row.try_get::<Option<i64>, _>(at)?.map_or(Cell::Null(()), Cell::Number),
        })
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
}

/// Columns that this kind of store keeps besides, because they follow from others.
fn derived(table: &Table) -> &'static str {
    if table.name == "audit" { ", actor, action, at" } else { "" }
}

fn entry(row: &Row) -> Result<AuditEntry> {
    match row.as_slice() {
        [Cell::Text(chain), Cell::Number(position), Cell::Text(payload)] => {
            decode("audit", format_args!("{chain}/{position}"), payload)
        }
        _ => decode("audit", "of an archive", ""),
    }
}

/// What the database knows to be wrong with itself, and rows that refer to none (as after a restore without checks).
pub async fn faults(connection: &mut PgConnection) -> Result<Vec<String>> {
    let invalid: Vec<String> = sqlx::query_scalar(
        "SELECT 'index ' || indexrelid::regclass || ' is invalid: REINDEX it' FROM pg_index WHERE NOT indisvalid
         UNION ALL
         SELECT conrelid::regclass || ' has the rule ' || conname || ', which was never checked: VALIDATE it'
         FROM pg_constraint WHERE NOT convalidated",
    )
    .fetch_all(connection)
    .await
    .map_err(failed("check the database"))?;
    Ok(invalid)
}

#[async_trait]
impl Whole for All {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn rows<'a>(&'a mut self, table: &'static Table) -> BoxStream<'a, Result<Row>> {
        let key: Vec<_> = (1..=table.key).map(|column| column.to_string()).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", names(table), table.name, key.join(", "));
        sqlx::query(AssertSqlSafe(sql))
            .fetch(&mut self.0)
            .map(|row| row.and_then(|row| read(table, &row)).map_err(failed("read all rows")))
            .boxed()
    }

    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()> {
        let audit = table.name == "audit";
        let entries = rows.iter().filter(|_| audit).map(entry).collect::<Result<Vec<_>>>()?;
        let mut entries = entries.into_iter();
        let columns = format!("{}{}", names(table), derived(table));
        let mut query = QueryBuilder::<Postgres>::new(format!("INSERT INTO {} ({columns}) ", table.name));
        query.push_values(rows, |mut values, row| {
            for cell in row {
                match cell {
                    Cell::Null(()) => values.push("NULL"),
                    Cell::Number(number) => values.push_bind(*number),
                    Cell::Text(text) => values.push_bind(text.clone()),
                };
            }
            if let Some(entry) = entries.next() {
                values.push_bind(entry.actor.name);
                values.push_bind(entry.action);
                values.push_bind(entry.at.as_millisecond());
            }
        });
        query.build().execute(&mut self.0).await.map(drop).map_err(failed("write rows of an archive"))
    }

    async fn columns(&mut self, table: &str) -> Result<Option<Vec<String>>> {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER'
               AND NOT (table_name = 'audit' AND column_name IN ('actor', 'action', 'at'))
             ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(&mut self.0)
        .await
        .map_err(failed("read the schema"))?;
        Ok((!columns.is_empty()).then_some(columns))
    }

    async fn tables(&mut self) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
               AND table_name NOT IN ('_sqlx_migrations', 'leases', 'hook_operations')",
        )
        .fetch_all(&mut self.0)
        .await
        .map_err(failed("read the schema"))
    }

    async fn examine(&mut self) -> Result<Vec<String>> {
        faults(&mut self.0).await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        // Positions that are given out from now on follow those of the archive.
        sqlx::query(
            "SELECT setval(pg_get_serial_sequence('events', 'position'), max(position)) FROM events
             HAVING max(position) IS NOT NULL",
        )
        .execute(&mut self.0)
        .await
        .map_err(failed("continue the positions of events"))?;
        self.0.execute("COMMIT").await.map(drop).map_err(errors::commit)
    }
}
