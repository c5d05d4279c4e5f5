//! Lists that may be narrowed by several things at once: asks for keys only, one statement for each way in which a row
//! may be allowed, and merges what they find.

use crate::{errors::failed, tables::Db};
use sqlx::{Postgres, QueryBuilder};
use std::collections::BTreeSet;
use tenantry_model::Page;
use tenantry_store::Result;
pub use tenantry_store::narrow::{Condition, List, arms};

/// The statement that finds one arm's keys.
fn statement(list: List, arm: &[Condition], after: Option<&str>, limit: i64) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT id FROM ");
    query.push(list.table).push(if list.descending { " WHERE id < " } else { " WHERE id > " });
    // Ids are hexadecimal digits and '-': all of them lie between '' and '~'.
    let start = if list.descending { "~" } else { "" };
    query.push_bind(after.unwrap_or(start).to_owned());
    if let Some(partial) = list.partial {
        query.push(" AND ").push(partial);
    }
    for (column, value) in arm {
        query.push(" AND ").push(*column).push(" = ").push_bind(value.clone());
    }
    if let Some((column, value)) = list.without {
        query.push(" AND ").push(column).push(" <> ").push_bind(value);
    }
    query.push(if list.descending { " ORDER BY id DESC LIMIT " } else { " ORDER BY id LIMIT " });
    query.push_bind(limit);
    query
}

/// The keys of a page and one more.
pub async fn keys(
    db: Db<'_>,
    list: List,
    arms: &[Vec<Condition>],
    page: &Page,
    limit: i64,
) -> Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for arm in arms {
        let rows: Vec<(String,)> = statement(list, arm, page.after.as_deref(), limit)
            .build_query_as()
            .fetch_all(&mut *db)
            .await
            .map_err(failed("list rows"))?;
        found.extend(rows.into_iter().map(|(id,)| id));
    }
    let take = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(if list.descending {
        found.into_iter().rev().take(take).collect()
    } else {
        found.into_iter().take(take).collect()
    })
}
