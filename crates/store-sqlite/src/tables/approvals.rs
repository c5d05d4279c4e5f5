//! Verbs that wait, or waited, for a second person.

use super::Db;
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{arms, keys, rows_of_keys},
};
use tenantry_model::{Approval, ApprovalId, ApprovalState, Page, Paged};
pub use tenantry_store::narrow::approvals::{LIST, OPEN, conditions, scope_columns};
use tenantry_store::{ApprovalFilter, Result};

const TABLE: &str = "approvals";

pub async fn get(db: Db<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    let id = id.to_string();
    sqlx::query_scalar!("SELECT payload FROM approvals WHERE id = ?", id)
        .fetch_optional(db)
        .await
        .map_err(failed("read an approval"))?
        .map(|payload| decode(TABLE, &id, &payload))
        .transpose()
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
    let environment = approval.environment.to_string();
    let operation = approval.operation().map(|id| id.to_string());
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
