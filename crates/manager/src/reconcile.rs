//! The loops that bring things on without a caller: timers, schedules, deadlines, expiry.
//!
//! Each starts from rows alone, so that a restart begins where the last process ended. A loop that meets an error
//! backs off; it never gives up and is never busy.

use crate::duties::Duty;
use crate::error::{ManagerError, Result};
use crate::repeat::repeating;
use crate::retention::believed;
use crate::roles::ROLE_LEASE;
use crate::wait::Waiter;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{OperationId, with_causes};
use tenantry_store::EventFilter;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Timers that are taken at a time.
const BATCH: u32 = 200;
/// Longest sleep of the timer loop: a clock that was set back is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// At least between two looks at the timers.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
/// For how long a manager takes timers: if it dies meanwhile, they are due again afterwards.
const CLAIM: SignedDuration = SignedDuration::from_secs(10);
/// A clock that is so far behind what it said before was set back, and not corrected by a moment.
const SET_BACK: SignedDuration = SignedDuration::from_secs(5);
/// Hardly any timer is so far ahead.
const FAR_AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Old answers that are removed in one transaction.
const EXPIRED_AT_A_TIME: u32 = 1000;
/// How often old answers are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(10);
/// How often it is looked whether a head of the audit log is due.
const SEAL_CHECK: Duration = Duration::from_secs(5);
/// How long signing the last head may take when the manager ends.
const LAST_SEAL: Duration = Duration::from_secs(3);
/// First and longest pause after an error: nearly always that of a store which is away, and timers that are due wait for its
/// end too.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

