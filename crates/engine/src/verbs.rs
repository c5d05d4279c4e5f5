//! Which verb is possible for a step in which situation: one table, from which the docs are made.
//!
//! It knows steps one by one; whether the operation is in a state to be steered is decided before.

use crate::StepVerb;
use tenantry_model::{Attempt, KillCause, Step, StepState};

/// A verb without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerbKind {
    /// Another attempt.
    Rerun,
    /// End the running attempt.
    Kill,
    /// Leave the step out.
    Skip,
    /// It was done by hand.
    Confirm,
    /// The unknown attempt will never be heard of again.
    DeclareLost,
}

impl VerbKind {
    /// Every verb, for tables and tests.
    pub const ALL: [Self; 5] = [Self::Rerun, Self::Kill, Self::Skip, Self::Confirm, Self::DeclareLost];

    /// As in the API and the CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rerun => "rerun",
            Self::Kill => "kill",
            Self::Skip => "skip",
            Self::Confirm => "confirm",
            Self::DeclareLost => "declare-lost",
        }
    }

    /// Whether a reason must be given. `rerun` only repeats what the plan wanted; the others change what runs.
    #[must_use]
    pub fn requires_reason(self) -> bool {
        self != Self::Rerun
    }
}

impl StepVerb {
    /// The verb without its arguments.
    #[must_use]
    pub fn kind(&self) -> VerbKind {
        match self {
            Self::Rerun => VerbKind::Rerun,
            Self::Kill => VerbKind::Kill,
            Self::Skip => VerbKind::Skip,
            Self::Confirm { .. } => VerbKind::Confirm,
            Self::DeclareLost => VerbKind::DeclareLost,
        }
    }

    /// Whether a reason must be given.
    #[must_use]
    pub fn requires_reason(&self) -> bool {
        self.kind().requires_reason()
    }
}

/// What a step is doing, as far as verbs care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// Waits for other steps.
    Blocked,
    /// Waits for its backoff.
    Ready,
    /// Its attempt is known to be there.
    Running,
    /// Its attempt is known to be there and a person asked for its end.
    Ending,
    /// Nothing is known of its attempt, or its end was asked for and did not come in time.
    Unknown,
    /// The same, and a person asked for its end.
    UnknownEnding,
    /// Succeeded.
    Succeeded,
    /// Failed, waits for a decision.
    Waiting,
    /// Failed, counts as done (`on-failure: continue`).
    Accepted,
    /// Left out by its selector.
    Deselected,
    /// Left out by a person.
    Skipped,
    /// Done by hand.
    Confirmed,
    /// Ended with its operation.
    Over,
}

impl Situation {
    /// Every situation, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Blocked,
        Self::Ready,
        Self::Running,
        Self::Ending,
        Self::Unknown,
        Self::UnknownEnding,
        Self::Succeeded,
        Self::Waiting,
        Self::Accepted,
        Self::Deselected,
        Self::Skipped,
        Self::Confirmed,
        Self::Over,
    ];

    /// The situation of a step, given its newest attempt.
    #[must_use]
    pub fn of(step: &Step, attempt: Option<&Attempt>) -> Self {
        match step.state {
            StepState::Blocked => Self::Blocked,
            StepState::Ready => Self::Ready,
            StepState::Running => {
                let unknown = attempt.is_none_or(|a| a.unknown_since.is_some() || a.unknown_reported);
                let kill = attempt.and_then(|attempt| attempt.kill.as_ref());
                match (unknown, kill.is_some_and(|kill| kill.cause != KillCause::Timeout)) {
                    (false, false) => Self::Running,
                    (false, true) => Self::Ending,
                    (true, false) => Self::Unknown,
                    (true, true) => Self::UnknownEnding,
                }
            }
            StepState::Succeeded => Self::Succeeded,
            StepState::Failed if step.waiting => Self::Waiting,
            StepState::Failed if step.failure_accepted => Self::Accepted,
            StepState::Skipped if step.decision.is_none() => Self::Deselected,
            StepState::Skipped => Self::Skipped,
            StepState::Confirmed => Self::Confirmed,
            StepState::Failed | StepState::Cancelled => Self::Over,
        }
    }

    /// In words, for the docs.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Ready => "ready (waits for its backoff)",
            Self::Running => "running",
            Self::Ending => "running, its end was asked for by a person",
            Self::Unknown => "running, unknown",
            Self::UnknownEnding => "running, unknown, its end was asked for by a person",
            Self::Succeeded => "succeeded",
            Self::Waiting => "failed, waiting for a decision",
            Self::Accepted => "failed, counts as done",
            Self::Deselected => "skipped by the hook's selector",
            Self::Skipped => "skipped by a person",
            Self::Confirmed => "confirmed",
            Self::Over => "failed or cancelled with the operation",
        }
    }
}

/// Whether a verb is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legality {
    /// It is.
    Yes,
    /// Only as long as no step that waits for this one has an attempt: it has read its outputs.
    UnlessSuccessorStarted,
    /// It is not; why, and what to do instead.
    No(&'static str),
}

/// The table.
#[must_use]
pub fn legality(verb: VerbKind, situation: Situation) -> Legality {
    use Legality::{No, UnlessSuccessorStarted, Yes};
    use Situation as S;
    match (verb, situation) {
        (_, S::Over) => No("its operation is ending"),

        (VerbKind::Rerun, S::Succeeded | S::Accepted | S::Skipped | S::Confirmed) => UnlessSuccessorStarted,
        (VerbKind::Rerun, S::Blocked) => No("it has not run yet"),
        (VerbKind::Rerun, S::Unknown | S::UnknownEnding) => {
            No("its attempt may still run; declare it lost first if it is certain that it does not")
        }
        (_, S::Deselected) => No("the hook's selector leaves it out for this environment"),

        (VerbKind::Rerun, S::Ready | S::Waiting)
        | (VerbKind::Kill, S::Running | S::Unknown)
        | (
            VerbKind::Skip | VerbKind::Confirm,
            S::Blocked | S::Ready | S::Waiting | S::Unknown | S::UnknownEnding,
        )
        | (VerbKind::DeclareLost, S::Unknown | S::UnknownEnding) => Yes,

        (VerbKind::Kill, S::Ending | S::UnknownEnding) => No("its end was already asked for"),
        (VerbKind::Kill, _) => No("no attempt of it is running"),

        (VerbKind::DeclareLost, S::Running | S::Ending) => No("its region says that it runs"),
        (VerbKind::DeclareLost, _) => No("no attempt of it is unknown"),

        (_, S::Running) => No("it is running; kill it first"),
        (_, S::Ending) => No("wait until its attempt is over"),
        (VerbKind::Skip | VerbKind::Confirm, _) => No("it already counts as done"),
    }
}

/// The table as Markdown, for the docs.
#[must_use]
pub fn verb_table() -> String {
    let row = |first: &str, cells: Vec<&str>| format!("| {first} | {} |\n", cells.join(" | "));
    let mut text = row("step is …", VerbKind::ALL.iter().map(|verb| verb.name()).collect());
    text += &row("---", vec!["---"; VerbKind::ALL.len()]);
    for situation in Situation::ALL {
        let cell = |verb: &VerbKind| match legality(*verb, situation) {
            Legality::Yes => "yes",
            Legality::UnlessSuccessorStarted => "unless a successor has started",
            Legality::No(_) => "no",
        };
        text += &row(situation.words(), VerbKind::ALL.iter().map(cell).collect());
    }
    text
}
