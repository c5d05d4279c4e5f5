//! What an event changes and asks for.

use jiff::Timestamp;
use tenantry_model::{
    Attempt, AttemptId, AttentionKind, HookRef, KillCause, Operation, OperationState, RegionName, Step,
    StepState,
};

/// What applying an event gives. The store commits all changes and everything the actions put into rows
/// (commands, attention, outbox) in one transaction (invariant 3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transition {
    /// New contents of rows, each row at most once, in the order operation, steps, attempts.
    pub changes: Vec<Change>,
    /// What others must do, in order.
    pub actions: Vec<Action>,
    /// When `Tick` must come at the latest (it may lie in the past: then at once); `None`: no timer is running.
    /// Replaces what an earlier transition said, also when nothing else changed. While the operation is planning it is
    /// when to plan again at the latest: what planned may have died, the hook that is waited for may be back.
    pub next_tick: Option<Timestamp>,
}

impl Transition {
    /// Nothing changes and nobody has to do anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.actions.is_empty()
    }
}

/// One row's new contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The operation's own row.
    Operation(Box<Operation>),
    /// A step's row.
    Step(Step),
    /// An attempt's row.
    Attempt(Attempt),
}

/// What others must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send the start of an attempt to its region. The attempt's row is among the changes (invariant 1).
    Start(AttemptId),
    /// Send a kill to the attempt's region.
    Kill {
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        cause: KillCause,
    },
    /// The outcome is committed: the region may let go of the object (finalizer) and clean up by policy.
    Release(AttemptId),
    /// What a hook has applied for the environment changes.
    Applied {
        /// Which hook.
        hook: HookRef,
        /// How.
        change: AppliedChange,
    },
    /// Something waits for a person.
    Raise(Raised),
    /// The cause named by this key is gone.
    Settle {
        /// As raised.
        key: String,
    },
    /// The operation reached a final state: its effect on the environment, and whoever waits for its lock.
    Ended(OperationState),
}

/// How the row of applied generations changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppliedChange {
    /// An attempt starts: dirty from now on, and expected in later plans.
    Started,
    /// An attempt succeeded or the step was confirmed: the generation advances as the definition says, clean.
    Succeeded,
}

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// What.
    pub kind: AttentionKind,
    /// Names the cause; raising it twice is raising it once.
    pub key: String,
    /// The step, if it is about one.
    pub step: Option<HookRef>,
    /// The region, if it is about one.
    pub region: Option<RegionName>,
    /// One sentence.
    pub message: String,
    /// The command that resolves it.
    pub remedy: String,
}

/// Why an event was not applied. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The operation has no such step.
    #[error("operation has no step {0}")]
    UnknownStep(HookRef),
    /// No row was ever committed for such an attempt: what the region saw is not ours.
    #[error("no attempt {0} was ever created")]
    UnknownAttempt(AttemptId),
    /// The verb does not fit what the step is doing.
    #[error("{verb} is not possible for step {step}: it is {state:?}{detail}")]
    WrongState {
        /// The verb.
        verb: &'static str,
        /// The step.
        step: HookRef,
        /// Its state now.
        state: StepState,
        /// More, beginning with a separator; or empty.
        detail: String,
    },
    /// The caller saw something else.
    #[error("step {step} has moved on: it is {state:?} with attempt {attempt}")]
    Expectation {
        /// The step.
        step: HookRef,
        /// Its state now.
        state: StepState,
        /// Its newest attempt now.
        attempt: u32,
    },
    /// The operation is in a state in which this cannot happen.
    #[error("{what} is not possible: the operation is {state:?}")]
    OperationState {
        /// What was tried.
        what: &'static str,
        /// The operation's state now.
        state: OperationState,
    },
    /// The verb needs a reason.
    #[error("{0} needs a reason")]
    ReasonRequired(&'static str),
    /// The step does not wait for that step, or for none.
    #[error("step {step} does not wait for {}", .on.as_ref().map_or_else(|| "any other step".to_owned(), ToString::to_string))]
    NoDependency {
        /// The step.
        step: HookRef,
        /// What it was to ignore; `None`: all that it waits for.
        on: Option<Box<HookRef>>,
    },
    /// Outputs break the limit (4 KiB as JSON, as for what a hook writes).
    #[error("outputs are {size} bytes as JSON; at most {limit} are allowed")]
    OutputsTooLarge {
        /// As given.
        size: usize,
        /// The limit.
        limit: usize,
    },
}
