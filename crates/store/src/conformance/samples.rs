//! Rows to store. Each is complete, so that a column that an implementation forgets is missed.

use crate::{
    AuditEntry, BridgeRow, Command, CommandKind, DeadLetterRow, EventRecord, HoldRow, HookRow,
    IdempotentAnswer, LetterRow, ParkedRow, Retired, StagedHooks, WorkflowEnded, WorkflowRow,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tenantry_hook::{AfterTarget, AttemptKind, Hook};
use tenantry_model::{
    Actor, ActorKind, AgentSessionId, AppliedHook, Approval, ApprovalId, ApprovalState, ApprovalTarget,
    Attempt, AttemptId, AttemptState, Attention, AttentionId, AttentionKind, BatchId, Cancel, ChangedInput,
    CommandId, Decision, Environment, EnvironmentId, EnvironmentSpec, EnvironmentState, EventCause, Executor,
    Hold, HoldId, HoldPredicate, HookRef, Kept, KillCause, KillRequest, LetterId, OnFailure, OnLost,
    Operation, OperationDefinition, OperationId, OperationState, Outcome, Pause, Paused, Problem, Region,
    Replay, ReplayVersions, Retention, Role, RunCause, RunState, Schedule, ScheduleId, ScheduleRun,
    ScheduleTarget, Scope, Staleness, Step, StepHold, StepPolicy, StepState, TemplateHash, Tenant, Token,
    TokenId, TokenKind,
};
use uuid::Uuid;

/// A fixed day and `seconds` after it, with nanoseconds that must survive.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + seconds, 123_456_789).unwrap()
}

/// Reads a name, an id.
pub fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A tenant.
pub fn tenant(name: &str) -> Tenant {
    Tenant { name: text(name), display_name: format!("{name} & Söhne"), revision: 3, created_at: at(0) }
}

/// An active environment with two labels and settings of several kinds.
pub fn environment(tenant: &str, name: &str, region: &str) -> Environment {
    Environment {
        id: EnvironmentId(Uuid::now_v7()),
        tenant: text(tenant),
        name: text(name),
        aliases: BTreeSet::new(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned()), ("app".to_owned(), String::new())]),
        region: text(region),
        spec: EnvironmentSpec {
            apps: object(json!({"crm": {"seats": 12, "ratio": 0.1, "note": "a\u{0}b \u{1F600}"}})),
            settings: object(
                json!({"big": 18_446_744_073_709_551_615_u64, "nothing": null, "list": [1, "2"]}),
            ),
        },
        state: EnvironmentState::Active,
        generation: 4,
        revision: 7,
        version: 31,
        retention: Some(Retention { until: at(86_400) }),
        created_at: at(0),
        updated_at: at(60),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A definition.
pub fn definition(name: &str) -> OperationDefinition {
    OperationDefinition {
        parameters: Some(json!({"type": "object"})),
        required_hooks: BTreeSet::from([text("crm/crm-tenant")]),
        deadline: Some(SignedDuration::from_hours(6)),
        ..OperationDefinition::undefined(text(name))
    }
}

/// A running operation that is being cancelled.
pub fn operation(environment: EnvironmentId, name: &str, state: OperationState) -> Operation {
    Operation {
        id: OperationId(Uuid::now_v7()),
        environment,
        name: text(name),
        definition: definition(name),
        batch: Some(BatchId(Uuid::now_v7())),
        state,
        note: Some("note".to_owned()),
        problem: Some("plan-hook-absent".to_owned()),
        generation: 4,
        parameters: object(json!({"backup": "x"})),
        scheduled_time: Some(at(5)),
        requested_by: actor(),
        reason: Some("because".to_owned()),
        created_at: at(1),
        started_at: Some(at(2)),
        ended_at: state.is_final().then(|| at(3)),
        deadline_at: Some(at(4)),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        cancel: Some(Cancel { by: actor(), reason: "stop".to_owned(), becomes: OperationState::Cancelled }),
        pause: Some(Pause { by: actor(), reason: "freeze".to_owned(), at: at(20), reported: true }),
        replay: Some(Replay {
            of: OperationId(Uuid::now_v7()),
            from: BTreeSet::from([text("eu1/billing/accounts")]),
            versions: ReplayVersions::Current,
            changed: BTreeMap::from([(
                "date".to_owned(),
                ChangedInput { before: Some(json!("2026-11-20")), after: None },
            )]),
        }),
        cause: Some(EventCause { source: "urn:crm".to_owned(), id: "order-7".to_owned() }),
        late: true,
        revision: 9,
    }
}

