//! What a transaction reads.

use super::{ANSWER, Tx};
use crate::tables::{
    approvals, attentions, audit, audit_list, commands, deliveries, environments, events, holds, hooks,
    installation, letters, operations, retention, schedules, steps, tenants, workflows,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use tenantry_model::{
    Alias, AppliedHook, Approval, ApprovalId, Attempt, AttemptId, Attention, AttentionId, CommandId,
    Environment, EnvironmentId, EnvironmentName, HoldId, HookRef, LetterId, Operation, OperationDefinition,
    OperationId, OperationName, Page, Paged, Region, RegionName, Schedule, ScheduleId, ScheduleName,
    ScheduleRun, Step, TemplateHash, Tenant, TenantName, Token, TokenId,
};
use tenantry_store::{
    ApprovalFilter, AttentionFilter, AuditChain, AuditEntry, AuditFilter, AuditHead, BridgeRow, Command,
    DeadLetterRow, EnvironmentFilter, EventFilter, EventRecord, ExpiredOperation, HoldFilter, HoldRow,
    HookRow, IdempotentAnswer, LetterRow, OperationFilter, ParkedRow, Read, Result, RunKey, WorkflowRow,
};

#[async_trait]
impl Read for Tx {
    async fn clock(&mut self) -> Result<Option<Timestamp>> {
        ask!(self, installation::clock()).map(Some)
    }
    async fn tenant(&mut self, name: &TenantName) -> Result<Option<Tenant>> {
        ask!(self, tenants::get(name))
    }
    async fn tenants(&mut self, page: &Page) -> Result<Paged<Tenant>> {
        ask!(self, tenants::list(page))
    }
    async fn environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        self.write_version().await?;
        ask!(self, environments::get(id))
    }
    async fn environment_by_name(
        &mut self,
        tenant: &TenantName,
        name: &EnvironmentName,
    ) -> Result<Option<Environment>> {
        self.write_version().await?;
        ask!(self, environments::by_name(tenant, name))
    }
    async fn environment_by_alias(&mut self, alias: &Alias) -> Result<Option<Environment>> {
        self.write_version().await?;
        ask!(self, environments::by_alias(alias))
    }
    async fn environments(&mut self, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>> {
        self.write_version().await?;
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
    async fn applied_hooks(&mut self, id: EnvironmentId, hooks: &[HookRef]) -> Result<Vec<AppliedHook>> {
        ask!(self, environments::applied_hooks(id, hooks))
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
    async fn attempt(&mut self, id: &AttemptId) -> Result<Option<Attempt>> {
        ask!(self, steps::attempt(id))
    }
    async fn attempts(&mut self, id: OperationId) -> Result<Vec<Attempt>> {
        ask!(self, steps::attempts(id))
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
