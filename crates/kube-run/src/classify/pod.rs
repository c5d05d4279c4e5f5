//! One Pod: waiting, running, over, or unknown.

use super::{
    Context, Ending, LogSource, PodOver, PodState, Verdict, outcome,
    wait::{final_word, later, patience, waiting_for},
};
use crate::PodSeen;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use std::{collections::BTreeMap, time::Duration};
use tenantry_model::Fact;

/// The verdict on an attempt that is a Pod.
pub(super) fn classify(seen: &PodSeen, context: &Context<'_>) -> Verdict {
    let pod = &*seen.pod;
    let object = object_name(pod);
    let state = state(seen, Ending::read(&pod.metadata).as_ref(), context);
    let mut verdict = match state {
        PodState::Waiting(kind, message) => {
            let since = waiting_for(pod, context.container).2;
            let patience = patience(kind, &message, since, context);
            Verdict {
                end: patience.end,
                wait: Some(patience.wait),
                look_again: patience.look_again,
                ..Verdict::of(Fact::Starting { object, waiting_for: Some(message) })
            }
        }
        PodState::Running { started_at, result_ended } => Verdict {
            end: result_ended.then(|| {
                (Ending::ResultEnded, "the hook's container has ended, others still ran".to_owned())
            }),
            ..Verdict::of(Fact::Running {
                object,
                started_at: started_at.unwrap_or(context.now),
                node: node_name(pod).map(ToOwned::to_owned),
                images: images(pod),
            })
        },
        PodState::Settling { over, wait, until } => Verdict {
            wait: Some(wait),
            look_again: Some(until),
            ..Verdict::of(match over.started_at {
                Some(started_at) => Fact::Running {
                    object,
                    started_at,
                    node: node_name(pod).map(ToOwned::to_owned),
                    images: images(pod),
                },
                None => Fact::Starting { object, waiting_for: Some(over.outcome.message) },
            })
        },
        PodState::Over(PodOver { started_at, ended_at, outcome }) => {
            Verdict::of(Fact::Ended { started_at, ended_at, outcome, images: images(pod) })
        }
        PodState::Unknown { why, node, look_again } => {
            Verdict { silent_node: node, look_again, ..Verdict::of(Fact::Unknown { why }) }
        }
    };
    // Once it is being deleted there is nothing more to ask for; once we have said why, the first reason stays.
    if pod.metadata.deletion_timestamp.is_some() {
        verdict.end = None;
    } else if let Some(decided) = Ending::read(&pod.metadata).filter(|_| !verdict.is_end()) {
        verdict.end = Some(decided);
    }
    let over = verdict.is_end();
    verdict.logs = log_source(pod, context.container, String::new(), over).into_iter().collect();
    verdict
}

/// What one Pod proves. `ending`: why we ended the attempt, if we did.
pub(super) fn state(seen: &PodSeen, ending: Option<&(Ending, String)>, context: &Context<'_>) -> PodState {
    let pod = &*seen.pod;
    let status = pod.status.clone().unwrap_or_default();
    let statuses = Statuses::of(&status, context.container);
    let deleted = pod.metadata.deletion_timestamp.as_ref().map(|t| t.0);
    let node = node_name(pod);
    let terminal = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let over = |ended_at| {
        let (started_at, ended, outcome) = outcome::of_pod(seen, context.container, ending);
        let over = PodOver { started_at, ended_at: ended.unwrap_or(ended_at), outcome };
        if !outcome::may_be_corrected(seen, context.container, &over.outcome) {
            return PodState::Over(over);
        }
        match final_word(terminal, context) {
            (wait, Some(until)) => PodState::Settling { over, wait, until },
            (_, None) => PodState::Over(over),
        }
    };
    let unknown =
        |why: String, look_again| PodState::Unknown { why, node: node.map(ToOwned::to_owned), look_again };

    // The API server binds no Pod that is being deleted: what no node has seen by then never runs.
    if node.is_none() && (deleted.is_some() || seen.gone) {
        return over(deleted.unwrap_or(context.now));
    }
    let collected = is_collected(&status);
    if statuses.all_terminated(pod) || (terminal && !collected && !statuses.any_running()) {
        return over(last_word(&status).unwrap_or(context.now));
    }
    if let Some(name) = node
        && context.nodes.get(name).is_some_and(|node| node.out_of_service)
        && (deleted.is_some() || terminal)
    {
        return over(deleted.or_else(|| last_word(&status)).unwrap_or(context.now));
    }
    if seen.gone {
        return unknown("the Pod is gone, and no kubelet has said how its containers ended".to_owned(), None);
    }
    if terminal {
        return unknown(
            "the Pod was marked failed by garbage collection; its kubelet has not said that its containers ended"
                .to_owned(),
            Some(later(context.now, context.limits.node_interval)),
        );
    }
    if let Some(deleted) = deleted {
        // deletionTimestamp already contains the grace.
        let silent_from = later(deleted, context.limits.kubelet_tolerance);
        if silent_from <= context.now {
            return unknown(
                format!(
                    "the Pod was to be gone at {deleted}; its kubelet has not said that its containers ended"
                ),
                Some(later(context.now, context.limits.node_interval)),
            );
        }
    }
    if let Some(why) = node_silent(pod, &status) {
        return unknown(why, Some(later(context.now, context.limits.node_interval)));
    }
    match statuses.own.and_then(|own| own.state.as_ref()) {
        Some(ContainerState { running: Some(running), .. }) => {
            PodState::Running { started_at: running.started_at.as_ref().map(|t| t.0), result_ended: false }
        }
        Some(ContainerState { terminated: Some(ended), .. }) => {
            PodState::Running { started_at: ended.started_at.as_ref().map(|t| t.0), result_ended: true }
        }
        _ => {
            let (kind, message, _) = waiting_for(pod, context.container);
            PodState::Waiting(kind, message)
        }
    }
}