/// Somebody.
pub fn actor() -> Actor {
    Actor { kind: ActorKind::Token, name: "ana".to_owned() }
}

/// A step that waits for a decision.
pub fn step(operation: OperationId, hook: &str) -> Step {
    Step {
        operation,
        hook: text(hook),
        template_hash: TemplateHash("ab".repeat(32)),
        policy: policy(),
        after: BTreeSet::from([text("eu1/billing/accounts")]),
        state: StepState::Failed,
        waiting: true,
        holds: vec![StepHold {
            id: Some(HoldId(Uuid::now_v7())),
            by: actor(),
            reason: "freeze".to_owned(),
            since: at(17),
            until: Some(at(18)),
        }],
        hold_reported: true,
        staleness: Some(Staleness { of: text("eu1/billing/accounts"), since: at(19) }),
        ignored: BTreeMap::from([(text("eu1/billing/accounts"), decision("ignore-dependency"))]),
        restarting: true,
        kept: Some(Kept { operation, attempt: 3 }),
        attempt: 2,
        retries_used: 1,
        retries_from: 1,
        not_before: Some(at(9)),
        outputs: BTreeMap::from([("url".to_owned(), "https://x".to_owned())]),
        failure_accepted: true,
        decision: Some(decision("rerun")),
        started_at: Some(at(6)),
        ended_at: Some(at(7)),
    }
}

fn decision(verb: &str) -> Decision {
    Decision { verb: verb.to_owned(), by: actor(), reason: None, at: at(8) }
}

fn policy() -> StepPolicy {
    StepPolicy {
        on_failure: OnFailure::Continue,
        on_lost: OnLost::Retry,
        retries: 2,
        timeout: Some(SignedDuration::from_mins(90)),
    }
}

/// An attempt with everything set.
pub fn attempt(operation: OperationId, hook: &str, number: u32, state: AttemptState) -> Attempt {
    let outcome = Outcome {
        reason: Some(tenantry_model::FailureReason::OutOfMemory),
        exit_code: Some(137),
        message: "OOMKilled".to_owned(),
        outputs: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    };
    Attempt {
        id: AttemptId { operation, step: text(hook), number },
        nonce: Uuid::now_v7(),
        state,
        unknown_since: Some(at(10)),
        unknown_reported: true,
        kill: Some(KillRequest {
            by: actor(),
            reason: "stuck".to_owned(),
            cause: KillCause::Operator,
            at: at(11),
        }),
        outcome: Some(outcome.clone()),
        late_outcome: Some(outcome),
        images: BTreeMap::from([("main".to_owned(), "x@sha256:1".to_owned())]),
        object: Some("pod crm/x".to_owned()),
        node: Some("n1".to_owned()),
        waiting_for: Some("image pull".to_owned()),
        observed: 12,
        created_at: at(12),
        started_at: Some(at(13)),
        ended_at: Some(at(14)),
    }
}

/// A region whose agent has spoken.
pub fn region(name: &str) -> Region {
    Region {
        name: text(name),
        executor: Some(Executor::Process),
        agent_version: Some("1.2.3".to_owned()),
        session: Some(session()),
        last_seen_at: Some(at(15)),
        inventory_complete: true,
        created_at: at(0),
    }
}

/// A new session.
pub fn session() -> AgentSessionId {
    AgentSessionId(Uuid::now_v7())
}

/// A hook that was good, is broken, absent and retired.
pub fn hook(name: &str) -> HookRow {
    let identity: HookRef = text(name);
    let contract = Hook {
        path: identity.path(),
        hash: TemplateHash("cd".repeat(32)),
        operations: BTreeSet::from([text("lifecycle.upsert")]),
        after: vec![AfterTarget { hook: text("billing/accounts"), optional: true }],
        after_for: BTreeMap::from([(text("lifecycle.decommission"), vec![])]),
        selector: "tier in (gold)".to_owned(),
        policy: policy(),
        kind: AttemptKind::Job,
        container: "main".to_owned(),
    };
    HookRow {
        hook: identity,
        current: Some(contract.clone()),
        problems: vec![Problem {
            code: "selector-syntax".to_owned(),
            pointer: "/metadata".to_owned(),
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        }],
        last_good: Some(contract),
        planned: BTreeMap::from([(TemplateHash("cd".repeat(32)), at(25))]),
        absent_since: Some(at(16)),
        retired: Some(Retired { by: actor(), reason: "gone".to_owned(), at: at(17) }),
        seen_at: at(18),
    }
}

