//! The end of an environment.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{Approval, PurgeEnvironment, PurgedEnvironment};
use tenantry_model::EnvironmentId;

/// What became of a wish to purge.
#[derive(Clone, Debug, PartialEq)]
pub enum Purge {
    /// It is purged; with `validate_only`: what would go.
    Done(Box<PurgedEnvironment>),
    /// It waits for a second person.
    Pending(Box<Approval>),
}

impl Client {
    /// Purges a decommissioned environment for good.
    pub async fn purge(&self, id: EnvironmentId, body: &PurgeEnvironment, call: &Call) -> Result<Purge> {
        let path = format!("v1/environments/{id}:purge");
        let answer = self.send(&self.change(reqwest::Method::POST, &path, Some(body), call)?).await?;
        if answer.status == reqwest::StatusCode::ACCEPTED {
            return Ok(Purge::Pending(Box::new(self.json(&answer)?)));
        }
        Ok(Purge::Done(Box::new(self.json(&answer)?)))
    }
}
