//! What receivers of events have not taken.

use super::Db;
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
    sqlx::query!("SELECT environment, payload FROM parked_events WHERE sink = ? ORDER BY environment", sink)
        .fetch_all(db)
        .await
        .map_err(failed("read what waits for a sink"))?
        .into_iter()
        .map(|row| decode(PARKED, format_args!("{sink}/{}", row.environment), &row.payload))
        .collect()
}

pub async fn put_parked(db: Db<'_>, row: &ParkedRow) -> Result<()> {
    let (sink, environment) = (&row.sink, key(row.environment));
    let payload = encode(PARKED, format_args!("{sink}/{environment}"), row)?;
    sqlx::query!(
        "INSERT INTO parked_events (sink, environment, payload) VALUES (?, ?, ?)
         ON CONFLICT (sink, environment) DO UPDATE SET payload = excluded.payload",
        sink,
        environment,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write what waits for a sink"))?;
    Ok(())
}

pub async fn delete_parked(db: Db<'_>, sink: &str, environment: Option<EnvironmentId>) -> Result<()> {
    let environment = key(environment);
    sqlx::query!("DELETE FROM parked_events WHERE sink = ? AND environment = ?", sink, environment)
        .execute(db)
        .await
        .map_err(failed("remove what waits for a sink"))?;
    Ok(())
}

pub async fn letter(db: Db<'_>, sink: &str, at: u64) -> Result<Option<DeadLetterRow>> {
    let place = position(at);
    sqlx::query_scalar!("SELECT payload FROM dead_letters WHERE sink = ? AND position = ?", sink, place)
        .fetch_optional(db)
        .await
        .map_err(failed("read a dead letter"))?
        .map(|payload| decode(LETTERS, format_args!("{sink}/{at}"), &payload))
        .transpose()
}

pub async fn letters(db: Db<'_>, sink: &str, page: &Page) -> Result<Paged<DeadLetterRow>> {
    let (size, limit) = page_size(page);
    let after = position(page.after.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default());
    let rows = sqlx::query!(
        "SELECT position, payload FROM dead_letters WHERE sink = ? AND position > ? ORDER BY position LIMIT ?",
        sink,
        after,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read dead letters"))?
    .into_iter()
    .map(|row| {
        let at = from_position(row.position).to_string();
        decode(LETTERS, format_args!("{sink}/{at}"), &row.payload).map(|letter| (at, letter))
    })
    .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn wanted(db: Db<'_>, sink: &str) -> Result<Option<DeadLetterRow>> {
    sqlx::query!(
        "SELECT position, payload FROM dead_letters WHERE sink = ? AND wanted = 1 ORDER BY position LIMIT 1",
        sink
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read the next dead letter that is wanted"))?
    .map(|row| decode(LETTERS, format_args!("{sink}/{}", row.position), &row.payload))
    .transpose()
}

pub async fn count(db: Db<'_>, sink: &str) -> Result<u64> {
    sqlx::query_scalar!("SELECT count(*) FROM dead_letters WHERE sink = ?", sink)
        .fetch_one(db)
        .await
        .map(from_position)
        .map_err(failed("count dead letters"))
}

pub async fn put_letter(db: Db<'_>, row: &DeadLetterRow) -> Result<()> {
    let (sink, at, wanted) = (&row.sink, row.event.position, i64::from(row.wanted));
    let payload = encode(LETTERS, format_args!("{sink}/{at}"), row)?;
    let place = position(at);
    sqlx::query!(
        "INSERT INTO dead_letters (sink, position, wanted, payload) VALUES (?, ?, ?, ?)
         ON CONFLICT (sink, position) DO UPDATE SET wanted = excluded.wanted, payload = excluded.payload",
        sink,
        place,
        wanted,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a dead letter"))?;
    Ok(())
}

pub async fn delete_letter(db: Db<'_>, sink: &str, at: u64) -> Result<bool> {
    let place = position(at);
    sqlx::query!("DELETE FROM dead_letters WHERE sink = ? AND position = ?", sink, place)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed("remove a dead letter"))
}
