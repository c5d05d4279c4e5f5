//! Lists that may be narrowed by several things at once: picks the index, asks it for keys only, and merges what
//! several scopes allow. Every list here walks an index from its cursor; none reads a table from its start.

use crate::errors::failed;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::collections::BTreeSet;
use tenantry_model::Page;
use tenantry_store::Result;
pub use tenantry_store::narrow::{Condition, List, arms};

/// The statement that finds one arm's keys.
pub fn statement(list: List, arm: &[Condition], after: Option<&str>, limit: i64) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id FROM ");
    query.push(list.table).push(if list.descending { " WHERE id < " } else { " WHERE id > " });
    // Ids are hexadecimal digits and '-': all of them lie between '' and '~'.
    let start = if list.descending { "~" } else { "" };
    query.push_bind(after.unwrap_or(start).to_owned());
    let driver = match list.partial {
        Some(partial) => {
            query.push(" AND ").push(partial);
            None
        }
        None => list.drivers.iter().find(|driver| arm.iter().any(|(column, _)| column == *driver)),
    };
    for (column, value) in arm {
        // '+' keeps the planner from another index than the driver's.
        query.push(if Some(column) == driver { " AND " } else { " AND +" }).push(*column).push(" = ");
        query.push_bind(value.clone());
    }
    if let Some((column, value)) = list.without {
        query.push(" AND +").push(column).push(" <> ").push_bind(value);
    }
    query.push(if list.descending { " ORDER BY id DESC LIMIT " } else { " ORDER BY id LIMIT " });
    query.push_bind(limit);
    query
}

/// The keys of a page and one more, in the list's order, as a JSON array: what `json_each` takes.
pub async fn keys(
    connection: &mut SqliteConnection,
    list: List,
    arms: &[Vec<Condition>],
    page: &Page,
    limit: i64,
) -> Result<String> {
    let mut found = BTreeSet::new();
    for arm in arms {
        let rows: Vec<(String,)> = statement(list, arm, page.after.as_deref(), limit)
            .build_query_as()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("list rows"))?;
        found.extend(rows.into_iter().map(|(id,)| id));
    }
    let take = usize::try_from(limit).unwrap_or(usize::MAX);
    let keys: Vec<String> = if list.descending {
        found.into_iter().rev().take(take).collect()
    } else {
        found.into_iter().take(take).collect()
    };
    Ok(serde_json::Value::from(keys).to_string())
}

/// `id` and payload of the rows that [`keys`] found, in their order.
macro_rules! rows_of_keys {
    ($connection:expr, $sql:literal, $keys:expr, $table:literal) => {
        sqlx::query!($sql, $keys)
            .fetch_all($connection)
            .await
            .map_err($crate::errors::failed(concat!("read ", $table)))?
            .into_iter()
            .map(|row| Ok(($crate::codec::decode($table, &row.id, &row.payload)?, row.id)))
            .map(|row| row.map(|(item, id)| (id, item)))
            .collect::<tenantry_store::Result<Vec<_>>>()
    };
}
pub(crate) use rows_of_keys;
