//! What a person can have done about a sink: events again, dead letters after all or never, and the end of a sink.

use super::place;
use super::read::{DeadLettersChanged, EventSinkView, known, view};
use super::record::{dead_key, down_key};
use crate::error::{ManagerError, Result};
use crate::operations::check_reason;
use crate::repeat::repeating;
use crate::retention::EVENT_READERS;
use crate::work::{Note, Work};
use crate::{KeptAnswer, Manager, Principal, events};
use jiff::Timestamp;
use serde_json::{Value, json};
use tenantry_failpoints::Point;
use tenantry_model::Page;
use tenantry_store::{EventFilter, Read};

/// Dead letters that one request changes.
const MOST: u32 = 1000;

/// Where a sink begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayFrom {
    /// With this event.
    Position(u64),
    /// With what happened from then on.
    Time(Timestamp),
}

impl Manager {
    /// Has a sink given again what it was given before, from there on; each event under the id that it had.
    pub async fn replay_events(
        &self,
        who: &Principal,
        sink: &str,
        from: ReplayFrom,
        reason: Option<&str>,
    ) -> Result<EventSinkView> {
        check_reason(reason)?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let mut place = known(&mut *work.tx, sink).await?;
            let after = begin_after(&mut *work.tx, from, place.position).await?;
            let before = json!({ "position": place.position });
            (place.position, place.epoch) = (after, place.epoch + 1);
            (place.tries, place.not_before, place.refused, place.problem) = (0, None, 0, None);
            for row in work.tx.parked_events(sink).await? {
                // One that is behind goes on from where it is, by itself.
                if row.after >= after {
                    work.tx.delete_parked_events(sink, row.environment).await?;
                }
            }
            work.settle_attention(&down_key(sink)).await?;
            work.put_setting(&place::key(sink), &place).await?;
            work.note_reader(sink, &place).await?;
            work.note_sink("event-sink.replay", sink, reason, before, json!({ "position": after })).await?;
            let shown = view(&mut *work.tx, sink, place).await?;
            work.answer(KeptAnswer::EventSink(Box::new(shown.clone())), Point::SinkReplay).await?;
            Ok(shown)
        })
        .await
    }

    /// Has dead letters delivered after all: those of these positions, or all.
    pub async fn redeliver(
        &self,
        who: &Principal,
        sink: &str,
        positions: &[u64],
        reason: Option<&str>,
    ) -> Result<DeadLettersChanged> {
        check_reason(reason)?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let changed = chosen(&mut *work.tx, sink, positions).await?;
            for position in &changed.positions {
                if let Some(mut row) = work.tx.dead_letter(sink, *position).await? {
                    row.wanted = true;
                    work.tx.put_dead_letter(&row).await?;
                }
            }
            let after = json!({ "positions": changed.positions });
            work.note_sink("event-sink.redeliver", sink, reason, Value::Null, after).await?;
            work.answer(KeptAnswer::DeadLetters(changed.clone()), Point::LettersRedeliver).await?;
            Ok(changed)
        })
        .await
    }

    /// Throws dead letters away: those of these positions, or all. The receiver will never get them.
    pub async fn discard(
        &self,
        who: &Principal,
        sink: &str,
        positions: &[u64],
        reason: &str,
    ) -> Result<DeadLettersChanged> {
        needed(reason)?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let changed = chosen(&mut *work.tx, sink, positions).await?;
            for position in &changed.positions {
                work.tx.delete_dead_letter(sink, *position).await?;
            }
            work.settle_letters(sink).await?;
            let before = json!({ "positions": changed.positions });
            work.note_sink("event-sink.discard", sink, Some(reason), before, Value::Null).await?;
            work.answer(KeptAnswer::DeadLetters(changed.clone()), Point::LettersDiscard).await?;
            Ok(changed)
        })
        .await
    }

    /// Forgets a sink with what it was not given. One that is still configured begins anew with what happens then.
    pub async fn forget_event_sink(&self, who: &Principal, sink: &str, reason: &str) -> Result<()> {
        needed(reason)?;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let place = known(&mut *work.tx, sink).await?;
            let page = Page { after: None, limit: MOST };
            loop {
                let part = work.tx.dead_letters(sink, &page).await?;
                for row in &part.items {
                    work.tx.delete_dead_letter(sink, row.event.position).await?;
                }
                if part.next.is_none() {
                    break;
                }
            }
            for row in work.tx.parked_events(sink).await? {
                work.tx.delete_parked_events(sink, row.environment).await?;
            }
            work.settle_attention(&dead_key(sink)).await?;
            work.settle_attention(&down_key(sink)).await?;
            work.put_setting(&place::key(sink), &Value::Null).await?;
            let mut readers = place::readers(&mut *work.tx).await?;
            readers.remove(sink);
            work.put_setting(EVENT_READERS, &readers).await?;
            let before = json!({ "position": place.position });
            work.note_sink("event-sink.forget", sink, Some(reason), before, Value::Null).await?;
            work.answer(KeptAnswer::Gone, Point::SinkForget).await
        })
        .await
    }
}

impl Work<'_> {
    async fn note_sink(
        &mut self,
        action: &str,
        sink: &str,
        reason: Option<&str>,
        before: Value,
        after: Value,
    ) -> Result<()> {
        self.audit(Note { action, target: format!("event-sinks/{sink}"), reason, before, after }).await
    }
}

fn needed(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(ManagerError::field("/reason", "needs a reason"));
    }
    check_reason(Some(reason))
}

/// The position after which a sink begins, if it is not ahead of the sink and the events are there.
async fn begin_after(read: &mut (dyn Read + '_), from: ReplayFrom, position: u64) -> Result<u64> {
    match from {
        ReplayFrom::Time(time) => Ok(events::last_before(read, time).await?.min(position)),
        ReplayFrom::Position(first) => {
            let after = first.saturating_sub(1);
            if after > position {
                let message =
                    format!("the sink has come to {position}: what it has not got cannot be repeated");
                return Err(ManagerError::field("/fromPosition", message));
            }
            let oldest = read.events(&EventFilter::default(), 0, 1).await?;
            if let Some(oldest) = oldest.first().filter(|oldest| first < oldest.position) {
                let message = format!(
                    "events before {} are removed by now; begin with it, or by time",
                    oldest.position
                );
                return Err(ManagerError::field("/fromPosition", message));
            }
            Ok(after)
        }
    }
}

/// The dead letters that a request means; one that is not there is an error.
async fn chosen(read: &mut (dyn Read + '_), sink: &str, positions: &[u64]) -> Result<DeadLettersChanged> {
    known(read, sink).await?;
    let sink = sink.to_owned();
    if positions.is_empty() {
        let part = read.dead_letters(&sink, &Page { after: None, limit: MOST }).await?;
        let positions = part.items.iter().map(|row| row.event.position).collect();
        return Ok(DeadLettersChanged { sink, positions, more: part.next.is_some() });
    }
    if positions.len() > MOST as usize {
        return Err(ManagerError::field("/positions", format!("must be at most {MOST}")));
    }
    for position in positions {
        if read.dead_letter(&sink, *position).await?.is_none() {
            return Err(ManagerError::not_found("dead letter", format!("{sink}/{position}")));
        }
    }
    Ok(DeadLettersChanged { sink, positions: positions.to_vec(), more: false })
}
