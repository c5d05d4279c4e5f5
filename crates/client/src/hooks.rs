//! Hooks and what operation names mean.

use crate::{Call, Client, Result};
use reqwest::Method;
use tenantry_api_types::v1::{
    Definition, ExplainQuery, Hook, HookExplanation, HooksQuery, List, PageQuery, PlatformSchema, RetireHook,
};
use tenantry_model::{HookRef, OperationDefinition, OperationName};

impl Client {
    /// One page of hooks, by region, namespace and name.
    pub async fn hooks(&self, query: &HooksQuery) -> Result<List<Hook>> {
        self.get("v1/hooks", query).await
    }
    /// One hook.
    pub async fn hook(&self, hook: &HookRef) -> Result<Hook> {
        self.get(&format!("v1/hooks/{}", hook.slug()), &()).await
    }
    /// Why a hook does or does not run.
    pub async fn explain_hook(&self, hook: &HookRef, query: &ExplainQuery) -> Result<HookExplanation> {
        self.get(&format!("v1/hooks/{}:explain", hook.slug()), query).await
    }
    /// Declares that an absent hook is gone for good.
    pub async fn retire_hook(&self, hook: &HookRef, body: &RetireHook, call: &Call) -> Result<Hook> {
        self.post(&format!("v1/hooks/{}:retire", hook.slug()), body, call).await
    }

    /// One page of definitions, by name.
    pub async fn definitions(&self, page: &PageQuery) -> Result<List<Definition>> {
        self.get("v1/definitions", page).await
    }
    /// One definition.
    pub async fn definition(&self, name: &OperationName) -> Result<Definition> {
        self.get(&format!("v1/definitions/{name}"), &()).await
    }
    /// Makes a definition (without `if_match`) or replaces it.
    pub async fn put_definition(&self, definition: &OperationDefinition, call: &Call) -> Result<Definition> {
        let path = format!("v1/definitions/{}", definition.name);
        let mut request = self.change(Method::PUT, &path, Some(definition), call)?;
        if call.if_match.is_none() {
            request = request.header("if-none-match", "*");
        }
        self.json(&self.send(&request).await?)
    }
    /// Removes a definition; needs `if_match`.
    pub async fn delete_definition(&self, name: &OperationName, call: &Call) -> Result<()> {
        let request = self.change(Method::DELETE, &format!("v1/definitions/{name}"), None::<&()>, call)?;
        self.send(&request).await.map(drop)
    }

    /// The JSON Schema that every environment's `spec` must meet.
    pub async fn platform_schema(&self) -> Result<PlatformSchema> {
        self.get("v1/platform-schema", &()).await
    }
    /// Sets that schema; needs `if_match`.
    pub async fn put_platform_schema(
        &self,
        schema: &serde_json::Value,
        call: &Call,
    ) -> Result<PlatformSchema> {
        let request = self.change(Method::PUT, "v1/platform-schema", Some(schema), call)?;
        self.json(&self.send(&request).await?)
    }
    /// Removes that schema; needs `if_match`.
    pub async fn delete_platform_schema(&self, call: &Call) -> Result<()> {
        let request = self.change(Method::DELETE, "v1/platform-schema", None::<&()>, call)?;
        self.send(&request).await.map(drop)
    }
}
