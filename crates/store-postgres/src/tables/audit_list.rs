//! The list over all chains of the audit log: which index it walks depends on what narrows it.

use super::Db;
use crate::{
    codec::{decode, page_size, paged},
    errors::failed,
};
use sqlx::{Postgres, QueryBuilder};
use tenantry_model::{Page, Paged};
use tenantry_store::{AuditEntry, AuditFilter, Result};

const TABLE: &str = "audit";

/// Walks the index of what narrows most: the chain, the actor, the action, or time alone.
fn statement(filter: &AuditFilter, after: Option<(i64, String, i64)>, limit: i64) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT chain, position, at, payload FROM audit");
    // A chain's positions are in the order of time, so that a chain alone is walked by its key.
    let by_key = filter.environment.is_some();
    match (by_key, after) {
        (true, after) => {
            query.push(" WHERE position > ").push_bind(after.map_or(0, |(_, _, position)| position));
        }
        (false, Some((at, chain, position))) => {
            query.push(" WHERE (at, chain, position) > (").push_bind(at).push(", ").push_bind(chain);
            query.push(", ").push_bind(position).push(")");
        }
        (false, None) => {
            query.push(" WHERE at > ").push_bind(i64::MIN);
        }
    }
    if let Some(id) = filter.environment {
        query.push(" AND chain = ").push_bind(id.to_string());
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor.clone());
    }
    if let Some(action) = &filter.action {
        query.push(" AND action = ").push_bind(action.clone());
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(since.as_millisecond());
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(until.as_millisecond());
    }
    query.push(if by_key { " ORDER BY position" } else { " ORDER BY at, chain, position" });
    query.push(" LIMIT ").push_bind(limit);
    query
}

pub async fn entries(db: Db<'_>, filter: &AuditFilter, page: &Page) -> Result<Paged<AuditEntry>> {
    let (size, limit) = page_size(page);
    let after = page.after.as_deref().map(cursor);
    let rows: Vec<(String, i64, i64, String)> = statement(filter, after, limit)
        .build_query_as()
        .fetch_all(db)
        .await
        .map_err(failed("list audit entries"))?;
    let rows = rows
        .into_iter()
        .map(|(chain, position, at, payload)| {
            let entry = decode(TABLE, format_args!("{chain}/{position}"), &payload)?;
            Ok((format!("{at}/{chain}/{position}"), entry))
        })
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

/// Reads the key of a list over all chains: `at/chain/position`. After a text that is none comes nothing.
fn cursor(text: &str) -> (i64, String, i64) {
    let mut parts = text.splitn(3, '/');
    let (at, chain, position) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
    match (number(at), chain, number(position)) {
        (Some(at), Some(chain), Some(position)) => (at, chain.to_owned(), position),
        _ => (i64::MAX, String::new(), i64::MAX),
    }
}
