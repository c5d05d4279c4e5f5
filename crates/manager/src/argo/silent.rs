//! Workflows of which nobody speaks any more: deleted between two levels, without a Pod that could be placed, lost with their
//! node. Nobody says so, and Argo cannot be asked: it is seen from the rows alone.
//!
//! Silence proves nothing. Attempts become unknown, a person is told, and the same event is sent again, which makes the
//! Workflow anew where it is gone and changes nothing where it is there. What needs a further Workflow a person decides.

use super::{rounds_of, silent, silent_key};
use crate::error::Result;
use crate::repeat::repeating;
use crate::work::Work;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use tenantry_engine::Event;
use tenantry_failpoints::Point;
use tenantry_model::{Attempt, HookRef, Operation, OperationId, RegionName};
use tenantry_store::{BridgeRow, Read, WorkflowEnded, WorkflowRow};

/// A bridge that lives is heard so often in any case: it polls every 20 s, not every poll is noted, and one that got no answer pauses.
const LEAST: SignedDuration = SignedDuration::from_mins(1);

/// Since when this manager has looked without a break. While nobody looked (the store was away, the process stood still),
/// nobody could be heard either.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Option<Looks>>);

#[derive(Clone, Copy, Debug)]
struct Looks {
    since: Timestamp,
    last: Timestamp,
    judged: Timestamp,
}

impl Watch {
    /// Notes a look. `Some`: silence is to be judged now, from this time on at the earliest.
    fn look(&self, now: Timestamp, limit: SignedDuration) -> Option<Timestamp> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = looks.filter(|looks| now >= looks.last && now.duration_since(looks.last) <= limit / 2);
        let mut new = before.unwrap_or(Looks { since: now, last: now, judged: now });
        new.last = now;
        let due = now.duration_since(new.judged) >= limit / 10;
        if due {
            new.judged = now;
        }
        *looks = Some(new);
        due.then_some(new.since)
    }
}

/// The steps that nobody speaks for, and since when.
struct Silent {
    steps: BTreeSet<HookRef>,
    since: Timestamp,
}

/// What is judged.
struct Judge<'a> {
    newest: &'a WorkflowRow,
    bridges: &'a [BridgeRow],
    attempts: &'a [Attempt],
    /// Steps with a command that nobody has.
    waiting: &'a BTreeSet<HookRef>,
    /// Before this nobody listened.
    from: Timestamp,
    now: Timestamp,
    limit: SignedDuration,
}

impl Judge<'_> {
    fn silent(&self) -> Option<Silent> {
        let mut own: BTreeMap<&HookRef, Timestamp> = BTreeMap::new();
        // While one of them speaks, a step without a bridge waits for its level.
        let mut any = self.newest.discovered_at?;
        for bridge in self.bridges.iter().filter(|bridge| bridge.round == self.newest.round) {
            any = any.max(bridge.left_at.unwrap_or(bridge.seen_at));
            if bridge.left_at.is_none() {
                own.insert(&bridge.hook, bridge.seen_at);
            }
        }
        // When something was last asked of each step that waits for somebody.
        let mut asked: BTreeMap<&HookRef, Timestamp> = BTreeMap::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.id.step.region == self.newest.region) {
            let step = &attempt.id.step;
            if attempt.state.is_over() && !self.waiting.contains(step) {
                continue;
            }
            let kill = attempt.kill.as_ref().map(|kill| kill.at);
            let times = [Some(attempt.created_at), attempt.ended_at, kill];
            // A region's clock may be ahead.
            let last = times.into_iter().flatten().max().unwrap_or(attempt.created_at).min(self.now);
            let entry = asked.entry(step).or_insert(last);
            *entry = (*entry).max(last);
        }
        let mut found: Option<Silent> = None;
        for (step, asked) in asked {
            let since = own.get(step).copied().unwrap_or(any).max(asked).max(self.from);
            if self.now.duration_since(since) >= self.limit {
                let found = found.get_or_insert_with(|| Silent { steps: BTreeSet::new(), since });
                found.steps.insert(step.clone());
                found.since = found.since.min(since);
            }
        }
        found
    }
}

impl Manager {
    /// Judges the silence of these operations' Workflows in the region, as far as it is time for that. Steps come with a
    /// command that nobody has, operations without any for what runs.
    pub(super) async fn check_silence(
        &self,
        who: &Principal,
        region: &RegionName,
        waiting: &BTreeMap<OperationId, BTreeSet<HookRef>>,
        from: Timestamp,
    ) -> Result<()> {
        for (operation, steps) in waiting {
            let mut read = self.store.read().await?;
            let judged = self.judge_silence(&mut *read, *operation, region, steps, from).await?;
            drop(read);
            if judged.is_some_and(|(newest, silent)| silent.is_some() || newest.asked_again_at.is_some()) {
                self.tell_silence_of(who, *operation, region, steps, from).await?;
            }
        }
        Ok(())
    }

    /// How long nobody speaks until that is silence.
    pub(super) fn silent_limit(&self) -> SignedDuration {
        self.config.workflow_silent_after.max(LEAST)
    }

    /// Whether it is time to judge, and from when on.
    pub(super) fn silence_is_due(&self) -> Option<Timestamp> {
        self.watch.look(self.now(), self.silent_limit())
    }

