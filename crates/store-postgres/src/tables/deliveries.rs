//! What receivers of events have not taken.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, from_position, page_size, paged, position},
    errors::failed,
};
use tenantry_model::{EnvironmentId, Page, Paged};
use tenantry_store::{DeadLetterRow, ParkedRow, Result};

const PARKED: &str = "parked_events";
const LETTERS: &str = "dead_letters";

fn key(environment: Option<EnvironmentId>) -> String {
    environment.map(|id| id.to_string()).unwrap_or_default()
}

pub async fn parked(db: Db<'_>, sink: &str) -> Result<Vec<ParkedRow>> {
    let rows: Vec<Pair> =
        sqlx::query_as("SELECT environment, payload FROM parked_events WHERE sink = $1 ORDER BY environment")
            .bind(sink)
            .fetch_all(db)
            .await
            .map_err(failed("read what waits for a sink"))?;
    rows.into_iter()
        .map(|(environment, payload)| decode(PARKED, format_args!("{sink}/{environment}"), &payload))
        .collect()
}

pub async fn put_parked(db: Db<'_>, row: &ParkedRow) -> Result<()> {
    let (sink, environment) = (&row.sink, key(row.environment));
    let payload = encode(PARKED, format_args!("{sink}/{environment}"), row)?;
    sqlx::query(
        "INSERT INTO parked_events (sink, environment, payload) VALUES ($1, $2, $3)
         ON CONFLICT (sink, environment) DO UPDATE SET payload = excluded.payload",
    )
    .bind(sink)
    .bind(environment)
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write what waits for a sink"))?;
    Ok(())
}

pub async fn delete_parked(db: Db<'_>, sink: &str, environment: Option<EnvironmentId>) -> Result<()> {
    sqlx::query("DELETE FROM parked_events WHERE sink = $1 AND environment = $2")
        .bind(sink)
        .bind(key(environment))
        .execute(db)
        .await
        .map_err(failed("remove what waits for a sink"))?;
    Ok(())
}

pub async fn letter(db: Db<'_>, sink: &str, at: u64) -> Result<Option<DeadLetterRow>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM dead_letters WHERE sink = $1 AND position = $2")
        .bind(sink)
        .bind(position(at))
        .fetch_optional(db)
        .await
        .map_err(failed("read a dead letter"))?
        .map(|payload| decode(LETTERS, format_args!("{sink}/{at}"), &payload))
        .transpose()
}

pub async fn letters(db: Db<'_>, sink: &str, page: &Page) -> Result<Paged<DeadLetterRow>> {
    let (size, limit) = page_size(page);
    let after: u64 = page.after.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT position, payload FROM dead_letters WHERE sink = $1 AND position > $2 ORDER BY position LIMIT $3",
    )
    .bind(sink)
    .bind(position(after))
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(failed("read dead letters"))?;
    let rows = rows
        .into_iter()
        .map(|(at, payload)| {
            let at = from_position(at).to_string();
            decode(LETTERS, format_args!("{sink}/{at}"), &payload).map(|letter| (at, letter))
        })
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn wanted(db: Db<'_>, sink: &str) -> Result<Option<DeadLetterRow>> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "SELECT position, payload FROM dead_letters WHERE sink = $1 AND wanted = 1 ORDER BY position LIMIT 1",
    )
    .bind(sink)
    .fetch_optional(db)
    .await
    .map_err(failed("read the next dead letter that is wanted"))?;
    row.map(|(at, payload)| decode(LETTERS, format_args!("{sink}/{at}"), &payload)).transpose()
}

pub async fn count(db: Db<'_>, sink: &str) -> Result<u64> {
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM dead_letters WHERE sink = $1")
        .bind(sink)
        .fetch_one(db)
        .await
        .map(from_position)
        .map_err(failed("count dead letters"))
}

pub async fn put_letter(db: Db<'_>, row: &DeadLetterRow) -> Result<()> {
    let (sink, at) = (&row.sink, row.event.position);
    let payload = encode(LETTERS, format_args!("{sink}/{at}"), row)?;
    sqlx::query(
        "INSERT INTO dead_letters (sink, position, wanted, payload) VALUES ($1, $2, $3, $4)
         ON CONFLICT (sink, position) DO UPDATE SET wanted = excluded.wanted, payload = excluded.payload",
    )
    .bind(sink)
    .bind(position(at))
    .bind(i64::from(row.wanted))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a dead letter"))?;
    Ok(())
}

pub async fn delete_letter(db: Db<'_>, sink: &str, at: u64) -> Result<bool> {
    sqlx::query("DELETE FROM dead_letters WHERE sink = $1 AND position = $2")
        .bind(sink)
        .bind(position(at))
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove a dead letter"))
}
