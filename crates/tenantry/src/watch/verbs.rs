//! The verbs of the live view: their keys, their words, and what must be asked before. What a verb means is the
//! manager's business.

/// A verb that a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The step will not start; successors of a running one wait.
    Hold,
    /// Ends the running attempt and holds the step.
    Stop,
    /// Lifts a hold.
    Release,
    /// Another attempt.
    Rerun,
    /// Another attempt of the step and of all that comes after it.
    RerunWithSuccessors,
    /// Leaves the step out.
    Skip,
    /// It was done by hand.
    Confirm,
    /// Ends the running attempt.
    Kill,
    /// Starts without waiting for predecessors.
    IgnoreDependency,
    /// The unknown attempt will never be heard of again.
    DeclareLost,
    /// Nothing new starts.
    Pause,
    /// Goes on after a pause.
    Resume,
    /// Ends the operation.
    Cancel,
    /// The operation again, as a new one.
    Replay,
    /// The same from the selected step on.
    ReplayFrom,
}

impl Verb {
    /// All, in the order of the help.
    pub const ALL: [Self; 15] = [
        Self::Hold,
        Self::Stop,
        Self::Release,
        Self::Rerun,
        Self::RerunWithSuccessors,
        Self::Skip,
        Self::Confirm,
        Self::Kill,
        Self::IgnoreDependency,
        Self::DeclareLost,
        Self::Pause,
        Self::Resume,
        Self::Cancel,
        Self::Replay,
        Self::ReplayFrom,
    ];

    /// Its key. Pause and resume share one: only one of them makes sense at a time.
    pub fn key(self) -> char {
        match self {
            Self::Hold => 'h',
            Self::Stop => 't',
            Self::Release => 'u',
            Self::Rerun => 'r',
            Self::RerunWithSuccessors => 'R',
            Self::Skip => 's',
            Self::Confirm => 'c',
            Self::Kill => 'k',
            Self::IgnoreDependency => 'i',
            Self::DeclareLost => 'd',
            Self::Pause | Self::Resume => 'p',
            Self::Cancel => 'x',
            Self::Replay => 'a',
            Self::ReplayFrom => 'A',
        }
    }

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Stop => "stop",
            Self::Release => "release",
            Self::Rerun => "rerun",
            Self::RerunWithSuccessors => "rerun --with-successors",
            Self::Skip => "skip",
            Self::Confirm => "confirm",
            Self::Kill => "kill",
            Self::IgnoreDependency => "ignore-dependency",
            Self::DeclareLost => "declare-lost",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Replay => "replay",
            Self::ReplayFrom => "replay --from",
        }
    }

    /// What it does, for the help.
    pub fn help(self) -> &'static str {
        match self {
            Self::Hold => "it will not start; successors of a running step wait",
            Self::Stop => "end its attempt and hold it until it is released",
            Self::Release => "lift its hold",
            Self::Rerun => "another attempt",
            Self::RerunWithSuccessors => "of it and of all after it",
            Self::Skip => "leave it out",
            Self::Confirm => "it was done by hand",
            Self::Kill => "end its attempt; it is not tried again by itself",
            Self::IgnoreDependency => "start without waiting for predecessors",
            Self::DeclareLost => "give up an unknown attempt",
            Self::Pause => "start nothing new in the whole operation",
            Self::Resume => "go on after a pause",
            Self::Cancel => "end the whole operation",
            Self::Replay => "the ended operation again, as a new one",
            Self::ReplayFrom => "the same from the selected step on",
        }
    }

    /// It concerns the operation, not one step.
    pub fn of_operation(self) -> bool {
        matches!(self, Self::Pause | Self::Resume | Self::Cancel | Self::Replay)
    }

    /// It makes a new operation of one that has ended; all others steer one that has not.
    pub fn replays(self) -> bool {
        matches!(self, Self::Replay | Self::ReplayFrom)
    }

    /// Nothing happens without a reason.
    pub fn needs_reason(self) -> bool {
        !matches!(self, Self::Rerun | Self::Release | Self::Resume)
    }

    /// The verb of a key; `paused` decides between pause and resume.
    pub fn of_key(key: char, paused: bool) -> Option<Self> {
        match key {
            'p' if paused => Some(Self::Resume),
            _ => Self::ALL.into_iter().find(|verb| verb.key() == key),
        }
    }
}