/// What a hook has applied.
pub fn applied(hook: &str, operation: OperationId) -> AppliedHook {
    AppliedHook { hook: text(hook), generation: Some(3), dirty: true, expected: true, operation }
}

/// A command that nobody has.
pub fn command(region: &str, attempt: &AttemptId, kind: CommandKind) -> Command {
    Command {
        id: CommandId(Uuid::now_v7()),
        region: text(region),
        attempt: attempt.clone(),
        kind,
        body: json!({"cause": "operator"}),
        lease: None,
    }
}

/// An open attention.
pub fn attention(key: &str) -> Attention {
    Attention {
        id: AttentionId(Uuid::now_v7()),
        kind: AttentionKind::StepWaiting,
        key: key.to_owned(),
        environment: None,
        operation: None,
        hook: Some(text("eu1/crm/crm-tenant")),
        region: None,
        message: "a step waits".to_owned(),
        remedy: "tenantry op rerun".to_owned(),
        raised_at: at(19),
        settled_at: None,
    }
}

/// An event that is not stored yet.
pub fn event(environment: Option<EnvironmentId>, operation: Option<OperationId>, data: Value) -> EventRecord {
    EventRecord {
        position: 0,
        kind: "io.tenantry.step.changed.v1".to_owned(),
        environment,
        version: 5,
        operation,
        at: at(20),
        data,
    }
}

/// An entry of a chain.
pub fn entry(environment: Option<EnvironmentId>, position: u64) -> AuditEntry {
    AuditEntry {
        position,
        environment,
        at: at(21),
        actor: actor(),
        action: "step.skip".to_owned(),
        target: "operations/x".to_owned(),
        reason: Some("known".to_owned()),
        origin: Some("127.0.0.1".to_owned()),
        request: Some("once".to_owned()),
        before: json!({"state": "failed"}),
        after: json!({"state": "skipped"}),
        hash: format!("hash {position}"),
        previous: format!("hash {}", position - 1),
    }
}

/// An operator's token.
pub fn token(name: &str) -> Token {
    Token {
        id: TokenId(Uuid::now_v7()),
        name: name.to_owned(),
        secret_hash: "ef".repeat(32),
        kind: TokenKind::Api {
            role: Role::Operator,
            scopes: vec![Scope::Tenant(text("acme")), Scope::Region(text("eu1"))],
        },
        created_at: at(22),
        expires_at: Some(at(23)),
        revoked_at: Some(at(24)),
    }
}

/// The answer to a request.
pub fn answer(key: &str, seconds: i64) -> IdempotentAnswer {
    IdempotentAnswer {
        key: key.to_owned(),
        request_hash: "12".repeat(32),
        status: 201,
        body: "{\"ä\":1}".to_owned(),
        etag: Some("\"7\"".to_owned()),
        at: at(seconds),
    }
}

/// A paused schedule with everything set.
pub fn schedule(name: &str) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::now_v7()),
        name: text(name),
        description: "the night".to_owned(),
        operation: text("risk.nightly"),
        parameters: object(json!({"portfolio": "main"})),
        target: ScheduleTarget::Selector {
            tenant: Some(text("acme")),
            region: Some(text("eu1")),
            labels: "tier in (gold)".to_owned(),
            cap: 50,
        },
        cron: "0 22 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up: tenantry_model::CatchUp::All,
        overlap: tenantry_model::Overlap::Replace,
        deadline: Some(text("06:30+1d")),
        paused: Some(Paused { by: actor(), reason: "holidays".to_owned(), at: at(30) }),
        last_time: Some(at(31)),
        next_time: None,
        revision: 4,
        created_by: actor(),
        created_at: at(0),
        updated_at: at(32),
    }
}

/// A run with everything set.
pub fn schedule_run(
    schedule: ScheduleId,
    environment: EnvironmentId,
    seconds: i64,
    state: RunState,
) -> ScheduleRun {
    ScheduleRun {
        schedule,
        environment,
        scheduled_time: at(seconds),
        cause: RunCause::Backfill,
        state,
        operation: Some(OperationId(Uuid::now_v7())),
        note: Some("note".to_owned()),
        deadline_at: Some(at(seconds + 60)),
        at_risk: true,
        missed: true,
        created_at: at(seconds + 1),
        changed_at: at(seconds + 2),
    }
}

