//! Carries events out: to each sink those that it wants, an environment's in order, at least once.
//!
//! How far a sink has come is a row, so that a restart neither forgets nor repeats what was delivered. A crash between a
//! delivery and its row delivers the event again, under the same id. An event that is refused keeps back only its own
//! environment, which is parked: a row of its own says how far it has come, and the others go on. A sink that is new begins
//! with what happens from then on. Of several managers one delivers to a sink: that is a role.

mod change;
mod envelope;
mod look;
mod place;
mod read;
mod record;

pub use change::ReplayFrom;
pub(crate) use read::sinks;
pub use read::{DeadLettersChanged, EventSinkView};

use crate::error::Result;
use crate::outbox::{ATTENTION_RAISED, ATTENTION_SETTLED};
use crate::repeat::repeating;
use crate::roles::LEASE;
use crate::wait::Waiter;
use crate::{Manager, Principal};
use futures::future::join_all;
use jiff::SignedDuration;
use look::{Found, Look, Next};
use record::{Outcome, down_key};
pub(crate) use record::{dead_key, sink_of};
use std::sync::Arc;
use std::time::Duration;
use tenantry_events::Sink;
use tenantry_failpoints::Point;
use tenantry_model::with_causes;
use tenantry_store::EventRecord;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Longest sleep: what another manager has committed is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Which events a sink wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// What was raised for a person and settled: a pager. What it cannot be given is forgotten.
    Attention,
    /// Types that begin with one of these; all, if there are none. What it cannot be given is kept until a person decides.
    Types(Vec<String>),
}

/// A sink and what it wants.
pub struct Outlet {
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// Which.
    pub wants: Wants,
    /// For people: where that is. Holds no secret.
    pub to: String,
}

impl Outlet {
    /// A pager.
    #[must_use]
    pub fn pager(sink: Arc<dyn Sink>) -> Self {
        Self { sink, wants: Wants::Attention, to: String::new() }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { sink: self.sink.as_ref(), wants: &self.wants, to: &self.to }
    }
}

/// What one round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Something was delivered, or given up: there may be more.
    Moved,
    /// There is nothing to deliver.
    Idle,
    /// Not before this time.
    Wait(SignedDuration),
}

/// An [`Outlet`] in use.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    sink: &'a dyn Sink,
    wants: &'a Wants,
    to: &'a str,
}

impl Reader<'_> {
    fn name(&self) -> &str {
        self.sink.name()
    }

    /// Whether what it cannot be given is kept.
    fn keeps(&self) -> bool {
        matches!(self.wants, Wants::Types(_))
    }

    /// The name of its role, and of the setting with its place.
    fn key(&self) -> String {
        if self.keeps() { place::key(self.name()) } else { format!("notifier/{}", self.name()) }
    }

    /// All that it wants, but for its own troubles: it would be told again and again that it cannot be told.
    fn takes(&self, event: &EventRecord) -> bool {
        let attention = event.kind == ATTENTION_RAISED || event.kind == ATTENTION_SETTLED;
        if attention {
            let key = event.data["key"].as_str().unwrap_or_default();
            if key == dead_key(self.name()) || key == down_key(self.name()) {
                return false;
            }
        }
        match self.wants {
            Wants::Attention => attention,
            Wants::Types(types) => {
                types.is_empty() || types.iter().any(|prefix| event.kind.starts_with(prefix.as_str()))
            }
        }
    }
}

