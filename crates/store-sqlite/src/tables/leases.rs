//! Who does the work that exists once. One manager at a time has this database; the rows are kept all the same, so that
//! its work goes through the same checks.

use super::Db;
use crate::{
    codec::{from_position, nanos, position},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_store::{Fence, Result, StoreError};

pub async fn take(
    db: Db<'_>,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Fence>> {
    // No lease is taken for longer than this one: one that ends later was taken by a clock that was ahead, in a life that is over.
    let (now, until) = (nanos(now), nanos(until));
    let fencing = sqlx::query_scalar!(
        "INSERT INTO leases (name, holder, until, fencing) VALUES (?1, ?2, ?4, 1)
         ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?4,
             fencing = CASE WHEN holder = ?2 THEN fencing ELSE fencing + 1 END
         WHERE holder = ?2 OR until <= ?3 OR until > ?4
         RETURNING fencing",
        name,
        holder,
        now,
        until
    )
    .fetch_optional(db)
    .await
    .map_err(failed("take a lease"))?;
    Ok(fencing.map(|fencing| Fence { name: name.to_owned(), fencing: from_position(fencing) }))
}

pub async fn check(db: Db<'_>, fence: &Fence) -> Result<()> {
    let fencing = position(fence.fencing);
    sqlx::query_scalar!("SELECT fencing FROM leases WHERE name = ? AND fencing = ?", fence.name, fencing)
        .fetch_optional(db)
        .await
        .map_err(failed("check a lease"))?
        .map(|_| ())
        .ok_or_else(|| StoreError::LeaseLost(fence.name.clone()))
}

pub async fn give_back(db: Db<'_>, fence: &Fence) -> Result<()> {
    let fencing = position(fence.fencing);
    sqlx::query!("UPDATE leases SET until = 0 WHERE name = ? AND fencing = ?", fence.name, fencing)
        .execute(db)
        .await
        .map_err(failed("give a lease back"))?;
    Ok(())
}
