//! What the engine says when something waits for a person: the key that names the cause, one sentence, the command.

use crate::{PlanRefusal, Quarantined, Raised};
use tenantry_model::{Attempt, AttentionKind, HookRef, Operation, Outcome, Step};

/// Keys of attention: an equal key is the same cause. The engine settles the keys of an operation itself; those of
/// a hook are settled by whoever records that a good version is there.
pub mod keys {
    use tenantry_model::{AttemptId, EnvironmentId, HookRef, OperationId, OperationName};

    /// A step waits for a decision.
    #[must_use]
    pub fn step_waiting(operation: OperationId, step: &HookRef) -> String {
        format!("step-waiting/{operation}/{step}")
    }
    /// An attempt is unknown past its deadline.
    #[must_use]
    pub fn attempt_unknown(attempt: &AttemptId) -> String {
        format!("attempt-unknown/{attempt}")
    }
    /// A step used outputs of a predecessor that was run again since.
    #[must_use]
    pub fn step_stale(operation: OperationId, step: &HookRef) -> String {
        format!("step-stale/{operation}/{step}")
    }
    /// A step is held for long.
    #[must_use]
    pub fn step_held(operation: OperationId, step: &HookRef) -> String {
        format!("step-held/{operation}/{step}")
    }
    /// An operation is paused for long.
    #[must_use]
    pub fn operation_paused(operation: OperationId) -> String {
        format!("operation-paused/{operation}")
    }
    /// A plan was refused; the next good plan of this name for the environment settles it.
    #[must_use]
    pub fn plan_refused(environment: EnvironmentId, operation: &OperationName) -> String {
        format!("plan-refused/{environment}/{operation}")
    }
    /// An operation is past its deadline.
    #[must_use]
    pub fn operation_late(operation: OperationId) -> String {
        format!("operation-late/{operation}")
    }
    /// A version of a hook is quarantined; its last good one is in force.
    #[must_use]
    pub fn hook_quarantined(hook: &HookRef) -> String {
        format!("hook-quarantined/{hook}")
    }
    /// A hook without a good version is left out of plans.
    #[must_use]
    pub fn hook_left_out(hook: &HookRef) -> String {
        format!("hook-left-out/{hook}")
    }
}

pub(crate) fn step_waiting(step: &Step, attempt: u32, outcome: &Outcome) -> Raised {
    let (operation, slug) = (step.operation, step.hook.slug());
    Raised {
        kind: AttentionKind::StepWaiting,
        key: keys::step_waiting(operation, &step.hook),
        step: Some(step.hook.clone()),
        region: Some(step.hook.region.clone()),
        message: format!("step {} waits for a decision: attempt {attempt} {}", step.hook, ended(outcome)),
        remedy: format!(
            "tenantry op rerun {operation} {slug} (or: skip, confirm; or: tenantry op cancel {operation} --reason …)"
        ),
    }
}

pub(crate) fn attempt_unknown(attempt: &Attempt) -> Raised {
    let (operation, slug) = (attempt.id.operation, attempt.id.step.slug());
    let what = if attempt.kill.is_some() { "does not end although that was asked for" } else { "is unknown" };
    let since = attempt.unknown_since.or_else(|| attempt.kill.as_ref().map(|kill| kill.at));
    let since = since.unwrap_or(attempt.created_at);
    let why = attempt.waiting_for.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Raised {
        kind: AttentionKind::AttemptUnknown,
        key: keys::attempt_unknown(&attempt.id),
        step: Some(attempt.id.step.clone()),
        region: Some(attempt.id.step.region.clone()),
        message: format!(
            "attempt {} of step {} {what} since {since}{why}",
            attempt.id.number, attempt.id.step
        ),
        remedy: format!(
            "bring region {} back, or when it is certain that nothing runs any more: \
             tenantry op declare-lost {operation} {slug} --reason …",
            attempt.id.step.region
        ),
    }
}

pub(crate) fn plan_refused(operation: &Operation, refusal: &PlanRefusal) -> Raised {
    let remedy = match refusal {
        PlanRefusal::Absent(hooks) | PlanRefusal::AbsentForNow { hooks, .. } => {
            let hook = hooks.first().map_or_else(|| "REGION/NAMESPACE/NAME".to_owned(), ToString::to_string);
            format!("bring the hook back, or declare its removal: tenantry hook retire {hook} --reason …")
        }
        PlanRefusal::Gone(_) => {
            "replay with the versions that are in force now (--current-hooks), or bring the hook back"
                .to_owned()
        }
        PlanRefusal::UnknownSteps(_) | PlanRefusal::Deselected(_) => {
            format!("tenantry op get {} shows the steps", operation.id)
        }
        PlanRefusal::Quarantined(hooks) => {
            let problems = hooks.iter().flat_map(|hook| &hook.problems);
            let remedy = problems.map(|problem| problem.remedy.clone()).next();
            remedy.unwrap_or_else(|| "mend the hook, and ask for the operation again".to_owned())
        }
        PlanRefusal::RequiredMissing(_) => {
            "install the hook, or take it out of the operation definition".to_owned()
        }
        PlanRefusal::Empty => {
            format!("register a hook for {}, or let its definition accept an empty plan", operation.name)
        }
        PlanRefusal::TooManySteps { .. } => {
            format!("split the hooks of {} among several operations", operation.name)
        }
        PlanRefusal::TooMuchToHandOver { .. } => {
            "keep in spec what hooks need, and large things where hooks can fetch them".to_owned()
        }
    };
    Raised {
        kind: AttentionKind::PlanRefused,
        key: keys::plan_refused(operation.environment, &operation.name),
        step: None,
        region: None,
        message: format!("{} was refused: {refusal}", operation.name),
        remedy,
    }
}

