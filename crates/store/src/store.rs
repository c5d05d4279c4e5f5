//! The door: a store gives read and write transactions.

use crate::{
    ApprovalFilter, AttentionFilter, AuditChain, AuditEntry, AuditFilter, AuditHead, BridgeRow, Command,
    DeadLetterRow, EnvironmentFilter, EventFilter, EventRecord, ExpiredOperation, Fence, HoldFilter, HoldRow,
    HookRow, IdempotentAnswer, LetterRow, Moved, OperationFilter, ParkedRow, RunKey, StoreError, TimerChange,
    WorkflowRow,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use tenantry_model::{
    AgentSessionId, Alias, AppliedHook, Approval, ApprovalId, Attempt, AttemptId, Attention, CommandId,
    Environment, EnvironmentId, EnvironmentName, HoldId, HookRef, LetterId, Operation, OperationDefinition,
    OperationId, OperationName, Page, Paged, Region, RegionName, Schedule, ScheduleId, ScheduleName,
    ScheduleRun, Step, TemplateHash, Tenant, TenantName, Token, TokenId,
};

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What is told at once to whom it concerns, in whichever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A schedule has another next time, or a run of one is due.
    Schedules,
}

/// Where the manager keeps everything but logs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction that sees one consistent state and changes nothing.
    async fn read(&self) -> Result<Box<dyn Read + '_>>;
    /// One token as it is now: what nearly every request begins with, and nothing is read together with it.
    async fn token(&self, id: TokenId) -> Result<Option<Token>> {
        self.read().await?.token(id).await
    }
    /// Begins a transaction that may write. Nothing is visible before [`Write::commit`]; dropping it rolls back.
    /// No other transaction writes meanwhile, so keep it short and await nothing else in between. After
    /// an error other than [`StoreError::Duplicate`] it can only be dropped.
    async fn write(&self) -> Result<Box<dyn Write + '_>>;
    /// Like [`Store::write`], for what is about one environment, which it locks before it looks at what it changes
    /// ([`Write::lock_environment`]), or about commands, timers, leases and kept answers, whose calls are safe by
    /// themselves. Others of its kind may go on beside it, about other environments; what only [`Store::write`] changes
    /// (tenants, definitions, regions, hooks, tokens, settings, the common audit chain) stays as it is until its end; only
    /// a hook's last good version may be put by either. An implementation may let it be alone as well.
    async fn write_one(&self) -> Result<Box<dyn Write + '_>> {
        self.write().await
    }
    /// Resolves after the next commit of this process (or an implementation's own signal, or at the latest after
    /// a poll interval of some seconds): wake-up for long polls and event streams. May wake for nothing.
    /// The wake-up counts from the call, not from the first poll: call it, look, and await it only if there was
    /// nothing; then no commit in between is slept through.
    async fn changed(&self);
    /// Tells a signal to whoever waits for it ([`Store::told`]), in this process and in every other one that shares the
    /// data. Call it after the commit that it is about. Nobody may rely on it: behind every wait is a poll.
    fn tell(&self, signal: Signal);
    /// Resolves when the signal was told. One that came while nobody waited is kept, and several count as one.
    async fn told(&self, signal: Signal);
    /// Checks that the medium answers; for readiness.
    async fn ping(&self) -> Result<()>;
    /// The medium's own judgement of what it holds: a sentence for each fault, at most 100. Reads everything, so it
    /// may take minutes.
    async fn integrity(&self) -> Result<Vec<String>>;
}

