//! All rows of the database, for archives.

use crate::{SqliteStore, errors::failed};
use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};
use tenantry_store::{
    Result,
    archive::{Cell, Kind, Row, Table, Whole},
};

struct All(Transaction<'static, Sqlite>);

impl SqliteStore {
    /// Begins a transaction over all rows. Nobody else writes until its end.
    pub async fn whole(&self) -> Result<Box<dyn Whole>> {
        let mut tx = self.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin to copy"))?;
        // Rows may come before those that they refer to.
        sqlx::query("PRAGMA defer_foreign_keys = ON")
            .execute(&mut *tx)
            .await
            .map_err(failed("begin to copy"))?;
        Ok(Box::new(All(tx)))
    }
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

fn read(table: &Table, row: &SqliteRow) -> std::result::Result<Row, sqlx::Error> {
    let cell = |(at, kind)| {
        Ok(match kind {
            Kind::Text => row.try_get::<Option<String>, _>(at)?.map_or(Cell::Null(()), Cell::Text),
            Kind::Number => row.try_get::<Option<i64>, _>(at)?.map_or(Cell::Null(()), Cell::Number),
        })
    };
    table.columns.iter().map(|column| column.kind).enumerate().map(cell).collect()
}

#[async_trait]
impl Whole for All {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn rows<'a>(&'a mut self, table: &'static Table) -> BoxStream<'a, Result<Row>> {
        let key: Vec<_> = (1..=table.key).map(|column| column.to_string()).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", names(table), table.name, key.join(", "));
        sqlx::query(AssertSqlSafe(sql))
            .fetch(&mut *self.0)
            .map(|row| row.and_then(|row| read(table, &row)).map_err(failed("read all rows")))
            .boxed()
    }

    async fn insert(&mut self, table: &'static Table, rows: &[Row]) -> Result<()> {
        let mut query =
            QueryBuilder::<Sqlite>::new(format!("INSERT INTO {} ({}) ", table.name, names(table)));
        query.push_values(rows, |mut values, row| {
            for cell in row {
                match cell {
                    Cell::Null(()) => values.push("NULL"),
                    Cell::Number(number) => values.push_bind(*number),
                    Cell::Text(text) => values.push_bind(text.clone()),
                };
            }
        });
        query.build().execute(&mut *self.0).await.map(drop).map_err(failed("write rows of an archive"))
    }

    async fn columns(&mut self, table: &str) -> Result<Option<Vec<String>>> {
        // Generated columns (hidden 2 and 3) follow from others.
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid")
                .bind(table)
                .fetch_all(&mut *self.0)
                .await
                .map_err(failed("read the schema"))?;
        Ok((!columns.is_empty()).then_some(columns))
    }

    async fn tables(&mut self) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'
             AND name NOT IN ('_sqlx_migrations', 'leases', 'hook_operations')",
        )
        .fetch_all(&mut *self.0)
        .await
        .map_err(failed("read the schema"))
    }

    async fn examine(&mut self) -> Result<Vec<String>> {
        let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
            .fetch_all(&mut *self.0)
            .await
            .map_err(failed("check the database"))?;
        found.retain(|line| line != "ok");
        let dangling: Vec<(String, String)> =
            sqlx::query_as("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 20")
                .fetch_all(&mut *self.0)
                .await
                .map_err(failed("check the database"))?;
        found.extend(
            dangling
                .into_iter()
                .map(|(table, parent)| format!("a row of {table} refers to none of {parent}")),
        );
        Ok(found)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.0.commit().await.map_err(failed("commit an archive"))
    }
}
