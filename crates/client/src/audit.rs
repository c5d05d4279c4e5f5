//! The audit log: entries, exports, keys.

use crate::{Call, Client, Result};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use reqwest::Method;
use tenantry_api_types::v1::{
    AuditEntry, AuditKey, AuditQuery, List, RotateAuditKey, SealAudit, SealedAudit,
};
use tenantry_model::EnvironmentId;

impl Client {
    /// One page of changes of everything, by time.
    pub async fn audit(&self, query: &AuditQuery) -> Result<List<AuditEntry>> {
        self.get("v1/audit", query).await
    }
    /// One page of an environment's changes, by time.
    pub async fn environment_audit(&self, id: EnvironmentId, query: &AuditQuery) -> Result<List<AuditEntry>> {
        self.get(&format!("v1/environments/{id}/audit"), query).await
    }
    /// Everything that verifying needs, one JSON document a line, as it comes: pieces end anywhere. An export that
    /// breaks off is begun again from its start, by the caller.
    pub async fn export_audit(&self) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let request = self
            .request(Method::GET, "v1/audit:export", &())?
            .header("accept", "application/jsonl, application/problem+json");
        let response = self.open(&request, None).await?;
        let client = self.clone();
        Ok(response.bytes_stream().map_err(move |why| client.unreachable(why)))
    }
    /// The public keys of signed heads; the current one is the last.
    pub async fn audit_keys(&self) -> Result<List<AuditKey>> {
        self.get("v1/audit/keys", &()).await
    }
    /// Signs a head now; gives the newest head's number.
    pub async fn seal_audit(&self, call: &Call) -> Result<SealedAudit> {
        self.post("v1/audit:seal", &SealAudit {}, call).await
    }
    /// Replaces the key; gives the new one.
    pub async fn rotate_audit_key(&self, body: &RotateAuditKey, call: &Call) -> Result<AuditKey> {
        self.post("v1/audit:rotate-key", body, call).await
    }
}
