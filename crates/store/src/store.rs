//! The door: a store gives read and write transactions.

use crate::{
    AttentionFilter, AuditChain, AuditEntry, AuditFilter, AuditHead, Command, EnvironmentFilter, EventFilter,
    EventRecord, HookRow, IdempotentAnswer, OperationFilter, StoreError,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tenantry_model::{
    AgentSessionId, Alias, AppliedHook, Attempt, AttemptId, Attention, CommandId, Environment, EnvironmentId,
    EnvironmentName, HookRef, Operation, OperationDefinition, OperationId, OperationName, Page, Paged,
    Region, RegionName, Step, Tenant, TenantName, Token, TokenId,
};

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Where the manager keeps everything but logs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction that sees one consistent state and changes nothing.
    async fn read(&self) -> Result<Box<dyn Read + '_>>;
    /// Begins a transaction that may write. Nothing is visible before [`Write::commit`]; dropping it rolls back.
    /// An implementation may let only one at a time go on, so keep it short and await nothing else in between. After
    /// an error other than [`StoreError::Duplicate`] it can only be dropped.
    async fn write(&self) -> Result<Box<dyn Write + '_>>;
    /// Resolves after the next commit of this process (or an implementation's own signal, or at the latest after
    /// a poll interval of some seconds): wake-up for long polls and event streams. May wake for nothing.
    /// The wake-up counts from the call, not from the first poll: call it, look, and await it only if there was
    /// nothing; then no commit in between is slept through.
    async fn changed(&self);
    /// Checks that the medium answers; for readiness.
    async fn ping(&self) -> Result<()>;
    /// The medium's own judgement of what it holds: a sentence for each fault, at most 100. Reads everything, so it
    /// may take minutes.
    async fn integrity(&self) -> Result<Vec<String>>;
}

/// What can be read. Lists are in the order of their key and bounded by [`Page`].
#[async_trait]
pub trait Read: Send {
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
    /// A setting of the installation (`platform-schema`, …).
    async fn setting(&mut self, key: &str) -> Result<Option<Value>>;
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
    /// Inserts or replaces.
    async fn put_definition(&mut self, definition: &OperationDefinition) -> Result<()>;
    /// Removes; `false` if there was none.
    async fn delete_definition(&mut self, name: &OperationName) -> Result<bool>;
    /// Inserts or replaces; its environment exists, its timer stays as it is.
    async fn put_operation(&mut self, operation: &Operation) -> Result<()>;
    /// Sets when the operation's timer is due; `None`: none.
    async fn put_timer(&mut self, id: OperationId, due: Option<Timestamp>) -> Result<()>;
    /// Inserts or replaces.
    async fn put_step(&mut self, step: &Step) -> Result<()>;
    /// Inserts or replaces.
    async fn put_attempt(&mut self, attempt: &Attempt) -> Result<()>;
    /// Inserts or replaces.
    async fn put_region(&mut self, region: &Region) -> Result<()>;
    /// Inserts or replaces.
    async fn put_hook(&mut self, hook: &HookRow) -> Result<()>;
    /// Inserts; an equal (attempt, kind) that is not done is left as it is, whatever its body and lease.
    async fn put_command(&mut self, command: &Command) -> Result<()>;
    /// Leases up to `limit` commands that are not leased (or whose lease has run out), in order. An attempt's
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
    /// Removes the command of this kind for this attempt if it was never given out; tells whether it did. One whose
    /// lease was broken or ran out stays: an agent may have carried it out.
    async fn withdraw_command(&mut self, attempt: &AttemptId, kind: crate::CommandKind) -> Result<bool>;
    /// Gives back all leases of other sessions of the region: a new agent process has taken over.
    async fn break_leases(&mut self, region: &RegionName, session: AgentSessionId) -> Result<()>;
    /// Inserts or replaces by id; another unsettled one with its key is [`StoreError::Duplicate`].
    async fn put_attention(&mut self, attention: &Attention) -> Result<()>;
    /// The unsettled one with this key.
    async fn open_attention(&mut self, key: &str) -> Result<Option<Attention>>;
    /// Appends to the outbox; returns the position.
    async fn append_event(&mut self, event: &EventRecord) -> Result<u64>;
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
    /// Inserts or replaces.
    async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()>;
    /// Makes everything visible and durable at once, and wakes [`Store::changed`].
    async fn commit(self: Box<Self>) -> Result<()>;
}
