//! The conflict policy `replace`; on PostgreSQL by two managers in `several`.

use super::*;

#[tokio::test]
async fn what_waits_is_replaced_by_choice_and_by_definition() {
    let world = World::new();
    let manager = world.manager().await;
    replace::what_waits_is_replaced(&world, &manager).await;
}
