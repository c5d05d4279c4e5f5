//! What is next for a sink. Only looks.

use super::place::{self, Place};
use super::{Reader, envelope::envelope};
use crate::Manager;
use crate::error::Result;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use tenantry_events::CloudEvent;
use tenantry_model::{EnvironmentId, OperationId};
use tenantry_store::{DeadLetterRow, EventFilter, EventRecord, ParkedRow, Read};

/// Events that are looked at a time.
const BATCH: u32 = 500;
/// Events that are delivered before their row is written: so many may come twice after a crash.
const AT_ONCE: usize = 16;
/// So many environments may be parked; then nothing new is begun.
const MOST_PARKED: usize = 1000;
/// So many environments refused in a row mean that it is not their events: the sink is out of order.
pub(super) const DOWN: u32 = 8;

/// What a sink's rows and the events after them come to.
#[allow(clippy::large_enum_variant)] // a sink has one at a time
pub(super) enum Found {
    /// The sink has no place yet.
    New,
    /// Not before this time.
    Wait(SignedDuration),
    Nothing,
    Next(Look),
}

/// What is to be done, and what it was judged by.
pub(super) struct Look {
    pub place: Place,
    pub parked: Vec<ParkedRow>,
    pub next: Next,
    /// Nothing has been taken for long: tries say nothing about an event.
    pub down: bool,
}

#[allow(clippy::large_enum_variant)] // a sink has one at a time
pub(super) enum Next {
    /// Many events, none for this sink: the position after them, which is kept only now and then, since each commit wakes
    /// everybody.
    Skip(u64),
    /// A person wants this one delivered after all.
    Letter(Box<DeadLetterRow>, CloudEvent),
    /// The next event of a parked environment, or none: how far it has come, and whether it has caught up.
    Parked { row: ParkedRow, event: Option<(EventRecord, CloudEvent)>, caught_up: bool },
    /// The next events of environments that are not parked; with them, everything up to the position is dealt with.
    Batch { events: Vec<(EventRecord, CloudEvent)>, position: u64 },
}

impl Look {
    /// What is to be delivered: an environment's events in order.
    pub fn queues(&self) -> BTreeMap<Option<EnvironmentId>, Vec<(&EventRecord, &CloudEvent)>> {
        let mut queues: BTreeMap<_, Vec<_>> = BTreeMap::new();
        match &self.next {
            Next::Skip(_) => {}
            Next::Letter(letter, envelope) => {
                queues.insert(letter.event.environment, vec![(&letter.event, envelope)]);
            }
            Next::Parked { row, event, .. } => {
                queues.insert(
                    row.environment,
                    event.iter().map(|(event, envelope)| (event, envelope)).collect(),
                );
            }
            Next::Batch { events, .. } => {
                for (event, envelope) in events {
                    queues.entry(event.environment).or_default().push((event, envelope));
                }
            }
        }
        queues
    }
}

impl Manager {
    pub(super) async fn look_for(&self, reader: Reader<'_>) -> Result<Found> {
        let mut read = self.store.read().await?;
        let read = &mut *read;
        let Some(place) = place::of(read, &reader.key()).await? else { return Ok(Found::New) };
        let Some(source) = self.event_source(read).await? else { return Ok(Found::New) };
        let now = self.now();
        if let Some(time) = until(place.not_before, now) {
            return Ok(Found::Wait(time));
        }
        let parked = read.parked_events(reader.name()).await?;
        let down = place.refused >= DOWN || place.tries > 0;
        let mut look = Look { place, parked, next: Next::Skip(0), down };
        let mut envelopes = Envelopes { source, traces: BTreeMap::new() };
        // What is parked first, so that it does not fall further behind. When nothing is taken it is the other way round:
        // those few may be what is wrong, and would keep back everybody.
        let next = if down {
            match batch(read, reader, &look, &mut envelopes).await? {
                Some(next) => Some(next),
                None => kept(read, reader, &look, now, &mut envelopes).await?,
            }
        } else {
            match kept(read, reader, &look, now, &mut envelopes).await? {
                Some(next) => Some(next),
                None => batch(read, reader, &look, &mut envelopes).await?,
            }
        };
        let Some(next) = next else {
            let waits = look.parked.iter().filter_map(|row| until(row.not_before, now)).min();
            return Ok(waits.map_or(Found::Nothing, Found::Wait));
        };
        look.next = next;
        Ok(Found::Next(look))
    }
}

