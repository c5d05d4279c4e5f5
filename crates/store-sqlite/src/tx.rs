//! One transaction: hands each call on to the statements of its table, commits, wakes. No SQL of its own.

use crate::{
    errors::failed,
    tables::{attentions, commands, environments, events, hooks, installation, operations, steps, tenants},
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Sqlite, Transaction};
use std::sync::Arc;
use tenantry_model::{
    AgentSessionId, Alias, AppliedHook, Attempt, AttemptId, Attention, AttentionId, CommandId, Environment,
    EnvironmentId, EnvironmentName, HookRef, Operation, OperationDefinition, OperationId, OperationName,
    Page, Paged, Region, RegionName, Step, Tenant, TenantName, Token, TokenId,
};
use tenantry_store::{
    AttentionFilter, AuditEntry, Command, CommandKind, EnvironmentFilter, EventFilter, EventRecord, HookRow,
    IdempotentAnswer, OperationFilter, Read, Result, Write,
};
use tokio::sync::Notify;

/// A transaction; dropped without [`Write::commit`] it rolls back before its connection is used again.
pub struct Tx {
    tx: Transaction<'static, Sqlite>,
    commits: Arc<Notify>,
}

impl Tx {
    pub fn new(tx: Transaction<'static, Sqlite>, commits: Arc<Notify>) -> Self {
        Self { tx, commits }
    }
}

