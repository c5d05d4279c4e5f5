//! Steps and attempts of an operation.

use super::{Db, Pair};
use crate::{
    codec::{decode, encode},
    errors::failed,
};
use tenantry_model::{Attempt, AttemptId, HookRef, OperationId, Step};
use tenantry_store::Result;

pub async fn steps(db: Db<'_>, operation: OperationId) -> Result<Vec<Step>> {
    let rows: Vec<Pair> = sqlx::query_as("SELECT hook, payload FROM steps WHERE operation = $1")
        .bind(operation.to_string())
        .fetch_all(db)
        .await
        .map_err(failed("read steps"))?;
    let mut steps = rows
        .into_iter()
        .map(|(hook, payload)| decode("steps", format_args!("{operation}/{hook}"), &payload))
        .collect::<Result<Vec<Step>>>()?;
    // By region, namespace, name: the text does not sort so ('-' comes before '/').
    steps.sort_by(|a, b| a.hook.cmp(&b.hook));
    Ok(steps)
}

pub async fn step(db: Db<'_>, operation: OperationId, hook: &HookRef) -> Result<Option<Step>> {
    sqlx::query_scalar::<_, String>("SELECT payload FROM steps WHERE operation = $1 AND hook = $2")
        .bind(operation.to_string())
        .bind(hook.to_string())
        .fetch_optional(db)
        .await
        .map_err(failed("read a step"))?
        .map(|payload| decode("steps", format_args!("{operation}/{hook}"), &payload))
        .transpose()
}

pub async fn put_step(db: Db<'_>, step: &Step) -> Result<()> {
    let payload = encode("steps", format_args!("{}/{}", step.operation, step.hook), step)?;
    sqlx::query(
        "INSERT INTO steps (operation, hook, payload) VALUES ($1, $2, $3)
         ON CONFLICT (operation, hook) DO UPDATE SET payload = excluded.payload",
    )
    .bind(step.operation.to_string())
    .bind(step.hook.to_string())
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write a step"))?;
    Ok(())
}

pub async fn attempt(db: Db<'_>, id: &AttemptId) -> Result<Option<Attempt>> {
    sqlx::query_scalar::<_, String>(
        "SELECT payload FROM attempts WHERE operation = $1 AND step = $2 AND number = $3",
    )
    .bind(id.operation.to_string())
    .bind(id.step.to_string())
    .bind(i64::from(id.number))
    .fetch_optional(db)
    .await
    .map_err(failed("read an attempt"))?
    .map(|payload| decode("attempts", id, &payload))
    .transpose()
}

pub async fn attempts(db: Db<'_>, operation: OperationId) -> Result<Vec<Attempt>> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("SELECT step, number, payload FROM attempts WHERE operation = $1")
            .bind(operation.to_string())
            .fetch_all(db)
            .await
            .map_err(failed("read attempts"))?;
    let mut attempts = rows
        .into_iter()
        .map(|(step, number, payload)| {
            decode("attempts", format_args!("{operation}/{step}#{number}"), &payload)
        })
        .collect::<Result<Vec<Attempt>>>()?;
    attempts.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(attempts)
}

pub async fn put_attempt(db: Db<'_>, attempt: &Attempt) -> Result<()> {
    let payload = encode("attempts", &attempt.id, attempt)?;
    sqlx::query(
        "INSERT INTO attempts (operation, step, number, region, ended, payload) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (operation, step, number) DO UPDATE SET ended = excluded.ended, payload = excluded.payload",
    )
    .bind(attempt.id.operation.to_string())
    .bind(attempt.id.step.to_string())
    .bind(i64::from(attempt.id.number))
    .bind(attempt.id.step.region.as_str())
    .bind(i64::from(attempt.state.is_over()))
    .bind(payload)
    .execute(db)
    .await
    .map_err(failed("write an attempt"))?;
    Ok(())
}
