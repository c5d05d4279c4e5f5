//! What events are called and what they carry: the changed resource, without what is large or internal.

use serde_json::{Value, json};
use tenantry_model::{
    Approval, Attempt, Attention, Environment, HookRef, Operation, Region, Schedule, ScheduleRun, Step,
    Tenant,
};
use tenantry_store::{HoldRow, HookRow};

pub(crate) const TENANT_CHANGED: &str = "io.tenantry.tenant.changed.v1";
pub(crate) const TENANT_DELETED: &str = "io.tenantry.tenant.deleted.v1";
pub(crate) const ENVIRONMENT_CHANGED: &str = "io.tenantry.environment.changed.v1";
pub(crate) const OPERATION_CHANGED: &str = "io.tenantry.operation.changed.v1";
pub(crate) const STEP_CHANGED: &str = "io.tenantry.step.changed.v1";
pub(crate) const ATTEMPT_CHANGED: &str = "io.tenantry.attempt.changed.v1";
pub(crate) const ATTENTION_RAISED: &str = "io.tenantry.attention.raised.v1";
pub(crate) const ATTENTION_SETTLED: &str = "io.tenantry.attention.settled.v1";
pub(crate) const REGION_CHANGED: &str = "io.tenantry.region.changed.v1";
pub(crate) const HOLD_CHANGED: &str = "io.tenantry.hold.changed.v1";
pub(crate) const APPROVAL_CHANGED: &str = "io.tenantry.approval.changed.v1";
pub(crate) const HOOK_CHANGED: &str = "io.tenantry.hook.changed.v1";
pub(crate) const DEFINITION_CHANGED: &str = "io.tenantry.definition.changed.v1";

pub(crate) const SCHEDULE_CHANGED: &str = "io.tenantry.schedule.changed.v1";
pub(crate) const SCHEDULE_DELETED: &str = "io.tenantry.schedule.deleted.v1";
pub(crate) const SCHEDULE_FIRED: &str = "io.tenantry.schedule.fired.v1";
pub(crate) const SCHEDULE_RUN_CHANGED: &str = "io.tenantry.schedule.run-changed.v1";

pub(crate) fn tenant(tenant: &Tenant) -> Value {
    json!({ "name": tenant.name, "displayName": tenant.display_name, "revision": tenant.revision })
}

/// Without `spec`: it may be large, and readers of events are not always readers of settings.
pub(crate) fn environment(environment: &Environment) -> Value {
    json!({
        "id": environment.id,
        "tenant": environment.tenant,
        "name": environment.name,
        "aliases": environment.aliases,
        "labels": environment.labels,
        "region": environment.region,
        "state": environment.state,
        "generation": environment.generation,
        "revision": environment.revision,
        "retention": environment.retention,
        "updatedAt": environment.updated_at,
    })
}

/// Without the definition and the parameters.
pub(crate) fn operation(operation: &Operation) -> Value {
    json!({
        "id": operation.id,
        "environment": operation.environment,
        "name": operation.name,
        "state": operation.state,
        "note": operation.note,
        "problem": operation.problem,
        "generation": operation.generation,
        "requestedBy": operation.requested_by,
        "reason": operation.reason,
        "createdAt": operation.created_at,
        "startedAt": operation.started_at,
        "endedAt": operation.ended_at,
        "revision": operation.revision,
    })
}

pub(crate) fn step(step: &Step) -> Value {
    json!({
        "operation": step.operation,
        "step": step.hook.slug(),
        "hook": step.hook,
        "state": step.state,
        "waiting": step.waiting,
        "held": step.is_held(),
        "stale": step.is_stale(),
        "attempt": step.attempt,
        "retriesUsed": step.retries_used,
        "notBefore": step.not_before,
        "failureAccepted": step.failure_accepted,
        "decision": step.decision,
        "startedAt": step.started_at,
        "endedAt": step.ended_at,
    })
}

/// Without outputs: they may be what only the step's successors should read.
pub(crate) fn attempt(attempt: &Attempt) -> Value {
    let outcome = attempt.outcome.as_ref().map(|outcome| {
        json!({ "reason": outcome.reason, "exitCode": outcome.exit_code, "message": outcome.message })
    });
    json!({
        "operation": attempt.id.operation,
        "step": attempt.id.step.slug(),
        "hook": attempt.id.step,
        "number": attempt.id.number,
        "state": attempt.state,
        "unknownSince": attempt.unknown_since,
        "kill": attempt.kill,
        "outcome": outcome,
        "object": attempt.object,
        "node": attempt.node,
        "waitingFor": attempt.waiting_for,
        "createdAt": attempt.created_at,
        "startedAt": attempt.started_at,
        "endedAt": attempt.ended_at,
    })
}

pub(crate) fn attention(attention: &Attention) -> Value {
    serde_json::to_value(attention).unwrap_or_default()
}

pub(crate) fn region(region: &Region) -> Value {
    serde_json::to_value(region).unwrap_or_default()
}

pub(crate) fn hold(row: &HoldRow) -> Value {
    json!({ "hold": row.hold, "lifted": row.lifted })
}

/// Without outputs: they may be what only the step's successors should read.
pub(crate) fn approval(approval: &Approval) -> Value {
    json!({
        "id": approval.id,
        "state": approval.state,
        "environment": approval.environment,
        "operation": approval.operation(),
        "step": approval.step().map(HookRef::slug),
        "verb": approval.verb,
        "reason": approval.reason,
        "requestedBy": approval.requested_by,
        "expiresAt": approval.expires_at,
        "decidedBy": approval.decided_by,
        "decisionReason": approval.decision_reason,
        "decidedAt": approval.decided_at,
    })
}

pub(crate) fn hook(row: &HookRow) -> Value {
    json!({
        "hook": row.hook,
        "hash": row.current.as_ref().map(|hook| &hook.hash),
        "operations": row.current.as_ref().map(|hook| &hook.operations),
        "problems": row.problems,
        "absentSince": row.absent_since,
        "retired": row.retired,
    })
}

/// Without the parameters.
pub(crate) fn schedule(schedule: &Schedule) -> Value {
    let mut shown = serde_json::to_value(schedule).unwrap_or_default();
    if let Some(members) = shown.as_object_mut() {
        members.remove("parameters");
    }
    shown
}

pub(crate) fn schedule_run(run: &ScheduleRun) -> Value {
    serde_json::to_value(run).unwrap_or_default()
}

/// Whether two pictures of an operation differ in more than their revision.
pub(crate) fn differs(before: &Value, after: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        if let Some(members) = value.as_object_mut() {
            members.remove("revision");
        }
        value
    };
    bare(before) != bare(after)
}
