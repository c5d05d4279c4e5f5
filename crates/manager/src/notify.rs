//! Carries attention to a pager: what was raised and settled, in order, to each sink.
//!
//! How far a sink has come is a row, so that a restart neither forgets nor repeats what was delivered. An event is
//! delivered at least once: a crash between the delivery and its row delivers it again, under the same id. A sink that
//! is new begins with what happens from then on.

use crate::error::{ManagerError, Result};
use crate::outbox::{ATTENTION_RAISED, ATTENTION_SETTLED};
use crate::repeat::repeating;
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
use uuid::Uuid;

/// Events that are looked at a time.
const BATCH: u32 = 500;
/// An event that was not taken so many times becomes a dead letter.
const TRIES: u32 = 10;
/// First and longest pause between tries.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(5), SignedDuration::from_mins(10));
/// How long a manager that delivers keeps others from doing the same; longer than any sink takes.
const CLAIM: SignedDuration = SignedDuration::from_mins(1);
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
    /// Who delivers now, and until when nobody else does.
    claim: Option<(Uuid, Timestamp)>,
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
        let owner = Uuid::now_v7();
        loop {
            let mut waiter = Waiter::new(&self.store, LONGEST_SLEEP);
            waiter.listen();
            match self.notify_round(sink, owner).await {
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

    /// Delivers the next event to a sink, if there is one and its time has come. `owner` tells this notifier from
    /// those of other managers.
    pub async fn notify_round(&self, sink: &dyn Sink, owner: Uuid) -> Result<Round> {
        let who = Principal::system();
        let key = format!("notifier/{}", sink.name());
        // Every commit wakes this, and hardly ever is anything for the sink: then it was one look.
        let seen = self.next_for(sink, &key, owner).await?;
        if let Next::Wait(time) = seen {
            return Ok(Round::Wait(time));
        }
        if let Next::Nothing = seen {
            return Ok(Round::Idle);
        }
        let Some(event) = repeating(|| self.claim_next(&who, sink, &key, owner)).await? else {
            return Ok(Round::Moved);
        };
        let outcome = sink.deliver(&envelope(&event)).await;
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            let claimed = work.place(&key).await?.filter(|now| now.claim.is_some_and(|(by, _)| by == owner));
            // Without it: it took longer than the claim and another manager has gone on; its row counts.
            if let Some(now) = claimed {
                let place = work.record_delivery(sink.name(), &event, now, &outcome).await?;
                work.put_place(&key, &place).await?;
                work.commit(Point::NotifierDeliver).await?;
            }
            Ok(Round::Moved)
        })
        .await
    }

    async fn next_for(&self, sink: &dyn Sink, key: &str, owner: Uuid) -> Result<Next> {
        let mut read = self.store.read().await?;
        let Some(place) = place(&mut *read, key).await? else { return Ok(Next::New) };
        next(&mut *read, sink, place, owner, self.now()).await
    }

    /// Keeps others from delivering the next event meanwhile; `None` when there was none to claim.
    async fn claim_next(
        &self,
        who: &Principal,
        sink: &dyn Sink,
        key: &str,
        owner: Uuid,
    ) -> Result<Option<EventRecord>> {
        let mut work = self.begin(who).await?;
        let Some(seen) = work.place(key).await? else {
            let position = work.tx.last_event().await?;
            work.put_place(key, &Place { position, tries: 0, not_before: None, dead: 0, claim: None })
                .await?;
            work.commit(Point::NotifierBegin).await?;
            return Ok(None);
        };
        let now = work.now;
        match next(&mut *work.tx, sink, seen, owner, now).await? {
            // Another manager was faster.
            Next::Wait(_) | Next::Nothing | Next::New => Ok(None),
            Next::Skip(place) => {
                work.put_place(key, &place).await?;
                work.commit(Point::NotifierSkip).await?;
                Ok(None)
            }
            Next::Event(place, event) => {
                let until = now.checked_add(CLAIM).unwrap_or(Timestamp::MAX);
                work.put_place(key, &Place { claim: Some((owner, until)), ..place }).await?;
                work.commit(Point::NotifierClaim).await?;
                Ok(Some(event))
            }
        }
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
    Event(Place, EventRecord),
}

async fn next(
    read: &mut (dyn Read + '_),
    sink: &dyn Sink,
    mut place: Place,
    owner: Uuid,
    now: Timestamp,
) -> Result<Next> {
    let busy = place.claim.filter(|(other, until)| *other != owner && *until > now);
    let wait = place.not_before.into_iter().chain(busy.map(|(_, until)| until)).max();
    if let Some(time) = wait.map(|at| at.duration_since(now)).filter(SignedDuration::is_positive) {
        return Ok(Next::Wait(time));
    }
    let mut events = read.events(&EventFilter::default(), place.position, BATCH).await?;
    if let Some(found) = events.iter().position(|event| is_for(event, sink)) {
        return Ok(Next::Event(place, events.swap_remove(found)));
    }
    Ok(match events.last().filter(|_| events.len() == BATCH as usize) {
        Some(last) => {
            place.position = last.position;
            Next::Skip(place)
        }
        None => Next::Nothing,
    })
}

async fn place(read: &mut (dyn Read + '_), key: &str) -> Result<Option<Place>> {
    let Some(value) = read.setting(key).await? else { return Ok(None) };
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| ManagerError::Internal(format!("{key} cannot be read: {error}")))
}

impl Work<'_> {
    async fn place(&mut self, key: &str) -> Result<Option<Place>> {
        place(&mut *self.tx, key).await
    }

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
        let past = Place { position: event.position, tries: 0, not_before: None, dead: 0, claim: None };
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
            return Ok(Place { tries, not_before: self.now.checked_add(pause).ok(), claim: None, ..place });
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
