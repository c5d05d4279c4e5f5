//! Sinks and what they were not given, for people.

use super::place::{self, Place};
use crate::Manager;
use crate::error::{ManagerError, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_model::{Page, Paged};
use tenantry_store::{DeadLetterRow, ParkedRow, Read};

/// A sink as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSinkView {
    /// Unique.
    pub name: String,
    /// Where it is.
    pub to: String,
    /// The types that it wants; all, if there are none.
    pub types: Vec<String>,
    /// How far it has come.
    pub position: u64,
    /// The newest event.
    pub newest: u64,
    /// How often in a row nothing was taken.
    pub tries: u32,
    /// When it is tried again.
    pub not_before: Option<Timestamp>,
    /// Why nothing was taken.
    pub problem: Option<String>,
    /// Environments that wait for another try, or catch up.
    pub parked: Vec<ParkedRow>,
    /// Events that were given up.
    pub dead_letters: u64,
}

/// What became of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLettersChanged {
    /// Of which sink.
    pub sink: String,
    /// The positions of their events.
    pub positions: Vec<u64>,
    /// There are others, for which it is to be asked again.
    pub more: bool,
}

impl Manager {
    /// All sinks that keep what they were not given, by name.
    pub async fn event_sinks(&self) -> Result<Vec<EventSinkView>> {
        let mut read = self.store.read().await?;
        let mut views = Vec::new();
        for name in place::readers(&mut *read).await?.keys() {
            if let Some(place) = place::of(&mut *read, &place::key(name)).await? {
                views.push(view(&mut *read, name, place).await?);
            }
        }
        Ok(views)
    }

    /// Events that were given up, by position.
    pub async fn dead_letters(&self, sink: &str, page: &Page) -> Result<Paged<DeadLetterRow>> {
        let mut read = self.store.read().await?;
        known(&mut *read, sink).await?;
        Ok(read.dead_letters(sink, page).await?)
    }
}

/// The names of those that keep what they were not given.
pub(crate) async fn sinks(read: &mut (dyn Read + '_)) -> Result<Vec<String>> {
    Ok(place::readers(read).await?.into_iter().map(|(name, _)| name).collect())
}

/// The place of a sink that there is.
pub(super) async fn known(read: &mut (dyn Read + '_), sink: &str) -> Result<Place> {
    let place = place::of(read, &place::key(sink)).await?;
    place.ok_or_else(|| ManagerError::not_found("event sink", sink))
}

pub(super) async fn view(read: &mut (dyn Read + '_), name: &str, place: Place) -> Result<EventSinkView> {
    let (to, types) = place.about.map(|about| (about.to, about.types)).unwrap_or_default();
    Ok(EventSinkView {
        name: name.to_owned(),
        to,
        types,
        position: place.position,
        newest: read.last_event().await?,
        tries: place.tries,
        not_before: place.not_before,
        problem: place.problem,
        parked: read.parked_events(name).await?,
        dead_letters: read.count_dead_letters(name).await?,
    })
}
