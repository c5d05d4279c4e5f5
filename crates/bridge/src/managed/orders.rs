//! Carries out orders, each as often as it is delivered, with the effect of once; in the order in which they came.
//!
//! It must never say of an attempt that it was not started while a create of an earlier life may still land.

use super::told::Told;
use crate::{BridgeError, Missing, cli::Bridge, discovery::read_replaced, run::told as words};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tenantry_api_types::agent::{LeasedCommand, OpenAttempt, Order, StartOrder};
use tenantry_hook::{AnnotationDomains, AttemptObjects, RegionPolicy, build, parse};
use tenantry_kube_run::{Cluster, CreateError, Ending, Known, RunError, Runner, Settled};
use tenantry_model::{AttemptId, CommandId, Fact, FailureReason, KillCause, Outcome, Problem, with_causes};
use tokio::{sync::mpsc, time::Instant};

/// An order that does not get through is tried again for so long; then its lease runs out and it comes again.
const PATIENCE: Duration = Duration::from_secs(45);
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What one lease brought.
pub(super) struct Work {
    /// Attempts that an earlier life may have left.
    pub open: Vec<OpenAttempt>,
    /// In order.
    pub commands: Vec<LeasedCommand>,
    /// The first answer to this life: its commands may have been leased by an earlier one.
    pub first: bool,
}

/// Everything that orders need.
pub(super) struct Orders<'a> {
    pub arguments: &'a Bridge,
    pub cluster: Cluster,
    pub runner: Runner,
    pub domains: AnnotationDomains,
    pub policy: RegionPolicy,
    pub told: Arc<Told>,
}

/// Why an order is not carried out.
enum Undone {
    /// It may be later.
    Yet(RunError),
    /// A right is missing, which does not come by waiting.
    Ever(RunError),
}

impl From<RunError> for Undone {
    fn from(error: RunError) -> Self {
        if error.code() == Some(403) { Self::Ever(error) } else { Self::Yet(error) }
    }
}

