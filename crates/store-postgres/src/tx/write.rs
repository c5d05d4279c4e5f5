//! What a transaction writes, and its commit.

use super::{ANSWER, Tx};
use crate::{
    errors,
    tables::{
        approvals, attentions, audit, commands, deliveries, environments, events, holds, hooks, installation,
        leases, letters, moved, operations, retention, schedules, steps, tenants, workflows,
    },
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::{
    AgentSessionId, AppliedHook, Approval, Attempt, AttemptId, Attention, CommandId, Environment,
    EnvironmentId, HookRef, LetterId, Operation, OperationDefinition, OperationId, OperationName, Region,
    RegionName, Schedule, ScheduleId, ScheduleRun, Step, Tenant, TenantName, Token,
};
use tenantry_store::{
    AuditChain, AuditEntry, AuditHead, BridgeRow, Command, CommandKind, DeadLetterRow, EventRecord, Fence,
    HoldRow, HookRow, IdempotentAnswer, LetterRow, Moved, ParkedRow, Read, Result, WorkflowRow, Write,
};

#[async_trait]
impl Write for Tx {
    async fn put_tenant(&mut self, tenant: &Tenant) -> Result<()> {
        ask!(self, tenants::put(tenant))
    }
    async fn delete_tenant(&mut self, name: &TenantName) -> Result<()> {
        ask!(self, tenants::delete(name))
    }
    async fn lock_environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        self.write_version().await?;
        if self.alone {
            return ask!(self, environments::get(id));
        }
        ask!(self, environments::lock(id))
    }
    async fn lock_environment_of(&mut self, id: OperationId) -> Result<Option<Environment>> {
        if self.alone {
            return match self.operation(id).await? {
                Some(operation) => self.environment(operation.environment).await,
                None => Ok(None),
            };
        }
        self.write_version().await?;
        ask!(self, environments::lock_of(id))
    }
    async fn put_environment(&mut self, environment: &Environment) -> Result<()> {
        self.write_version().await?;
        ask!(self, environments::put(environment))
    }
    async fn raise_version(&mut self, environment: &Environment) -> Result<u64> {
        let (id, raised) = (environment.id.to_string(), environment.version.saturating_add(1));
        if self.raised.as_ref().is_some_and(|(other, _)| *other != id) {
            self.write_version().await?;
        }
        self.usable()?;
        self.raised = Some((id, raised));
        Ok(raised)
    }
    async fn put_generation(&mut self, id: EnvironmentId, generation: u64, view: &Value) -> Result<()> {
        ask!(self, environments::put_generation(id, generation, view))
    }
    async fn put_applied(&mut self, id: EnvironmentId, applied: &AppliedHook) -> Result<()> {
        ask!(self, environments::put_applied(id, applied))
    }
    async fn forget_environment(&mut self, id: EnvironmentId) -> Result<()> {
        ask!(self, environments::forget(id))
    }
    async fn put_definition(&mut self, definition: &OperationDefinition) -> Result<()> {
        ask!(self, operations::put_definition(definition))
    }
    async fn delete_definition(&mut self, name: &OperationName) -> Result<bool> {
        ask!(self, operations::delete_definition(name))
    }
    async fn put_operation(&mut self, operation: &Operation) -> Result<()> {
        ask!(self, operations::put(operation))
    }
    async fn claim_due(&mut self, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
        ask!(self, operations::claim_due(now, until, limit))
    }
    async fn hasten_timers(&mut self, later: Timestamp, to: Timestamp) -> Result<u64> {
        ask!(self, operations::hasten_timers(later, to))
    }
    async fn put_timer(&mut self, id: OperationId, due: Option<Timestamp>) -> Result<()> {
        ask!(self, operations::put_timer(id, due))
    }
    async fn put_step(&mut self, step: &Step) -> Result<()> {
        ask!(self, steps::put_step(step))
    }
    async fn put_attempt(&mut self, attempt: &Attempt) -> Result<()> {
        ask!(self, steps::put_attempt(attempt))
    }
    async fn put_moved(&mut self, moved: &Moved) -> Result<()> {
        ask!(self, moved::put(moved))
    }
    async fn put_region(&mut self, region: &Region) -> Result<()> {
        ask!(self, hooks::put_region(region))
    }
    async fn lock_hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>> {
        ask!(self, hooks::lock(hook))
    }
    async fn put_hook(&mut self, hook: &HookRow) -> Result<()> {
        ask!(self, hooks::put(hook))
    }
    async fn put_command(&mut self, command: &Command) -> Result<()> {
        ask!(self, commands::put(command))
    }
    async fn lease_commands(
        &mut self,
        region: &RegionName,
        session: AgentSessionId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Command>> {
        ask!(self, commands::lease(region, session, now, until, limit))
    }
    async fn finish_command(&mut self, region: &RegionName, id: CommandId) -> Result<bool> {
        ask!(self, commands::finish(region, id))
    }
    async fn finish_commands(&mut self, region: &RegionName, ids: &[CommandId]) -> Result<()> {
        ask!(self, commands::finish_all(region, ids))
    }
    async fn withdraw_command(&mut self, attempt: &AttemptId, kind: CommandKind) -> Result<bool> {
        ask!(self, commands::withdraw(attempt, kind))
    }
    async fn break_leases(&mut self, region: &RegionName, spared: Option<AgentSessionId>) -> Result<()> {
        ask!(self, commands::break_leases(region, spared))
    }
    async fn lease_step_commands(
        &mut self,
        operation: OperationId,
        hook: &HookRef,
        session: AgentSessionId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Command>> {
        ask!(self, commands::lease_step(operation, hook, session, now, until))
    }
    async fn break_step_leases(
        &mut self,
        operation: OperationId,
        hook: &HookRef,
        spared: Option<AgentSessionId>,
    ) -> Result<()> {
        ask!(self, commands::break_step_leases(operation, hook, spared))
    }
    async fn put_workflow(&mut self, workflow: &WorkflowRow) -> Result<()> {
        ask!(self, workflows::put(workflow))
    }
    async fn put_bridge(&mut self, bridge: &BridgeRow) -> Result<()> {
        ask!(self, workflows::put_bridge(bridge))
    }
    async fn put_attention(&mut self, attention: &Attention) -> Result<()> {
        if !self.alone && attention.settled_at.is_none() {
            ask!(self, attentions::lock_key(&attention.key))?;
        }
        ask!(self, attentions::put(attention))
    }
    async fn open_attention(&mut self, key: &str) -> Result<Option<Attention>> {
        if !self.alone {
            ask!(self, attentions::lock_key(key))?;
        }
        ask!(self, attentions::open(key))
    }
    async fn open_keys(&mut self, keys: &[String]) -> Result<Vec<String>> {
        ask!(self, attentions::open_keys(keys))
    }
    async fn append_event(&mut self, event: &EventRecord) -> Result<()> {
        self.usable()?;
        self.events.push(event)
    }
    async fn put_token(&mut self, token: &Token) -> Result<()> {
        ask!(self, installation::put_token(token))
    }
    async fn put_idempotent(&mut self, answer: &IdempotentAnswer) -> Result<()> {
        ask!(self, installation::put_idempotent(answer))
    }
    async fn expire_idempotent(&mut self, before: Timestamp, limit: u32) -> Result<u32> {
        ask!(self, installation::expire_idempotent(before, limit))
    }
    async fn append_audit(&mut self, entry: &AuditEntry) -> Result<()> {
        ask!(self, audit::append_audit(entry))
    }
    async fn put_audit_head(&mut self, head: &AuditHead, chains: &[AuditChain]) -> Result<()> {
        ask!(self, audit::put_head(head, chains))
    }
    async fn delete_operation(&mut self, id: OperationId) -> Result<bool> {
        ask!(self, retention::delete_operation(id))
    }
    async fn delete_events(&mut self, up_to: u64, limit: u32) -> Result<u32> {
        ask!(self, retention::delete_events(up_to, limit))
    }
    async fn expire_attentions(&mut self, before: Timestamp, limit: u32) -> Result<u32> {
        ask!(self, retention::expire_attentions(before, limit))
    }
    async fn put_parked_events(&mut self, row: &ParkedRow) -> Result<()> {
        ask!(self, deliveries::put_parked(row))
    }
    async fn delete_parked_events(&mut self, sink: &str, environment: Option<EnvironmentId>) -> Result<()> {
        ask!(self, deliveries::delete_parked(sink, environment))
    }
    async fn put_dead_letter(&mut self, row: &DeadLetterRow) -> Result<()> {
        ask!(self, deliveries::put_letter(row))
    }
    async fn delete_dead_letter(&mut self, sink: &str, position: u64) -> Result<bool> {
        ask!(self, deliveries::delete_letter(sink, position))
    }
    async fn put_letter(&mut self, row: &LetterRow) -> Result<()> {
        ask!(self, letters::put(row))
    }
    async fn delete_letter(&mut self, id: LetterId) -> Result<bool> {
        ask!(self, letters::delete(id))
    }
    async fn trim_letters(&mut self, before: Timestamp, keep: u32) -> Result<u64> {
        ask!(self, letters::trim(before, keep))
    }
    async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()> {
        ask!(self, installation::put_setting(key, value))
    }
    async fn put_hold(&mut self, hold: &HoldRow) -> Result<()> {
        ask!(self, holds::put(hold))
    }
    async fn put_approval(&mut self, approval: &Approval) -> Result<()> {
        ask!(self, approvals::put(approval))
    }
    async fn put_replay(&mut self, original: OperationId, replay: OperationId) -> Result<()> {
        ask!(self, operations::put_replay(original, replay))
    }
    async fn lock_schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>> {
        ask!(self, schedules::lock(id))
    }
    async fn put_schedule(&mut self, schedule: &Schedule) -> Result<()> {
        ask!(self, schedules::put(schedule))
    }
    async fn delete_schedule(&mut self, id: ScheduleId) -> Result<bool> {
        ask!(self, schedules::delete(id))
    }
    async fn add_schedule_run(&mut self, run: &ScheduleRun) -> Result<bool> {
        ask!(self, schedules::add_run(run))
    }
    async fn put_schedule_run(&mut self, run: &ScheduleRun) -> Result<()> {
        ask!(self, schedules::put_run(run))
    }
    async fn expire_schedule_runs(&mut self, before: Timestamp, limit: u32) -> Result<u32> {
        ask!(self, schedules::expire_runs(before, limit))
    }
    async fn take_lease(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Fence>> {
        ask!(self, leases::take(name, holder, now, until))
    }
    async fn check_lease(&mut self, fence: &Fence) -> Result<()> {
        ask!(self, leases::check(fence))
    }
    async fn give_back_lease(&mut self, fence: &Fence) -> Result<()> {
        ask!(self, leases::give_back(fence))
    }
    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.usable()?;
        if self.events.is_empty() {
            self.write_version().await?;
        } else {
            let (events, raised) = (std::mem::take(&mut self.events), self.raised.take());
            ask!(self, events::append(&events, raised.as_ref()))?;
        }
        let done = tokio::time::timeout(ANSWER, self.inner.commit()).await;
        let done = done.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())));
        // Also when the answer was lost: it may be committed, and a wake-up for nothing costs a look.
        self.wakes.committed();
        done.map_err(errors::commit)
    }
}
