//! What an attempt waits for before its hook runs, and how long that is tolerated.

use super::{Context, Ending};
use crate::events::is_vague;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use std::time::Duration;

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// The scheduler, or a scheduling gate of somebody else's: no limit of ours.
    Scheduling,
    /// No node takes it.
    Unschedulable,
    /// The node prepares sandbox and volumes.
    Preparing,
    /// The image is on its way, or init containers run: only the attempt's timeout limits it.
    Starting,
    /// The image cannot be had.
    ImagePull,
    /// The image's name can never be had.
    ImageName,
    /// The container cannot be made.
    CannotStart,
    /// The Job controller has made no Pod.
    NoPods,
    /// It is over, ended by SIGKILL, and nobody has said why.
    FinalWord,
}

/// Since when it waits for the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub kind: WaitKind,
    /// Since when, as far as this process saw.
    pub since: Timestamp,
}

impl Wait {
    /// For who only asks whether an attempt is over: why it is was waited for long enough.
    pub(crate) const OVER: Self = Self { kind: WaitKind::FinalWord, since: Timestamp::MIN };
}

/// What a wait leads to.
pub(crate) struct Patience {
    pub wait: Wait,
    pub end: Option<(Ending, String)>,
    pub look_again: Option<Timestamp>,
}

/// Whether it is still tolerated that the attempt waits for `kind`.
pub(crate) fn patience(
    kind: WaitKind,
    message: &str,
    seen_since: Option<Timestamp>,
    context: &Context<'_>,
) -> Patience {
    let since = match (seen_since, context.before) {
        (Some(since), _) => since,
        (None, Some(before)) if before.kind == kind => before.since,
        _ => context.now,
    };
    let wait = Wait { kind, since };
    let limits = context.limits;
    let (tolerance, ending) = match kind {
        WaitKind::Scheduling | WaitKind::Starting | WaitKind::FinalWord => {
            return Patience { wait, end: None, look_again: None };
        }
        WaitKind::Unschedulable => (limits.unschedulable_tolerance, Ending::Unschedulable),
        WaitKind::Preparing => (limits.preparing_tolerance, Ending::CannotStart),
        WaitKind::ImagePull => (limits.image_pull_tolerance, Ending::ImagePull),
        WaitKind::ImageName => (Duration::ZERO, Ending::ImagePull),
        // A kubelet that could not ask in time says so, and asks again.
        WaitKind::CannotStart if is_vague(message) => {
            (limits.cannot_start_tolerance.saturating_add(limits.unexplained_tolerance), Ending::CannotStart)
        }
        WaitKind::CannotStart => (limits.cannot_start_tolerance, Ending::CannotStart),
        WaitKind::NoPods => (limits.preparing_tolerance, Ending::Rejected),
    };
    let until = later(since, tolerance);
    if until <= context.now {
        Patience { wait, end: Some((ending, message.to_owned())), look_again: None }
    } else {
        Patience { wait, end: None, look_again: Some(until) }
    }
}

/// Whether to wait for the kubelet's last word on a container that was ended by SIGKILL for no named reason; until
/// when. Its first word comes from a cache that may be older than the runtime's own knowledge. Before the Pod's phase is
/// terminal it has not asked the runtime again.
pub(crate) fn final_word(is_terminal: bool, context: &Context<'_>) -> (Wait, Option<Timestamp>) {
    let since = match context.before {
        Some(before) if before.kind == WaitKind::FinalWord => before.since,
        _ => context.now,
    };
    let limits = context.limits;
    let tolerance = if is_terminal { limits.final_word_tolerance } else { limits.kubelet_tolerance };
    let until = later(since, tolerance);
    (Wait { kind: WaitKind::FinalWord, since }, (context.now < until).then_some(until))
}

/// `since` + `by`, at most the end of time.
pub(crate) fn later(since: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| since.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// What this Pod, none of whose hook's containers has started, waits for; with the platform's words, and since when
/// where the platform says.
pub(crate) fn waiting_for(pod: &Pod, container: &str) -> (WaitKind, String, Option<Timestamp>) {
    let status = pod.status.as_ref();
    let condition = |kind: &str| {
        status
            .and_then(|s| s.conditions.as_deref())
            .unwrap_or_default()
            .iter()
            .find(|condition| condition.type_ == kind)
    };
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_none_or(str::is_empty) {
        return match condition("PodScheduled") {
            Some(c) if c.status == "False" && c.reason.as_deref() == Some("Unschedulable") => (
                WaitKind::Unschedulable,
                said("unschedulable", c.message.as_deref()),
                c.last_transition_time.as_ref().map(|t| t.0),
            ),
            Some(c) if c.status == "False" => (
                WaitKind::Scheduling,
                said(c.reason.as_deref().unwrap_or("scheduling"), c.message.as_deref()),
                None,
            ),
            _ => (WaitKind::Scheduling, "scheduling".to_owned(), None),
        };
    }
    let init = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let regular = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let own = regular.iter().filter(|c| c.name == container);
    for one in init.iter().chain(own) {
        if let Some((kind, words)) = stuck(one) {
            return (kind, words, None);
        }
    }
    if let Some(running) =
        init.iter().find(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()) && c.started != Some(true))
    {
        return (WaitKind::Starting, format!("init container {}", running.name), None);
    }
    match condition("PodReadyToStartContainers") {
        Some(c) if c.status == "False" => (
            WaitKind::Preparing,
            "sandbox and volumes".to_owned(),
            c.last_transition_time.as_ref().map(|t| t.0),
        ),
        _ => (WaitKind::Starting, "image pull, container start".to_owned(), None),
    }
}

/// A container that does not come by itself.
fn stuck(container: &ContainerStatus) -> Option<(WaitKind, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let kind = match reason {
        "InvalidImageName" => WaitKind::ImageName,
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => WaitKind::ImagePull,
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreStartHookError"
        | "PostStartHookError"
        | "CrashLoopBackOff" => WaitKind::CannotStart,
        _ => return None,
    };
    let what = if kind == WaitKind::CannotStart { "container" } else { "image pull" };
    Some((kind, format!("{what} {}: {}", container.name, said(reason, waiting.message.as_deref()))))
}

fn said(reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => super::cut(&format!("{reason}: {message}")),
        _ => reason.to_owned(),
    }
}
