//! Carries attention to a pager: what was raised and settled, in order, to each sink.
//!
//! How far a sink has come is a row, so that a restart neither forgets nor repeats what was delivered. An event is
//! delivered at least once: a crash between the delivery and its row delivers it again, under the same id. A sink that
//! is new begins with what happens from then on.

use crate::error::{ManagerError, Result};
use crate::outbox::{ATTENTION_RAISED, ATTENTION_SETTLED};
use crate::repeat::repeating;
use crate::roles::LEASE;
use crate::wait::Waiter;
use crate::work::Work;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tenantry_engine::Raised;
use tenantry_events::{CloudEvent, Sink, Undelivered};
use tenantry_failpoints::Point;
use tenantry_model::{AttentionKind, with_causes};
use tenantry_store::{EventFilter, EventRecord, Read};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Events that are looked at a time.
const BATCH: u32 = 500;
/// An event that was not taken so many times becomes a dead letter.
const TRIES: u32 = 10;
/// First and longest pause between tries.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(5), SignedDuration::from_mins(10));
/// Longest sleep: what another manager has committed is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How far a sink has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    /// Everything up to this position was delivered, given up, or not for this sink.
    position: u64,
    /// How often the next one was tried.
    tries: u32,
    /// When it is tried again.
    not_before: Option<Timestamp>,
    /// Events given up since the last one that was taken.
    dead: u64,
}

impl Place {
    fn at(position: u64) -> Self {
        Self { position, tries: 0, not_before: None, dead: 0 }
    }
}

/// What one round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// An event was delivered, or given up: there may be more.
    Moved,
    /// There is nothing to deliver.
    Idle,
    /// Not before this time.
    Wait(SignedDuration),
}

impl Manager {
    /// Delivers attention to all sinks until `shutdown`; each sink has a pace of its own.
    pub async fn notify(&self, sinks: Vec<Arc<dyn Sink>>, shutdown: CancellationToken) {
        let each = sinks.iter().map(|sink| self.notify_one(sink.as_ref()));
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = futures::future::join_all(each) => {}
        }
    }

    async fn notify_one(&self, sink: &dyn Sink) {
        loop {
            let mut waiter = Waiter::new(&self.store, LONGEST_SLEEP);
            waiter.listen();
            match self.notify_round(sink).await {
                Ok(Round::Moved) => {}
                Ok(Round::Idle) => {
                    waiter.wait().await;
                }
                Ok(Round::Wait(time)) => {
                    tokio::time::sleep(Duration::try_from(time).unwrap_or_default().min(LONGEST_SLEEP)).await;
                }
                Err(error) => {
                    warn!(sink = sink.name(), error = %with_causes(&error), "the notifier met an error");
                    tokio::time::sleep(LONGEST_SLEEP).await;
                }
            }
        }
    }

    /// Delivers the next event to a sink, if there is one and its time has come, or leaves it to the manager that has this
    /// role.
    pub async fn notify_round(&self, sink: &dyn Sink) -> Result<Round> {
        let key = format!("notifier/{}", sink.name());
        // Every commit wakes this, and hardly ever is anything for the sink: then it was one look.
        match self.next_for(sink, &key).await? {
            Next::Wait(time) => return Ok(Round::Wait(time)),
            Next::Nothing => return Ok(Round::Idle),
            Next::New => return self.begin_sink(&key).await,
            _ => {}
        }
        let Some(fence) = self.take_role(&key).await? else { return Ok(Round::Wait(LEASE)) };
        let who = Principal { fence: Some(fence), ..Principal::system() };
        match self.next_in_role(&who, sink, &key).await {
            Err(error) if error.is_lease_lost() => {
                self.roles.lose(&key);
                Ok(Round::Moved)
            }
            other => other,
        }
    }

    async fn next_for(&self, sink: &dyn Sink, key: &str) -> Result<Next> {
        let mut read = self.store.read().await?;
        next(&mut *read, sink, key, self.now()).await
    }

    async fn next_in_role(&self, who: &Principal, sink: &dyn Sink, key: &str) -> Result<Round> {
        // Anew: what was seen before the role was taken may be delivered since.
        let event = match self.next_for(sink, key).await? {
            Next::Wait(time) => return Ok(Round::Wait(time)),
            Next::Nothing => return Ok(Round::Idle),
            Next::New => return self.begin_sink(key).await,
            Next::Skip(place) => {
                repeating(|| async {
                    let mut work = self.begin(who).await?;
                    work.put_place(key, &place).await?;
                    work.commit(Point::NotifierSkip).await
                })
                .await?;
                return Ok(Round::Moved);
            }
            Next::Event(event) => event,
        };
        let outcome = sink.deliver(&envelope(&event)).await;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            let now = place(&mut *work.tx, key).await?.unwrap_or_else(|| Place::at(event.position));
            let place = work.record_delivery(sink.name(), &event, now, &outcome).await?;
            work.put_place(key, &place).await?;
            work.commit(Point::NotifierDeliver).await?;
            Ok(Round::Moved)
        })
        .await
    }

    /// The sink is told what happens from now on. In no role: a manager that died with it would be waited for, and what
    /// happened meanwhile would never be told.
    async fn begin_sink(&self, key: &str) -> Result<Round> {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            if place(&mut *work.tx, key).await?.is_none() {
                let here = Place::at(work.tx.last_event().await?);
                work.put_place(key, &here).await?;
                work.commit(Point::NotifierBegin).await?;
            }
            Ok(Round::Moved)
        })
        .await
    }
}

