//! Who does the work that exists once.

use super::Db;
use crate::{
    codec::{from_position, nanos, position},
    errors::failed,
};
use jiff::{SignedDuration, Timestamp};
use tenantry_store::{Fence, Result, StoreError};

/// Nobody's lease lasts so much longer than the one that is wished: whoever took it had a clock that was far ahead, and
/// nobody waits until then. What it may still write is refused by its number.
const IMPLAUSIBLE: SignedDuration = SignedDuration::from_mins(1);

pub async fn take(
    db: Db<'_>,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Fence>> {
    // One statement: whoever comes second waits for the first one's commit and then judges the row it left.
    let fencing: Option<i64> = sqlx::query_scalar(
        "INSERT INTO leases AS l (name, holder, until, fencing) VALUES ($1, $2, $4, 1)
         ON CONFLICT (name) DO UPDATE SET holder = $2, until = $4,
             fencing = CASE WHEN l.holder = $2 THEN l.fencing ELSE l.fencing + 1 END
         WHERE l.holder = $2 OR l.until <= $3 OR l.until > $5
         RETURNING fencing",
    )
    .bind(name)
    .bind(holder)
    .bind(nanos(now))
    .bind(nanos(until))
    .bind(nanos(until.checked_add(IMPLAUSIBLE).unwrap_or(Timestamp::MAX)))
    .fetch_optional(db)
    .await
    .map_err(failed("take a lease"))?;
    Ok(fencing.map(|fencing| Fence { name: name.to_owned(), fencing: from_position(fencing) }))
}

pub async fn check(db: Db<'_>, fence: &Fence) -> Result<()> {
    // Locked until the end: a lease cannot pass on between this look and the commit.
    let found: Option<i64> =
        sqlx::query_scalar("SELECT fencing FROM leases WHERE name = $1 AND fencing = $2 FOR SHARE")
            .bind(&fence.name)
            .bind(position(fence.fencing))
            .fetch_optional(db)
            .await
            .map_err(failed("check a lease"))?;
    found.map(|_| ()).ok_or_else(|| StoreError::LeaseLost(fence.name.clone()))
}

pub async fn give_back(db: Db<'_>, fence: &Fence) -> Result<()> {
    sqlx::query("UPDATE leases SET until = 0 WHERE name = $1 AND fencing = $2")
        .bind(&fence.name)
        .bind(position(fence.fencing))
        .execute(db)
        .await
        .map_err(failed("give a lease back"))?;
    Ok(())
}
