//! One transaction: hands each call on to the statements of its table, commits, wakes. No SQL of its own.

use crate::{
    errors::failed,
    tables::{
        approvals, attentions, audit, audit_list, commands, deliveries, environments, events, holds, hooks,
        installation, leases, letters, operations, retention, schedules, steps, tenants, workflows,
    },
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Sqlite, Transaction};
use std::{collections::BTreeSet, sync::Arc};
use tenantry_model::{
    AgentSessionId, Alias, AppliedHook, Approval, ApprovalId, Attempt, AttemptId, Attention, AttentionId,
    CommandId, Environment, EnvironmentId, EnvironmentName, HoldId, HookRef, LetterId, Operation,
    OperationDefinition, OperationId, OperationName, Page, Paged, Region, RegionName, Schedule, ScheduleId,
    ScheduleName, ScheduleRun, Step, TemplateHash, Tenant, TenantName, Token, TokenId,
};
use tenantry_store::{
    ApprovalFilter, AttentionFilter, AuditChain, AuditEntry, AuditFilter, AuditHead, BridgeRow, Command,
    CommandKind, DeadLetterRow, EnvironmentFilter, EventFilter, EventRecord, ExpiredOperation, Fence,
    HoldFilter, HoldRow, HookRow, IdempotentAnswer, LetterRow, OperationFilter, ParkedRow, Read, Result,
    RunKey, StoreError, WorkflowRow, Write,
};
use tokio::sync::Notify;

/// A transaction; dropped without [`Write::commit`] it rolls back before its connection is used again.
pub struct Tx {
    inner: Transaction<'static, Sqlite>,
    commits: Arc<Notify>,
    broken: bool,
}

impl Tx {
    pub fn new(inner: Transaction<'static, Sqlite>, commits: Arc<Notify>) -> Self {
        Self { inner, commits, broken: false }
    }

    /// SQLite ends a transaction by itself when the disk is full or fails; each statement after it would then be a
    /// transaction of its own. So nothing goes on after such an error.
    fn usable(&self) -> Result<()> {
        if self.broken {
            return Err(StoreError::Unavailable {
                what:
                    "an earlier call of this transaction failed and nothing of it was kept; begin a new one"
                        .to_owned(),
                source: "the transaction is over".into(),
            });
        }
        Ok(())
    }

    fn judge<T>(&mut self, done: Result<T>) -> Result<T> {
        self.broken |= matches!(done, Err(StoreError::Unavailable { .. }));
        done
    }
}

/// Hands a call on, unless the transaction is broken.
macro_rules! ask {
    ($tx:ident, $module:ident::$function:ident($($argument:expr),*)) => {{
        $tx.usable()?;
        let done = $module::$function(&mut $tx.inner $(, $argument)*).await;
        $tx.judge(done)
    }};
}