pub(crate) fn operation_late(operation: &Operation) -> Raised {
    let deadline = operation.deadline_at.unwrap_or(operation.created_at);
    Raised {
        kind: AttentionKind::OperationLate,
        key: keys::operation_late(operation.id),
        step: None,
        region: None,
        message: format!("{} should have ended by {deadline}", operation.name),
        remedy: format!("tenantry op get {}", operation.id),
    }
}

pub(crate) fn step_stale(step: &Step, of: &HookRef) -> Raised {
    let (operation, slug) = (step.operation, step.hook.slug());
    Raised {
        kind: AttentionKind::StepStale,
        key: keys::step_stale(operation, &step.hook),
        step: Some(step.hook.clone()),
        region: Some(step.hook.region.clone()),
        message: format!("step {} is stale: {of} was run again after it had used its outputs", step.hook),
        remedy: format!(
            "tenantry op rerun {operation} {slug} (with everything after it: --with-successors; or, if what it made \
             stands: tenantry op confirm {operation} {slug} --reason …; or: skip)"
        ),
    }
}

pub(crate) fn step_held(step: &Step) -> Raised {
    let (operation, slug) = (step.operation, step.hook.slug());
    let who = step.holds.iter().find(|hold| hold.until.is_none()).or(step.holds.first());
    let by = who.map(|hold| format!(" by {} since {}: {}", hold.by.name, hold.since, hold.reason));
    let remedy = match who.and_then(|hold| hold.id) {
        Some(hold) => format!(
            "tenantry hold lift {hold}, or for this step only: tenantry op release {operation} {slug} --hold {hold}"
        ),
        None => format!("tenantry op release {operation} {slug}"),
    };
    Raised {
        kind: AttentionKind::StepHeld,
        key: keys::step_held(operation, &step.hook),
        step: Some(step.hook.clone()),
        region: Some(step.hook.region.clone()),
        message: format!("step {} is held{}", step.hook, by.unwrap_or_default()),
        remedy,
    }
}

pub(crate) fn operation_paused(operation: &Operation) -> Raised {
    let by = operation.pause.as_ref();
    let by = by.map(|pause| format!(" by {} since {}: {}", pause.by.name, pause.at, pause.reason));
    Raised {
        kind: AttentionKind::OperationPaused,
        key: keys::operation_paused(operation.id),
        step: None,
        region: None,
        message: format!("{} is paused{}", operation.name, by.unwrap_or_default()),
        remedy: format!("tenantry op resume {}", operation.id),
    }
}

pub(crate) fn quarantined(entry: &Quarantined) -> Raised {
    let hook = &entry.hook;
    let why = entry.problems.first().map_or("it cannot be read", |problem| problem.message.as_str());
    let (kind, key, message) = if entry.last_good_in_force {
        let message = format!("hook {hook} is quarantined, its last good version runs: {why}");
        (AttentionKind::HookQuarantined, keys::hook_quarantined(hook), message)
    } else {
        let message = format!("hook {hook} has no good version and is left out: {why}");
        (AttentionKind::HookLeftOut, keys::hook_left_out(hook), message)
    };
    Raised {
        kind,
        key,
        step: Some(hook.clone()),
        region: Some(hook.region.clone()),
        message,
        remedy: entry
            .problems
            .first()
            .map(|problem| problem.remedy.clone())
            .filter(|remedy| !remedy.is_empty())
            .unwrap_or_else(|| {
                format!("tenantry hook explain {} --environment … --operation …", hook.path())
            }),
    }
}

/// How an attempt ended, as the end of a sentence.
pub(crate) fn ended(outcome: &Outcome) -> String {
    let Some(reason) = outcome.reason else { return "ended with 0".to_owned() };
    let reason = serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned));
    let code = outcome.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    let colon = if outcome.message.is_empty() { "" } else { ": " };
    format!("ended as {}{code}{colon}{}", reason.unwrap_or_default(), outcome.message)
}
