//! Whether what is stored fits together, and what agents have still to do.

use crate::{Client, Result};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use reqwest::Method;
use tenantry_api_types::v1::{CheckLine, CheckQuery, Finding, List, OpenCommand};
use tenantry_model::RegionName;

impl Client {
    /// Checks everything: one `CheckLine` as JSON a line, as it comes; pieces end anywhere.
    pub async fn check(
        &self,
        query: &CheckQuery,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let request = self
            .request(Method::GET, "v1/check", query)?
            .header("accept", "application/jsonl, application/problem+json");
        let response = self.open(&request, None).await?;
        let client = self.clone();
        Ok(response.bytes_stream().map_err(move |why| client.unreachable(why)))
    }
    /// Checks everything to its end; gives what does not fit. For programs: a person wants to see how far it is.
    pub async fn findings(&self, query: &CheckQuery) -> Result<Vec<Finding>> {
        let mut pieces = std::pin::pin!(self.check(query).await?);
        let (mut findings, mut rest) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.try_next().await? {
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(CheckLine::Finding(finding)) => findings.push(finding),
                    Ok(CheckLine::End { .. }) => return Ok(findings),
                    Ok(CheckLine::Progress { .. }) => {}
                    Err(why) => return Err(self.protocol(format!("a line of a check cannot be read: {why}"))),
                }
            }
        }
        Err(self.protocol("the check broke off before its end".to_owned()))
    }
    /// Commands that the region's agent has not carried out yet; at most 1,000.
    pub async fn open_commands(&self, region: &RegionName) -> Result<List<OpenCommand>> {
        self.get(&format!("v1/regions/{region}/commands"), &()).await
    }
}
