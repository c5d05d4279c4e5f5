//! Workflows of Argo and the bridges in them.

use super::{Db, Pair};
use crate::{
    codec::{bounded, decode, encode, nanos, time},
    errors::failed,
};
use jiff::Timestamp;
use tenantry_model::{HookRef, OperationId, RegionName};
use tenantry_store::{BridgeRow, Result, WorkflowRow};

const TABLE: &str = "workflows";
const BRIDGES: &str = "bridges";

/// The key and the payload of a Workflow.
type Row = (String, String, i64, String);

fn workflow((operation, region, round, payload): Row) -> Result<WorkflowRow> {
    decode(TABLE, format_args!("{operation}/{region}/{round}"), &payload)
}

pub async fn list(db: Db<'_>, operation: OperationId) -> Result<Vec<WorkflowRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT operation, region, round, payload FROM workflows WHERE operation = $1 ORDER BY region, round",
    )
    .bind(operation.to_string())
    .fetch_all(db)
    .await
    .map_err(failed("read an operation's Workflows"))?;
    rows.into_iter().map(workflow).collect()
}

pub async fn due(db: Db<'_>, region: &RegionName, now: Timestamp, limit: u32) -> Result<Vec<WorkflowRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT operation, region, round, payload FROM workflows WHERE deliver_at <= $1 AND region = $2
         ORDER BY deliver_at, operation, round LIMIT $3",
    )
    .bind(nanos(now))
    .bind(region.as_str())
    .bind(bounded(limit))
    .fetch_all(db)
    .await
    .map_err(failed("read the Workflows whose event is due"))?;
    rows.into_iter().map(workflow).collect()
}

pub async fn next_due(db: Db<'_>, region: &RegionName) -> Result<Option<Timestamp>> {
    let first: Option<(String, i64)> = sqlx::query_as(
        "SELECT operation, deliver_at FROM workflows WHERE deliver_at IS NOT NULL AND region = $1
         ORDER BY deliver_at LIMIT 1",
    )
    .bind(region.as_str())
    .fetch_optional(db)
    .await
    .map_err(failed("read the next event of a Workflow"))?;
    first.map(|(operation, deliver_at)| time(TABLE, operation, deliver_at)).transpose()
}

pub async fn put(db: Db<'_>, workflow: &WorkflowRow) -> Result<()> {
    let WorkflowRow { operation, region, round, .. } = workflow;
    let payload = encode(TABLE, format_args!("{operation}/{region}/{round}"), workflow)?;
    sqlx::query(
        "INSERT INTO workflows (operation, region, round, deliver_at, payload) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (operation, region, round) DO UPDATE SET deliver_at = excluded.deliver_at,
             payload = excluded.payload",
    )
    .bind(operation.to_string())
    .bind(region.as_str())
    .bind(i64::from(*round))
    .bind(workflow.deliver_at.map(nanos))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a Workflow"))?;
    Ok(())
}

pub async fn bridges(db: Db<'_>, operation: OperationId) -> Result<Vec<BridgeRow>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT hook, payload FROM bridges WHERE operation = $1")
        .bind(operation.to_string())
        .fetch_all(db)
        .await
        .map_err(failed("read an operation's bridges"))?;
    let mut bridges = rows
        .into_iter()
        .map(|(hook, payload)| decode(BRIDGES, format_args!("{operation}/{hook}"), &payload))
        .collect::<Result<Vec<BridgeRow>>>()?;
    // As steps are: the text does not sort so.
    bridges.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(bridges)
}

pub async fn bridge(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Option<BridgeRow>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM bridges WHERE operation = $1 AND hook = $2")
        .bind(operation.to_string())
        .bind(hook.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a bridge"))?
        .map(|payload| decode(BRIDGES, format_args!("{operation}/{hook}"), &payload))
        .transpose()
}

pub async fn put_bridge(db: Db<'_>, bridge: &BridgeRow) -> Result<()> {
    let payload = encode(BRIDGES, format_args!("{}/{}", bridge.operation, bridge.hook), bridge)?;
    sqlx::query(
        "INSERT INTO bridges (operation, hook, payload) VALUES ($1, $2, $3)
         ON CONFLICT (operation, hook) DO UPDATE SET payload = excluded.payload",
    )
    .bind(bridge.operation.to_string())
    .bind(bridge.hook.to_string())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a bridge"))?;
    Ok(())
}
