//! From an intent to calls of the manager.

use super::verbs::Verb;
use super::view::Intent;
use crate::commands::explain;
use crate::output::word;
use tenantry_api_types::v1::{CancelOperation, ConfirmStep, Operation, SteerStep};
use tenantry_client::{Call, Client, StepVerb};
use tenantry_model::OperationId;

/// What the verb would do, in lines for people; nothing is changed.
pub async fn preview(client: &Client, id: OperationId, intent: &Intent) -> Result<Vec<String>, String> {
    let operation = client.operation(id).await.map_err(|error| explain(&error))?;
    let Some(hook) = &intent.step else {
        let running = operation.steps.iter().flatten().filter(|step| !step.state.is_done()).count();
        return Ok(vec![format!("{running} steps are not done yet")]);
    };
    let step = operation.steps.iter().flatten().find(|step| step.hook == *hook);
    let step = step.ok_or_else(|| format!("the operation has no step {} any more", hook.path()))?;
    Ok(vec![format!("{} is {}, attempt {}", hook.path(), word(&step.state), step.attempt)])
}

/// Does it; answers the operation with its steps.
pub async fn act(client: &Client, id: OperationId, intent: &Intent) -> Result<Box<Operation>, String> {
    let call = Call::default();
    let (reason, expected) = (intent.reason.clone(), intent.expected.clone());
    let answer = match (intent.verb, &intent.step) {
        (Verb::Cancel, _) => {
            let body =
                CancelOperation { reason: reason.unwrap_or_default(), expected_state: intent.expected_state };
            client.cancel(id, &body, &call).await
        }
        (Verb::Confirm, Some(step)) => {
            let body = ConfirmStep { reason, expected, outputs: intent.outputs.clone() };
            client.confirm(id, step, &body, &call).await
        }
        (verb, Some(step)) => {
            let verb = match verb {
                Verb::Rerun => StepVerb::Rerun,
                Verb::Kill => StepVerb::Kill,
                Verb::Skip => StepVerb::Skip,
                Verb::DeclareLost => StepVerb::DeclareLost,
                other => return Err(format!("the manager does not know {} yet", other.word())),
            };
            client.steer(id, step, verb, &SteerStep { reason, expected }, &call).await
        }
        (verb, None) => return Err(format!("the manager does not know {} yet", verb.word())),
    };
    answer.map(Box::new).map_err(|error| explain(&error))
}
