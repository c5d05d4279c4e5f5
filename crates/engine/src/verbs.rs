//! Which verb is possible for a step in which situation: one table, from which the docs are made.
//!
//! It knows steps one by one; whether the operation is in a state to be steered is decided before.

use crate::StepVerb;
use tenantry_model::{Attempt, KillCause, Step, StepState};

/// A verb without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerbKind {
    /// It will not start; a running one finishes and its successors wait.
    Hold,
    /// Kill and hold in one; it begins again at its release.
    Stop,
    /// Lifts a hold.
    Release,
    /// Another attempt; consumers become stale.
    Rerun,
    /// Another attempt of it and of everything that started after it.
    RerunWithSuccessors,
    /// End the running attempt.
    Kill,
    /// Leave the step out.
    Skip,
    /// It was done by hand.
    Confirm,
    /// Do not wait for a predecessor.
    IgnoreDependency,
    /// The unknown attempt will never be heard of again.
    DeclareLost,
}

impl VerbKind {
    /// Every verb, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Hold,
        Self::Stop,
        Self::Release,
        Self::Rerun,
        Self::RerunWithSuccessors,
        Self::Kill,
        Self::Skip,
        Self::Confirm,
        Self::IgnoreDependency,
        Self::DeclareLost,
    ];

    /// As in the API and the CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Stop => "stop",
            Self::Release => "release",
            Self::Rerun => "rerun",
            Self::RerunWithSuccessors => "rerun-with-successors",
            Self::Kill => "kill",
            Self::Skip => "skip",
            Self::Confirm => "confirm",
            Self::IgnoreDependency => "ignore-dependency",
            Self::DeclareLost => "declare-lost",
        }
    }

    /// In a sentence, for the docs.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Hold => {
                "It will not start; if it runs, it finishes, and its successors wait for the release."
            }
            Self::Stop => "Kill and hold in one: it begins again at its release, never by itself.",
            Self::Release => {
                "Lifts what `hold` or `stop` put on it; a hold by predicate only by its id. It goes on when no hold is left."
            }
            Self::Rerun => {
                "Another attempt. What used its outputs becomes stale: nothing new starts on that until each stale step is \
                 run again, confirmed (without outputs: what it made stands) or skipped."
            }
            Self::RerunWithSuccessors => {
                "It and everything that started after it begins again, once all attempts of these are known to be over. \
                 Holds stay; earlier skip, confirm and ignore-dependency of the successors are dropped."
            }
            Self::Kill => "Ends the attempt; no automatic retry follows, a person decides.",
            Self::Skip => "Leaves it out; the applied generation does not advance.",
            Self::Confirm => {
                "It was done by hand, with outputs if successors need them; the applied generation advances."
            }
            Self::IgnoreDependency => {
                "It does not wait for one predecessor (or for any that is left) any more."
            }
            Self::DeclareLost => {
                "Nothing will ever be heard of its attempt again; another one may overlap it."
            }
        }
    }

    /// Whether a reason must be given. `rerun` only repeats what the plan wanted, `release` lets it go on; the others
    /// change what runs.
    #[must_use]
    pub fn requires_reason(self) -> bool {
        !matches!(self, Self::Rerun | Self::Release)
    }
}

