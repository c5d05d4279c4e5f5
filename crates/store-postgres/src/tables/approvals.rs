//! Verbs that wait, or waited, for a second person.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode, page_size, paged},
    errors::failed,
    keys::{arms, keys},
};
use tenantry_model::{Approval, ApprovalId, ApprovalState, Page, Paged};
use tenantry_store::narrow::approvals::{LIST, OPEN, conditions, scope_columns};
use tenantry_store::{ApprovalFilter, Result};

const TABLE: &str = "approvals";

pub async fn get(db: Db<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM approvals WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read an approval"))?
        .map(|payload| decode(TABLE, id, &payload))
        .transpose()
}

pub async fn list(db: Db<'_>, filter: &ApprovalFilter, page: &Page) -> Result<Paged<Approval>> {
    let (size, limit) = page_size(page);
    let arms = arms(&conditions(filter), filter.scopes.as_deref(), scope_columns);
    let keys = keys(&mut *db, if filter.decided { LIST } else { OPEN }, &arms, page, limit).await?;
    let rows: Vec<Pair> = sqlx::query_as("SELECT id, payload FROM approvals WHERE id = ANY($1) ORDER BY id")
        .bind(keys)
        .fetch_all(db)
        .await
        .map_err(failed("read approvals"))?;
    let rows = rows
        .into_iter()
        .map(|(id, payload)| decode(TABLE, &id, &payload).map(|approval| (id, approval)))
        .collect::<Result<_>>()?;
    Ok(paged(rows, size))
}

pub async fn put(db: Db<'_>, approval: &Approval) -> Result<()> {
    let id = approval.id.to_string();
    let payload = encode(TABLE, &id, approval)?;
    sqlx::query(
        "INSERT INTO approvals (id, open, operation, environment, tenant, region, payload)
         SELECT $1, $2, $3, e.id, e.tenant, e.region, $4 FROM environments e WHERE e.id = $5
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, payload = excluded.payload",
    )
    .bind(id)
    .bind(i64::from(approval.state == ApprovalState::Pending))
    .bind(approval.operation().map(|id| id.to_string()))
    .bind(payload)
    .bind(approval.environment.to_string())
    .execute(db)
    .await
    .map_err(failed("write an approval"))?;
    Ok(())
}
