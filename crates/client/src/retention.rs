//! What is old and needed by nothing.

use crate::{Call, Client, Result};
use tenantry_api_types::v1::{Retention, RunRetention};

impl Client {
    /// How much would be removed now.
    pub async fn preview_retention(&self) -> Result<Retention> {
        self.get("v1/retention", &()).await
    }
    /// Removes it, for some seconds; ask again while there is more.
    pub async fn run_retention(&self, body: &RunRetention, call: &Call) -> Result<Retention> {
        self.post("v1/retention:run", body, call).await
    }
}
