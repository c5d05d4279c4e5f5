//! What the end of an operation does to its environment.

use crate::error::Result;
use crate::outbox;
use crate::work::{Note, Work};
use jiff::SignedDuration;
use serde_json::Value;
use tenantry_model::{Effect, EnvironmentState, Operation, OperationState, Retention};

/// The parameter of `lifecycle.decommission` that says for how long `undelete` is possible.
pub(crate) const RETENTION_PARAMETER: &str = "retention";

impl Work<'_> {
    /// Moves the environment's state when an operation with an effect has succeeded.
    pub(super) async fn ended(&mut self, operation: &Operation, state: OperationState) -> Result<()> {
        self.scheduled_run_ended(operation).await?;
        self.workflows_ended(operation.id).await?;
        if state != OperationState::Succeeded {
            return Ok(());
        }
        let mut environment = self.environment()?.clone();
        let before = outbox::environment(&environment);
        let present = environment.state;
        environment.state = match operation.definition.effect {
            Effect::None => return Ok(()),
            Effect::Provision if present == EnvironmentState::Suspended => EnvironmentState::Suspended,
            Effect::Provision | Effect::Resume => EnvironmentState::Active,
            Effect::Suspend => EnvironmentState::Suspended,
            Effect::Decommission => EnvironmentState::Decommissioned,
        };
        // A second decommissioning does not take away the time that the first one granted.
        environment.retention = match (environment.state, environment.retention.take()) {
            (EnvironmentState::Decommissioned, Some(granted)) => Some(granted),
            (EnvironmentState::Decommissioned, None) => Some(self.retention(operation)),
            _ => None,
        };
        if environment.state == present {
            return Ok(());
        }
        environment.revision += 1;
        environment.updated_at = self.now;
        let after = outbox::environment(&environment);
        self.put_environment(environment).await?;
        self.event(outbox::ENVIRONMENT_CHANGED, Some(operation.id), after.clone()).await?;
        let target = format!("operations/{}", operation.id);
        let note = Note { action: "environment.state", target, reason: None, before, after };
        self.audit(note).await
    }

    fn retention(&self, operation: &Operation) -> Retention {
        let asked = operation.parameters.get(RETENTION_PARAMETER).and_then(Value::as_str);
        let asked = asked.and_then(|text| text.parse::<SignedDuration>().ok());
        let time = asked.unwrap_or(self.manager.config.default_retention);
        Retention { until: self.now.checked_add(time).unwrap_or(jiff::Timestamp::MAX) }
    }
}