/// The container statuses, sorted by what they are for.
struct Statuses<'a> {
    own: Option<&'a ContainerStatus>,
    regular: &'a [ContainerStatus],
    init: &'a [ContainerStatus],
}

impl<'a> Statuses<'a> {
    fn of(status: &'a PodStatus, container: &str) -> Self {
        let regular = status.container_statuses.as_deref().unwrap_or_default();
        Self {
            own: regular.iter().find(|c| c.name == container),
            regular,
            init: status.init_container_statuses.as_deref().unwrap_or_default(),
        }
    }

    fn any_running(&self) -> bool {
        self.regular.iter().chain(self.init).any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()))
    }

    /// Every container of the spec has a terminated status, and no init container (a sidecar) runs.
    fn all_terminated(&self, pod: &Pod) -> bool {
        let wanted = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        let terminated =
            self.regular.iter().filter(|c| c.state.as_ref().is_some_and(|s| s.terminated.is_some())).count();
        wanted > 0 && terminated >= wanted && !self.any_running()
    }
}

/// The newest time that the status of a Pod that is over names: when the hook's own container does not say when it
/// ended (an eviction, an init container that failed), its end must all the same be one moment, or the time that its
/// object is kept for would never pass.
fn last_word(status: &PodStatus) -> Option<Timestamp> {
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let finished = containers.filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let changed = status.conditions.iter().flatten().filter_map(|c| c.last_transition_time.as_ref());
    finished.chain(changed).map(|time| time.0).filter(|at| *at > Timestamp::UNIX_EPOCH).max()
}

/// Marked failed by the Pod garbage collector, which asks no kubelet.
fn is_collected(status: &PodStatus) -> bool {
    status
        .conditions
        .as_deref()
        .unwrap_or_default()
        .iter()
        .any(|c| c.type_ == "DisruptionTarget" && c.reason.as_deref() == Some("DeletionByPodGC"))
}

/// The node controller takes `Ready` from Pods of a node that no longer reports, and leaves `ContainersReady`: no kubelet
/// writes this pair by itself unless the Pod has readiness gates.
fn node_silent(pod: &Pod, status: &PodStatus) -> Option<String> {
    if status.phase.as_deref() == Some("Unknown") || status.reason.as_deref() == Some("NodeLost") {
        return Some("the node is lost".to_owned());
    }
    let gates = pod.spec.as_ref().and_then(|s| s.readiness_gates.as_ref()).is_some_and(|g| !g.is_empty());
    let is = |kind: &str, value: &str| {
        status
            .conditions
            .as_deref()
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == kind && condition.status == value)
    };
    (!gates && is("Ready", "False") && is("ContainersReady", "True"))
        .then(|| format!("node {} does not report", node_name(pod).unwrap_or("?")))
}

/// The log that belongs to the attempt: the hook's container once it has started, or the init container that failed.
pub(super) fn log_source(pod: &Pod, container: &str, prefix: String, over: bool) -> Option<LogSource> {
    let status = pod.status.as_ref()?;
    let statuses = Statuses::of(status, container);
    let name = pod.metadata.name.clone()?;
    let ended = |c: &ContainerStatus| c.state.as_ref().is_some_and(|s| s.terminated.is_some());
    if let Some(own) = statuses.own
        && own.state.as_ref().is_some_and(has_started)
    {
        return Some(LogSource { pod: name, container: own.name.clone(), prefix, complete: ended(own) });
    }
    let failed = statuses.init.iter().find(|c| {
        c.state
            .as_ref()
            .and_then(|s| s.terminated.as_ref())
            .is_some_and(|t| t.exit_code != 0 && t.started_at.is_some())
    })?;
    over.then(|| LogSource { pod: name, container: failed.name.clone(), prefix, complete: true })
}

/// It runs, or ran. A container that could never be started has a terminated status too, but no log.
fn has_started(state: &ContainerState) -> bool {
    state.running.is_some()
        || state.terminated.as_ref().is_some_and(|t| {
            t.started_at.as_ref().is_some_and(|t| t.0 > Timestamp::UNIX_EPOCH)
                && t.reason.as_deref() != Some("ContainerStatusUnknown")
        })
}

pub(super) fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
}

pub(super) fn object_name(pod: &Pod) -> String {
    format!(
        "pod {}/{}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        pod.metadata.name.as_deref().unwrap_or_default()
    )
}

/// Images by container, with the digest that the kubelet ran.
pub(super) fn images(pod: &Pod) -> BTreeMap<String, String> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let regular = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    init.iter()
        .chain(regular)
        .map(|c| {
            let image = match c.image_id.as_str() {
                "" => c.image.clone(),
                id if id.contains('@') => id.to_owned(),
                id => format!("{}@{id}", c.image),
            };
            (c.name.clone(), image)
        })
        .collect()
}

/// How long a deleted Job without Pods is watched before it counts as over: its controller may act on an older copy.
pub(super) const DELETED_JOB_SETTLES: Duration = Duration::from_secs(5);
