//! Between types and columns: JSON payloads, times, words, pages. The only place that decides how a value is
//! written, for every implementation, so that rows of one kind of store are rows of the other. It knows no table and
//! no SQL.
#![allow(clippy::must_use_candidate)] // conversions without a use are no mistake

use crate::{Result, StoreError};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt::Display;
use tenantry_model::{Page, Paged};

/// Largest page that is given out, whatever was asked for.
const MAX_PAGE: u32 = 1000;

/// Reads a payload. What does not read back is damaged, and named.
pub fn decode<T: DeserializeOwned>(table: &'static str, key: impl Display, payload: &str) -> Result<T> {
    serde_json::from_str(payload).map_err(|source| damaged(table, key, source))
}

/// Writes a payload.
pub fn encode<T: Serialize>(table: &'static str, key: impl Display, row: &T) -> Result<String> {
    serde_json::to_string(row).map_err(|source| damaged(table, key, source))
}

/// A row that does not read back.
pub fn damaged(
    table: &'static str,
    key: impl Display,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Damaged { table, key: key.to_string(), source: source.into() }
}

/// The word by which serde writes a plain enum value: states are kept in columns under the names the API uses.
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        // A value with data is no plain word; its JSON is still unique and stable.
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Nanoseconds since 1970. Times beyond the year 2262 become that year: they are only compared with today.
pub fn nanos(at: Timestamp) -> i64 {
    let nanos = at.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The time that [`nanos`] wrote.
pub fn time(table: &'static str, key: impl Display, nanos: i64) -> Result<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanos)).map_err(|source| damaged(table, key, source))
}

/// A position as a column. Positions beyond 2^63 do not happen; as a bound such a one means "after everything".
pub fn position(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A position from a column.
pub fn from_position(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// How many rows to read for a page: one more than it holds tells whether there is a next one.
pub fn page_size(page: &Page) -> (usize, i64) {
    let limit = page.limit.clamp(1, MAX_PAGE);
    (limit as usize, i64::from(limit) + 1)
}

/// After which end, in milliseconds, and which id a page of old operations begins; a page's key is both with a slash between.
pub fn ended_key(page: &Page) -> (i64, &str) {
    let key = page.after.as_deref().and_then(|key| key.split_once('/'));
    key.and_then(|(ended, id)| Some((ended.parse().ok()?, id))).unwrap_or((i64::MIN, ""))
}

/// A bounded number of rows for lists that have no cursor.
pub fn bounded(limit: u32) -> i64 {
    i64::from(limit.clamp(1, 10 * MAX_PAGE))
}

/// Makes a page from up to one row more than it holds.
pub fn paged<T>(mut rows: Vec<(String, T)>, size: usize) -> Paged<T> {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = if more { rows.last().map(|(key, _)| key.clone()) } else { None };
    Paged { items: rows.into_iter().map(|(_, item)| item).collect(), next }
}
