//! Carries out orders, each as often as it is delivered, with the effect of once.
//!
//! The ledger knows first what the executor is asked for; orders about one attempt are carried out one after another.
//! It must never know leases: the lease loop is told which commands are done.

use crate::{
    executors::{Executor, ExecutorError, Found, KnownAttempt, StartError, StartRequest},
    inventory::Inventory,
    pace::Pace,
    recorder::{Recorder, reason_of},
    spool::Record,
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tenantry_api_types::agent::{OpenAttempt, Order, StartOrder};
use tenantry_failpoints::Point;
use tenantry_model::{AttemptId, Fact, FailureReason, KillCause, Outcome, Problem, with_causes};
use tokio_util::sync::CancellationToken;

/// An order that does not get through is tried again for so long; then its lease runs out and it comes again.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) struct Orders {
    pub executor: Arc<dyn Executor>,
    pub recorder: Arc<Recorder>,
    pub inventory: Arc<Inventory>,
    pub shutdown: CancellationToken,
    turns: Mutex<HashMap<AttemptId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Orders {
    pub fn new(
        executor: Arc<dyn Executor>,
        recorder: Arc<Recorder>,
        inventory: Arc<Inventory>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { executor, recorder, inventory, shutdown, turns: Mutex::default() }
    }

    /// One attempt's turn: whoever holds it is the only one who asks the executor about it.
    async fn turn(&self, attempt: &AttemptId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(attempt.clone()).or_default())
        };
        turn.lock_owned().await
    }

    /// Carries one order out; `false`: it did not get through and will be delivered again.
    pub async fn carry_out(&self, attempt: &AttemptId, order: &Order) -> bool {
        let _turn = self.turn(attempt).await;
        let mut pace = Pace::new();
        let began = tokio::time::Instant::now();
        loop {
            let done = match order {
                Order::Start(start) => self.start(attempt, start).await,
                Order::Kill { cause } => self.kill(attempt, *cause).await,
                Order::Release => self.release(attempt).await,
            };
            match done {
                Ok(()) => return true,
                Err(error) => {
                    // The first tries are everyday life (an answer on its way, a create that may still land).
                    if began.elapsed() > PATIENCE / 2 {
                        tracing::warn!(%attempt, error = %with_causes(&error), "an order does not get through");
                    } else {
                        tracing::debug!(%attempt, error = %with_causes(&error), "an order is repeated");
                    }
                    if began.elapsed() > PATIENCE || !pace.pause(&self.shutdown).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn start(&self, attempt: &AttemptId, order: &StartOrder) -> Result<(), ExecutorError> {
        let ledger = &self.recorder.ledger;
        let nonce = order.request.nonce;
        let known = ledger.get(attempt).unwrap_or_default();
        if !known.nonce.is_nil() && known.nonce != nonce {
            // Facts carry no nonce: whatever was told of this order would be taken for the other one's.
            tracing::error!(%attempt, "an order for this attempt came before with another nonce; this one is passed over");
            return Ok(());
        }
        if let Some(never) = known.never {
            self.recorder.never_started(attempt, never);
            return Ok(());
        }
        if known.over || known.released.is_some() {
            return Ok(());
        }
        // Asked before: what is listed in between counts.
        let listed = self.inventory.is_listed();
        let start = match self.inventory.start_request(order) {
            Err(refused) if refused.reason == Some(FailureReason::TemplateGone) && !listed => {
                // Its folder is new, and the order is older: that the region has this version may turn out yet.
                return Err(ExecutorError::platform(
                    "find the template",
                    "the region's templates are not listed yet",
                ));
            }
            Ok(start) => StartRequest { earlier_try: known.start_tried.is_some(), ..start },
            Err(refused) => {
                self.never(attempt, nonce, *refused);
                return Ok(());
            }
        };
        ledger.change(attempt, |record| {
            record.nonce = nonce;
            record.hash = Some(order.hash.clone());
            record.timeout = order.timeout;
            record.start_tried.get_or_insert_with(Timestamp::now);
        });
        // Before the executor is asked: an agent that dies in between must know that something may exist.
        self.sync().await?;
        Point::StartNoted.reached();
        let answer = self.executor.start(start, Arc::clone(&self.recorder) as _).await;
        Point::StartAsked.reached();
        match answer {
            Ok(()) => Ok(()),
            Err(StartError::Refused(outcome)) => {
                self.never(attempt, nonce, *outcome);
                Ok(())
            }
            Err(StartError::Unanswered(error)) => Err(error),
        }
    }

    /// Nothing ran and nothing will: remembered, and told.
    fn never(&self, attempt: &AttemptId, nonce: uuid::Uuid, outcome: Outcome) {
        let ledger = &self.recorder.ledger;
        ledger.change(attempt, |record| {
            if !nonce.is_nil() {
                record.nonce = nonce;
            }
            record.never = Some(outcome.clone());
        });
        Point::NeverNoted.reached();
        self.recorder.never_started(attempt, outcome);
    }

    async fn kill(&self, attempt: &AttemptId, cause: KillCause) -> Result<(), ExecutorError> {
        let ledger = &self.recorder.ledger;
        let known = ledger.get(attempt).unwrap_or_default();
        if known.over || known.released.is_some() || known.never.is_some() {
            return Ok(());
        }
        // The first cause counts: a kill that is delivered twice, or follows the timeout, says nothing new.
        let record = ledger.change(attempt, |record| {
            record.kill.get_or_insert(cause);
        });
        self.sync().await?;
        Point::KillNoted.reached();
        let cause = record.kill.unwrap_or(cause);
        let found = self.executor.kill(&self.known(attempt, &record), cause).await?;
        Point::KillAsked.reached();
        if found == Found::Here {
            return Ok(());
        }
        if record.existed {
            let why = "it was to be killed, but nothing of it is there any more and its end was not seen";
            ledger.fact(attempt, Fact::Unknown { why: why.to_owned() }, Timestamp::now());
        } else {
            self.never(attempt, record.nonce, outcome(reason_of(cause), "killed before it was started"));
        }
        Ok(())
    }

    async fn release(&self, attempt: &AttemptId) -> Result<(), ExecutorError> {
        let ledger = &self.recorder.ledger;
        let record = ledger.get(attempt).unwrap_or_default();
        if record.released.is_none() {
            self.executor.release(&self.known(attempt, &record)).await?;
            Point::ReleaseAsked.reached();
            ledger.change(attempt, |record| record.released = Some(Timestamp::now()));
            Point::ReleaseNoted.reached();
            self.recorder.logs.forget(attempt);
        }
        Ok(())
    }

    /// Ends an attempt whose timeout is over, as often as it takes.
    pub async fn enforce_deadline(&self, attempt: &AttemptId) {
        let kill = Order::Kill { cause: KillCause::Timeout };
        while !self.carry_out(attempt, &kill).await && !self.shutdown.is_cancelled() {}
    }

    /// Looks for an attempt of an earlier life; what the executor finds comes as facts.
    pub async fn look_for(&self, attempt: &AttemptId, from_manager: Option<&OpenAttempt>) {
        let _turn = self.turn(attempt).await;
        let ledger = &self.recorder.ledger;
        let record = match from_manager {
            Some(open) => {
                self.recorder.logs.begin_at(attempt, open.log_offset);
                ledger.reconcile(attempt, open.nonce, open.observed)
            }
            None => ledger.get(attempt).unwrap_or_default(),
        };
        if let Some(outcome) = record.never {
            self.recorder.never_started(attempt, outcome);
            return;
        }
        let known = self.known(attempt, &record);
        let mut pace = Pace::new();
        loop {
            match self.executor.find(known.clone(), Arc::clone(&self.recorder) as _).await {
                Ok(Found::Here) => {
                    if from_manager.is_some() && record.start_tried.is_none() {
                        // This folder is new: from now on it is known that the attempt exists.
                        ledger.change(attempt, |record| {
                            record.start_tried.get_or_insert_with(Timestamp::now);
                        });
                    }
                    if let Some(open) = from_manager.filter(|open| open.unknown) {
                        ledger.tell_again(attempt, open.observed, Timestamp::now());
                    }
                    // A kill that was asked for just before the agent ended may not have got through.
                    if let Some(cause) = record.kill.filter(|_| !record.over)
                        && let Err(error) = self.executor.kill(&known, cause).await
                    {
                        tracing::warn!(%attempt, error = %with_causes(&error), "the kill is not repeated");
                    }
                    return;
                }
                // An attempt that nobody has tried to start here: its start order is still to come.
                Ok(Found::Absent) => {
                    if !record.over && (record.existed || record.start_tried.is_some()) {
                        let why = "looked for it, and nothing of it is there".to_owned();
                        ledger.fact(attempt, Fact::Unknown { why }, Timestamp::now());
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%attempt, error = %with_causes(&error), "cannot look for an attempt");
                    if !pace.pause(&self.shutdown).await {
                        return;
                    }
                }
            }
        }
    }

    fn known(&self, attempt: &AttemptId, record: &Record) -> KnownAttempt {
        KnownAttempt {
            attempt: attempt.clone(),
            nonce: record.nonce,
            log_from: self.recorder.logs.end(attempt).unwrap_or(0),
            start_tried: record.start_tried.is_some(),
        }
    }

    async fn sync(&self) -> Result<(), ExecutorError> {
        self.recorder.ledger.sync().await.map_err(|e| ExecutorError::platform("write the agent's ledger", e))
    }
}

/// An outcome without an exit code.
pub(crate) fn outcome(reason: FailureReason, message: impl Into<String>) -> Outcome {
    let message: String = message.into();
    Outcome {
        reason: Some(reason),
        exit_code: None,
        message: message.chars().take(1000).collect(),
        outputs: std::collections::BTreeMap::new(),
    }
}

/// Problems as one text for an outcome.
pub(crate) fn in_words(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("{} ({}): {}; {}", p.code, p.pointer, p.message, p.remedy))
        .collect::<Vec<_>>()
        .join("; ")
}

/// What [`Inventory::start_request`] gives back when there is nothing to be started.
pub(crate) type StartRefused = Box<Outcome>;

/// Everything the executor needs, or why it will never be there.
pub(crate) type Startable = Result<StartRequest, StartRefused>;
