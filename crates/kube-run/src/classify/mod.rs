//! What an attempt's objects prove: the one place where statuses of Pods and Jobs become facts. Pure.
//!
//! An attempt has ended only when terminated container statuses, or the fact that nothing was ever bound to a node,
//! prove it (invariant 5); everything else is starting, running or unknown. It must never do I/O or read a clock.

mod ending;
mod job;
mod outcome;
mod pod;
#[cfg(test)]
mod tests;
mod wait;

pub use ending::Ending;
pub(crate) use ending::{ANNOTATION_ENDING, ANNOTATION_ENDING_MESSAGE};
pub(crate) use wait::later;
pub use wait::{Wait, WaitKind};

use crate::{Settings, View};
use jiff::Timestamp;
use std::collections::BTreeMap;
use tenantry_model::{Fact, Outcome};

/// What a view says, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is seen; `None` before anything is.
    pub fact: Option<Fact>,
    /// To be ended by us, for this reason.
    pub end: Option<(Ending, String)>,
    /// Pods of a deleted Job that nobody else will delete: the finalizer that keeps the Job readable also keeps the
    /// garbage collector from its Pods.
    pub delete_pods: Vec<String>,
    /// What it waits for; to be given back with the next view.
    pub wait: Option<Wait>,
    /// Without any change, look again then.
    pub look_again: Option<Timestamp>,
    /// The node whose kubelet is silent: whether a person marked it out of service decides.
    pub silent_node: Option<String>,
    /// Pods with logs to be read, in order: Pod name and container; the last is being written or was written last.
    pub logs: Vec<LogSource>,
}

/// A container whose log belongs to the attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogSource {
    /// The Pod.
    pub pod: String,
    /// Its container.
    pub container: String,
    /// Written before each line; empty unless the attempt has several Pods.
    pub prefix: String,
    /// Nothing more will be written.
    pub complete: bool,
}

/// One Pod's part in the verdict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PodState {
    /// No container of the hook runs yet.
    Waiting(WaitKind, String),
    /// The hook's container runs, or has ended while others still run.
    Running { started_at: Option<Timestamp>, result_ended: bool },
    /// Over, proven; why may still be corrected ([`wait::final_word`]).
    Settling { over: PodOver, wait: Wait, until: Timestamp },
    /// Over, proven.
    Over(PodOver),
    /// Cannot tell.
    Unknown { why: String, node: Option<String>, look_again: Option<Timestamp> },
}

/// How a Pod ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodOver {
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub outcome: Outcome,
}

/// What `view` proves at `now`. `container`: whose exit code counts. `before`: [`Verdict::wait`] of the last time.
#[must_use]
pub fn classify(
    view: &View,
    container: &str,
    before: Option<&Wait>,
    limits: &Settings,
    now: Timestamp,
) -> Verdict {
    let context = Context { container, before, limits, now, nodes: &view.nodes };
    match (&view.job, view.own_pod()) {
        (Some(job), _) => job::classify(job, view, &context),
        (None, Some(own)) => pod::classify(own, &context),
        (None, None) => Verdict::nothing(),
    }
}

/// What every rule needs besides the object.
pub(crate) struct Context<'a> {
    pub container: &'a str,
    pub before: Option<&'a Wait>,
    pub limits: &'a Settings,
    pub now: Timestamp,
    pub nodes: &'a BTreeMap<String, crate::NodeSeen>,
}

impl Verdict {
    fn nothing() -> Self {
        Self {
            fact: None,
            end: None,
            delete_pods: Vec::new(),
            wait: None,
            look_again: None,
            silent_node: None,
            logs: Vec::new(),
        }
    }

    fn of(fact: Fact) -> Self {
        Self { fact: Some(fact), ..Self::nothing() }
    }

    /// Past this, nothing changes any more.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.fact, Some(Fact::Ended { .. }))
    }
}

/// Cut to what an outcome may carry.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(1000).collect()
}
