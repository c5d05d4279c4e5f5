//! How large a plan may be. What is larger is refused before a step exists: a plan is one transaction, and everything that
//! starts with it is handed its documents in it.

use tenantry_engine::{Plan, PlanRefusal};
use tenantry_model::{Environment, StepState};

/// What the installation allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) steps: usize,
    pub(super) handed_bytes: usize,
}

impl Limits {
    pub(super) fn check(self, plan: &Plan, environment: &Environment) -> Result<(), PlanRefusal> {
        let steps = plan.steps.len();
        if steps > self.steps {
            return Err(PlanRefusal::TooManySteps { steps, limit: self.steps });
        }
        let steps = plan.steps.values().filter(|step| step.state == StepState::Blocked).count();
        let size = serde_json::to_vec(&environment.spec).map_or(0, |spec| spec.len());
        // Each is handed the environment and, at worst, all of it once more as its changeset.
        if steps.saturating_mul(size).saturating_mul(2) > self.handed_bytes {
            return Err(PlanRefusal::TooMuchToHandOver { steps, size, limit: self.handed_bytes });
        }
        Ok(())
    }
}