#[async_trait]
impl Read for Tx {
    async fn tenant(&mut self, name: &TenantName) -> Result<Option<Tenant>> {
        ask!(self, tenants::get(name))
    }
    async fn tenants(&mut self, page: &Page) -> Result<Paged<Tenant>> {
        ask!(self, tenants::list(page))
    }
    async fn environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        ask!(self, environments::get(id))
    }
    async fn environment_by_name(
        &mut self,
        tenant: &TenantName,
        name: &EnvironmentName,
    ) -> Result<Option<Environment>> {
        ask!(self, environments::by_name(tenant, name))
    }
    async fn environment_by_alias(&mut self, alias: &Alias) -> Result<Option<Environment>> {
        ask!(self, environments::by_alias(alias))
    }
    async fn environments(&mut self, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>> {
        ask!(self, environments::list(filter, page))
    }
    async fn generation(&mut self, id: EnvironmentId, generation: u64) -> Result<Option<Value>> {
        ask!(self, environments::generation(id, generation))
    }
    async fn applied(&mut self, id: EnvironmentId) -> Result<Vec<AppliedHook>> {
        ask!(self, environments::applied(id))
    }
    async fn applied_hook(&mut self, id: EnvironmentId, hook: &HookRef) -> Result<Option<AppliedHook>> {
        ask!(self, environments::applied_hook(id, hook))
    }
    async fn definition(&mut self, name: &OperationName) -> Result<Option<OperationDefinition>> {
        ask!(self, operations::definition(name))
    }
    async fn definitions(&mut self) -> Result<Vec<OperationDefinition>> {
        ask!(self, operations::definitions())
    }
    async fn operation(&mut self, id: OperationId) -> Result<Option<Operation>> {
        ask!(self, operations::get(id))
    }
    async fn operations(&mut self, filter: &OperationFilter, page: &Page) -> Result<Paged<Operation>> {
        ask!(self, operations::list(filter, page))
    }
    async fn unfinished(&mut self, id: EnvironmentId) -> Result<Vec<Operation>> {
        ask!(self, operations::unfinished(id))
    }
    async fn steps(&mut self, id: OperationId) -> Result<Vec<Step>> {
        ask!(self, steps::steps(id))
    }
    async fn step(&mut self, operation: OperationId, hook: &HookRef) -> Result<Option<Step>> {
        ask!(self, steps::step(operation, hook))
    }
    async fn attempts(&mut self, id: OperationId) -> Result<Vec<Attempt>> {
        ask!(self, steps::attempts(id))
    }
    async fn attempt(&mut self, id: &AttemptId) -> Result<Option<Attempt>> {
        ask!(self, steps::attempt(id))
    }
    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<OperationId>> {
        ask!(self, operations::due(now, limit))
    }
    async fn timer(&mut self, id: OperationId) -> Result<Option<Timestamp>> {
        ask!(self, operations::timer(id))
    }
    async fn next_due(&mut self) -> Result<Option<Timestamp>> {
        ask!(self, operations::next_due())
    }
    async fn operations_running_in(
        &mut self,
        region: &RegionName,
        page: &Page,
    ) -> Result<Paged<OperationId>> {
        ask!(self, operations::running_in(region, page))
    }
    async fn region(&mut self, name: &RegionName) -> Result<Option<Region>> {
        ask!(self, hooks::region(name))
    }
    async fn regions(&mut self) -> Result<Vec<Region>> {
        ask!(self, hooks::regions())
    }
    async fn hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>> {
        ask!(self, hooks::get(hook))
    }
    async fn hooks(&mut self, region: &RegionName) -> Result<Vec<HookRow>> {
        ask!(self, hooks::of_region(region))
    }
    async fn hooks_for(&mut self, region: &RegionName, operation: &OperationName) -> Result<Vec<HookRow>> {
        ask!(self, hooks::concerning(region, operation))
    }
    async fn hooks_among(&mut self, among: &BTreeSet<HookRef>) -> Result<Vec<HookRow>> {
        ask!(self, hooks::among(among))
    }
    async fn hooks_page(&mut self, region: Option<&RegionName>, page: &Page) -> Result<Paged<HookRow>> {
        ask!(self, hooks::list(region, page))
    }
    async fn commands(&mut self, region: &RegionName, limit: u32) -> Result<Vec<Command>> {
        ask!(self, commands::of_region(region, limit))
    }
    async fn has_command(&mut self, region: &RegionName, now: Timestamp) -> Result<bool> {
        ask!(self, commands::has_free(region, now))
    }
    async fn free_commands(
        &mut self,
        region: &RegionName,
        now: Timestamp,
    ) -> Result<Vec<(CommandId, AttemptId)>> {
        ask!(self, commands::free(region, now))
    }
    async fn step_commands(&mut self, operation: OperationId, hook: &HookRef) -> Result<Vec<Command>> {
        ask!(self, commands::of_step(operation, hook))
    }
    async fn workflows(&mut self, operation: OperationId) -> Result<Vec<WorkflowRow>> {
        ask!(self, workflows::list(operation))
    }
    async fn due_workflows(
        &mut self,
        region: &RegionName,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRow>> {
        ask!(self, workflows::due(region, now, limit))
    }
    async fn next_workflow(&mut self, region: &RegionName) -> Result<Option<Timestamp>> {
        ask!(self, workflows::next_due(region))
    }
    async fn bridges(&mut self, operation: OperationId) -> Result<Vec<BridgeRow>> {
        ask!(self, workflows::bridges(operation))
    }
    async fn bridge(&mut self, operation: OperationId, hook: &HookRef) -> Result<Option<BridgeRow>> {
        ask!(self, workflows::bridge(operation, hook))
    }
    async fn attention(&mut self, id: AttentionId) -> Result<Option<Attention>> {
        ask!(self, attentions::get(id))
    }
    async fn attentions(&mut self, filter: &AttentionFilter, page: &Page) -> Result<Paged<Attention>> {
        ask!(self, attentions::list(filter, page))
    }
    async fn events(&mut self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<EventRecord>> {
        ask!(self, events::list(filter, after, limit))
    }
    async fn last_event(&mut self) -> Result<u64> {
        ask!(self, events::last())
    }
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>> {
        ask!(self, installation::token(id))
    }
    async fn tokens(&mut self, page: &Page) -> Result<Paged<Token>> {
        ask!(self, installation::tokens(page))
    }
    async fn idempotent(&mut self, key: &str) -> Result<Option<IdempotentAnswer>> {
        ask!(self, installation::idempotent(key))
    }
    async fn audit_head(&mut self, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>> {
        ask!(self, audit::audit_head(environment))
    }
    async fn audit(
        &mut self,
        environment: Option<EnvironmentId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        ask!(self, audit::audit(environment, after, limit))
    }
    async fn audit_entries(&mut self, filter: &AuditFilter, page: &Page) -> Result<Paged<AuditEntry>> {
        ask!(self, audit_list::entries(filter, page))
    }
    async fn audit_chains(&mut self, page: &Page) -> Result<Paged<AuditChain>> {
        ask!(self, audit::chains(page))
    }
    async fn unsealed_chains(&mut self, limit: u32) -> Result<Vec<AuditChain>> {
        ask!(self, audit::unsealed(limit))
    }
    async fn audit_heads(&mut self, after: u64, limit: u32) -> Result<Vec<AuditHead>> {
        ask!(self, audit::heads(after, limit))
    }
    async fn last_audit_head(&mut self) -> Result<Option<AuditHead>> {
        ask!(self, audit::last_head())
    }
    async fn expired_operations(
        &mut self,
        before: Timestamp,
        keep_newest: u32,
        page: &Page,
    ) -> Result<Paged<ExpiredOperation>> {
        ask!(self, retention::operations(before, keep_newest, page))
    }
    async fn count_expired(&mut self, attentions: Timestamp, answers: Timestamp) -> Result<(u64, u64)> {
        ask!(self, retention::count_expired(attentions, answers))
    }
    async fn needed_templates(&mut self, region: &RegionName) -> Result<Vec<TemplateHash>> {
        ask!(self, retention::needed_templates(region))
    }
    async fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>> {
        ask!(self, holds::get(id))
    }
    async fn holds(&mut self, filter: &HoldFilter, page: &Page) -> Result<Paged<HoldRow>> {
        ask!(self, holds::list(filter, page))
    }
    async fn approval(&mut self, id: ApprovalId) -> Result<Option<Approval>> {
        ask!(self, approvals::get(id))
    }
    async fn approvals(&mut self, filter: &ApprovalFilter, page: &Page) -> Result<Paged<Approval>> {
        ask!(self, approvals::list(filter, page))
    }
    async fn replays(&mut self, original: OperationId) -> Result<Vec<OperationId>> {
        ask!(self, operations::replays(original))
    }
    async fn parked_events(&mut self, sink: &str) -> Result<Vec<ParkedRow>> {
        ask!(self, deliveries::parked(sink))
    }
    async fn dead_letter(&mut self, sink: &str, position: u64) -> Result<Option<DeadLetterRow>> {
        ask!(self, deliveries::letter(sink, position))
    }
    async fn dead_letters(&mut self, sink: &str, page: &Page) -> Result<Paged<DeadLetterRow>> {
        ask!(self, deliveries::letters(sink, page))
    }
    async fn wanted_dead_letter(&mut self, sink: &str) -> Result<Option<DeadLetterRow>> {
        ask!(self, deliveries::wanted(sink))
    }
    async fn count_dead_letters(&mut self, sink: &str) -> Result<u64> {
        ask!(self, deliveries::count(sink))
    }
    async fn letter(&mut self, id: LetterId) -> Result<Option<LetterRow>> {
        ask!(self, letters::get(id))
    }
    async fn letters(&mut self, page: &Page) -> Result<Paged<LetterRow>> {
        ask!(self, letters::list(page))
    }
    async fn count_letters(&mut self) -> Result<u64> {
        ask!(self, letters::count())
    }
    async fn setting(&mut self, key: &str) -> Result<Option<Value>> {
        ask!(self, installation::setting(key))
    }
    async fn schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>> {
        ask!(self, schedules::get(id))
    }
    async fn schedule_by_name(&mut self, name: &ScheduleName) -> Result<Option<Schedule>> {
        ask!(self, schedules::by_name(name))
    }
    async fn schedules(&mut self) -> Result<Vec<Schedule>> {
        ask!(self, schedules::list())
    }
    async fn due_schedules(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>> {
        ask!(self, schedules::due(now, limit))
    }
    async fn next_schedule(&mut self) -> Result<Option<Timestamp>> {
        ask!(self, schedules::next_due())
    }
    async fn schedule_run(&mut self, key: &RunKey) -> Result<Option<ScheduleRun>> {
        ask!(self, schedules::run(key))
    }
    async fn schedule_run_of(&mut self, operation: OperationId) -> Result<Option<ScheduleRun>> {
        ask!(self, schedules::run_of(operation))
    }
    async fn schedule_runs(&mut self, schedule: ScheduleId, page: &Page) -> Result<Paged<ScheduleRun>> {
        ask!(self, schedules::runs(schedule, page))
    }
    async fn due_schedule_runs(&mut self, limit: u32) -> Result<Vec<ScheduleRun>> {
        ask!(self, schedules::due_runs(limit))
    }
    async fn open_schedule_runs(
        &mut self,
        schedule: ScheduleId,
        environment: EnvironmentId,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>> {
        ask!(self, schedules::open_runs(schedule, environment, limit))
    }
    async fn watched_schedule_runs(&mut self, page: &Page) -> Result<Paged<ScheduleRun>> {
        ask!(self, schedules::watched_runs(page))
    }
}

#[async_trait]
impl Write for Tx {
    async fn put_tenant(&mut self, tenant: &Tenant) -> Result<()> {
        ask!(self, tenants::put(tenant))
    }
    async fn delete_tenant(&mut self, name: &TenantName) -> Result<()> {
        ask!(self, tenants::delete(name))
    }
    // One writer: the whole database is locked already.
    async fn lock_environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        ask!(self, environments::get(id))
    }
    async fn put_environment(&mut self, environment: &Environment) -> Result<()> {
        ask!(self, environments::put(environment))
    }
    async fn raise_version(&mut self, environment: &Environment) -> Result<u64> {
        ask!(self, environments::raise_version(environment))
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
    async fn put_region(&mut self, region: &Region) -> Result<()> {
        ask!(self, hooks::put_region(region))
    }
    async fn lock_hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>> {
        ask!(self, hooks::get(hook))
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
        ask!(self, attentions::put(attention))
    }
    async fn open_attention(&mut self, key: &str) -> Result<Option<Attention>> {
        ask!(self, attentions::open(key))
    }
    async fn append_event(&mut self, event: &EventRecord) -> Result<()> {
        ask!(self, events::append(event))
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
    async fn put_hold(&mut self, hold: &HoldRow) -> Result<()> {
        ask!(self, holds::put(hold))
    }
    async fn put_approval(&mut self, approval: &Approval) -> Result<()> {
        ask!(self, approvals::put(approval))
    }
    async fn put_replay(&mut self, original: OperationId, replay: OperationId) -> Result<()> {
        ask!(self, operations::put_replay(original, replay))
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
    // One writer: the whole database is locked already.
    async fn lock_schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>> {
        ask!(self, schedules::get(id))
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
    async fn commit(self: Box<Self>) -> Result<()> {
        self.usable()?;
        self.inner.commit().await.map_err(failed("commit"))?;
        self.commits.notify_waiters();
        Ok(())
    }
}
