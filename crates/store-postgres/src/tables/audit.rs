//! The audit log: chains of entries, how far each goes, signed heads.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, from_position, page_size, paged, position},
    errors::failed,
};
use tenantry_model::{EnvironmentId, Page, Paged};
use tenantry_store::{AuditChain, AuditEntry, AuditHead, Result, StoreError};

const TABLE: &str = "audit";

fn chain(environment: Option<EnvironmentId>) -> String {
    environment.map(|id| id.to_string()).unwrap_or_default()
}

pub async fn audit_head(db: Db<'_>, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>> {
    let chain = chain(environment);
    sqlx::query_as::<_, (i64, String)>(
        "SELECT position, payload FROM audit WHERE chain = $1 ORDER BY position DESC LIMIT 1",
    )
    .bind(&chain)
    .fetch_optional(db)
    .await
    .map_err(failed("read the newest audit entry"))?
    .map(|(at, payload)| decode(TABLE, format_args!("{chain}/{at}"), &payload))
    .transpose()
}

pub async fn audit(
    db: Db<'_>,
    environment: Option<EnvironmentId>,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let chain = chain(environment);
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT position, payload FROM audit WHERE chain = $1 AND position > $2 ORDER BY position LIMIT $3",
    )
    .bind(&chain)
    .bind(position(after))
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read audit entries"))?;
    rows.into_iter().map(|(at, payload)| decode(TABLE, format_args!("{chain}/{at}"), &payload)).collect()
}

pub async fn append_audit(db: Db<'_>, entry: &AuditEntry) -> Result<()> {
    let (chain, at) = (chain(entry.environment), position(entry.position));
    let payload = encode(TABLE, format_args!("{chain}/{at}"), entry)?;
    let done = sqlx::query(
        "INSERT INTO audit (chain, position, payload, actor, action, at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (chain, position) DO NOTHING",
    )
    .bind(&chain)
    .bind(at)
    .bind(payload)
    .bind(&entry.actor.name)
    .bind(&entry.action)
    .bind(entry.at.as_millisecond())
    .execute(&mut *db)
    .await
    .map_err(failed("append to the audit log"))?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Duplicate(format!("audit entry {chain}/{at}")));
    }
    sqlx::query(
        "INSERT INTO audit_chains AS c (chain, position, sealed) VALUES ($1, $2, 0)
         ON CONFLICT (chain) DO UPDATE SET position = greatest(c.position, excluded.position)",
    )
    .bind(&chain)
    .bind(at)
    .execute(db)
    .await
    .map_err(failed("note how far an audit chain goes"))?;
    Ok(())
}

/// Chain, position, sealed, payload of the entry at that position.
type Row = (String, i64, i64, Option<String>);

pub async fn chains(db: Db<'_>, page: &Page) -> Result<Paged<AuditChain>> {
    let (size, limit) = page_size(page);
    // The common chain's key is empty: before the first page stands nothing, after it the empty text.
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT c.chain, c.position, c.sealed, a.payload
         FROM audit_chains c LEFT JOIN audit a ON a.chain = c.chain AND a.position = c.position
         WHERE c.chain >= $1 AND ($2 OR c.chain > $1) ORDER BY c.chain LIMIT $3",
    )
    .bind(page.after.as_deref().unwrap_or_default().trim_start_matches(COMMON))
    .bind(page.after.is_none())
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failed("list audit chains"))?;
    let rows = rows
        .into_iter()
        .map(|row| {
            let key = if row.0.is_empty() { COMMON.to_owned() } else { row.0.clone() };
            Ok((key, read(row)?))
        })
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

/// The common chain in a cursor, which must not be empty.
const COMMON: &str = "-";

pub async fn unsealed(db: Db<'_>, limit: u32) -> Result<Vec<AuditChain>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT c.chain, c.position, c.sealed, a.payload
         FROM audit_chains c LEFT JOIN audit a ON a.chain = c.chain AND a.position = c.position
         WHERE c.sealed < c.position ORDER BY c.chain LIMIT $1",
    )
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("look for unsealed audit chains"))?;
    rows.into_iter().map(read).collect()
}

fn read((chain, position, sealed, payload): Row) -> Result<AuditChain> {
    let environment = if chain.is_empty() {
        None
    } else {
        Some(chain.parse().map_err(|source| damaged("audit_chains", &chain, source))?)
    };
    let newest: Option<AuditEntry> =
        payload.map(|payload| decode(TABLE, format_args!("{chain}/{position}"), &payload)).transpose()?;
    Ok(AuditChain {
        environment,
        position: from_position(position),
        hash: newest.map(|entry| entry.hash).unwrap_or_default(),
        sealed: from_position(sealed),
    })
}

fn head((number, document): (i64, String)) -> AuditHead {
    AuditHead { number: from_position(number), document }
}

pub async fn heads(db: Db<'_>, after: u64, limit: u32) -> Result<Vec<AuditHead>> {
    sqlx::query_as("SELECT number, payload FROM audit_heads WHERE number > $1 ORDER BY number LIMIT $2")
        .bind(position(after))
        .bind(bounded(limit))
        .fetch_all(db)
        .await
        .map_err(failed("read signed heads"))
        .map(|rows| rows.into_iter().map(head).collect())
}

pub async fn last_head(db: Db<'_>) -> Result<Option<AuditHead>> {
    sqlx::query_as("SELECT number, payload FROM audit_heads ORDER BY number DESC LIMIT 1")
        .fetch_optional(db)
        .await
        .map_err(failed("read the newest signed head"))
        .map(|row| row.map(head))
}

pub async fn put_head(db: Db<'_>, head: &AuditHead, chains: &[AuditChain]) -> Result<()> {
    let done = sqlx::query(
        "INSERT INTO audit_heads (number, payload) VALUES ($1, $2) ON CONFLICT (number) DO NOTHING",
    )
    .bind(position(head.number))
    .bind(&head.document)
    .execute(&mut *db)
    .await
    .map_err(failed("keep a signed head"))?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Duplicate(format!("signed head {}", head.number)));
    }
    let (keys, positions): (Vec<String>, Vec<i64>) =
        chains.iter().map(|sealed| (chain(sealed.environment), position(sealed.position))).unzip();
    sqlx::query(
        "UPDATE audit_chains c SET sealed = s.position
         FROM unnest($1::text[], $2::bigint[]) AS s (chain, position) WHERE c.chain = s.chain",
    )
    .bind(keys)
    .bind(positions)
    .execute(db)
    .await
    .map_err(failed("note what a signed head names"))?;
    Ok(())
}