#[async_trait]
impl Read for Tx {
    async fn tenant(&mut self, name: &TenantName) -> Result<Option<Tenant>> {
        tenants::get(&mut self.tx, name).await
    }
    async fn tenants(&mut self, page: &Page) -> Result<Paged<Tenant>> {
        tenants::list(&mut self.tx, page).await
    }
    async fn environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        environments::get(&mut self.tx, id).await
    }
    async fn environment_by_name(
        &mut self,
        tenant: &TenantName,
        name: &EnvironmentName,
    ) -> Result<Option<Environment>> {
        environments::by_name(&mut self.tx, tenant, name).await
    }
    async fn environment_by_alias(&mut self, alias: &Alias) -> Result<Option<Environment>> {
        environments::by_alias(&mut self.tx, alias).await
    }
    async fn environments(&mut self, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>> {
        environments::list(&mut self.tx, filter, page).await
    }
    async fn generation(&mut self, id: EnvironmentId, generation: u64) -> Result<Option<Value>> {
        environments::generation(&mut self.tx, id, generation).await
    }
    async fn applied(&mut self, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
        environments::applied(&mut self.tx, id).await
    }
    async fn applied_hook(&mut self, id: EnvironmentId, hook: &HookRef) -> Result<Option<AppliedHook>> {
        environments::applied_hook(&mut self.tx, id, hook).await
    }
    async fn definition(&mut self, name: &OperationName) -> Result<Option<OperationDefinition>> {
        operations::definition(&mut self.tx, name).await
    }
    async fn definitions(&mut self) -> Result<Vec<OperationDefinition>> {
        operations::definitions(&mut self.tx).await
    }
    async fn operation(&mut self, id: OperationId) -> Result<Option<Operation>> {
        operations::get(&mut self.tx, id).await
    }
    async fn operations(&mut self, filter: &OperationFilter, page: &Page) -> Result<Paged<Operation>> {
        operations::list(&mut self.tx, filter, page).await
    }
    async fn unfinished(&mut self, id: EnvironmentId) -> Result<Vec<Operation>> {
        operations::unfinished(&mut self.tx, id).await
    }
    async fn steps(&mut self, id: OperationId) -> Result<Vec<Step>> {
        steps::steps(&mut self.tx, id).await
    }
    async fn attempts(&mut self, id: OperationId) -> Result<Vec<Attempt>> {
        steps::attempts(&mut self.tx, id).await
    }
    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
        operations::due(&mut self.tx, now, limit).await
    }
    async fn next_due(&mut self) -> Result<Option<Timestamp>> {
        operations::next_due(&mut self.tx).await
    }
    async fn operations_running_in(
        &mut self,
        region: &RegionName,
        page: &Page,
    ) -> Result<Paged<OperationId>> {
        operations::running_in(&mut self.tx, region, page).await
    }
    async fn region(&mut self, name: &RegionName) -> Result<Option<Region>> {
        hooks::region(&mut self.tx, name).await
    }
    async fn regions(&mut self) -> Result<Vec<Region>> {
        hooks::regions(&mut self.tx).await
    }
    async fn hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>> {
        hooks::get(&mut self.tx, hook).await
    }
    async fn hooks(&mut self, region: &RegionName) -> Result<Vec<HookRow>> {
        hooks::of_region(&mut self.tx, region).await
    }
    async fn hooks_page(&mut self, region: Option<&RegionName>, page: &Page) -> Result<Paged<HookRow>> {
        hooks::list(&mut self.tx, region, page).await
    }
    async fn commands(&mut self, region: &RegionName, limit: u32) -> Result<Vec<Command>> {
        commands::of_region(&mut self.tx, region, limit).await
    }
    async fn has_command(&mut self, region: &RegionName, now: Timestamp) -> Result<bool> {
        commands::has_free(&mut self.tx, region, now).await
    }
    async fn attention(&mut self, id: AttentionId) -> Result<Option<Attention>> {
        attentions::get(&mut self.tx, id).await
    }
    async fn attentions(&mut self, filter: &AttentionFilter, page: &Page) -> Result<Paged<Attention>> {
        attentions::list(&mut self.tx, filter, page).await
    }
    async fn events(&mut self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<EventRecord>> {
        events::list(&mut self.tx, filter, after, limit).await
    }
    async fn last_event(&mut self) -> Result<u64> {
        events::last(&mut self.tx).await
    }
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>> {
        installation::token(&mut self.tx, id).await
    }
    async fn tokens(&mut self, page: &Page) -> Result<Paged<Token>> {
        installation::tokens(&mut self.tx, page).await
    }
    async fn idempotent(&mut self, key: &str) -> Result<Option<IdempotentAnswer>> {
        installation::idempotent(&mut self.tx, key).await
    }
    async fn audit_head(&mut self, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>> {
        events::audit_head(&mut self.tx, environment).await
    }
    async fn audit(
        &mut self,
        environment: Option<EnvironmentId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        events::audit(&mut self.tx, environment, after, limit).await
    }
    async fn setting(&mut self, key: &str) -> Result<Option<Value>> {
        installation::setting(&mut self.tx, key).await
    }
}

#[async_trait]
impl Write for Tx {
    async fn put_tenant(&mut self, tenant: &Tenant) -> Result<()> {
        tenants::put(&mut self.tx, tenant).await
    }
    async fn delete_tenant(&mut self, name: &TenantName) -> Result<()> {
        tenants::delete(&mut self.tx, name).await
    }
    // One writer: the whole database is locked already.
    async fn lock_environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        environments::get(&mut self.tx, id).await
    }
    async fn raise_version(&mut self, environment: &Environment) -> Result<u64> {
        environments::raise_version(&mut self.tx, environment).await
    }
    async fn put_environment(&mut self, environment: &Environment) -> Result<()> {
        environments::put(&mut self.tx, environment).await
    }
    async fn put_generation(&mut self, id: EnvironmentId, generation: u64, view: &Value) -> Result<()> {
        environments::put_generation(&mut self.tx, id, generation, view).await
    }
    async fn put_applied(&mut self, id: EnvironmentId, applied: &AppliedHook) -> Result<()> {
        environments::put_applied(&mut self.tx, id, applied).await
    }
    async fn put_definition(&mut self, definition: &OperationDefinition) -> Result<()> {
        operations::put_definition(&mut self.tx, definition).await
    }
    async fn delete_definition(&mut self, name: &OperationName) -> Result<bool> {
        operations::delete_definition(&mut self.tx, name).await
    }
    async fn put_operation(&mut self, operation: &Operation) -> Result<()> {
        operations::put(&mut self.tx, operation).await
    }
    async fn put_timer(&mut self, id: OperationId, due: Option<Timestamp>) -> Result<()> {
        operations::put_timer(&mut self.tx, id, due).await
    }
    async fn put_step(&mut self, step: &Step) -> Result<()> {
        steps::put_step(&mut self.tx, step).await
    }
    async fn put_attempt(&mut self, attempt: &Attempt) -> Result<()> {
        steps::put_attempt(&mut self.tx, attempt).await
    }
    async fn put_region(&mut self, region: &Region) -> Result<()> {
        hooks::put_region(&mut self.tx, region).await
    }
    async fn put_hook(&mut self, hook: &HookRow) -> Result<()> {
        hooks::put(&mut self.tx, hook).await
    }
    async fn put_command(&mut self, command: &Command) -> Result<()> {
        commands::put(&mut self.tx, command).await
    }
    async fn lease_commands(
        &mut self,
        region: &RegionName,
        session: AgentSessionId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Command>> {
        commands::lease(&mut self.tx, region, session, now, until, limit).await
    }
    async fn finish_command(&mut self, region: &RegionName, id: CommandId) -> Result<bool> {
        commands::finish(&mut self.tx, region, id).await
    }
    async fn withdraw_command(&mut self, attempt: &AttemptId, kind: CommandKind) -> Result<bool> {
        commands::withdraw(&mut self.tx, attempt, kind).await
    }
    async fn break_leases(&mut self, region: &RegionName, session: AgentSessionId) -> Result<()> {
        commands::break_leases(&mut self.tx, region, session).await
    }
    async fn put_attention(&mut self, attention: &Attention) -> Result<()> {
        attentions::put(&mut self.tx, attention).await
    }
    async fn open_attention(&mut self, key: &str) -> Result<Option<Attention>> {
        attentions::open(&mut self.tx, key).await
    }
    async fn append_event(&mut self, event: &EventRecord) -> Result<u64> {
        events::append(&mut self.tx, event).await
    }
    async fn put_token(&mut self, token: &Token) -> Result<()> {
        installation::put_token(&mut self.tx, token).await
    }
    async fn put_idempotent(&mut self, answer: &IdempotentAnswer) -> Result<()> {
        installation::put_idempotent(&mut self.tx, answer).await
    }
    async fn expire_idempotent(&mut self, before: Timestamp, limit: u32) -> Result<u32> {
        installation::expire_idempotent(&mut self.tx, before, limit).await
    }
    async fn append_audit(&mut self, entry: &AuditEntry) -> Result<()> {
        events::append_audit(&mut self.tx, entry).await
    }
    async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()> {
        installation::put_setting(&mut self.tx, key, value).await
    }
    async fn commit(self: Box<Self>) -> Result<()> {
        self.tx.commit().await.map_err(failed("commit"))?;
        self.commits.notify_waiters();
        Ok(())
    }
}
