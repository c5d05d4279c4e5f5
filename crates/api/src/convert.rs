//! From the manager's records to the API's bodies, where `From` between the two cannot say it.

use crate::{extract::seal_token, problem::Answer};
use jiff::tz::TimeZone;
use tenantry_api_types::v1;
use tenantry_manager::{
    AskedRun, Check, CheckResult, EnvironmentAnswer, Explanation, HoldView, Hour, Manager, Occurrence,
    OperationAnswer, OperationView, Preview, Purged, WorkflowView,
};
use tenantry_model::{Environment, Paged, Region, Schedule};
use tenantry_store::{AuditEntry, EventRecord, HoldRow, HookRow};

pub(crate) fn list<A, B: From<A>>(page: Paged<A>) -> v1::List<B> {
    list_with(page, B::from)
}

pub(crate) fn list_with<A, B>(page: Paged<A>, item: impl FnMut(A) -> B) -> v1::List<B> {
    v1::List {
        items: page.items.into_iter().map(item).collect(),
        next_page_token: page.next.as_deref().map(seal_token),
    }
}

/// A page of a list that the service gives whole (at most 1,000 items), by the items' own keys.
pub(crate) fn cut<A>(items: Vec<A>, page: &tenantry_model::Page, key: impl Fn(&A) -> String) -> Paged<A> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut rest: Vec<A> =
        items.into_iter().filter(|item| page.after.as_ref().is_none_or(|after| key(item) > *after)).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = if more { rest.last().map(key) } else { None };
    Paged { items: rest, next }
}

pub(crate) fn purged(purged: Purged) -> v1::PurgedEnvironment {
    v1::PurgedEnvironment {
        environment: purged.environment.into(),
        aliases: purged.aliases,
        generations: purged.generations,
        hooks: purged.hooks,
        schedules: purged.schedules,
        attentions: purged.attentions,
        backups: purged.backups,
    }
}

pub(crate) fn operation(view: OperationView) -> v1::Operation {
    let mut attempts = view.attempts.into_iter().peekable();
    let steps = view
        .steps
        .into_iter()
        .map(|step| {
            let hook = step.hook.clone();
            let mut body = v1::Step::from(step);
            // Both lists are in the order of the hook.
            while attempts.peek().is_some_and(|attempt| attempt.id.step < hook) {
                attempts.next();
            }
            while let Some(attempt) = attempts.next_if(|attempt| attempt.id.step == hook) {
                body.attempts.push(attempt.into());
            }
            body
        })
        .collect();
    v1::Operation {
        tenant: Some(view.tenant),
        environment_name: Some(view.environment_name),
        region: Some(view.region),
        steps: Some(steps),
        replays: view.replays,
        workflows: view.workflows.into_iter().map(workflow).collect(),
        ..v1::Operation::from(view.operation)
    }
}

fn workflow(view: WorkflowView) -> v1::Workflow {
    let state = match (&view.ended, view.discovered_at, view.accepted_at) {
        (Some(_), ..) => v1::WorkflowState::Ended,
        (None, Some(_), _) => v1::WorkflowState::Discovered,
        (None, None, Some(_)) => v1::WorkflowState::Accepted,
        (None, None, None) => v1::WorkflowState::Requested,
    };
    let ended = view.ended.map(|ended| match ended.why.as_str() {
        "" => ended.how,
        why => format!("{}: {why}", ended.how),
    });
    v1::Workflow {
        region: view.region,
        round: view.round,
        state,
        name: view.name,
        url: view.url,
        requested_at: view.requested_at,
        discovered_at: view.discovered_at,
        note: ended.or(view.problem),
    }
}

pub(crate) fn accepted(answer: EnvironmentAnswer) -> v1::Accepted {
    started(answer.environment, answer.operation)
}

pub(crate) fn started(environment: Environment, operation: Option<OperationAnswer>) -> v1::Accepted {
    let (operation, preview) = match operation {
        None => (None, None),
        Some(OperationAnswer::Requested(operation)) => (Some((*operation).into()), None),
        Some(OperationAnswer::Preview(found)) => (None, Some(preview(*found))),
    };
    v1::Accepted { environment: environment.into(), operation, preview }
}

fn preview(from: Preview) -> v1::Preview {
    let (plan, refusal) = match from.plan {
        Ok(plan) => (plan, None),
        Err(why) => (
            tenantry_engine::Plan::default(),
            Some(v1::Refusal { code: why.code().to_owned(), detail: why.to_string() }),
        ),
    };
    v1::Preview {
        name: from.name,
        generation: from.generation,
        waits_for: from.waits_for,
        cancels: from.cancels,
        waits_for_regions: from.waits_for_regions,
        steps: plan
            .steps
            .into_values()
            .map(|step| v1::PlannedStep {
                hook: step.hook,
                template_hash: step.template_hash,
                after: step.after,
                state: step.state,
            })
            .collect(),
        quarantined: plan
            .quarantined
            .into_iter()
            .map(|from| v1::QuarantinedHook {
                hook: from.hook,
                problems: from.problems,
                last_good_in_force: from.last_good_in_force,
            })
            .collect(),
        refusal,
    }
}

