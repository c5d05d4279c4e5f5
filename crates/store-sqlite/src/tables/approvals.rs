//! Verbs that wait, or waited, for a second person.

use super::{Db, environments::scope_columns};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{Condition, List, arms, keys, rows_of_keys},
};
use tenantry_model::{Approval, ApprovalId, ApprovalState, Page, Paged};
use tenantry_store::{ApprovalFilter, Result};

const TABLE: &str = "approvals";
/// Decided ones too: the history.
pub const LIST: List =
    List { table: TABLE, drivers: &["operation", "tenant", "region"], partial: None, descending: false };
/// What waits now: little.
pub const OPEN: List = List { partial: Some("open = 1"), ..LIST };

pub async fn get(db: Db<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM approvals WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read an approval"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
}

/// What a filter asks of an approval, scopes and being decided aside.
pub fn conditions(filter: &ApprovalFilter) -> Vec<Condition> {
    filter.operation.iter().map(|operation| ("operation", operation.to_string())).collect()
}

pub async fn list(db: Db<'_>, filter: &ApprovalFilter, page: &Page) -> Result<Paged<Approval>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.decided { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows = rows_of_keys!(
        db,
        "SELECT a.id, a.payload FROM json_each(?) k JOIN approvals a ON a.id = k.value ORDER BY a.id",
        keys,
        "approvals"
    )?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, approval: &Approval) -> Result<()> {
    let id = approval.id.to_string();
    let open = approval.state == ApprovalState::Pending;
    let (environment, operation) = (approval.environment.to_string(), approval.operation.to_string());
    let payload = encode(TABLE, &id, approval)?;
    sqlx::query!(
        "INSERT INTO approvals (id, open, operation, environment, tenant, region, payload)
         SELECT ?, ?, ?, e.id, e.tenant, e.region, ? FROM environments e WHERE e.id = ?
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, payload = excluded.payload",
        id,
        open,
        operation,
        payload,
        environment
    )
    .execute(db)
    .await
    .map_err(failed("write an approval"))?;
    Ok(())
}
