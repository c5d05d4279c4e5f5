//! Holds by predicate: one that lasts and is lifted by hand, one that ends by itself.

use super::desk::{Desk, from};
use anyhow::Result;
use serde_json::json;
use tenantry_client::Call;
use tenantry_model::{AttentionKind, HoldId, OperationState, StepState};

pub fn all(desk: &mut Desk) -> Result<()> {
    let prod = desk.prod()?;
    let id = desk.run(prod, "team.work")?;
    desk.until_running(id, "slow", 1)?;
    let lasting = create(desk, json!({ "predicate": {"hook": "team/next"}, "reason": "not on a Friday" }))?;
    desk.until_held(id, "next", StepState::Blocked)?;
    desk.open_gate("slow")?;
    desk.until_held(id, "next", StepState::Ready)?;
    desk.until_raised(AttentionKind::HoldLong)?;
    for _ in 0..2 {
        // Twice is as good as once.
        let body = from(json!({ "reason": "it is Monday" }))?;
        desk.ask(move |client| async move { client.lift_hold(lasting, &body, &Call::default()).await })?;
    }
    desk.until_ended(id, OperationState::Succeeded)?;
    desk.close_gate("slow")?;

    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let short = create(
        desk,
        json!({ "predicate": {"operation": "team.idle"}, "reason": "for a moment", "until": until }),
    )?;
    desk.until("the end of a hold", |desk| {
        Ok(desk.ask(move |client| async move { client.hold(short).await })?.lifted.map(drop))
    })
}

fn create(desk: &mut Desk, body: serde_json::Value) -> Result<HoldId> {
    let body = from(body)?;
    let hold = desk.ask(move |client| async move { client.create_hold(&body, &Call::default()).await })?;
    Ok(hold.id)
}
