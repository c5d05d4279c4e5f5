//! Workflows of Argo and the bridges in them.

use super::Db;
use crate::{
    codec::{bounded, decode, encode, nanos, time},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{HookRef, OperationId, RegionName};
use tenantry_store::{BridgeRow, Result, WorkflowRow};

const TABLE: &str = "workflows";
const BRIDGES: &str = "bridges";

pub async fn list(db: Db<'_>, operation: OperationId) -> Result<Vec<WorkflowRow>> {
    let operation = operation.to_string();
    sqlx::query!(
        "SELECT region, round, payload FROM workflows WHERE operation = ? ORDER BY region, round",
        operation
    )
    .fetch_all(db)
    .await
    .map_err(failed("read an operation's Workflows"))?
    .into_iter()
    .map(|row| decode(TABLE, format_args!("{operation}/{}/{}", row.region, row.round), &row.payload))
    .collect()
}

pub async fn due(db: Db<'_>, region: &RegionName, now: Timestamp, limit: u32) -> Result<Vec<WorkflowRow>> {
    let (region, now, limit) = (region.as_str(), nanos(now), bounded(limit));
    sqlx::query!(
        "SELECT operation, region, round, payload FROM workflows WHERE deliver_at <= ? AND region = ?
         ORDER BY deliver_at, operation, round LIMIT ?",
        now,
        region,
        limit
    )
    .fetch_all(db)
    .await
    .map_err(failed("read the Workflows whose event is due"))?
    .into_iter()
    .map(|row| decode(TABLE, format_args!("{}/{}/{}", row.operation, row.region, row.round), &row.payload))
    .collect()
}

pub async fn next_due(db: Db<'_>, region: &RegionName) -> Result<Option<Timestamp>> {
    let region = region.as_str();
    let first = sqlx::query!(
        "SELECT operation, deliver_at AS \"deliver_at!: i64\" FROM workflows
         WHERE deliver_at > -9223372036854775808 AND region = ? ORDER BY deliver_at LIMIT 1",
        region
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read the next event of a Workflow"))?;
    first.map(|row| time(TABLE, row.operation, row.deliver_at)).transpose()
}

pub async fn put(db: Db<'_>, workflow: &WorkflowRow) -> Result<()> {
    let operation = workflow.operation.to_string();
    let region = workflow.region.as_str();
    let round = i64::from(workflow.round);
    let deliver_at = workflow.deliver_at.map(nanos);
    let payload = encode(TABLE, format_args!("{operation}/{region}/{round}"), workflow)?;
    sqlx::query!(
        "INSERT INTO workflows (operation, region, round, deliver_at, payload) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (operation, region, round) DO UPDATE SET deliver_at = excluded.deliver_at,
             payload = excluded.payload",
        operation,
        region,
        round,
        deliver_at,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a Workflow"))?;
    Ok(())
}

pub async fn bridges(db: Db<'_>, operation: OperationId) -> Result<Vec<BridgeRow>> {
    let operation = operation.to_string();
    let rows = sqlx::query!("SELECT hook, payload FROM bridges WHERE operation = ?", operation)
        .fetch_all(db)
        .await
        .map_err(failed("read an operation's bridges"))?;
    let mut bridges = rows
        .into_iter()
        .map(|row| decode(BRIDGES, format_args!("{operation}/{}", row.hook), &row.payload))
        .collect::<Result<Vec<BridgeRow>>>()?;
    // As steps are: the text does not sort so.
    bridges.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(bridges)
}

pub async fn bridge(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Option<BridgeRow>> {
    let (operation, hook) = (operation.to_string(), hook.to_string());
    sqlx::query_scalar!("SELECT payload FROM bridges WHERE operation = ? AND hook = ?", operation, hook)
        .fetch_optional(db)
        .await
        .map_err(failed("read a bridge"))?
        .map(|payload| decode(BRIDGES, format_args!("{operation}/{hook}"), &payload))
        .transpose()
}

pub async fn put_bridge(db: Db<'_>, bridge: &BridgeRow) -> Result<()> {
    let (operation, hook) = (bridge.operation.to_string(), bridge.hook.to_string());
    let payload = encode(BRIDGES, format_args!("{operation}/{hook}"), bridge)?;
    sqlx::query!(
        "INSERT INTO bridges (operation, hook, payload) VALUES (?, ?, ?)
         ON CONFLICT (operation, hook) DO UPDATE SET payload = excluded.payload",
        operation,
        hook,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a bridge"))?;
    Ok(())
}