    /// The newest Workflow that is to speak, and the steps that nobody speaks for.
    async fn judge_silence(
        &self,
        read: &mut (dyn Read + '_),
        operation: OperationId,
        region: &RegionName,
        waiting: &BTreeSet<HookRef>,
        from: Timestamp,
    ) -> Result<Option<(WorkflowRow, Option<Silent>)>> {
        let newest = rounds_of(read, operation, region).await?.pop();
        let Some(newest) = newest.filter(|row| row.ended.is_none() && row.discovered_at.is_some()) else {
            return Ok(None);
        };
        let (bridges, attempts) = (read.bridges(operation).await?, read.attempts(operation).await?);
        let judge = Judge {
            newest: &newest,
            bridges: &bridges,
            attempts: &attempts,
            waiting,
            from,
            now: self.now(),
            limit: self.silent_limit(),
        };
        let silent = judge.silent();
        Ok(Some((newest, silent)))
    }

    async fn tell_silence_of(
        &self,
        who: &Principal,
        id: OperationId,
        region: &RegionName,
        waiting: &BTreeSet<HookRef>,
        from: Timestamp,
    ) -> Result<()> {
        // It advances an operation: the futures of whoever calls this shall not carry that along.
        let told = repeating(|| async {
            let mut work = self.begin_one(who).await?;
            work.lock_of(id).await?;
            // Under the lock: a bridge may have spoken meanwhile.
            let judged = self.judge_silence(&mut *work.tx, id, region, waiting, from).await?;
            let Some((newest, silent)) = judged else { return Ok(()) };
            let told = match (silent, work.tx.operation(id).await?) {
                (None, _) => work.heard_again(newest).await?,
                (Some(silent), Some(operation)) => work.silence(&operation, newest, silent).await?,
                (Some(_), None) => false,
            };
            if told { work.commit(Point::WorkflowSilent).await } else { Ok(()) }
        });
        Box::pin(told).await
    }
}

impl Work<'_> {
    /// Tells whether there was something to tell.
    async fn silence(
        &mut self,
        operation: &Operation,
        mut newest: WorkflowRow,
        found: Silent,
    ) -> Result<bool> {
        let limit = self.manager.silent_limit();
        let asked_lately = newest.asked_again_at.is_some_and(|at| self.now.duration_since(at) < limit);
        let raised = silent(&newest, &found.steps, found.since, operation);
        let is_final = operation.state.is_final();
        let event = Event::StepsSilent { steps: found.steps, since: found.since };
        let changed = !is_final && self.advance(operation.id, vec![event]).await?.changed;
        if asked_lately {
            return Ok(changed);
        }
        // What is to be ended, or is over, has nobody who could still decide to wait: somebody has to end and release it.
        let decided = is_final || operation.state == tenantry_model::OperationState::Cancelling;
        if decided && newest.asked_again_at.is_some() {
            newest.ended = Some(WorkflowEnded { at: self.now, how: "silent".to_owned(), why: String::new() });
            newest.asked_again_at = None;
        } else {
            newest.asked_again_at = Some(self.now);
            newest.deliver_at = Some(self.now);
        }
        self.tx.put_workflow(&newest).await?;
        if !is_final {
            self.raise_for(Some((operation.environment, operation.id)), &raised).await?;
        }
        Ok(true)
    }

    /// Somebody speaks for all of it again.
    pub(super) async fn heard_again(&mut self, mut row: WorkflowRow) -> Result<bool> {
        if row.asked_again_at.take().is_none() {
            return Ok(false);
        }
        self.settle_attention(&silent_key(row.operation, &row.region)).await?;
        self.tx.put_workflow(&row).await?;
        Ok(true)
    }

    /// A person lets the operation go on: a Workflow that is silent is taken for ended, and what is left gets another one.
    pub(crate) async fn silent_workflows_end(&mut self, operation: OperationId) -> Result<()> {
        let rows = self.tx.workflows(operation).await?;
        for at in 0..rows.len() {
            let is_newest = rows.get(at + 1).is_none_or(|next| next.region != rows[at].region);
            if !is_newest || rows[at].asked_again_at.is_none() || rows[at].ended.is_some() {
                continue;
            }
            let mut row = rows[at].clone();
            row.ended = Some(WorkflowEnded { at: self.now, how: "silent".to_owned(), why: String::new() });
            row.deliver_at = None;
            self.heard_again(row).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_an_unbroken_watch_and_is_judged_now_and_then() {
        let (watch, limit) = (Watch::default(), SignedDuration::from_secs(100));
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        assert_eq!(watch.look(at(0), limit), None);
        assert_eq!(watch.look(at(9), limit), None);
        assert_eq!(watch.look(at(10), limit), Some(at(0)));
        assert_eq!(watch.look(at(19), limit), None);
        assert_eq!(watch.look(at(60), limit), Some(at(0)));
        // The process stood still, or the store was away: nobody could be heard.
        assert_eq!(watch.look(at(111), limit), None);
        assert_eq!(watch.look(at(121), limit), Some(at(111)));
        assert_eq!(watch.look(at(50), limit), None, "the clock was set back");
        assert_eq!(watch.look(at(60), limit), Some(at(50)));
    }
}
