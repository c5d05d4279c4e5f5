//! The audit log: chains of entries, how far each goes, signed heads.

use super::Db;
use crate::{
    codec::{bounded, damaged, decode, encode, from_position, page_size, paged, position},
    errors::{failed, taken},
};
use tenantry_model::{EnvironmentId, Page, Paged};
use tenantry_store::{AuditChain, AuditEntry, AuditHead, Result};

const TABLE: &str = "audit";

fn chain(environment: Option<EnvironmentId>) -> String {
    environment.map(|id| id.to_string()).unwrap_or_default()
}

pub async fn audit_head(db: Db<'_>, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>> {
    let chain = chain(environment);
    sqlx::query!("SELECT position, payload FROM audit WHERE chain = ? ORDER BY position DESC LIMIT 1", chain)
        .fetch_optional(db)
        .await
        .map_err(failed("read the newest audit entry"))?
        .map(|row| decode(TABLE, format_args!("{chain}/{}", row.position), &row.payload))
        .transpose()
}

pub async fn audit(
    db: Db<'_>,
    environment: Option<EnvironmentId>,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let (chain, after, limit) = (chain(environment), position(after), bounded(limit));
    sqlx::query!(
        "SELECT position, payload FROM audit WHERE chain = ? AND position > ? ORDER BY position LIMIT ?",
        chain,
        after,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read audit entries"))?
    .into_iter()
    .map(|row| decode(TABLE, format_args!("{chain}/{}", row.position), &row.payload))
    .collect()
}

pub async fn append_audit(db: Db<'_>, entry: &AuditEntry) -> Result<()> {
    let (chain, at) = (chain(entry.environment), position(entry.position));
    let payload = encode(TABLE, format_args!("{chain}/{at}"), entry)?;
    sqlx::query!("INSERT INTO audit (chain, position, payload) VALUES (?, ?, ?)", chain, at, payload)
        .execute(&mut *db)
        .await
        .map_err(taken("append to the audit log", || format!("audit entry {chain}/{at}")))?;
    sqlx::query!(
        "INSERT INTO audit_chains (chain, position, sealed) VALUES (?, ?, 0)
         ON CONFLICT (chain) DO UPDATE SET position = max(position, excluded.position)",
        chain,
        at
    )
    .execute(db)
    .await
    .map_err(failed("note how far an audit chain goes"))?;
    Ok(())
}

pub async fn chains(db: Db<'_>, page: &Page) -> Result<Paged<AuditChain>> {
    let (size, limit) = page_size(page);
    // The common chain's key is empty: before the first page stands nothing, after it the empty text.
    let from = i64::from(page.after.is_some());
    let after = page.after.as_deref().unwrap_or_default().trim_start_matches(COMMON);
    let rows = sqlx::query!(
        "SELECT c.chain, c.position, c.sealed, a.payload AS \"payload?\"
         FROM audit_chains c LEFT JOIN audit a ON a.chain = c.chain AND a.position = c.position
         WHERE c.chain >= ?1 AND (?2 = 0 OR c.chain > ?1) ORDER BY c.chain LIMIT ?3",
        after,
        from,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("list audit chains"))?
    .into_iter()
    .map(|row| {
        let key = if row.chain.is_empty() { COMMON.to_owned() } else { row.chain.clone() };
        Ok((key, chain_row(&row.chain, row.position, row.sealed, row.payload.as_deref())?))
    })
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

/// The common chain in a cursor, which must not be empty.
const COMMON: &str = "-";

pub async fn unsealed(db: Db<'_>, limit: u32) -> Result<Vec<AuditChain>> {
    let limit = bounded(limit);
    sqlx::query!(
        "SELECT c.chain, c.position, c.sealed, a.payload AS \"payload?\"
         FROM audit_chains c LEFT JOIN audit a ON a.chain = c.chain AND a.position = c.position
         WHERE c.chain >= '' AND c.sealed < c.position ORDER BY c.chain LIMIT ?",
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("look for unsealed audit chains"))?
    .into_iter()
    .map(|row| chain_row(&row.chain, row.position, row.sealed, row.payload.as_deref()))
    .collect()
}

fn chain_row(chain: &str, position: i64, sealed: i64, payload: Option<&str>) -> Result<AuditChain> {
    let environment = if chain.is_empty() {
        None
    } else {
        Some(chain.parse().map_err(|source| damaged("audit_chains", chain, source))?)
    };
    let newest: Option<AuditEntry> =
        payload.map(|payload| decode(TABLE, format_args!("{chain}/{position}"), payload)).transpose()?;
    Ok(AuditChain {
        environment,
        position: from_position(position),
        hash: newest.map(|entry| entry.hash).unwrap_or_default(),
        sealed: from_position(sealed),
    })
}

pub async fn heads(db: Db<'_>, after: u64, limit: u32) -> Result<Vec<AuditHead>> {
    let (after, limit) = (position(after), bounded(limit));
    sqlx::query!(
        "SELECT number, payload FROM audit_heads WHERE number > ? ORDER BY number LIMIT ?",
        after,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read signed heads"))
    .map(|rows| {
        rows.into_iter()
            .map(|row| AuditHead { number: from_position(row.number), document: row.payload })
            .collect()
    })
}

pub async fn last_head(db: Db<'_>) -> Result<Option<AuditHead>> {
    sqlx::query!("SELECT number, payload FROM audit_heads ORDER BY number DESC LIMIT 1")
        .fetch_optional(db)
        .await
        .map_err(failed("read the newest signed head"))
        .map(|row| row.map(|row| AuditHead { number: from_position(row.number), document: row.payload }))
}

pub async fn put_head(db: Db<'_>, head: &AuditHead, chains: &[AuditChain]) -> Result<()> {
    let number = position(head.number);
    sqlx::query!("INSERT INTO audit_heads (number, payload) VALUES (?, ?)", number, head.document)
        .execute(&mut *db)
        .await
        .map_err(taken("keep a signed head", || format!("signed head {number}")))?;
    for sealed in chains {
        let (chain, position) = (chain(sealed.environment), position(sealed.position));
        sqlx::query!("UPDATE audit_chains SET sealed = ? WHERE chain = ?", position, chain)
            .execute(&mut *db)
            .await
            .map_err(failed("note what a signed head names"))?;
    }
    Ok(())
}
