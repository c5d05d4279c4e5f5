//! The ways out: facts, log text, finished commands, the inventory; each its own loop, so that none waits for another.
//!
//! A loop sends what its queue has, pauses while the manager is out of reach, and drops nothing that was not
//! acknowledged. It must never know an executor.

use crate::{AgentError, AgentStatus, inventory::Inventory, pace::Pace, recorder::Recorder};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tenantry_api_types::agent::{
    FinishRequest, LogChunk, LogsRequest, MAX_BATCH, MAX_LOG_BYTES, ObservationsRequest,
};
use tenantry_client::agent::{AgentClient, AgentClientError};
use tenantry_failpoints::Point;
use tenantry_model::{AgentSessionId, CommandId, with_causes};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// A report's items have up to this size as JSON: with what stands around them well below the 2 MiB that the manager
/// takes in one body.
const REPORT_BYTES: usize = 1024 * 1024;

/// How many of the first items fit into one report; one at least.
pub(crate) fn fitting<T: Serialize>(items: &[T]) -> usize {
    let mut size = 0;
    let fit = items.iter().take_while(|item| {
        size += serde_json::to_vec(item).map_or(0, |text| text.len() + 1);
        size <= REPORT_BYTES
    });
    fit.count().max(1)
}

/// One session's way to the manager. A call that is on its way when the session is over is given up: all of them may come
/// twice, and the next session must not wait for a manager that does not answer. `over` ends when the agent shuts down or the session is no longer the region's.
#[derive(Clone)]
pub(crate) struct Uplink {
    pub client: AgentClient,
    pub session: AgentSessionId,
    pub over: CancellationToken,
    /// The session was over because another agent began one.
    pub superseded: Arc<AtomicBool>,
    /// Told when the credential is refused, with what a person does then.
    pub status: AgentStatus,
    pub rejoin: Arc<str>,
    /// A loop for which nothing worked was answered again: the others need not wait for the end of their pauses.
    pub back: Arc<Notify>,
}

/// What a loop does after a call that failed.
pub(crate) enum After {
    /// Wait, then try again.
    Pause,
    /// The manager will never take this.
    Drop,
}

impl Uplink {
    /// One call, which is given up when its answer takes `wait` and the loop's patience; `None`: the session is over.
    pub async fn ask<A, F>(
        &self,
        pace: &mut Pace,
        wait: Duration,
        call: impl FnOnce(AgentClient) -> F,
    ) -> Option<Result<A, AgentClientError>>
    where
        F: Future<Output = Result<A, AgentClientError>>,
    {
        let begun = Instant::now();
        let call = call(self.client.within(wait + pace.patience()));
        let answer = self.over.run_until_cancelled(call).await?;
        match &answer {
            Ok(_) if pace.answered(begun.elapsed().saturating_sub(wait)) => self.back.notify_waiters(),
            Err(error) if error.is_timeout() => pace.in_vain(),
            _ => {}
        }
        Some(answer)
    }

    /// A pause before the next try, which is over as soon as another loop gets through; `false`: the session is over.
    pub async fn pause(&self, pace: &mut Pace) -> bool {
        tokio::select! {
            go_on = pace.pause(&self.over) => go_on,
            () = self.back.notified() => !self.over.is_cancelled(),
        }
    }

    /// Ends the session if the manager says so; tells whether trying again makes sense.
    pub fn judge(&self, error: &AgentClientError) -> After {
        if error.is_session_over() {
            tracing::warn!(error = %with_causes(error), "the session is over");
            if matches!(error, AgentClientError::Refused { code, .. } if code == "session-superseded") {
                self.superseded.store(true, Ordering::SeqCst);
            }
            self.over.cancel();
            return After::Pause;
        }
        if error.is_unauthorized() {
            // No loop has to find out by itself: the next session is opened when the credential is taken again.
            self.status.refused(error, &self.rejoin);
            self.over.cancel();
            return After::Pause;
        }
        if error.is_unreachable() {
            tracing::warn!(error = %with_causes(error), "waiting for the manager");
            return After::Pause;
        }
        tracing::error!(error = %with_causes(error), "the manager does not take a report");
        match error {
            AgentClientError::Refused { status: 400 | 413 | 422, .. } => After::Drop,
            _ => After::Pause,
        }
    }