/// How long it is until then; `None`: it has come.
fn until(at: Option<Timestamp>, now: Timestamp) -> Option<SignedDuration> {
    at.map(|at| at.duration_since(now)).filter(SignedDuration::is_positive)
}

/// A dead letter that is wanted, or a parked environment whose time has come.
async fn kept(
    read: &mut (dyn Read + '_),
    reader: Reader<'_>,
    look: &Look,
    now: Timestamp,
    envelopes: &mut Envelopes,
) -> Result<Option<Next>> {
    if reader.keeps()
        && let Some(letter) = read.wanted_dead_letter(reader.name()).await?
    {
        let envelope = envelopes.of(read, &letter.event).await?;
        return Ok(Some(Next::Letter(Box::new(letter), envelope)));
    }
    let due = look.parked.iter().filter(|row| until(row.not_before, now).is_none());
    let Some(row) = due.min_by_key(|row| row.not_before.unwrap_or(Timestamp::MIN)) else { return Ok(None) };
    let filter = EventFilter { environment: row.environment, operation: None };
    let events = read.events(&filter, row.after, BATCH).await?;
    let (mut row, mut caught_up) = (row.clone(), events.len() < BATCH as usize);
    for event in events {
        if event.position > look.place.position {
            caught_up = true;
            break;
        }
        if event.environment == row.environment && reader.takes(&event) {
            let envelope = envelopes.of(read, &event).await?;
            return Ok(Some(Next::Parked { row, event: Some((event, envelope)), caught_up: false }));
        }
        row.after = event.position;
    }
    Ok(Some(Next::Parked { row, event: None, caught_up }))
}

async fn batch(
    read: &mut (dyn Read + '_),
    reader: Reader<'_>,
    look: &Look,
    envelopes: &mut Envelopes,
) -> Result<Option<Next>> {
    if look.parked.len() >= MOST_PARKED {
        return Ok(None);
    }
    // A pager is told in the order of all events.
    let most = if look.down || !reader.keeps() { 1 } else { AT_ONCE };
    let events = read.events(&EventFilter::default(), look.place.position, BATCH).await?;
    let full = events.len() == BATCH as usize;
    let (mut position, mut taken) = (look.place.position, Vec::new());
    for event in events {
        let apart = look.parked.iter().any(|row| row.environment == event.environment);
        if !apart && reader.takes(&event) {
            if taken.len() == most {
                break;
            }
            let envelope = envelopes.of(read, &event).await?;
            position = event.position;
            taken.push((event, envelope));
        } else {
            position = event.position;
        }
    }
    if taken.is_empty() {
        return Ok(full.then_some(Next::Skip(position)));
    }
    Ok(Some(Next::Batch { events: taken, position }))
}

/// Makes envelopes; remembers the traces of operations.
struct Envelopes {
    source: String,
    traces: BTreeMap<OperationId, Option<String>>,
}

impl Envelopes {
    async fn of(&mut self, read: &mut (dyn Read + '_), event: &EventRecord) -> Result<CloudEvent> {
        let trace = match event.operation {
            None => None,
            Some(id) => match self.traces.get(&id) {
                Some(known) => known.clone(),
                None => {
                    let trace = read.operation(id).await?.and_then(|operation| operation.traceparent);
                    self.traces.insert(id, trace.clone());
                    trace
                }
            },
        };
        Ok(envelope(event, &self.source, trace))
    }
}