impl Manager {
    /// Delivers to all sinks until `shutdown`; each has a pace of its own.
    pub async fn publish(&self, outlets: Vec<Outlet>, shutdown: CancellationToken) {
        let each = outlets.iter().map(|outlet| self.publish_to(outlet.reader()));
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = join_all(each) => {}
        }
    }

    async fn publish_to(&self, reader: Reader<'_>) {
        // What a sink is may have changed since the last start. Only here: managers that were told different things would
        // contradict each other for ever.
        let mut declared = false;
        loop {
            let mut waiter = Waiter::new(&self.store, LONGEST_SLEEP);
            waiter.listen();
            let round = if declared { self.round(reader).await } else { self.begin_sink(reader).await };
            declared |= round.is_ok();
            match round {
                Ok(Round::Moved) => {}
                Ok(Round::Idle) => {
                    waiter.wait().await;
                }
                Ok(Round::Wait(time)) => {
                    let time = Duration::try_from(time).unwrap_or_default().min(LONGEST_SLEEP);
                    // While one environment waits, the others' events come.
                    let _ = tokio::time::timeout(time, waiter.wait()).await;
                }
                Err(error) => {
                    warn!(sink = reader.name(), error = %with_causes(&error), "the publisher met an error");
                    tokio::time::sleep(LONGEST_SLEEP).await;
                }
            }
        }
    }

    /// One round of a pager.
    pub async fn notify_round(&self, sink: &dyn Sink) -> Result<Round> {
        self.round(Reader { sink, wants: &Wants::Attention, to: "" }).await
    }

    /// One round of a sink.
    pub async fn publish_round(&self, outlet: &Outlet) -> Result<Round> {
        self.round(outlet.reader()).await
    }

    /// Delivers what is next for a sink, if there is something and its time has come, or leaves it to the manager that has
    /// this role.
    async fn round(&self, reader: Reader<'_>) -> Result<Round> {
        let key = reader.key();
        // Every commit wakes this, and often nothing is for the sink: then it was one look.
        match self.look_for(reader).await? {
            Found::New => return self.begin_sink(reader).await,
            Found::Wait(time) => return Ok(Round::Wait(time)),
            Found::Nothing => return Ok(Round::Idle),
            Found::Next(_) => {}
        }
        let Some(fence) = self.take_role(&key).await? else { return Ok(Round::Wait(LEASE)) };
        let who = Principal { fence: Some(fence), ..Principal::system() };
        match self.round_in_role(&who, reader).await {
            Err(error) if error.is_lease_lost() => {
                self.roles.lose(&key);
                Ok(Round::Moved)
            }
            other => other,
        }
    }

    async fn round_in_role(&self, who: &Principal, reader: Reader<'_>) -> Result<Round> {
        // Anew: what was seen before the role was taken may be delivered since.
        let look = match self.look_for(reader).await? {
            Found::New => return self.begin_sink(reader).await,
            Found::Wait(time) => return Ok(Round::Wait(time)),
            Found::Nothing => return Ok(Round::Idle),
            Found::Next(look) => look,
        };
        if let Next::Skip(position) = look.next {
            repeating(|| async {
                let mut work = self.begin(who).await?;
                let Some(mut place) = place::of(&mut *work.tx, &reader.key()).await? else { return Ok(()) };
                if place.epoch == look.place.epoch {
                    place.position = position;
                    work.put_place(reader, &place).await?;
                    work.commit(Point::NotifierSkip).await?;
                }
                Ok(())
            })
            .await?;
            return Ok(Round::Moved);
        }
        let outcomes = deliver(reader.sink, &look).await;
        repeating(|| async {
            let mut work = self.begin(who).await?;
            // Somebody has had it begin elsewhere, or forgotten it: what was taken may be delivered again.
            let Some(mut place) = place::of(&mut *work.tx, &reader.key()).await? else { return Ok(()) };
            if place.epoch != look.place.epoch {
                return Ok(());
            }
            work.record_round(reader, &mut place, &look, &outcomes).await?;
            work.put_place(reader, &place).await?;
            work.commit(Point::NotifierDeliver).await
        })
        .await?;
        Ok(Round::Moved)
    }

    /// The sink is told what happens from now on. In no role: a manager that died with it would be waited for, and what
    /// happened meanwhile would never be told.
    async fn begin_sink(&self, reader: Reader<'_>) -> Result<Round> {
        let who = Principal::system();
        repeating(|| async {
            let mut work = self.begin(&who).await?;
            let named = self.name_installation(&mut *work.tx).await?;
            let about = place::about(reader);
            let before = place::of(&mut *work.tx, &reader.key()).await?;
            if before.as_ref().is_some_and(|place| place.about == about) && !named {
                return Ok(Round::Moved);
            }
            let mut place = match before {
                Some(place) => place,
                // Another epoch than that of a sink of this name that was forgotten just now.
                None => place::Place {
                    epoch: work.now.as_microsecond().unsigned_abs(),
                    ..place::Place::at(work.tx.last_event().await?)
                },
            };
            place.about = about;
            work.put_place(reader, &place).await?;
            work.commit(Point::NotifierBegin).await?;
            Ok(Round::Moved)
        })
        .await
    }
}

/// Environments beside each other, the events of one in turn, and none of them after one that was not taken.
async fn deliver(sink: &dyn Sink, look: &Look) -> Vec<Outcome> {
    let each = look.queues().into_iter().map(|(environment, events)| async move {
        let mut taken = 0;
        for (event, envelope) in events {
            if let Err(error) = sink.deliver(envelope).await {
                return Outcome { environment, taken, failed: Some((event.clone(), error)) };
            }
            taken += 1;
        }
        Outcome { environment, taken, failed: None }
    });
    join_all(each).await
}
