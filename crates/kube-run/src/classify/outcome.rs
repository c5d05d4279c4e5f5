//! How a Pod that is proven to be over ended: success, or which reason of DESIGN §3.

use super::{Ending, cut};
use crate::PodSeen;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod, PodStatus};
use std::collections::BTreeMap;
use tenantry_hook::parse_outputs;
use tenantry_model::{FailureReason, Outcome};

/// What a container says that was ended by SIGKILL: 128 + 9. Also what a shell says whose own child was.
const SIGKILL: i32 = 137;

/// Start, end and outcome.
pub(super) fn of_pod(
    seen: &PodSeen,
    container: &str,
    ending: Option<&(Ending, String)>,
) -> (Option<Timestamp>, Option<Timestamp>, Outcome) {
    let pod = &*seen.pod;
    let status = pod.status.clone().unwrap_or_default();
    let own = status
        .container_statuses
        .as_deref()
        .unwrap_or_default()
        .iter()
        .find(|c| c.name == container)
        .and_then(|c| c.state.as_ref()?.terminated.clone())
        // The kubelet's word for "it is not there any more": proves the end, knows neither time nor exit code.
        .filter(|t| t.reason.as_deref() != Some("ContainerStatusUnknown"));
    let started_at = own.as_ref().and_then(|t| t.started_at.as_ref()).map(|t| t.0).filter(real);
    let ended_at = own.as_ref().and_then(|t| t.finished_at.as_ref()).map(|t| t.0).filter(real);

    let outcome = match &own {
        Some(terminated) if ended_by_itself(seen, &status, terminated, ending) => {
            of_container(terminated, memory_limit(pod, container))
        }
        _ => {
            let exit_code = own.as_ref().map(|t| t.exit_code);
            forced(pod, &status, own.is_some(), ending)
                .map(|(reason, message)| failed(reason, exit_code, &message))
                .or_else(|| own.as_ref().map(|own| of_container(own, memory_limit(pod, container))))
                .or_else(|| of_init(pod, &status))
                .unwrap_or_else(|| {
                    failed(
                        FailureReason::HookFailed,
                        None,
                        &words(
                            &status,
                            "the containers are gone, and the kubelet does not know how they ended",
                        ),
                    )
                })
        }
    };
    (started_at, ended_at, outcome)
}

fn real(at: &Timestamp) -> bool {
    *at > Timestamp::UNIX_EPOCH
}

/// The hook ended before anybody made it end. API times have whole seconds: within the same second nobody can tell, and
/// then a zero must not count as done.
fn ended_by_itself(
    seen: &PodSeen,
    status: &PodStatus,
    own: &ContainerStateTerminated,
    ending: Option<&(Ending, String)>,
) -> bool {
    if matches!(ending, Some((Ending::ResultEnded, _))) {
        return true;
    }
    if status.reason.as_deref().is_some_and(|reason| pod_reason(reason).is_some()) {
        return false;
    }
    let Some(deletion) = &seen.pod.metadata.deletion_timestamp else { return true };
    let Some(ended) = own.finished_at.as_ref().map(|t| t.0) else { return false };
    if let Some(asked) = seen.asked {
        return ended < asked;
    }
    // Nobody saw the deletion being asked for: at the earliest a whole grace before its time. In between, a code that no
    // signal gives was the hook's own, and no zero is believed.
    let spec = seen.pod.spec.as_ref();
    let grace = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    let earliest = deletion.0.checked_sub(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MIN);
    ended < earliest || (ending.is_none() && !matches!(own.exit_code, 0 | 137 | 143))
}

/// What made it end, if it was not the hook.
fn forced(
    pod: &Pod,
    status: &PodStatus,
    ran: bool,
    ending: Option<&(Ending, String)>,
) -> Option<(FailureReason, String)> {
    if let Some((ending, message)) = ending
        && let Some(reason) = ending.reason()
    {
        // We gave up just as it started: then "cannot start" would be a lie.
        return Some(match ending {
            Ending::Kill(_) => (reason, message.clone()),
            _ if ran => (FailureReason::Deleted, format!("given up just before it started ({message})")),
            _ => (reason, message.clone()),
        });
    }
    if let Some(reason) = status.reason.as_deref().and_then(pod_reason) {
        return Some((reason, words(status, "")));
    }
    let disrupted = status
        .conditions
        .as_deref()
        .unwrap_or_default()
        .iter()
        .find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    if let Some(condition) = disrupted {
        let reason = condition.reason.as_deref().unwrap_or("DisruptionTarget");
        let message = condition.message.as_deref().unwrap_or_default();
        return Some((FailureReason::Evicted, format!("{reason}: {message}")));
    }
    pod.metadata
        .deletion_timestamp
        .is_some()
        .then(|| (FailureReason::Deleted, "the Pod was deleted, not by tenantry".to_owned()))
}

