//! What events are called and what they carry: the changed resource, without what is large or internal.
//!
//! What an event carries is a type of [`pictures`]; the schemas that receivers get (`docs/schemas/events`) are made of the
//! same types (see [`catalogue`]), so that neither can be forgotten.

mod asyncapi;
mod catalogue;
mod pictures;

pub use asyncapi::asyncapi;
pub use catalogue::{EventType, event_types, received_types, schema_name};

use pictures as p;
use serde::Serialize;
use serde_json::Value;
use tenantry_model::{
    Approval, Attempt, Attention, Environment, HookRef, Operation, OperationDefinition, OperationName,
    Region, Schedule, ScheduleRun, Step, Tenant,
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

/// None of the types can fail to be written: they have no maps but those with text as keys.
fn written(picture: &impl Serialize) -> Value {
    serde_json::to_value(picture).unwrap_or_default()
}

pub(crate) fn tenant(tenant: &Tenant) -> Value {
    written(&p::Tenant { name: &tenant.name, display_name: &tenant.display_name, revision: tenant.revision })
}

pub(crate) fn environment(environment: &Environment) -> Value {
    written(&p::Environment {
        id: environment.id,
        tenant: &environment.tenant,
        name: &environment.name,
        aliases: &environment.aliases,
        labels: &environment.labels,
        region: &environment.region,
        state: environment.state,
        generation: environment.generation,
        revision: environment.revision,
        retention: environment.retention.as_ref(),
        updated_at: environment.updated_at,
    })
}

pub(crate) fn operation(operation: &Operation) -> Value {
    written(&p::Operation {
        id: operation.id,
        environment: operation.environment,
        name: &operation.name,
        state: operation.state,
        note: operation.note.as_deref(),
        problem: operation.problem.as_deref(),
        generation: operation.generation,
        requested_by: &operation.requested_by,
        reason: operation.reason.as_deref(),
        cause: operation.cause.as_ref(),
        created_at: operation.created_at,
        started_at: operation.started_at,
        ended_at: operation.ended_at,
        revision: operation.revision,
    })
}

pub(crate) fn step(step: &Step) -> Value {
    written(&p::Step {
        operation: step.operation,
        step: step.hook.slug(),
        hook: &step.hook,
        state: step.state,
        waiting: step.waiting,
        held: step.is_held(),
        stale: step.is_stale(),
        attempt: step.attempt,
        retries_used: step.retries_used,
        not_before: step.not_before,
        failure_accepted: step.failure_accepted,
        decision: step.decision.as_ref(),
        started_at: step.started_at,
        ended_at: step.ended_at,
    })
}

pub(crate) fn attempt(attempt: &Attempt) -> Value {
    let outcome = attempt.outcome.as_ref().map(|outcome| p::Outcome {
        reason: outcome.reason,
        exit_code: outcome.exit_code,
        message: &outcome.message,
    });
    written(&p::Attempt {
        operation: attempt.id.operation,
        step: attempt.id.step.slug(),
        hook: &attempt.id.step,
        number: attempt.id.number,
        state: attempt.state,
        unknown_since: attempt.unknown_since,
        kill: attempt.kill.as_ref(),
        outcome,
        object: attempt.object.as_deref(),
        node: attempt.node.as_deref(),
        waiting_for: attempt.waiting_for.as_deref(),
        created_at: attempt.created_at,
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
    })
}

pub(crate) fn attention(attention: &Attention) -> Value {
    written(&p::Attention {
        id: attention.id,
        kind: attention.kind,
        key: &attention.key,
        environment: attention.environment,
        operation: attention.operation,
        hook: attention.hook.as_ref(),
        region: attention.region.as_ref(),
        message: &attention.message,
        remedy: &attention.remedy,
        raised_at: attention.raised_at,
        settled_at: attention.settled_at,
    })
}

pub(crate) fn region(region: &Region) -> Value {
    written(&p::Region {
        name: &region.name,
        executor: region.executor,
        agent_version: region.agent_version.as_deref(),
        session: region.session,
        last_seen_at: region.last_seen_at,
        inventory_complete: region.inventory_complete,
        created_at: region.created_at,
    })
}

pub(crate) fn hold(row: &HoldRow) -> Value {
    let lifted =
        row.lifted.as_ref().map(|end| p::Lifted { by: &end.by, reason: end.reason.as_deref(), at: end.at });
    written(&p::Hold { hold: &row.hold, lifted })
}

pub(crate) fn approval(approval: &Approval) -> Value {
    written(&p::Approval {
        id: approval.id,
        state: approval.state,
        environment: approval.environment,
        operation: approval.operation(),
        step: approval.step().map(HookRef::slug),
        verb: &approval.verb,
        reason: approval.reason.as_deref(),
        requested_by: &approval.requested_by,
        expires_at: approval.expires_at,
        decided_by: approval.decided_by.as_ref(),
        decision_reason: approval.decision_reason.as_deref(),
        decided_at: approval.decided_at,
    })
}

pub(crate) fn hook(row: &HookRow) -> Value {
    let current = row.current.as_ref();
    written(&p::Hook {
        hook: &row.hook,
        hash: current.map(|hook| hook.hash.to_string()),
        operations: current.map(|hook| hook.operations.iter().collect()),
        problems: &row.problems,
        absent_since: row.absent_since,
        retired: row.retired.as_ref().map(|retired| p::Retired {
            by: &retired.by,
            reason: &retired.reason,
            at: retired.at,
        }),
    })
}

pub(crate) fn definition(name: &OperationName, definition: Option<&OperationDefinition>) -> Value {
    written(&match definition {
        Some(definition) => p::Definition::Stored(definition),
        None => p::Definition::Deleted { name, deleted: true },
    })
}

pub(crate) fn schedule(schedule: &Schedule) -> Value {
    written(&p::Schedule {
        id: schedule.id,
        name: &schedule.name,
        description: &schedule.description,
        operation: &schedule.operation,
        target: &schedule.target,
        cron: &schedule.cron,
        time_zone: &schedule.time_zone,
        catch_up: schedule.catch_up,
        overlap: schedule.overlap,
        deadline: schedule.deadline,
        paused: schedule.paused.as_ref(),
        last_time: schedule.last_time,
        next_time: schedule.next_time,
        revision: schedule.revision,
        created_by: &schedule.created_by,
        created_at: schedule.created_at,
        updated_at: schedule.updated_at,
    })
}

/// The times for which it has just got runs, and those that are left out.
pub(crate) fn fired(
    schedule: &Schedule,
    times: &[jiff::Timestamp],
    left_out: u64,
    environments: usize,
) -> Value {
    written(&p::Fired {
        schedule: schedule.id,
        name: &schedule.name,
        times,
        left_out,
        environments: environments as u64,
        next_time: schedule.next_time,
    })
}

pub(crate) fn schedule_run(run: &ScheduleRun) -> Value {
    written(&p::Run {
        schedule: run.schedule,
        environment: run.environment,
        scheduled_time: run.scheduled_time,
        cause: run.cause,
        state: run.state,
        operation: run.operation,
        note: run.note.as_deref(),
        deadline_at: run.deadline_at,
        at_risk: run.at_risk,
        missed: run.missed,
        created_at: run.created_at,
        changed_at: run.changed_at,
    })
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