impl StepVerb {
    /// The verb without its arguments.
    #[must_use]
    pub fn kind(&self) -> VerbKind {
        match self {
            Self::Hold { .. } => VerbKind::Hold,
            Self::Stop { .. } => VerbKind::Stop,
            Self::Release { .. } => VerbKind::Release,
            Self::Rerun { with_successors: false } => VerbKind::Rerun,
            Self::Rerun { with_successors: true } => VerbKind::RerunWithSuccessors,
            Self::Kill => VerbKind::Kill,
            Self::Skip => VerbKind::Skip,
            Self::Confirm { .. } => VerbKind::Confirm,
            Self::IgnoreDependency { .. } => VerbKind::IgnoreDependency,
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
    /// Waits for its backoff, a release or the operation's resume.
    Ready,
    /// Its attempt is known to be there.
    Running,
    /// Its attempt is known to be there and a person asked for its end (`kill`, `stop`, `rerun --with-successors`).
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
            StepState::Skipped if step.is_deselected() => Self::Deselected,
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
            Self::Ready => "ready (waits for its backoff, a release, a resume)",
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
    /// Only while such a hold is on the step.
    IfHeld,
    /// Only if the step is stale; else it already counts as done.
    IfStale,
    /// It is not; why, and what to do instead.
    No(&'static str),
}

/// The table.
#[must_use]
pub fn legality(verb: VerbKind, situation: Situation) -> Legality {
    use Legality::{IfHeld, IfStale, No, Yes};
    use Situation as S;
    use VerbKind as V;
    match (verb, situation) {
        (_, S::Over) => No("its operation is ending"),
        (_, S::Deselected) => No("the hook's selector leaves it out for this environment"),
        (V::Release, _) => IfHeld,

        (V::Hold, _)
        | (V::IgnoreDependency, S::Blocked)
        | (V::Stop | V::Kill, S::Running | S::Unknown)
        | (V::Skip | V::Confirm, S::Blocked | S::Ready | S::Waiting | S::Unknown | S::UnknownEnding)
        | (V::DeclareLost, S::Unknown | S::UnknownEnding)
        | (
            V::Rerun | V::RerunWithSuccessors,
            S::Ready | S::Waiting | S::Succeeded | S::Accepted | S::Skipped | S::Confirmed,
        )
        | (V::RerunWithSuccessors, S::Running | S::Ending | S::Unknown | S::UnknownEnding) => Yes,
        (V::Skip | V::Confirm, S::Succeeded | S::Accepted | S::Confirmed) => IfStale,

        (V::Stop, S::Ending | S::UnknownEnding) => No("its end was already asked for; hold it"),
        (V::Stop, _) => No("no attempt of it is running; hold it"),

        (V::Rerun | V::RerunWithSuccessors, S::Blocked) => No("it has not run yet"),
        (V::Rerun, S::Unknown | S::UnknownEnding) => {
            No("its attempt may still run; declare it lost first if it is certain that it does not")
        }

        (V::Kill, S::Ending | S::UnknownEnding) => No("its end was already asked for"),
        (V::Kill, _) => No("no attempt of it is running"),

        (V::IgnoreDependency, S::Ready) => No("it waits for no other step any more"),
        (V::IgnoreDependency, S::Running | S::Ending | S::Unknown | S::UnknownEnding) => {
            No("it has already started")
        }
        (V::IgnoreDependency, S::Waiting) => No("it has already run; rerun it first"),

        (V::DeclareLost, S::Running | S::Ending) => No("its region says that it runs"),
        (V::DeclareLost, _) => No("no attempt of it is unknown"),

        (V::Rerun | V::Skip | V::Confirm, S::Running) => No("it is running; kill it first"),
        (V::Rerun | V::Skip | V::Confirm, S::Ending) => No("wait until its attempt is over"),
        (V::Skip | V::Confirm | V::IgnoreDependency, _) => No("it already counts as done"),
    }
}

/// What each verb does, as a Markdown table for the docs.
#[must_use]
pub fn verb_list() -> String {
    let mut text = "| verb | what it does | reason |\n| --- | --- | --- |\n".to_owned();
    for verb in VerbKind::ALL {
        let reason = if verb.requires_reason() { "required" } else { "" };
        text += &format!("| `{}` | {} | {reason} |\n", verb.name(), verb.words());
    }
    text
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
            Legality::IfHeld => "if held",
            Legality::IfStale => "if stale",
            Legality::No(_) => "no",
        };
        text += &row(situation.words(), VerbKind::ALL.iter().map(cell).collect());
    }
    text
}
