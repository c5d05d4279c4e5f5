//! Watching an operation, and waiting for its end.

use crate::{Client, ClientError, Result};
use eventsource_stream::Event as Message;
use futures::{Stream, StreamExt, stream::BoxStream};
use std::time::Duration;
use tenantry_api_types::v1::Operation;
use tenantry_model::OperationId;

/// At most so often an operation is read while its steps change …
const BREATH: Duration = Duration::from_millis(100);
/// … and after a pause of so many times what the last reading took: one of thousands of steps is megabytes, and several
/// may watch it.
const PAUSES: u32 = 4;
/// An operation is read at least so often, should its stream be silent.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A final state, or a step that waits for a person's decision.
    DoneOrDecision,
    /// A final state only.
    Settled,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Waited {
    /// In a final state.
    Done(Box<Operation>),
    /// At least one step waits for a decision.
    NeedsDecision(Box<Operation>),
}

/// Who waits for an operation waits for its manager too, which may be restarted or moved meanwhile.
const WHILE_WAITING: Duration = Duration::from_mins(2);

struct Watch {
    client: Client,
    id: OperationId,
    messages: BoxStream<'static, Result<Message>>,
    /// Not before then is the operation read again.
    rested: tokio::time::Instant,
}

impl Client {
    /// The operation with its steps, now and after each change, until it has ended. Changes that come fast are
    /// taken together.
    pub fn watch_operation(&self, id: OperationId) -> impl Stream<Item = Result<Operation>> + Send + use<> {
        let watch = Watch {
            messages: self.messages(format!("v1/operations/{id}/events"), Vec::new(), None).boxed(),
            client: self.clone(),
            id,
            rested: tokio::time::Instant::now(),
        };
        futures::stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(operation) if operation.done => Some((Ok(operation), None)),
                Ok(operation) => Some((Ok(operation), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Waits until the operation has ended or needs a person, `limit` at most; `progress` sees each change.
    pub async fn wait_operation(
        &self,
        id: OperationId,
        until: WaitFor,
        limit: Option<Duration>,
        mut progress: impl FnMut(&Operation) + Send,
    ) -> Result<Waited> {
        let wait = async {
            let mut changes = Box::pin(self.patient(WHILE_WAITING).watch_operation(id));
            while let Some(operation) = changes.next().await {
                let operation = operation?;
                progress(&operation);
                if operation.done {
                    return Ok(Waited::Done(Box::new(operation)));
                }
                let waits = operation.steps.iter().flatten().any(|step| step.waiting);
                if waits && until == WaitFor::DoneOrDecision {
                    return Ok(Waited::NeedsDecision(Box::new(operation)));
                }
            }
            Err(ClientError::Deadline(format!(
                "the changes of operation {id} ended before the operation did"
            )))
        };
        match limit {
            None => wait.await,
            Some(limit) => tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| {
                Err(ClientError::Deadline(format!(
                    "operation {id} has not ended within {} s",
                    limit.as_secs()
                )))
            }),
        }
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Operation> {
        // The first message says where the stream begins. The operation is read after it: a change cannot fall
        // between the two.
        if let Ok(Some(message)) = tokio::time::timeout(HEARTBEAT, self.messages.next()).await {
            message?;
            // Whatever comes meanwhile is in what is read next.
            let pause = tokio::time::sleep_until(self.rested);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    message = self.messages.next() => match message {
                        Some(message) => drop(message?),
                        None => break,
                    },
                }
            }
        }
        let began = tokio::time::Instant::now();
        let operation = self.client.operation(self.id).await;
        self.rested = (began + BREATH).max(tokio::time::Instant::now() + began.elapsed() * PAUSES);
        operation
    }
}