    /// Sends facts as they come.
    pub async fn facts(&self, recorder: &Recorder) {
        let mut pace = Pace::new();
        loop {
            let mut observations = recorder.ledger.unsent(MAX_BATCH);
            observations.truncate(fitting(&observations));
            if observations.is_empty() {
                tokio::select! {
                    () = self.over.cancelled() => return,
                    () = recorder.ledger.facts.notified() => continue,
                }
            }
            let request = ObservationsRequest { session: self.session, observations };
            Point::FactsUnsent.reached();
            let sent = &request;
            let call = |client: AgentClient| async move { client.observations(sent).await };
            match self.ask(&mut pace, Duration::ZERO, call).await {
                None => return,
                Some(Ok(answer)) => {
                    Point::FactsTold.reached();
                    for attempt in &answer.unknown {
                        tracing::warn!(%attempt, "the manager does not know this attempt; its facts are dropped");
                    }
                    recorder.ledger.acknowledge(&request.observations);
                    Point::FactsAcknowledged.reached();
                }
                // A fact is never dropped: one that is refused is a bug of one side, and waits for its repair.
                Some(Err(error)) => {
                    self.judge(&error);
                    if !self.pause(&mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    /// Sends the facts that are there, once.
    pub async fn rest(&self, recorder: &Recorder) {
        loop {
            let mut observations = recorder.ledger.unsent(MAX_BATCH);
            observations.truncate(fitting(&observations));
            let request = ObservationsRequest { session: self.session, observations };
            if request.observations.is_empty() || self.client.observations(&request).await.is_err() {
                return;
            }
            recorder.ledger.acknowledge(&request.observations);
        }
    }

    /// Sends log text as it comes.
    pub async fn logs(&self, recorder: &Recorder) {
        let mut pace = Pace::new();
        loop {
            let batch = recorder.logs.unsent(MAX_BATCH, MAX_LOG_BYTES);
            if batch.is_empty() {
                tokio::select! {
                    () = self.over.cancelled() => return,
                    () = recorder.logs.text.notified() => continue,
                }
            }
            let mut pieces = Vec::with_capacity(batch.len());
            let mut chunks = Vec::with_capacity(batch.len());
            for (piece, bytes) in batch {
                chunks.push(LogChunk {
                    attempt: piece.attempt.clone(),
                    offset: piece.offset,
                    data: STANDARD.encode(bytes),
                    last: piece.last,
                });
                pieces.push(piece);
            }
            Point::LogsUnsent.reached();
            let request = LogsRequest { session: self.session, chunks };
            let sent = &request;
            let call = |client: AgentClient| async move { client.logs(sent).await };
            match self.ask(&mut pace, Duration::ZERO, call).await {
                None => return,
                Some(Ok(_)) => {
                    Point::LogsTold.reached();
                    recorder.logs.acknowledge(&pieces);
                    Point::LogsAcknowledged.reached();
                }
                Some(Err(error)) => {
                    if matches!(self.judge(&error), After::Drop) {
                        recorder.logs.acknowledge(&pieces);
                    } else if !self.pause(&mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    /// Says which commands are carried out, when the ledger that remembers them is on disk.
    pub async fn finished(&self, recorder: &Recorder, done: &Finished) {
        let mut pace = Pace::new();
        loop {
            let commands = done.first(MAX_BATCH);
            if commands.is_empty() {
                tokio::select! {
                    () = self.over.cancelled() => return,
                    () = done.news.notified() => continue,
                }
            }
            let told = match recorder.ledger.sync().await {
                Ok(()) => {
                    Point::FinishSynced.reached();
                    let request = FinishRequest { session: self.session, commands: commands.clone() };
                    let sent = &request;
                    let call = |client: AgentClient| async move { client.finish(sent).await };
                    let Some(answer) = self.ask(&mut pace, Duration::ZERO, call).await else { return };
                    answer.map_err(|error| self.judge(&error))
                }
                Err(error) => {
                    tracing::error!(%error, "the ledger cannot be synced; commands stay open");
                    Err(After::Pause)
                }
            };
            match told {
                Ok(_) | Err(After::Drop) => {
                    Point::FinishTold.reached();
                    done.remove(&commands);
                }
                Err(After::Pause) => {
                    if !self.pause(&mut pace).await {
                        return;
                    }
                }
            }
        }
    }

    /// Reports the hooks: whole, then changes.
    pub async fn inventory(&self, inventory: &Inventory, recorder: &Recorder) -> Result<(), AgentError> {
        let mut pace = Pace::new();
        loop {
            if !inventory.has_news() {
                tokio::select! {
                    () = self.over.cancelled() => return Ok(()),
                    () = inventory.changed.notified() => continue,
                }
            }
            let mut keep = None;
            let mut failed = None;
            let mut report = inventory.report();
            while let Some(page) = inventory.next_page(&mut report, self.session) {
                let sent = &page;
                let call = |client: AgentClient| async move { client.inventory(sent).await };
                match self.ask(&mut pace, Duration::ZERO, call).await {
                    None => {
                        inventory.not_told();
                        return Ok(());
                    }
                    Some(Ok(answer)) => keep = Some(answer.keep),
                    Some(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if let Some(error) = failed {
                inventory.not_told();
                self.judge(&error);
                if !self.pause(&mut pace).await {
                    return Ok(());
                }
            } else if let Some(keep) = keep {
                Point::InventoryTold.reached();
                inventory.told(keep, recorder.ledger.hashes())?;
            }
        }
    }
}

/// Commands that are carried out and not yet finished. Lost with the agent: they are then delivered again, and
/// carrying them out again changes nothing.
#[derive(Default)]
pub(crate) struct Finished {
    commands: Mutex<Vec<CommandId>>,
    news: Notify,
}

impl Finished {
    pub fn add(self: &Arc<Self>, command: CommandId) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.news.notify_one();
    }

    fn first(&self, limit: usize) -> Vec<CommandId> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.iter().take(limit).copied().collect()
    }

    fn remove(&self, told: &[CommandId]) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.retain(|command| !told.contains(command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_stays_below_what_the_manager_takes() {
        let items = vec!["x".repeat(300 * 1024); 10];
        assert_eq!(fitting(&items), 3);
        assert_eq!(fitting(&["x".repeat(3 * 1024 * 1024)]), 1);
        assert_eq!(fitting(&items[..2]), 2);
    }
}
