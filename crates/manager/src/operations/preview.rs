//! What an operation would do: everything is checked as for a request, and nothing is written.

use super::{Preview, Wish};
use crate::error::{ManagerError, Result};
use crate::work::Work;
use tenantry_engine::{Admission, Plan, PlanRefusal, admit};
use tenantry_model::{ConflictPolicy, Operation};

impl Work<'_> {
    pub(super) async fn preview(&mut self, wish: Wish) -> Result<Preview> {
        let (operation, unfinished) = self.draft(wish).await?;
        let environment = self.environment()?.clone();
        let basis = self.basis_of(&operation, &environment).await?;
        let plan = basis.plan(operation.id, &environment, &operation.definition, self.now);
        self.preview_of(operation, &unfinished, plan).await
    }

    /// What an operation that was drafted in this unit would do with this plan.
    pub(super) async fn preview_of(
        &mut self,
        operation: Operation,
        unfinished: &[Operation],
        plan: std::result::Result<Plan, PlanRefusal>,
    ) -> Result<Preview> {
        // Asked for as one that refuses, the engine names what is in the way.
        let mut strict = operation.clone();
        strict.definition.on_conflict = ConflictPolicy::Refuse;
        let waits_for = match admit(&strict, unfinished) {
            Admission::Refuse(others) => others,
            _ => Vec::new(),
        };
        let cancels = match admit(&operation, unfinished) {
            Admission::WaitAndCancel(ids) => ids,
            Admission::Refuse(others) => {
                return Err(ManagerError::OperationConflict {
                    name: operation.name.to_string(),
                    with: others,
                });
            }
            Admission::Start | Admission::Wait => Vec::new(),
        };
        let environment = self.environment()?.clone();
        let manager = self.manager;
        let unready = manager.unready_regions(&mut *self.tx, &environment, self.now).await?;
        Ok(Preview {
            name: operation.name,
            generation: operation.generation,
            waits_for,
            cancels,
            waits_for_regions: unready.into_iter().map(|region| region.name).collect(),
            plan,
        })
    }
}