/// The Pod's own reason, where a kubelet writes one.
fn pod_reason(reason: &str) -> Option<FailureReason> {
    match reason {
        "DeadlineExceeded" => Some(FailureReason::Deadline),
        "Evicted" | "Preempting" | "Preempted" | "Terminated" | "NodeShutdown" | "Shutdown" => {
            Some(FailureReason::Evicted)
        }
        // The kubelet's admission: the node that the scheduler chose does not take it. Nothing ran.
        "NodeAffinity"
        | "NodePorts"
        | "NodeName"
        | "NodeUnschedulable"
        | "UnexpectedAdmissionError"
        | "TopologyAffinityError"
        | "PodOSNotSupported"
        | "PodLevelResourcesNotAdmittedReason" => Some(FailureReason::Unschedulable),
        other if other.starts_with("OutOf") => Some(FailureReason::Unschedulable),
        _ => None,
    }
}

/// It was ended by SIGKILL, nobody is known to have sent it, and it had a memory limit: that it was the memory may
/// still be said of it, as long as its object is there.
pub(super) fn may_be_corrected(seen: &PodSeen, container: &str, outcome: &Outcome) -> bool {
    let status = seen.pod.status.as_ref();
    let failed_init = || status.and_then(failed_init).and_then(|(name, _)| memory_limit(&seen.pod, name));
    !seen.gone
        && outcome.reason == Some(FailureReason::HookFailed)
        && outcome.exit_code == Some(SIGKILL)
        && memory_limit(&seen.pod, container).or_else(failed_init).is_some()
}

/// The memory that a container may use, by its own limit or the Pod's.
fn memory_limit<'p>(pod: &'p Pod, container: &str) -> Option<&'p str> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let own = all.find(|one| one.name == container).and_then(|one| one.resources.as_ref());
    [own, spec.resources.as_ref()]
        .into_iter()
        .flatten()
        .find_map(|resources| resources.limits.as_ref()?.get("memory"))
        .map(|limit| limit.0.as_str())
}

/// The outcome by the hook's own container, which may use so much memory.
fn of_container(terminated: &ContainerStateTerminated, memory: Option<&str>) -> Outcome {
    let reason = terminated.reason.as_deref().unwrap_or_default();
    let message = terminated.message.as_deref().unwrap_or_default();
    let code = Some(terminated.exit_code);
    if terminated.exit_code == 0 {
        return match parse_outputs(message.as_bytes()) {
            Ok(outputs) => Outcome { reason: None, exit_code: code, message: String::new(), outputs },
            Err(problem) => {
                failed(FailureReason::BadOutput, code, &format!("{}; {}", problem.message, problem.remedy))
            }
        };
    }
    match reason {
        "OOMKilled" => {
            failed(FailureReason::OutOfMemory, code, "the container used more memory than its limit")
        }
        "StartError" | "ContainerCannotRun" => failed(FailureReason::CannotStart, code, message),
        // Never a guess at out-of-memory: a hook may end with this code by itself.
        _ if terminated.exit_code == SIGKILL => {
            let words = unnamed_kill(memory);
            let words = if message.is_empty() { words } else { format!("{words}; it said: {message}") };
            failed(FailureReason::HookFailed, code, &words)
        }
        _ => failed(FailureReason::HookFailed, code, message),
    }
}

fn unnamed_kill(memory: Option<&str>) -> String {
    match memory {
        Some(limit) => format!(
            "137 is SIGKILL, and nobody says who sent it: most likely the container used more memory than its limit of \
             {limit} and its runtime missed that, unless the hook ended with 137 by itself"
        ),
        None => "137 is SIGKILL, and nobody says who sent it: something on the node (it has no memory limit), or the \
                 hook ended with 137 by itself"
            .to_owned(),
    }
}

/// The outcome by an init container that failed, so that the hook's own never started.
fn of_init(pod: &Pod, status: &PodStatus) -> Option<Outcome> {
    let (name, terminated) = failed_init(status)?;
    let mut outcome = of_container(terminated, memory_limit(pod, name));
    outcome.message = cut(&format!(
        "init container {name} ended with {}{}{}",
        terminated.exit_code,
        if outcome.message.is_empty() { "" } else { ": " },
        outcome.message
    ));
    Some(outcome)
}

fn failed_init(status: &PodStatus) -> Option<(&str, &ContainerStateTerminated)> {
    status.init_container_statuses.iter().flatten().find_map(|c| {
        let terminated = c.state.as_ref()?.terminated.as_ref()?;
        (terminated.exit_code != 0).then_some((c.name.as_str(), terminated))
    })
}

fn words(status: &PodStatus, otherwise: &str) -> String {
    match (status.reason.as_deref(), status.message.as_deref()) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => otherwise.to_owned(),
    }
}

pub(super) fn failed(reason: FailureReason, exit_code: Option<i32>, message: &str) -> Outcome {
    Outcome { reason: Some(reason), exit_code, message: cut(message), outputs: BTreeMap::new() }
}
