//! An attempt that is a Job: its conditions say that it is over, its Pods prove it and say why.

use super::{
    Context, Ending, LogSource, PodOver, PodState, Verdict,
    outcome::failed,
    pod::{self, DELETED_JOB_SETTLES, images, log_source, node_name},
    wait::{WaitKind, later, patience, waiting_for},
};
use crate::{JobSeen, PodSeen, View};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use std::collections::BTreeMap;
use tenantry_model::{Fact, FailureReason, Outcome};

/// The verdict on an attempt that is a Job.
pub(super) fn classify(seen: &JobSeen, view: &View, context: &Context<'_>) -> Verdict {
    let job = &*seen.job;
    let ending = Ending::read(&job.metadata);
    let pods = states(view, ending.as_ref(), context);
    let deleted = job.metadata.deletion_timestamp.as_ref().map(|t| t.0);
    let mut verdict = if pods.iter().all(|(_, state)| matches!(state, PodState::Over(_))) {
        all_over(seen, &pods, ending.as_ref(), context)
    } else {
        going_on(job, &pods, context)
    };
    settle(&mut verdict, &pods, context);

    if deleted.is_some() {
        verdict.end = None;
        verdict.delete_pods = pods
            .iter()
            .filter(|(pod, state)| {
                !pod.gone
                    && pod.pod.metadata.deletion_timestamp.is_none()
                    && !matches!(state, PodState::Over(_) | PodState::Settling { .. })
            })
            .filter_map(|(pod, _)| pod.pod.metadata.name.clone())
            .collect();
    } else if let Some(decided) = ending.filter(|_| !verdict.is_end()) {
        verdict.end = Some(decided);
    }
    verdict.logs = logs(job, &pods, verdict.is_end(), context);
    verdict
}

/// A Pod of it may still be corrected. What is waited for otherwise comes first: it keeps the Job from its end anyway.
fn settle(verdict: &mut Verdict, pods: &[(&PodSeen, PodState)], context: &Context<'_>) {
    let settling = pods.iter().find_map(|(_, state)| match state {
        PodState::Settling { wait, until, .. } => Some((wait, *until)),
        _ => None,
    });
    if let Some((_, until)) = settling {
        verdict.look_again = verdict.look_again.into_iter().chain([until]).min();
    }
    if verdict.wait.is_none() {
        // Waited for once is enough: the Job's controller may take a while after that.
        let before = context.before.filter(|wait| wait.kind == WaitKind::FinalWord);
        verdict.wait = settling.map(|(wait, _)| wait).or(before).cloned();
    }
}

/// The Job's Pods in the order in which they were made.
fn states<'v>(
    view: &'v View,
    ending: Option<&(Ending, String)>,
    context: &Context<'_>,
) -> Vec<(&'v PodSeen, PodState)> {
    let mut pods: Vec<_> = view
        .pods
        .values()
        .map(|seen| {
            let own = Ending::read(&seen.pod.metadata).or_else(|| ending.cloned());
            (seen, pod::state(seen, own.as_ref(), context))
        })
        .collect();
    pods.sort_by_key(|(seen, _)| {
        let metadata = &seen.pod.metadata;
        (metadata.creation_timestamp.as_ref().map(|t| t.0), completion_index(seen), metadata.name.clone())
    });
    pods
}

fn completion_index(seen: &PodSeen) -> Option<u32> {
    let annotations = seen.pod.metadata.annotations.as_ref()?;
    annotations.get("batch.kubernetes.io/job-completion-index")?.parse().ok()
}

fn condition<'j>(job: &'j Job, kind: &str) -> Option<&'j JobCondition> {
    job.status
        .as_ref()?
        .conditions
        .as_deref()?
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

fn overs<'p>(pods: &'p [(&PodSeen, PodState)]) -> impl Iterator<Item = &'p PodOver> {
    pods.iter().filter_map(|(_, state)| match state {
        PodState::Over(over) => Some(over),
        _ => None,
    })
}