/// What a sink's place and the events after it come to.
enum Next {
    /// The sink has no place yet.
    New,
    /// Not before this time.
    Wait(SignedDuration),
    Nothing,
    /// Many events, none for this sink: the place after them, which is kept only now and then, since each commit wakes
    /// everybody.
    Skip(Place),
    Event(EventRecord),
}

async fn next(read: &mut (dyn Read + '_), sink: &dyn Sink, key: &str, now: Timestamp) -> Result<Next> {
    let Some(place) = place(read, key).await? else { return Ok(Next::New) };
    let wait = place.not_before.map(|at| at.duration_since(now)).filter(SignedDuration::is_positive);
    if let Some(time) = wait {
        return Ok(Next::Wait(time));
    }
    let mut events = read.events(&EventFilter::default(), place.position, BATCH).await?;
    if let Some(found) = events.iter().position(|event| is_for(event, sink)) {
        return Ok(Next::Event(events.swap_remove(found)));
    }
    let last = events.last().filter(|_| events.len() == BATCH as usize);
    Ok(last.map_or(Next::Nothing, |last| Next::Skip(Place { position: last.position, ..place })))
}

async fn place(read: &mut (dyn Read + '_), key: &str) -> Result<Option<Place>> {
    let Some(value) = read.setting(key).await? else { return Ok(None) };
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| ManagerError::Internal(format!("{key} cannot be read: {error}")))
}

impl Work<'_> {
    async fn put_place(&mut self, key: &str, place: &Place) -> Result<()> {
        let value = serde_json::to_value(place).map_err(|error| ManagerError::Internal(error.to_string()))?;
        Ok(self.tx.put_setting(key, &value).await?)
    }

    async fn record_delivery(
        &mut self,
        sink: &str,
        event: &EventRecord,
        place: Place,
        outcome: &std::result::Result<(), Undelivered>,
    ) -> Result<Place> {
        let past = Place::at(event.position);
        let Err(error) = outcome else {
            if place.dead > 0 {
                self.settle_attention(&dead_key(sink)).await?;
            }
            return Ok(past);
        };
        let tries = place.tries + 1;
        if !error.permanent && tries < TRIES {
            let pause = (PAUSES.0 * 2_i32.saturating_pow(tries - 1)).min(PAUSES.1);
            warn!(sink, %error, tries, "attention was not delivered; it is tried again");
            return Ok(Place { tries, not_before: self.now.checked_add(pause).ok(), ..place });
        }
        warn!(sink, %error, tries, "attention was not delivered and is given up");
        let dead = place.dead + 1;
        self.raise_for(None, &dead_letter(sink, dead, error)).await?;
        Ok(Place { dead, ..past })
    }
}

/// Attention, but for the sink's own dead letters: it would be told again and again that it cannot be told.
fn is_for(event: &EventRecord, sink: &dyn Sink) -> bool {
    let attention = event.kind == ATTENTION_RAISED || event.kind == ATTENTION_SETTLED;
    attention && event.data["key"] != dead_key(sink.name()).as_str()
}

fn envelope(event: &EventRecord) -> CloudEvent {
    let mut envelope =
        CloudEvent::new(event.position.to_string(), "tenantry", &event.kind, event.at, event.data.clone());
    envelope.subject = event.data["id"].as_str().map(|id| format!("attention/{id}"));
    envelope
}

fn dead_key(sink: &str) -> String {
    format!("dead-letter/{sink}")
}

fn dead_letter(sink: &str, count: u64, error: &Undelivered) -> Raised {
    Raised {
        kind: AttentionKind::DeadLetter,
        key: dead_key(sink),
        step: None,
        region: None,
        message: format!("{count} notifications could not be delivered to {sink} and were given up: {error}"),
        remedy: format!("repair {sink}, and look at what it was not told: tenantry attention --settled"),
    }
}
