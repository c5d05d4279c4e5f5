//! Logs of attempts: ranges, and following one to its end.

use crate::{Client, Result};
use base64::Engine as _;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::Method;
use tenantry_api_types::v1::{LOG_COMPLETE, LOG_NEXT_OFFSET, LogEvent, LogQuery};
use tenantry_model::AttemptId;

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The bytes; a log may hold anything.
    pub bytes: Bytes,
    /// Where the next range begins.
    pub next_offset: u64,
    /// Nothing follows, ever.
    pub complete: bool,
}

impl Client {
    /// A part of an attempt's log.
    pub async fn log(&self, attempt: &AttemptId, range: &LogQuery) -> Result<LogRange> {
        let request = self
            .request(Method::GET, &path(attempt, ""), range)?
            .header("accept", "text/plain, application/problem+json");
        let answer = self.send(&request).await?;
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let next_offset = header(LOG_NEXT_OFFSET)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.protocol(format!("a log without the header {LOG_NEXT_OFFSET}")))?;
        let complete = header(LOG_COMPLETE) == Some("true");
        Ok(LogRange { bytes: answer.body, next_offset, complete })
    }

    /// An attempt's log from `offset` on, as it is written, each byte once, over broken connections too. Ends when
    /// the log is complete.
    pub fn follow_log(
        &self,
        attempt: &AttemptId,
        offset: u64,
    ) -> impl Stream<Item = Result<LogRange>> + Send + use<> {
        let client = self.clone();
        self.messages(path(attempt, ":follow"), Vec::new(), Some(offset.to_string())).map(move |message| {
            let event: LogEvent = serde_json::from_str(&message?.data)
                .map_err(|why| client.protocol(format!("a log message cannot be read: {why}")))?;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(event.data)
                .map_err(|why| client.protocol(format!("a log message is no base64: {why}")))?;
            Ok(LogRange { bytes: bytes.into(), next_offset: event.next_offset, complete: event.complete })
        })
    }
}

fn path(attempt: &AttemptId, verb: &str) -> String {
    let AttemptId { operation, step, number } = attempt;
    format!("v1/operations/{operation}/steps/{}/attempts/{number}/log{verb}", step.slug())
}