/// Nothing runs (any more, or yet).
fn all_over(
    seen: &JobSeen,
    pods: &[(&PodSeen, PodState)],
    ending: Option<&(Ending, String)>,
    context: &Context<'_>,
) -> Verdict {
    let job = &*seen.job;
    let started_at = overs(pods).filter_map(|over| over.started_at).min();
    let last_end = overs(pods).map(|over| over.ended_at).max();
    let ended = |ended_at: Timestamp, outcome: Outcome| {
        Verdict::of(Fact::Ended { started_at, ended_at, outcome, images: all_images(pods) })
    };
    if let Some(complete) = condition(job, "Complete") {
        let at = complete.last_transition_time.as_ref().map_or(context.now, |t| t.0);
        let outcome = cut_short(job, pods, ending).unwrap_or_else(|| succeeded(pods));
        return ended(last_end.unwrap_or(at), outcome);
    }
    if let Some(cause) = condition(job, "Failed") {
        let at = cause.last_transition_time.as_ref().map_or(context.now, |t| t.0);
        return ended(last_end.unwrap_or(at), failed_job(job, cause, pods, ending));
    }
    if let Some(deleted) = job.metadata.deletion_timestamp.as_ref().map(|t| t.0) {
        let settled = later(deleted, DELETED_JOB_SETTLES);
        if !pods.is_empty() || settled <= context.now || seen.gone {
            let outcome = ended_by_deletion(pods, ending);
            return ended(last_end.unwrap_or(deleted), outcome);
        }
        return Verdict { look_again: Some(settled), ..going_on(job, pods, context) };
    }
    if seen.gone {
        return Verdict::of(Fact::Unknown {
            why: "the Job is gone without an end, and its Pods do not say that nothing follows".to_owned(),
        });
    }
    going_on(job, pods, context)
}

/// Something runs, waits, or cannot be told.
fn going_on(job: &Job, pods: &[(&PodSeen, PodState)], context: &Context<'_>) -> Verdict {
    let object = format!(
        "job {}/{}",
        job.metadata.namespace.as_deref().unwrap_or_default(),
        job.metadata.name.as_deref().unwrap_or_default()
    );
    let unknown = pods.iter().find_map(|(_, state)| match state {
        PodState::Unknown { why, node, look_again } => Some((why, node, look_again)),
        _ => None,
    });
    if let Some((why, node, look_again)) = unknown {
        return Verdict {
            silent_node: node.clone(),
            look_again: *look_again,
            ..Verdict::of(Fact::Unknown { why: why.clone() })
        };
    }
    let waiting = pods.iter().find_map(|(seen, state)| match state {
        PodState::Waiting(kind, message) => {
            Some((*kind, message.clone(), waiting_for(&seen.pod, context.container).2))
        }
        _ => None,
    });
    let patience = match (&waiting, pods.is_empty()) {
        (Some((kind, message, since)), _) => Some(patience(*kind, message, *since, context)),
        (None, true) => Some(patience(WaitKind::NoPods, "the Job controller has made no Pod", None, context)),
        (None, false) => None,
    };
    let started_at = pods
        .iter()
        .filter_map(|(_, state)| match state {
            PodState::Running { started_at, .. } => Some(started_at.unwrap_or(context.now)),
            PodState::Over(over) | PodState::Settling { over, .. } => {
                Some(over.started_at.unwrap_or(over.ended_at))
            }
            _ => None,
        })
        .min();
    let fact = match started_at {
        Some(started_at) => Fact::Running {
            object,
            started_at,
            node: pods.iter().find_map(|(seen, _)| node_name(&seen.pod)).map(ToOwned::to_owned),
            images: all_images(pods),
        },
        None => Fact::Starting {
            object,
            waiting_for: Some(waiting.map_or_else(|| "the Job's Pods".to_owned(), |(_, message, _)| message)),
        },
    };
    let result_ended = !pods.is_empty()
        && pods.iter().all(|(_, state)| {
            matches!(state, PodState::Over(_) | PodState::Running { result_ended: true, .. })
        })
        && pods.iter().any(|(_, state)| matches!(state, PodState::Running { .. }))
        && completions(job) == 1;
    let (end, wait, look_again) =
        patience.map_or((None, None, None), |p| (p.end, Some(p.wait), p.look_again));
    Verdict {
        end: end.or_else(|| {
            result_ended
                .then(|| (Ending::ResultEnded, "the hook's container has ended, others still ran".to_owned()))
        }),
        wait,
        look_again,
        ..Verdict::of(fact)
    }
}

fn completions(job: &Job) -> i32 {
    job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1)
}

/// Outputs are those of the Pod with completion index 0, or of the one that ended last.
fn succeeded(pods: &[(&PodSeen, PodState)]) -> Outcome {
    let done = || {
        pods.iter().filter_map(|(seen, state)| match state {
            PodState::Over(over) if over.outcome.is_success() => Some((seen, over)),
            _ => None,
        })
    };
    let chosen = done()
        .find(|(seen, _)| completion_index(seen) == Some(0))
        .or_else(|| done().max_by_key(|(_, over)| over.ended_at));
    // Its output breaks the rule: the Job does not know, the contract does.
    let broken = overs(pods).find(|over| over.outcome.reason == Some(FailureReason::BadOutput));
    match (broken, chosen) {
        (Some(broken), _) => broken.outcome.clone(),
        (None, Some((_, over))) => over.outcome.clone(),
        (None, None) => {
            Outcome { reason: None, exit_code: Some(0), message: String::new(), outputs: BTreeMap::new() }
        }
    }
}

