//! Sinks of events, and what they were not given.

use crate::{Call, Client, Result};
use reqwest::Method;
use tenantry_api_types::v1::{
    ChangedDeadLetters, DeadLetter, DiscardEvents, EventSink, ForgetEventSink, List, PageQuery,
    RedeliverEvents, ReplayEvents,
};

impl Client {
    /// One page of sinks, by name.
    pub async fn event_sinks(&self, query: &PageQuery) -> Result<List<EventSink>> {
        self.get("v1/event-sinks", query).await
    }
    /// Has a sink given again what it was given before.
    pub async fn replay_events(&self, sink: &str, body: &ReplayEvents, call: &Call) -> Result<EventSink> {
        self.post(&format!("v1/event-sinks/{sink}:replay"), body, call).await
    }
    /// Forgets a sink.
    pub async fn forget_event_sink(&self, sink: &str, body: &ForgetEventSink, call: &Call) -> Result<()> {
        let path = format!("v1/event-sinks/{sink}:forget");
        self.send(&self.change(Method::POST, &path, Some(body), call)?).await.map(drop)
    }
    /// One page of events that a sink was not given, by position.
    pub async fn dead_letters(&self, sink: &str, query: &PageQuery) -> Result<List<DeadLetter>> {
        self.get(&format!("v1/event-sinks/{sink}/dead-letters"), query).await
    }
    /// Has dead letters delivered after all.
    pub async fn redeliver(
        &self,
        sink: &str,
        body: &RedeliverEvents,
        call: &Call,
    ) -> Result<ChangedDeadLetters> {
        self.post(&format!("v1/event-sinks/{sink}/dead-letters:redeliver"), body, call).await
    }
    /// Throws dead letters away.
    pub async fn discard(&self, sink: &str, body: &DiscardEvents, call: &Call) -> Result<ChangedDeadLetters> {
        self.post(&format!("v1/event-sinks/{sink}/dead-letters:discard"), body, call).await
    }
}
