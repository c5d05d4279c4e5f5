//! Exactly-once bookkeeping against a hostile executor; on PostgreSQL in `several`.

use super::*;

#[tokio::test]
async fn reports_of_any_kind_lead_to_the_same_end() {
    let world = World::new();
    let manager = world.manager().await;
    hostile::reports_of_any_kind_lead_to_the_same_end(&world, &manager).await;
}