/// What a verb would do.
pub(crate) fn verb_preview(from: tenantry_engine::Preview) -> v1::VerbPreview {
    let dropped = |from: tenantry_engine::Dropped| v1::DroppedDecision {
        step: from.step,
        decision: from.decision,
        dependency: from.dependency,
    };
    v1::VerbPreview {
        started: from.started,
        killed: from.killed,
        lost: from.lost,
        reset: from.reset,
        stale: from.stale,
        settled: from.settled,
        held: from.held,
        released: from.released,
        cancelled: from.cancelled,
        dropped: from.dropped.into_iter().map(dropped).collect(),
        operation: from.operation,
    }
}

/// A hold as lists show it.
pub(crate) fn hold_row(row: HoldRow) -> v1::Hold {
    v1::Hold {
        id: row.hold.id,
        predicate: row.hold.predicate,
        by: row.hold.by,
        reason: row.hold.reason,
        since: row.hold.since,
        until: row.hold.until,
        lifted: row.lifted.map(|from| v1::HoldLifted { by: from.by, reason: from.reason, at: from.at }),
        steps: None,
        held: None,
    }
}

/// A hold with what it holds.
pub(crate) fn hold(view: HoldView) -> v1::Hold {
    let held = view.held.into_iter().map(|(operation, step)| v1::HeldStep { operation, step });
    v1::Hold {
        steps: Some(u64::try_from(view.steps).unwrap_or(u64::MAX)),
        held: Some(held.collect()),
        ..hold_row(view.row)
    }
}

pub(crate) fn hook(row: HookRow) -> v1::Hook {
    let state = if row.retired.is_some() {
        v1::HookState::Retired
    } else if row.absent_since.is_some() {
        v1::HookState::Absent
    } else if row.current.is_none() {
        v1::HookState::Quarantined
    } else {
        v1::HookState::Ready
    };
    v1::Hook {
        id: row.hook.slug(),
        hook: row.hook,
        state,
        current: row.current.map(Into::into),
        problems: row.problems,
        last_good: row.last_good.map(Into::into),
        absent_since: row.absent_since,
        retired: row.retired.map(|from| v1::HookRetirement { by: from.by, reason: from.reason, at: from.at }),
        seen_at: row.seen_at,
    }
}

pub(crate) fn explanation(from: Explanation) -> v1::HookExplanation {
    let check = |from: Check| v1::HookCheck {
        name: from.name.to_owned(),
        result: match from.result {
            CheckResult::Pass => v1::HookCheckResult::Pass,
            CheckResult::Fail => v1::HookCheckResult::Fail,
            CheckResult::Warn => v1::HookCheckResult::Warn,
            CheckResult::Unknown => v1::HookCheckResult::Unknown,
        },
        detail: from.detail,
    };
    v1::HookExplanation {
        hook: from.hook,
        operation: from.operation,
        runs: from.runs,
        summary: from.summary,
        checks: from.checks.into_iter().map(check).collect(),
        waits_for: from.waits_for,
    }
}

pub(crate) fn region(manager: &Manager, from: Region) -> v1::Region {
    v1::Region {
        alive: manager.is_alive(&from),
        name: from.name,
        executor: from.executor,
        capabilities: from.executor.map(|executor| executor.capabilities().to_vec()).unwrap_or_default(),
        agent_version: from.agent_version,
        last_seen_at: from.last_seen_at,
        inventory_complete: from.inventory_complete,
        created_at: from.created_at,
    }
}

pub(crate) fn event(from: EventRecord) -> v1::Event {
    v1::Event {
        position: from.position,
        kind: from.kind,
        environment: from.environment,
        version: from.version,
        operation: from.operation,
        at: from.at,
        data: from.data,
    }
}

pub(crate) fn audit(from: AuditEntry) -> v1::AuditEntry {
    v1::AuditEntry {
        position: from.position,
        environment: from.environment,
        at: from.at,
        actor: from.actor,
        action: from.action,
        target: from.target,
        reason: from.reason,
        origin: from.origin,
        request: from.request,
        before: from.before,
        after: from.after,
        hash: from.hash,
        previous: from.previous,
    }
}

pub(crate) fn asked_run(from: AskedRun) -> v1::AskedRun {
    v1::AskedRun {
        runs: from.is_new(),
        environment: from.environment,
        scheduled_time: from.scheduled_time,
        before: from.before,
    }
}

pub(crate) fn schedule_preview(schedule: &Schedule, times: Vec<Occurrence>) -> v1::SchedulePreview {
    // The zone was found to compute the times.
    let zone = TimeZone::get(&schedule.time_zone).unwrap_or(TimeZone::UTC);
    let shown = |found: Occurrence| v1::PreviewedTime {
        at: found.at,
        local: found.at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        clock: match found.hour {
            Hour::Plain => v1::Clock::Plain,
            Hour::Skipped => v1::Clock::Skipped,
            Hour::RepeatedFirst => v1::Clock::RepeatedFirst,
            Hour::RepeatedSecond => v1::Clock::RepeatedSecond,
        },
    };
    v1::SchedulePreview {
        time_zone: schedule.time_zone.clone(),
        times: times.into_iter().map(shown).collect(),
    }
}

/// The ETag of a resource that has no revision: a hash of what it shows.
pub(crate) fn content_etag<T: serde::Serialize>(value: &T) -> Answer<String> {
    let bytes = serde_json::to_vec(value).map_err(|why| {
        crate::problem::Problem::new("internal", format!("a resource cannot be written: {why}"))
    })?;
    let hash = crate::body::hash(&[&bytes]);
    Ok(format!("\"{}\"", hash.get(..32).unwrap_or(&hash)))
}