impl Orders<'_> {
    /// Works off what leases bring, and ends attempts whose timeout is over; an error ends the program.
    pub async fn work(
        &self,
        mut leased: mpsc::UnboundedReceiver<Work>,
        carried_out: impl Fn(CommandId),
    ) -> BridgeError {
        loop {
            let next = self.told.next_deadline();
            let done = tokio::select! {
                biased;
                work = leased.recv() => match work {
                    Some(work) => self.carry_out_all(work, &carried_out).await,
                    None => return std::future::pending().await,
                },
                attempt = until(next) => {
                    words::timed_out(&attempt);
                    self.enforce(&attempt).await
                }
                () = self.told.changed.notified() => Ok(()),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    /// Ends an attempt whose timeout is over, as often as it takes.
    async fn enforce(&self, attempt: &AttemptId) -> Result<(), BridgeError> {
        let kill = Order::Kill { cause: KillCause::Timeout };
        while !self.carry_out(attempt, &kill).await? {}
        Ok(())
    }

    async fn carry_out_all(&self, work: Work, carried_out: &impl Fn(CommandId)) -> Result<(), BridgeError> {
        let Work { open, commands, first } = work;
        let is_start = |command: &&LeasedCommand| matches!(command.order, Order::Start(_));
        let starts: BTreeSet<AttemptId> =
            commands.iter().filter(is_start).map(|command| command.attempt.clone()).collect();
        if first {
            for attempt in &starts {
                self.told.with(attempt, |record| record.tried = true);
            }
        }
        for open in open {
            self.told.with(&open.attempt, |record| record.reconcile(&open));
            if !starts.contains(&open.attempt) {
                self.look_for(&open.attempt).await?;
            }
        }
        let mut kept_back = BTreeSet::new();
        for LeasedCommand { id, attempt, order } in commands {
            // One that did not get through keeps the later ones of its attempt back.
            if !kept_back.contains(&attempt) && self.carry_out(&attempt, &order).await? {
                self.told.outbox.finished(id);
            } else {
                kept_back.insert(attempt);
            }
            carried_out(id);
        }
        Ok(())
    }

    /// Carries one order out; `false`: it did not get through and will be delivered again.
    async fn carry_out(&self, attempt: &AttemptId, order: &Order) -> Result<bool, BridgeError> {
        let began = Instant::now();
        let mut said = false;
        loop {
            let done = match order {
                Order::Start(start) => self.start(attempt, start).await,
                Order::Kill { cause } => self.kill(attempt, *cause).await,
                Order::Release => self.release(attempt).await.map_err(Undone::from),
            };
            let error = match done {
                Ok(()) => return Ok(true),
                Err(Undone::Ever(error)) => return Err(error.into()),
                Err(Undone::Yet(error)) => error,
            };
            if !std::mem::replace(&mut said, true) {
                words::repeated(attempt, &error);
            }
            match error {
                // It is known by then, and not before: giving up would only begin the wait anew.
                RunError::NotSettled { retry_in } => tokio::time::sleep(retry_in.max(TRY_AGAIN)).await,
                _ if began.elapsed() > PATIENCE => return Ok(false),
                _ => tokio::time::sleep(TRY_AGAIN).await,
            }
        }
    }

    async fn start(&self, attempt: &AttemptId, order: &StartOrder) -> Result<(), Undone> {
        let nonce = order.request.nonce;
        let (other, over) = self.told.with(attempt, |record| {
            let other = !record.nonce.is_nil() && record.nonce != nonce;
            (other, record.over || record.held.is_some() || record.released)
        });
        if other {
            // Facts carry no nonce: whatever was told of this order would be taken for the other one's.
            eprintln!("tenantry-bridge: {attempt} came before with another nonce; this order is passed over");
            return Ok(());
        }
        if over {
            return Ok(());
        }
        // As it was before this try: what is asked for from now on may land.
        let earlier = self.told.known(attempt);
        self.told.with(attempt, |record| {
            record.nonce = nonce;
            record.timeout = order.timeout;
        });
        let refused = match self.objects(attempt, order).await? {
            Ok(objects) => {
                self.told.with(attempt, |record| {
                    record.tried = true;
                    record.tried_at.get_or_insert_with(Timestamp::now);
                });
                self.told.changed.notify_one();
                let known = Known { nonce, ..earlier };
                match self.runner.start(&known, &objects, self.told.observer(attempt)).await {
                    Ok(_) => return Ok(()),
                    Err(CreateError::Unanswered(error)) => return Err(error.into()),
                    Err(CreateError::Refused(outcome)) => *outcome,
                }
            }
            Err(refused) => {
                // An earlier life may have made it, from the version that was there then.
                let known = Known { nonce, ..earlier };
                match self.runner.settle(&known, self.told.observer(attempt)).await? {
                    Settled::Here => return Ok(()),
                    Settled::Absent => refused,
                }
            }
        };
        if let Some(missing) = Missing::read(&refused.message) {
            eprintln!("tenantry-bridge: {missing}; grant it: {}", missing.command());
        }
        self.told.never_started(attempt, refused);
        Ok(())
    }

    /// What is to be made, from the template that is there; or the outcome that says why it never can be.
    async fn objects(
        &self,
        attempt: &AttemptId,
        order: &StartOrder,
    ) -> Result<Result<AttemptObjects, Outcome>, RunError> {
        let StartOrder { hook, hash, request, .. } = order;
        if *hook != self.arguments.job || request.attempt != *attempt {
            let why = format!("this bridge runs {}, and was given {attempt} of {hook}", self.arguments.job);
            return Ok(Err(outcome(FailureReason::Rejected, why)));
        }
        let Some(template) = read_replaced(&self.cluster, hook).await? else {
            let why = format!("the template {hook} is not there");
            return Ok(Err(outcome(FailureReason::TemplateGone, why)));
        };
        let parsed = match parse(&template, &self.domains, &self.policy) {
            Ok(parsed) => parsed,
            Err(problems) => {
                let why = format!(
                    "this region no longer has version {} of {hook}, and what is there cannot be read: {}",
                    hash.0,
                    in_words(&problems)
                );
                return Ok(Err(outcome(FailureReason::TemplateGone, why)));
            }
        };
        if parsed.hash != *hash {
            let why = format!(
                "this region no longer has version {} of {hook}: the template was changed after the plan and is {} now; \
                 plan the operation again",
                hash.0, parsed.hash.0
            );
            return Ok(Err(outcome(FailureReason::TemplateGone, why)));
        }
        let objects = build(&template, &parsed, request, &self.policy);
        Ok(objects.map_err(|refusal| outcome(refusal.reason, refusal.to_string())))
    }

    async fn kill(&self, attempt: &AttemptId, cause: KillCause) -> Result<(), Undone> {
        let known = self.told.known(attempt);
        let (done, cause, existed) = self.told.with(attempt, |record| {
            let done = record.over || record.held.is_some() || record.released;
            (done, *record.kill.get_or_insert(cause), record.existed)
        });
        if done {
            return Ok(());
        }
        // Without a nonce no object could be told to be this attempt's: neither this life nor the manager knows of one.
        let found =
            if known.nonce.is_nil() { Settled::Absent } else { self.runner.kill(&known, cause).await? };
        match found {
            Settled::Here => {
                // Its end is to be seen, also by a life that did not follow it.
                self.runner.find(&known, self.told.observer(attempt)).await?;
            }
            Settled::Absent if existed => {
                let why = "it was to be killed, but nothing of it is there any more and its end was not seen";
                self.told.fact(attempt, Fact::Unknown { why: why.to_owned() });
            }
            Settled::Absent => {
                let reason = Ending::Kill(cause).reason().unwrap_or(FailureReason::Killed);
                self.told.never_started(attempt, outcome(reason, "killed before it was started"));
            }
        }
        Ok(())
    }

    async fn release(&self, attempt: &AttemptId) -> Result<(), RunError> {
        let mut known = self.told.known(attempt);
        if self.told.with(attempt, |record| record.released) {
            return Ok(());
        }
        if known.nonce.is_nil() {
            // Its end was told by an earlier life; the object itself says which attempt it is of.
            let seen = self.runner.seen(&self.arguments.job.namespace).await?;
            let ended = seen.into_iter().find(|seen| seen.identity.attempt == *attempt);
            match ended.filter(|seen| seen.outcome.is_some()) {
                Some(seen) => known.nonce = seen.identity.nonce,
                None => return Ok(()),
            }
        }
        self.runner.release(&known).await?;
        self.told.with(attempt, |record| record.released = true);
        Ok(())
    }

    /// Looks for an attempt of an earlier life; what is found comes as facts.
    async fn look_for(&self, attempt: &AttemptId) -> Result<(), BridgeError> {
        loop {
            let known = self.told.known(attempt);
            match self.runner.find(&known, self.told.observer(attempt)).await {
                Ok(Settled::Here) => {
                    words::taken_up(attempt, known.log_from);
                    return Ok(());
                }
                Ok(Settled::Absent) => {
                    let why = "looked for it, and nothing of it is there".to_owned();
                    self.told.fact(attempt, Fact::Unknown { why });
                    return Ok(());
                }
                Err(error) if error.code() == Some(403) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%attempt, error = %with_causes(&error), "cannot look for an attempt");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    /// The step is done: what its attempts left, and only stays to be looked at, goes. What is left undone is no harm.
    pub async fn tidy(&self) {
        let namespace = &self.arguments.job.namespace;
        let seen = match self.runner.seen(namespace).await {
            Ok(seen) => seen,
            Err(error) => return tracing::warn!(error = %with_causes(&error), "cannot tidy up"),
        };
        for seen in seen.into_iter().filter(|seen| seen.released && seen.outcome.is_some()) {
            let known = Known {
                attempt: seen.identity.attempt,
                nonce: seen.identity.nonce,
                log_from: 0,
                start_tried: true,
            };
            if let Err(error) = self.runner.remove(&known).await {
                words::cannot("remove", &known.attempt, error);
            }
        }
    }
}

/// Waits for a deadline; for ever without one.
async fn until(deadline: Option<(Timestamp, AttemptId)>) -> AttemptId {
    let Some((at, attempt)) = deadline else { return std::future::pending().await };
    let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left).await;
    attempt
}

/// An outcome without an exit code.
fn outcome(reason: FailureReason, message: impl Into<String>) -> Outcome {
    let message: String = message.into();
    Outcome { reason: Some(reason), message: message.chars().take(1000).collect(), ..Outcome::default() }
}

fn in_words(problems: &[Problem]) -> String {
    let words = |p: &Problem| format!("{} ({}): {}; {}", p.code, p.pointer, p.message, p.remedy);
    problems.iter().map(words).collect::<Vec<_>>().join("; ")
}