/// A hold by predicate with everything set but its end.
pub fn hold_of(region: Option<&str>) -> HoldRow {
    HoldRow {
        hold: Hold {
            id: HoldId(Uuid::now_v7()),
            predicate: HoldPredicate {
                hook: Some(text("crm/crm-tenant")),
                namespace: Some(text("crm")),
                region: region.map(text),
                operation: Some(text("crm.reindex")),
                selector: "tier in (gold)".to_owned(),
            },
            by: actor(),
            reason: "freeze".to_owned(),
            since: at(1),
            until: Some(at(2)),
        },
        lifted: None,
        told: false,
    }
}

/// A Workflow with everything set but the pages of a discovery that has spoken.
pub fn workflow(operation: OperationId, region: &str, round: u32) -> WorkflowRow {
    WorkflowRow {
        operation,
        region: text(region),
        round,
        requested_at: at(33),
        deliver_at: Some(at(34)),
        tries: 2,
        problem: Some("503".to_owned()),
        accepted_at: Some(at(35)),
        name: Some("argo/crm-reindex-x".to_owned()),
        discovered_at: Some(at(36)),
        staged: None,
        listed: Some(session()),
        listed_at: Some(at(36)),
        ordered: BTreeSet::from([text("crm/crm-tenant"), text("billing/accounts")]),
        ended: Some(WorkflowEnded { at: at(37), how: "shutdown".to_owned(), why: "argo stop".to_owned() }),
        asked_again_at: Some(at(40)),
    }
}

/// Pages that have come.
pub fn staged() -> StagedHooks {
    StagedHooks { session: session(), named: BTreeSet::from([text("crm/crm-tenant")]) }
}

/// A bridge that has left.
pub fn bridge(operation: OperationId, hook: &str) -> BridgeRow {
    BridgeRow {
        operation,
        hook: text(hook),
        round: 2,
        session: session(),
        seen_at: at(38),
        left_at: Some(at(39)),
    }
}

/// An environment that waits for another try.
pub fn parked(sink: &str, environment: Option<EnvironmentId>) -> ParkedRow {
    ParkedRow {
        sink: sink.to_owned(),
        environment,
        after: 7,
        tries: 2,
        not_before: Some(at(40)),
        since: at(39),
        problem: Some("answered with status 500".to_owned()),
    }
}

/// An event that was given up.
pub fn dead_letter(sink: &str, position: u64, wanted: bool) -> DeadLetterRow {
    DeadLetterRow {
        sink: sink.to_owned(),
        event: EventRecord { position, ..event(None, None, json!({ "n": position })) },
        tries: 10,
        problem: "answered with status 500".to_owned(),
        at: at(41),
        wanted,
    }
}

/// A message that was refused.
pub fn letter(n: u64) -> LetterRow {
    LetterRow {
        id: LetterId(Uuid::from_u128(u128::from(n))),
        place: format!("requests/{n}"),
        subject: "requests.crm".to_owned(),
        source: Some("urn:crm".to_owned()),
        event: Some(format!("order-{n}")),
        code: "not-found".to_owned(),
        problem: "environment acme/none does not exist".to_owned(),
        token: TokenId(Uuid::from_u128(3)),
        published_at: at(40),
        at: at(41 + i64::try_from(n).unwrap()),
        headers: vec![("content-type".to_owned(), "application/cloudevents+json".to_owned())],
        body: "{}".to_owned(),
        size: 2,
        whole: true,
    }
}

/// A verb that waits for a second person.
pub fn approval(environment: &Environment, operation: OperationId) -> Approval {
    Approval {
        id: ApprovalId(Uuid::now_v7()),
        state: ApprovalState::Pending,
        environment: environment.id,
        target: ApprovalTarget::Step {
            operation,
            step: text("eu1/crm/crm-tenant"),
            step_state: StepState::Failed,
            step_attempt: 3,
        },
        verb: "confirm".to_owned(),
        outputs: BTreeMap::from([("url".to_owned(), "https://x".to_owned())]),
        on: Some(text("eu1/billing/accounts")),
        reason: Some("by hand".to_owned()),
        requested_by: actor(),
        token: Some(TokenId(Uuid::now_v7())),
        role: Role::Operator,
        created_at: at(3),
        expires_at: at(4),
        decided_by: None,
        decision_reason: None,
        decided_at: None,
    }
}