impl Manager {
    /// Runs all loops until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let every = |duty, interval| Box::pin(repeat(duty, interval, move || self.attend_to(duty)));
        let config = &self.config;
        let mut all = vec![
            every(Duty::Regions, config.region_check_interval),
            every(Duty::Expiry, EXPIRY_INTERVAL),
            every(Duty::Steering, config.steering_interval),
            every(Duty::AuditHeads, SEAL_CHECK),
            every(Duty::Deadlines, config.schedules.deadline_check),
        ];
        if !config.argo_regions.is_empty() {
            all.push(every(Duty::Workflows, config.workflow_check_interval));
        }
        let all = futures::future::join_all(all);
        let retention = Box::pin(repeat(Duty::Retention, config.retention.every, || self.retire_all()));
        let (timers, schedules) = (Box::pin(self.timers()), Box::pin(self.schedules_loop()));
        let all = async {
            tokio::join!(timers, all, retention, schedules, self.keep_roles());
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = all => {}
        }
        self.seal_at_the_end().await;
        self.give_back_roles().await;
    }

    /// What happened since the newest head is vouched for as well when the manager has ended in good order.
    async fn seal_at_the_end(&self) {
        if self.config.audit.key_file.is_none() {
            return;
        }
        let seal = self.in_role(Duty::AuditHeads.role(), |who| async move { self.seal_all(&who).await });
        match tokio::time::timeout(LAST_SEAL, seal).await {
            // Not in the role: the manager that has it signs.
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                warn!(error = %with_causes(&error), "the last head of the audit log could not be signed or kept");
            }
            Err(_) => warn!("there was no time to sign the last head of the audit log"),
        }
    }

    /// Applies what is due, then sleeps until the next timer or the next commit, whichever comes first.
    async fn timers(&self) {
        let mut pause = Pause::new();
        loop {
            let mut waiter = Waiter::new(&self.store, LONGEST_SLEEP);
            waiter.listen();
            match self.until_due().await {
                Ok(sleep) => {
                    pause = Pause::new();
                    let _ = tokio::time::timeout(sleep, waiter.wait()).await;
                    // Hundreds of commits a second are one look: a timer has the grain of seconds.
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
                Err(error) => pause.after("timers", &error).await,
            }
        }
    }

    /// Applies what is due and says how long nothing will be. Every commit wakes this loop, and hardly ever is anything
    /// due: then it was one look.
    async fn until_due(&self) -> Result<Duration> {
        self.check_clock().await?;
        let mut due = self.next_due().await?;
        if due.is_some_and(|due| due <= self.now()) {
            self.run_due().await?;
            due = self.next_due().await?;
        }
        let sleep = due.map_or(LONGEST_SLEEP, |due| {
            Duration::try_from(due.duration_since(self.now())).unwrap_or(Duration::ZERO)
        });
        // A floor, so that a timer which cannot be moved costs a look in a while and not a processor.
        Ok(sleep.clamp(Duration::from_millis(10), LONGEST_SLEEP))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        Ok(self.store.read().await?.next_due().await?)
    }

    /// Applies what is due now; returns how many operations were looked at. One that fails does not keep the others
    /// from their turn (it is due again after its claim); the first error comes back when all have had theirs.
    ///
    /// Every manager does this: what one has claimed, the others pass over. Time passing is applied under the
    /// environment's lock to rows read under it, so that one that is late changes nothing; no role is needed.
    pub async fn run_due(&self) -> Result<usize> {
        let mut seen: BTreeSet<OperationId> = BTreeSet::new();
        let mut first_error = None;
        loop {
            let claimed = self.claim_due().await?;
            // One that is due again at once has its next turn when all others have had theirs.
            let last = !claimed.iter().any(|id| !seen.contains(id));
            for id in claimed {
                seen.insert(id);
                if let Err(error) = self.tick(id).await {
                    warn!(operation = %id, error = %with_causes(&error), "a timer could not be applied");
                    first_error.get_or_insert(error);
                }
            }
            if last {
                return first_error.map_or(Ok(seen.len()), Err);
            }
        }
    }

    async fn claim_due(&self) -> Result<Vec<OperationId>> {
        // A look that writes nothing: every commit wakes this loop.
        if self.store.read().await?.due(self.now(), 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            let until = work.now.checked_add(CLAIM).unwrap_or(Timestamp::MAX);
            let claimed = work.tx.claim_due(work.now, until, BATCH).await?;
            if !claimed.is_empty() {
                work.commit(Point::TimersClaim).await?;
            }
            Ok(claimed)
        })
        .await
    }

    /// Time has passed for one operation; whatever of its environment can go on goes on.
    pub(crate) async fn tick(&self, id: OperationId) -> Result<()> {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin_one(&who).await?;
            work.advance(id, vec![Event::Tick]).await?;
            work.drive().await?;
            work.commit(Point::TimerTick).await
        })
        .await
    }

    /// Looks whether the clock was set back since the last look, or, in a process that has just begun, since the newest
    /// event. Then everything that waits for a moment is looked at now, and sets its next one by the clock as it is; commands
    /// are free to be given out again; and an agent's silence counts from now. Nothing waits for what the clock has been
    /// already.
    pub async fn check_clock(&self) -> Result<()> {
        let now = self.now();
        let before = match self.latest.get() {
            Some(before) => before,
            None => self.newest_event().await?.unwrap_or(now),
        };
        if now.checked_add(SET_BACK).is_ok_and(|now| now < before) {
            warn!(
                "the clock was set back from {before:.0} to {now:.0}: everything that waits is looked at now"
            );
            self.hasten(&Principal::system(), now, true).await?;
            // Only now: a crash or an error before it leaves it to be done.
            self.latest.set(now);
        } else {
            self.latest.set(before.max(now));
        }
        Ok(())
    }

    async fn newest_event(&self) -> Result<Option<Timestamp>> {
        let mut read = self.store.read().await?;
        let Some(before) = read.last_event().await?.checked_sub(1) else { return Ok(None) };
        Ok(read.events(&EventFilter::default(), before, 1).await?.first().map(|event| event.at))
    }

    /// Looks now at what would be looked at in a month or later: such a timer may come from a manager whose clock was wrong.
    /// A look that is too early sets it anew.
    pub(crate) async fn hasten_timers(&self, who: &Principal) -> Result<()> {
        self.hasten(who, self.now().checked_add(FAR_AHEAD).unwrap_or(Timestamp::MAX), false).await
    }

    /// `set_back`: leases of commands and the regions' last words are by a clock that is no more.
    async fn hasten(&self, who: &Principal, later: Timestamp, set_back: bool) -> Result<()> {
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let now = work.now;
            let mut changed = work.tx.hasten_timers(later, now).await? > 0;
            let regions = if set_back { work.tx.regions().await? } else { Vec::new() };
            for mut region in regions {
                work.tx.break_leases(&region.name, None).await?;
                if region.last_seen_at.is_some_and(|seen| seen > now) {
                    region.last_seen_at = Some(now);
                    work.tx.put_region(&region).await?;
                }
                changed = true;
            }
            if changed {
                work.commit(Point::TimersHasten).await?;
            }
            Ok(())
        })
        .await
    }

    /// Removes answers of old requests, unless the clock is in doubt; returns how many.
    pub async fn expire_answers(&self) -> Result<u32> {
        self.expire_answers_as(&Principal::system()).await
    }

    pub(crate) async fn expire_answers_as(&self, who: &Principal) -> Result<u32> {
        match believed(&mut *self.store.read().await?, self.now()).await? {
            Ok(now) => self.expire_answers_at(who, now).await,
            // Retention says it.
            Err(_) => Ok(0),
        }
    }

    pub(crate) async fn expire_answers_at(&self, who: &Principal, now: Timestamp) -> Result<u32> {
        let Ok(before) = now.checked_sub(self.config.idempotency_retention) else { return Ok(0) };
        let mut removed = 0;
        loop {
            let part = repeating(|| async {
                let mut work = self.begin_one(who).await?;
                let part = work.tx.expire_idempotent(before, EXPIRED_AT_A_TIME).await?;
                work.commit(Point::AnswersExpire).await?;
                Ok(part)
            })
            .await?;
            removed += part;
            if part < EXPIRED_AT_A_TIME {
                return Ok(removed);
            }
        }
    }
}

/// `work` tells whether this manager has the duty's role.
async fn repeat<F: Future<Output = Result<bool>>>(duty: Duty, interval: Duration, work: impl Fn() -> F) {
    let mut pause = Pause::new();
    loop {
        match work().await {
            Ok(done) => {
                pause = Pause::new();
                tokio::time::sleep(next_turn(done, interval)).await;
            }
            Err(error) => pause.after(duty.role(), &error).await,
        }
    }
}

/// While another manager has the role, it is looked whether that one is gone: the duty's next turn may be an hour away.
fn next_turn(done: bool, interval: Duration) -> Duration {
    if done { interval } else { interval.min(ROLE_LEASE) }
}

/// Growing pauses after errors.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(PAUSES.0)
    }

    pub(crate) async fn after(&mut self, name: &str, error: &ManagerError) {
        warn!(name, error = %with_causes(error), pause = ?self.0, "a loop met an error");
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_of_another_manager_is_looked_at_once_in_a_lease_however_long_its_interval_is() {
        let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
        assert_eq!((next_turn(true, hour), next_turn(false, hour)), (hour, ROLE_LEASE));
        assert_eq!((next_turn(true, second), next_turn(false, second)), (second, second));
    }
}
