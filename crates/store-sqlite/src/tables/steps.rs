//! Steps and attempts of an operation.

use super::Db;
use crate::{
    codec::{decode, encode},
    errors::failed,
};
use tenantry_model::{Attempt, AttemptId, HookRef, OperationId, Step};
use tenantry_store::Result;

pub async fn steps(db: Db<'_>, operation: OperationId) -> Result<Vec<Step>> {
    let operation = operation.to_string();
    let rows = sqlx::query!("SELECT hook, payload FROM steps WHERE operation = ?", operation)
        .fetch_all(db)
        .await
        .map_err(failed("read steps"))?;
    let mut steps = rows
        .into_iter()
        .map(|row| decode("steps", format_args!("{operation}/{}", row.hook), &row.payload))
        .collect::<Result<Vec<Step>>>()?;
    // By region, namespace, name: the text does not sort so ('-' comes before '/').
    steps.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(steps)
}

pub async fn step(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Option<Step>> {
    let (operation, hook) = (operation.to_string(), hook.to_string());
    sqlx::query_scalar!("SELECT payload FROM steps WHERE operation = ? AND hook = ?", operation, hook)
        .fetch_optional(db)
        .await
        .map_err(failed("read a step"))?
        .map(|payload| decode("steps", format_args!("{operation}/{hook}"), &payload))
        .transpose()
}

pub async fn put_step(db: Db<'_>, step: &Step) -> Result<()> {
    let operation = step.operation.to_string();
    let hook = step.hook.to_string();
    let payload = encode("steps", format_args!("{operation}/{hook}"), step)?;
    sqlx::query!(
        "INSERT INTO steps (operation, hook, payload) VALUES (?, ?, ?)
         ON CONFLICT (operation, hook) DO UPDATE SET payload = excluded.payload",
        operation,
        hook,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write a step"))?;
    Ok(())
}

pub async fn attempts(db: Db<'_>, operation: OperationId) -> Result<Vec<Attempt>> {
    let operation = operation.to_string();
    let rows = sqlx::query!("SELECT step, number, payload FROM attempts WHERE operation = ?", operation)
        .fetch_all(db)
        .await
        .map_err(failed("read attempts"))?;
    let mut attempts = rows
        .into_iter()
        .map(|row| decode("attempts", format_args!("{operation}/{}#{}", row.step, row.number), &row.payload))
        .collect::<Result<Vec<Attempt>>>()?;
    attempts.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(attempts)
}

pub async fn attempt(db: Db<'_>, id: &AttemptId) -> Result<Option<Attempt>> {
    let (operation, step, number) = (id.operation.to_string(), id.step.to_string(), i64::from(id.number));
    sqlx::query_scalar!(
        "SELECT payload FROM attempts WHERE operation = ? AND step = ? AND number = ?",
        operation,
        step,
        number
    )
    .fetch_optional(db)
    .await
    .map_err(failed("read an attempt"))?
    .map(|payload| decode("attempts", id, &payload))
    .transpose()
}

pub async fn put_attempt(db: Db<'_>, attempt: &Attempt) -> Result<()> {
    let operation = attempt.id.operation.to_string();
    let step = attempt.id.step.to_string();
    let number = i64::from(attempt.id.number);
    let region = attempt.id.step.region.as_str();
    let ended = attempt.state.is_over();
    let payload = encode("attempts", &attempt.id, attempt)?;
    sqlx::query!(
        "INSERT INTO attempts (operation, step, number, region, ended, payload) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (operation, step, number) DO UPDATE SET ended = excluded.ended, payload = excluded.payload",
        operation,
        step,
        number,
        region,
        ended,
        payload
    )
    .execute(db)
    .await
    .map_err(failed("write an attempt"))?;
    Ok(())
}
