//! Changes as they happen.

use crate::{Client, Result};
use futures::{Stream, StreamExt};
use tenantry_api_types::v1::Event;
use tenantry_model::{EnvironmentId, OperationId};

/// Whose changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventScope {
    /// Everything that the credential may read.
    All,
    /// One environment's and its operations'.
    Environment(EnvironmentId),
    /// One operation's.
    Operation(OperationId),
}

impl Client {
    /// Changes after a position (`None`: from now on), each once and in order, over broken connections too.
    pub fn events(
        &self,
        scope: EventScope,
        after: Option<u64>,
    ) -> impl Stream<Item = Result<Event>> + Send + use<> {
        let path = match scope {
            EventScope::All => "v1/events".to_owned(),
            EventScope::Environment(id) => format!("v1/environments/{id}/events"),
            EventScope::Operation(id) => format!("v1/operations/{id}/events"),
        };
        let client = self.clone();
        self.messages(path, Vec::new(), after.map(|position| position.to_string())).filter_map(
            move |message| {
                let read = match message {
                    // The place in the stream; it has no content of its own.
                    Ok(message) if message.event == "position" => None,
                    Ok(message) => Some(
                        serde_json::from_str(&message.data)
                            .map_err(|why| client.protocol(format!("an event cannot be read: {why}"))),
                    ),
                    Err(error) => Some(Err(error)),
                };
                std::future::ready(read)
            },
        )
    }
}