/// What can be read. Lists are in the order of their key and bounded by [`Page`].
#[async_trait]
pub trait Read: Send {
    /// The medium's own clock, if it has one besides this process's.
    async fn clock(&mut self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
    /// One tenant.
    async fn tenant(&mut self, name: &TenantName) -> Result<Option<Tenant>>;
    /// Tenants by name.
    async fn tenants(&mut self, page: &Page) -> Result<Paged<Tenant>>;
    /// One environment.
    async fn environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>>;
    /// The environment of this name that is not purged.
    async fn environment_by_name(
        &mut self,
        tenant: &TenantName,
        name: &EnvironmentName,
    ) -> Result<Option<Environment>>;
    /// The environment with this alias that is not purged.
    async fn environment_by_alias(&mut self, alias: &Alias) -> Result<Option<Environment>>;
    /// Environments by id.
    async fn environments(&mut self, filter: &EnvironmentFilter, page: &Page) -> Result<Paged<Environment>>;
    /// The changeset's view (`labels`, `region`, `aliases`, `spec`) of one generation.
    async fn generation(&mut self, id: EnvironmentId, generation: u64) -> Result<Option<Value>>;
    /// What hooks have applied for an environment, by hook.
    async fn applied(&mut self, id: EnvironmentId) -> Result<Vec<AppliedHook>>;
    /// What one hook has applied for an environment. An implementation does better than this, which reads all of
    /// them: it is asked at every start and every success.
    async fn applied_hook(&mut self, id: EnvironmentId, hook: &HookRef) -> Result<Option<AppliedHook>> {
        Ok(self.applied(id).await?.into_iter().find(|row| row.hook == *hook))
    }
    /// The same for some of them, by hook.
    async fn applied_hooks(&mut self, id: EnvironmentId, hooks: &[HookRef]) -> Result<Vec<AppliedHook>> {
        let mut found = Vec::new();
        for hook in hooks {
            found.extend(self.applied_hook(id, hook).await?);
        }
        Ok(found)
    }
    /// A definition that was stored under this name.
    async fn definition(&mut self, name: &OperationName) -> Result<Option<OperationDefinition>>;
    /// All stored definitions, by name; at most 1,000 exist.
    async fn definitions(&mut self) -> Result<Vec<OperationDefinition>>;
    /// One operation.
    async fn operation(&mut self, id: OperationId) -> Result<Option<Operation>>;
    /// Operations, newest first.
    async fn operations(&mut self, filter: &OperationFilter, page: &Page) -> Result<Paged<Operation>>;
    /// All unfinished operations of an environment, oldest first.
    async fn unfinished(&mut self, id: EnvironmentId) -> Result<Vec<Operation>>;
    /// Steps of an operation, by hook.
    async fn steps(&mut self, id: OperationId) -> Result<Vec<Step>>;
    /// One step. An implementation does better than this, which reads all of them.
    async fn step(&mut self, operation: OperationId, hook: &HookRef) -> Result<Option<Step>> {
        Ok(self.steps(operation).await?.into_iter().find(|step| step.hook == *hook))
    }
    /// Attempts of an operation, by step and number.
    async fn attempts(&mut self, id: OperationId) -> Result<Vec<Attempt>>;
    /// One attempt, without the rest of its operation.
    async fn attempt(&mut self, id: &AttemptId) -> Result<Option<Attempt>>;
    /// Operations whose timer is due, earliest first.
    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<OperationId>>;
    /// When the operation's timer is due, if it has one.
    async fn timer(&mut self, id: OperationId) -> Result<Option<Timestamp>>;
    /// The earliest timer of all.
    async fn next_due(&mut self) -> Result<Option<Timestamp>>;
    /// Unfinished operations with an attempt that is not over in this region.
    async fn operations_running_in(&mut self, region: &RegionName, page: &Page)
    -> Result<Paged<OperationId>>;
    /// One region.
    async fn region(&mut self, name: &RegionName) -> Result<Option<Region>>;
    /// All regions by name; at most 1,000 exist.
    async fn regions(&mut self) -> Result<Vec<Region>>;
    /// One hook.
    async fn hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>>;
    /// All hooks of a region, by namespace and name (absent ones included).
    async fn hooks(&mut self, region: &RegionName) -> Result<Vec<HookRow>>;
    /// The hooks of a region that concern an operation, by namespace and name: those whose version, current or last good, is
    /// registered for it, and those whose current version cannot be read, since nobody knows what they are for.
    async fn hooks_for(&mut self, region: &RegionName, operation: &OperationName) -> Result<Vec<HookRow>>;
    /// Those of these hooks that there are, by region, namespace and name.
    async fn hooks_among(&mut self, hooks: &BTreeSet<HookRef>) -> Result<Vec<HookRow>>;
    /// Hooks of all regions or one, in pages, by `region/namespace/name`.
    async fn hooks_page(&mut self, region: Option<&RegionName>, page: &Page) -> Result<Paged<HookRow>>;
    /// Commands of a region that are not done, in order (whoever leases them).
    async fn commands(&mut self, region: &RegionName, limit: u32) -> Result<Vec<Command>>;
    /// Whether the region has a command that nobody holds (or whose lease has run out): asked after every commit by
    /// every agent's poll. An implementation does better than this, which reads whole commands.
    async fn has_command(&mut self, region: &RegionName, now: Timestamp) -> Result<bool> {
        let commands = self.commands(region, 1000).await?;
        Ok(commands.iter().any(|command| command.lease.as_ref().is_none_or(|lease| lease.until <= now)))
    }
    /// The region's commands that nobody holds (or whose lease has run out), in order, without what they say: all of them,
    /// since one that nobody ever takes must not hide those behind it. An implementation does better than this, which reads
    /// whole commands.
    async fn free_commands(
        &mut self,
        region: &RegionName,
        now: Timestamp,
    ) -> Result<Vec<(CommandId, AttemptId)>> {
        let mut commands = self.commands(region, u32::MAX).await?;
        commands.retain(|command| command.lease.as_ref().is_none_or(|lease| lease.until <= now));
        Ok(commands.into_iter().map(|command| (command.id, command.attempt)).collect())
    }
    /// Commands about one step's attempts that are not done, in order (whoever leases them).
    async fn step_commands(&mut self, operation: OperationId, hook: &HookRef) -> Result<Vec<Command>>;
    /// The Workflows of an operation, by region and round.
    async fn workflows(&mut self, operation: OperationId) -> Result<Vec<WorkflowRow>>;
    /// A region's Workflows whose event is due, earliest first.
    async fn due_workflows(
        &mut self,
        region: &RegionName,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRow>>;
    /// When the next event for a Workflow of the region is due.
    async fn next_workflow(&mut self, region: &RegionName) -> Result<Option<Timestamp>>;
    /// The bridges of an operation's steps, by hook.
    async fn bridges(&mut self, operation: OperationId) -> Result<Vec<BridgeRow>>;
    /// The bridge of one step.
    async fn bridge(&mut self, operation: OperationId, hook: &HookRef) -> Result<Option<BridgeRow>>;
    /// One attention by id.
    async fn attention(&mut self, id: tenantry_model::AttentionId) -> Result<Option<Attention>>;
    /// Things that wait for a person, oldest first.
    async fn attentions(&mut self, filter: &AttentionFilter, page: &Page) -> Result<Paged<Attention>>;
    /// Events after a position, in order.
    async fn events(&mut self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<EventRecord>>;
    /// The newest event's position; 0 if there is none.
    async fn last_event(&mut self) -> Result<u64>;
    /// One token.
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>>;
    /// Tokens by id.
    async fn tokens(&mut self, page: &Page) -> Result<Paged<Token>>;
    /// The answer that was given under this key.
    async fn idempotent(&mut self, key: &str) -> Result<Option<IdempotentAnswer>>;
    /// The newest entry of a chain.
    async fn audit_head(&mut self, environment: Option<EnvironmentId>) -> Result<Option<AuditEntry>>;
    /// Entries of a chain after a position, in order.
    async fn audit(
        &mut self,
        environment: Option<EnvironmentId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AuditEntry>>;
    /// Entries of all chains by time, then chain and position.
    async fn audit_entries(&mut self, filter: &AuditFilter, page: &Page) -> Result<Paged<AuditEntry>>;
    /// All chains that have an entry; that of what belongs to no environment first, then by environment.
    async fn audit_chains(&mut self, page: &Page) -> Result<Paged<AuditChain>>;
    /// Chains with entries after the newest signed head, in the same order.
    async fn unsealed_chains(&mut self, limit: u32) -> Result<Vec<AuditChain>>;
    /// Signed heads after a number, in order.
    async fn audit_heads(&mut self, after: u64, limit: u32) -> Result<Vec<AuditHead>>;
    /// The newest signed head.
    async fn last_audit_head(&mut self) -> Result<Option<AuditHead>>;
    /// Finished operations that ended before a time and that nothing needs: `keep_newest` operations of the same
    /// environment and name are newer (or it is purged: nothing will be predicted from them), none that is kept replays it, restores from it or kept outputs of it, no hook
    /// was last touched by it, no command and no open attention is about it. By the time of their end; a page looks at `limit`
    /// operations, so that it may hold few or none and still have a next.
    async fn expired_operations(
        &mut self,
        before: Timestamp,
        keep_newest: u32,
        page: &Page,
    ) -> Result<Paged<ExpiredOperation>>;
    /// How many attentions were settled before the first time, and how many answers are older than the second.
    async fn count_expired(&mut self, attentions: Timestamp, answers: Timestamp) -> Result<(u64, u64)>;
    /// The versions of the region's hooks that steps of unfinished operations have, whatever the steps' states: one
    /// that is done may be run again.
    async fn needed_templates(&mut self, region: &RegionName) -> Result<Vec<TemplateHash>>;
    /// One hold by predicate.
    async fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>>;
    /// Holds by id; without lifted ones those that are [`HoldRow::is_open`].
    async fn holds(&mut self, filter: &HoldFilter, page: &Page) -> Result<Paged<HoldRow>>;
    /// One verb that waits, or waited, for a second person.
    async fn approval(&mut self, id: ApprovalId) -> Result<Option<Approval>>;
    /// Such verbs by id.
    async fn approvals(&mut self, filter: &ApprovalFilter, page: &Page) -> Result<Paged<Approval>>;
    /// Operations that replay this one, oldest first; at most 1,000.
    async fn replays(&mut self, original: OperationId) -> Result<Vec<OperationId>>;
    /// Environments whose events a sink gets apart from all others; few, since whoever writes them bounds them.
    async fn parked_events(&mut self, sink: &str) -> Result<Vec<ParkedRow>>;
    /// One event that was given up.
    async fn dead_letter(&mut self, sink: &str, position: u64) -> Result<Option<DeadLetterRow>>;
    /// Events that were given up, by position.
    async fn dead_letters(&mut self, sink: &str, page: &Page) -> Result<Paged<DeadLetterRow>>;
    /// The first of them that a person wants delivered after all.
    async fn wanted_dead_letter(&mut self, sink: &str) -> Result<Option<DeadLetterRow>>;
    /// How many there are.
    async fn count_dead_letters(&mut self, sink: &str) -> Result<u64>;
    /// One message that was refused.
    async fn letter(&mut self, id: LetterId) -> Result<Option<LetterRow>>;
    /// Messages that were refused, by id.
    async fn letters(&mut self, page: &Page) -> Result<Paged<LetterRow>>;
    /// How many there are.
    async fn count_letters(&mut self) -> Result<u64>;
    /// A setting of the installation (`platform-schema`, …).
    async fn setting(&mut self, key: &str) -> Result<Option<Value>>;
    /// One schedule.
    async fn schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>>;
    /// The schedule of this name.
    async fn schedule_by_name(&mut self, name: &ScheduleName) -> Result<Option<Schedule>>;
    /// All schedules, by name; at most 1,000 exist.
    async fn schedules(&mut self) -> Result<Vec<Schedule>>;
    /// Schedules whose next time has come, earliest first.
    async fn due_schedules(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>>;
    /// The earliest next time of all schedules.
    async fn next_schedule(&mut self) -> Result<Option<Timestamp>>;
    /// One run of a schedule.
    async fn schedule_run(&mut self, key: &RunKey) -> Result<Option<ScheduleRun>>;
    /// The run whose operation this is.
    async fn schedule_run_of(&mut self, operation: OperationId) -> Result<Option<ScheduleRun>>;
    /// Runs of a schedule, the newest time first.
    async fn schedule_runs(&mut self, schedule: ScheduleId, page: &Page) -> Result<Paged<ScheduleRun>>;
    /// Runs in the state `due`, the earliest time first.
    async fn due_schedule_runs(&mut self, limit: u32) -> Result<Vec<ScheduleRun>>;
    /// Runs of a schedule for one environment that are due, wait or were requested and have not ended, the earliest
    /// time first.
    async fn open_schedule_runs(
        &mut self,
        schedule: ScheduleId,
        environment: EnvironmentId,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>>;
    /// Requested runs that have a deadline, by operation.
    async fn watched_schedule_runs(&mut self, page: &Page) -> Result<Paged<ScheduleRun>>;
}

/// What can be written. `put_…` inserts or replaces the row with the same key.
#[async_trait]
pub trait Write: Read {
    /// Inserts or replaces.
    async fn put_tenant(&mut self, tenant: &Tenant) -> Result<()>;
    /// Removes a tenant (the caller has checked that it has no environments).
    async fn delete_tenant(&mut self, name: &TenantName) -> Result<()>;
    /// Reads an environment and keeps others from changing it or its operations until the end of the transaction.
    async fn lock_environment(&mut self, id: EnvironmentId) -> Result<Option<Environment>>;
    /// The same for the environment of an operation; `None`: there is no such operation.
    async fn lock_environment_of(&mut self, id: OperationId) -> Result<Option<Environment>> {
        match self.operation(id).await? {
            Some(operation) => self.lock_environment(operation.environment).await,
            None => Ok(None),
        }
    }
    /// Raises the version of a locked environment and returns it; the rest of its row stays as it is. An
    /// implementation does better than this, which writes the whole row: a step's change is to be one small write.
    async fn raise_version(&mut self, environment: &Environment) -> Result<u64> {
        let raised = Environment { version: environment.version + 1, ..environment.clone() };
        self.put_environment(&raised).await?;
        Ok(raised.version)
    }
    /// Inserts or replaces; a taken name or alias is [`StoreError::Duplicate`].
    async fn put_environment(&mut self, environment: &Environment) -> Result<()>;
    /// Keeps a generation's view.
    async fn put_generation(&mut self, id: EnvironmentId, generation: u64, view: &Value) -> Result<()>;
    /// Inserts or replaces.
    async fn put_applied(&mut self, id: EnvironmentId, applied: &AppliedHook) -> Result<()>;
    /// Removes the views of all generations of an environment and what hooks have applied for it: all that is kept of
    /// what it was wished to be, its own row aside.
    async fn forget_environment(&mut self, id: EnvironmentId) -> Result<()>;
    /// Inserts or replaces.
    async fn put_definition(&mut self, definition: &OperationDefinition) -> Result<()>;
    /// Removes; `false` if there was none.
    async fn delete_definition(&mut self, name: &OperationName) -> Result<bool>;
    /// Inserts or replaces; its environment exists, its timer stays as it is.
    async fn put_operation(&mut self, operation: &Operation) -> Result<()>;
    /// Takes up to `limit` operations whose timer is due, earliest first, and sets their timers to `until`: no other
    /// manager takes them meanwhile, and if this one dies they are due again then.
    async fn claim_due(&mut self, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<OperationId>>;
    /// Sets all timers that are due after `later` to `to`; returns how many. One that looks too early changes nothing.
    async fn hasten_timers(&mut self, later: Timestamp, to: Timestamp) -> Result<u64>;
    /// Sets when the operation's timer is due; `None`: none.
    async fn put_timer(&mut self, id: OperationId, due: Option<Timestamp>) -> Result<()>;
    /// Inserts or replaces.
    async fn put_step(&mut self, step: &Step) -> Result<()>;
    /// Inserts or replaces.
    async fn put_attempt(&mut self, attempt: &Attempt) -> Result<()>;
    /// Puts what events have changed about one operation, as one call after the other would. An implementation whose
    /// calls cost a way to a server does better than this.
    async fn put_moved(&mut self, moved: &Moved) -> Result<()> {
        if let Some(operation) = &moved.operation {
            self.put_operation(operation).await?;
        }
        for step in &moved.steps {
            self.put_step(step).await?;
        }
        for attempt in &moved.attempts {
            self.put_attempt(attempt).await?;
        }
        for applied in &moved.applied {
            self.put_applied(moved.environment, applied).await?;
        }
        for command in &moved.commands {
            self.put_command(command).await?;
        }
        match moved.timer {
            TimerChange::None => Ok(()),
            TimerChange::Due(due) => self.put_timer(moved.id, Some(due)).await,
            TimerChange::Gone => self.put_timer(moved.id, None).await,
        }
    }
    /// Inserts or replaces.
    async fn put_region(&mut self, region: &Region) -> Result<()>;
    /// Reads a hook and keeps others from changing it until the end of the transaction. Who locks several does so in
    /// their order.
    async fn lock_hook(&mut self, hook: &HookRef) -> Result<Option<HookRow>>;
    /// Inserts or replaces.
    async fn put_hook(&mut self, hook: &HookRow) -> Result<()>;
    /// Inserts; an equal (attempt, kind) that is not done is left as it is, whatever its body and lease.
    async fn put_command(&mut self, command: &Command) -> Result<()>;
    /// Leases up to `limit` commands that are not leased (or whose lease has run out), in order, and no more once their
    /// bodies have reached [`LEASE_BYTES`](crate::LEASE_BYTES). An attempt's
    /// later commands are not given out before its earlier ones are done or given out with them.
    async fn lease_commands(
        &mut self,
        region: &RegionName,
        session: AgentSessionId,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Command>>;
    /// The agent has carried it out (or it is not needed any more); `false`: it was done already.
    async fn finish_command(&mut self, region: &RegionName, id: CommandId) -> Result<bool>;
    /// The same for several.
    async fn finish_commands(&mut self, region: &RegionName, ids: &[CommandId]) -> Result<()> {
        for id in ids {
            self.finish_command(region, *id).await?;
        }
        Ok(())
    }
    /// Removes the command of this kind for this attempt if it was never given out; tells whether it did. One whose
    /// lease was broken or ran out stays: an agent may have carried it out.
    async fn withdraw_command(&mut self, attempt: &AttemptId, kind: crate::CommandKind) -> Result<bool>;
    /// Gives back the region's leases, but those of the session that is spared: of all others when a new agent process has
    /// taken over, of every one when the answer that gave them out may be lost.
    async fn break_leases(&mut self, region: &RegionName, spared: Option<AgentSessionId>) -> Result<()>;
    /// Like [`Write::lease_commands`] for the commands of one step, all of them.
    async fn lease_step_commands(
        &mut self,
        operation: OperationId,
        hook: &HookRef,
        session: AgentSessionId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Command>>;
    /// Like [`Write::break_leases`] for the commands of one step.
    async fn break_step_leases(
        &mut self,
        operation: OperationId,
        hook: &HookRef,
        spared: Option<AgentSessionId>,
    ) -> Result<()>;
    /// Inserts or replaces; its operation exists, and takes it along when it is deleted.
    async fn put_workflow(&mut self, workflow: &WorkflowRow) -> Result<()>;
    /// Inserts or replaces; its operation exists, and takes it along when it is deleted.
    async fn put_bridge(&mut self, bridge: &BridgeRow) -> Result<()>;
    /// Inserts or replaces by id; another unsettled one with its key is [`StoreError::Duplicate`].
    async fn put_attention(&mut self, attention: &Attention) -> Result<()>;
    /// The unsettled one with this key.
    async fn open_attention(&mut self, key: &str) -> Result<Option<Attention>>;
    /// Which of these keys are open. Keeps nobody from opening or settling them: a look before [`Write::open_attention`],
    /// which transactions about the same thing in many environments would otherwise wait in line for. An
    /// implementation does better than this, which asks for each.
    async fn open_keys(&mut self, keys: &[String]) -> Result<Vec<String>> {
        let mut open = Vec::new();
        for key in keys {
            if self.open_attention(key).await?.is_some() {
                open.push(key.clone());
            }
        }
        Ok(open)
    }
    /// Appends to the outbox. Its position is given at the commit and follows the order of commits; before that it is
    /// not read back.
    async fn append_event(&mut self, event: &EventRecord) -> Result<()>;
    /// Inserts or replaces.
    async fn put_token(&mut self, token: &Token) -> Result<()>;
    /// Keeps an answer; a taken key is [`StoreError::Duplicate`].
    async fn put_idempotent(&mut self, answer: &IdempotentAnswer) -> Result<()>;
    /// Removes up to `limit` answers that are older; returns how many.
    async fn expire_idempotent(&mut self, before: Timestamp, limit: u32) -> Result<u32>;
    /// Appends to a chain; a taken position is [`StoreError::Duplicate`].
    async fn append_audit(&mut self, entry: &AuditEntry) -> Result<()>;
    /// Keeps a signed head and notes that it names these chains at these positions; a taken number is
    /// [`StoreError::Duplicate`].
    async fn put_audit_head(&mut self, head: &AuditHead, chains: &[AuditChain]) -> Result<()>;
    /// Removes an operation with its steps, attempts, timer, Workflows, bridges, settled attentions, approvals and the
    /// ways to and from replays; `false` if there was none. Its logs and events are others'.
    async fn delete_operation(&mut self, id: OperationId) -> Result<bool>;
    /// Removes up to `limit` of the oldest events, up to a position; the newest event of all stays. Says how many.
    async fn delete_events(&mut self, up_to: u64, limit: u32) -> Result<u32>;
    /// Removes up to `limit` attentions that were settled before; says how many.
    async fn expire_attentions(&mut self, before: Timestamp, limit: u32) -> Result<u32>;
    /// Inserts or replaces.
    async fn put_hold(&mut self, hold: &HoldRow) -> Result<()>;
    /// Inserts or replaces; its environment exists.
    async fn put_approval(&mut self, approval: &Approval) -> Result<()>;
    /// Notes that an operation replays another one. Noting it twice changes nothing.
    async fn put_replay(&mut self, original: OperationId, replay: OperationId) -> Result<()>;
    /// Inserts or replaces.
    async fn put_parked_events(&mut self, row: &ParkedRow) -> Result<()>;
    /// Removes it, if it is there.
    async fn delete_parked_events(&mut self, sink: &str, environment: Option<EnvironmentId>) -> Result<()>;
    /// Inserts or replaces.
    async fn put_dead_letter(&mut self, row: &DeadLetterRow) -> Result<()>;
    /// Removes it; `false` if there was none.
    async fn delete_dead_letter(&mut self, sink: &str, position: u64) -> Result<bool>;
    /// Inserts or replaces.
    async fn put_letter(&mut self, row: &LetterRow) -> Result<()>;
    /// Removes it; `false` if there was none.
    async fn delete_letter(&mut self, id: LetterId) -> Result<bool>;
    /// Removes those that were refused before a time, and all but the newest `keep`; returns how many.
    async fn trim_letters(&mut self, before: Timestamp, keep: u32) -> Result<u64>;
    /// Inserts or replaces.
    async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()>;
    /// Takes the lease of work that exists once, or keeps it, for `holder` until `until`; `None` if somebody else has it
    /// and `now` is before its end. The fencing number grows with every new holder.
    async fn take_lease(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Fence>>;
    /// Refuses ([`StoreError::LeaseLost`]) if the lease has passed to another holder; otherwise it cannot pass on before
    /// the end of this transaction. Whether its time is over does not matter: nobody has taken it.
    async fn check_lease(&mut self, fence: &Fence) -> Result<()>;
    /// Ends a lease before its time: others may take it at once. One that has passed on is left alone.
    async fn give_back_lease(&mut self, fence: &Fence) -> Result<()>;
    /// Reads a schedule and keeps others from changing it until the end of the transaction.
    async fn lock_schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>>;
    /// Inserts or replaces; a taken name is [`StoreError::Duplicate`].
    async fn put_schedule(&mut self, schedule: &Schedule) -> Result<()>;
    /// Removes a schedule and its runs that are due or wait; `false` if there was none. Its other runs stay.
    async fn delete_schedule(&mut self, id: ScheduleId) -> Result<bool>;
    /// Inserts a run; `false` if there is one for its schedule, environment and time, which stays as it is.
    async fn add_schedule_run(&mut self, run: &ScheduleRun) -> Result<bool>;
    /// Inserts or replaces.
    async fn put_schedule_run(&mut self, run: &ScheduleRun) -> Result<()>;
    /// Removes up to `limit` runs of earlier times that have ended or were skipped; returns how many.
    async fn expire_schedule_runs(&mut self, before: Timestamp, limit: u32) -> Result<u32>;
    /// Makes everything visible and durable at once, and wakes [`Store::changed`]. After [`StoreError::Unknown`] either
    /// all of it is, or nothing ever will be: look.
    async fn commit(self: Box<Self>) -> Result<()>;
}