/// The controller counts every Pod that leaves with 0, also one that did so because it was told to stop (deleted by hand,
/// evicted, killed): that says nothing about whether the work was done. With a success policy some are meant to be
/// stopped.
fn cut_short(job: &Job, pods: &[(&PodSeen, PodState)], ending: Option<&(Ending, String)>) -> Option<Outcome> {
    let by_policy = job.spec.as_ref().is_some_and(|spec| spec.success_policy.is_some());
    let done = overs(pods).filter(|over| over.outcome.is_success()).count();
    let enough = i32::try_from(done).unwrap_or(i32::MAX) >= completions(job);
    if by_policy || enough || matches!(ending, Some((Ending::ResultEnded, _))) {
        return None;
    }
    overs(pods)
        .filter(|over| over.outcome.exit_code == Some(0))
        .map(|over| &over.outcome)
        .find(|outcome| outcome.reason.is_some_and(|reason| reason != FailureReason::BadOutput))
        .cloned()
}

/// The first Pod that failed says why; without one, the Job's own words.
fn failed_job(
    job: &Job,
    cause: &JobCondition,
    pods: &[(&PodSeen, PodState)],
    ending: Option<&(Ending, String)>,
) -> Outcome {
    let reason = cause.reason.as_deref().unwrap_or_default();
    let message = cause.message.as_deref().unwrap_or_default();
    let first = overs(pods).filter(|over| !over.outcome.is_success()).min_by_key(|over| over.ended_at);
    if reason == "DeadlineExceeded" {
        return failed(FailureReason::Deadline, first.and_then(|over| over.outcome.exit_code), message);
    }
    if let Some(over) = first {
        return over.outcome.clone();
    }
    // Every Pod's result container ended with 0: a sidecar that was made to end with another code failed the Pod.
    let done = i32::try_from(overs(pods).count()).unwrap_or(i32::MAX);
    if done > 0 && done >= completions(job) && matches!(ending, Some((Ending::ResultEnded, _)) | None) {
        return succeeded(pods);
    }
    failed(FailureReason::HookFailed, None, &format!("{reason}: {message}"))
}

/// The Job was deleted before its controller could give it a condition.
fn ended_by_deletion(pods: &[(&PodSeen, PodState)], ending: Option<&(Ending, String)>) -> Outcome {
    let codes = || overs(pods).map(|over| over.outcome.exit_code);
    let exit_code = codes().flatten().find(|code| *code != 0).or_else(|| {
        // Told to stop, every Pod left with 0.
        codes().next().flatten().filter(|_| codes().all(|code| code == Some(0)))
    });
    match ending {
        Some((Ending::ResultEnded, _)) => overs(pods)
            .find(|over| !over.outcome.is_success())
            .map_or_else(|| succeeded(pods), |o| o.outcome.clone()),
        Some((ending, message)) => {
            failed(ending.reason().unwrap_or(FailureReason::Deleted), exit_code, message)
        }
        None => failed(FailureReason::Deleted, exit_code, "the Job was deleted, not by tenantry"),
    }
}

fn all_images(pods: &[(&PodSeen, PodState)]) -> BTreeMap<String, String> {
    pods.iter().flat_map(|(seen, _)| images(&seen.pod)).collect()
}

/// One Pod after the other, so that the log is the same whenever it is read; prefixed once there can be several.
fn logs(job: &Job, pods: &[(&PodSeen, PodState)], over: bool, context: &Context<'_>) -> Vec<LogSource> {
    let spec = job.spec.as_ref();
    let several = completions(job) > 1 || spec.and_then(|s| s.parallelism).unwrap_or(1) > 1;
    pods.iter()
        .filter_map(|(seen, state)| {
            let name = seen.pod.metadata.name.as_deref().unwrap_or_default();
            let prefix = match completion_index(seen) {
                _ if !several => String::new(),
                Some(index) => format!("[{index}] "),
                None => format!("[{}] ", name.rsplit('-').next().unwrap_or(name)),
            };
            log_source(&seen.pod, context.container, prefix, over || matches!(state, PodState::Over(_)))
        })
        .collect()
}
