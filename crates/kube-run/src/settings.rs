//! How patient this room is. Every value has a reason; none is hidden elsewhere.
//!
//! It must never know where its values come from.

use std::time::Duration;
use tenantry_hook::LABEL_ATTEMPT;

/// Limits and tolerances, and which attempts are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which attempts are watched in a namespace: every one (an agent), or those of one step (a bridge, of which there
    /// may be hundreds). Their `ConfigMap`s alone are swept.
    pub attempts: String,
    /// One answer of the API server. Longer than its own limit of a request would only hide that it is gone.
    pub request_timeout: Duration,
    /// A create, kill or release repeats unanswered requests this long before it says so to the caller.
    pub answer_deadline: Duration,
    /// After this time no unanswered create can still land: the API server ends every request after 60 s
    /// (`--request-timeout`), and the rest is for the way there.
    pub create_settles_after: Duration,
    /// An image that cannot be had: registries have short outages, wrong names do not heal.
    pub image_pull_tolerance: Duration,
    /// No node takes the Pod: an autoscaler needs minutes to bring one.
    pub unschedulable_tolerance: Duration,
    /// A container that cannot be made (a Secret that is missing): a controller may be about to write it.
    pub cannot_start_tolerance: Duration,
    /// A Pod on a node whose volumes do not come, or a Job whose Pods are not made.
    pub preparing_tolerance: Duration,
    /// Beyond these, as long as nothing says why: it may only be slow, and an event may be under way.
    pub unexplained_tolerance: Duration,
    /// Past the grace of a deleted Pod, until its kubelet is called silent.
    pub kubelet_tolerance: Duration,
    /// A container that was ended by SIGKILL for no reason that anybody named is looked at for so long before that is
    /// said: the runtime hears of the end before it hears that it was the memory, and the kubelet, who asks it again
    /// one to two seconds after its first word, has the better answer then.
    pub final_word_tolerance: Duration,
    /// An API server that does not answer for longer leaves attempts unknown.
    pub api_server_tolerance: Duration,
    /// How often the node of an attempt that is unknown is looked at.
    pub node_interval: Duration,
    /// How long the end of a log may keep back the fact that the attempt ended.
    pub log_deadline: Duration,
    /// Objects of attempts that succeeded stay this long after their release.
    pub keep_succeeded: Duration,
    /// Objects of attempts that did not.
    pub keep_failed: Duration,
    /// How often released objects past their time are looked for (in memory).
    pub sweep_interval: Duration,
    /// Namespaces that stay watched although nothing of any attempt is there: a start there costs no listing. Each costs two
    /// connections.
    pub idle_watches: usize,
    /// The server ends a watch after this time, so that a connection that died silently is noticed.
    pub watch_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: LABEL_ATTEMPT.to_owned(),
            request_timeout: Duration::from_secs(30),
            answer_deadline: Duration::from_mins(1),
            create_settles_after: Duration::from_secs(90),
            image_pull_tolerance: Duration::from_mins(2),
            unschedulable_tolerance: Duration::from_mins(10),
            cannot_start_tolerance: Duration::from_mins(1),
            preparing_tolerance: Duration::from_mins(10),
            unexplained_tolerance: Duration::from_mins(2),
            kubelet_tolerance: Duration::from_secs(30),
            final_word_tolerance: Duration::from_secs(10),
            api_server_tolerance: Duration::from_secs(15),
            node_interval: Duration::from_secs(20),
            log_deadline: Duration::from_secs(20),
            keep_succeeded: Duration::ZERO,
            keep_failed: Duration::from_hours(1),
            sweep_interval: Duration::from_secs(15),
            idle_watches: 32,
            watch_timeout: Duration::from_mins(4),
        }
    }
}
