//! How far a sink has come: a setting of the installation, one for each sink.

use super::Reader;
use super::Wants;
use crate::error::{ManagerError, Result};
use crate::retention::EVENT_READERS;
use crate::work::Work;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenantry_store::Read;

/// How far a sink has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// Everything up to this position was delivered, given up, is parked, or not for this sink.
    pub position: u64,
    /// How often in a row nobody answered, or nothing was taken.
    pub tries: u32,
    /// When it is tried again.
    pub not_before: Option<Timestamp>,
    /// Of a pager: events given up since the last one that was taken.
    pub dead: u64,
    /// Environments that were parked since the last event that was taken.
    #[serde(default)]
    pub refused: u32,
    /// Grows when a person has it begin elsewhere: what is on its way then says nothing about the new place.
    #[serde(default)]
    pub epoch: u64,
    /// Why nothing was taken.
    #[serde(default)]
    pub problem: Option<String>,
    /// What it is; nothing of a pager.
    #[serde(default)]
    pub about: Option<About>,
}

/// What a sink is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// Where it is.
    pub to: String,
    /// What it wants.
    pub types: Vec<String>,
}

impl Place {
    pub fn at(position: u64) -> Self {
        Self {
            position,
            tries: 0,
            not_before: None,
            dead: 0,
            refused: 0,
            epoch: 0,
            problem: None,
            about: None,
        }
    }
}

pub(super) fn key(sink: &str) -> String {
    format!("event-sink/{sink}")
}

pub(super) fn about(reader: Reader<'_>) -> Option<About> {
    match reader.wants {
        Wants::Attention => None,
        Wants::Types(types) => Some(About { to: reader.to.to_owned(), types: types.clone() }),
    }
}

pub(super) async fn of(read: &mut (dyn Read + '_), key: &str) -> Result<Option<Place>> {
    // A sink that was forgotten leaves an empty setting.
    let Some(value) = read.setting(key).await?.filter(|value| !value.is_null()) else { return Ok(None) };
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| ManagerError::Internal(format!("{key} cannot be read: {error}")))
}

/// The names of all sinks that keep what they were not given, with how far each has read.
pub(super) async fn readers(read: &mut (dyn Read + '_)) -> Result<Map<String, Value>> {
    let kept = read.setting(EVENT_READERS).await?;
    Ok(kept.and_then(|value| value.as_object().cloned()).unwrap_or_default())
}

impl Work<'_> {
    pub(super) async fn put_place(&mut self, reader: Reader<'_>, place: &Place) -> Result<()> {
        self.put_setting(&reader.key(), place).await?;
        if reader.keeps() { self.note_reader(reader.name(), place).await } else { Ok(()) }
    }

    /// Retention leaves what this sink has not got, also of environments that are parked.
    pub(super) async fn note_reader(&mut self, sink: &str, place: &Place) -> Result<()> {
        let parked = self.tx.parked_events(sink).await?;
        let read = parked.iter().map(|row| row.after).fold(place.position, u64::min);
        let mut readers = readers(&mut *self.tx).await?;
        if readers.get(sink).and_then(Value::as_u64) != Some(read) {
            readers.insert(sink.to_owned(), json!(read));
            self.tx.put_setting(EVENT_READERS, &Value::Object(readers)).await?;
        }
        Ok(())
    }

    pub(super) async fn put_setting(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).map_err(|error| ManagerError::Internal(error.to_string()))?;
        Ok(self.tx.put_setting(key, &value).await?)
    }
}
