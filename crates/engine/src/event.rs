//! What can happen to an operation.

use crate::Plan;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tenantry_model::{Actor, HookRef, Observation, RegionName};
use uuid::Uuid;

/// When an event is applied, and the randomness it may use. Stored beside nothing: replaying the same moments and
/// events gives the same rows.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The manager's clock.
    pub now: Timestamp,
    /// Source of the nonces of attempts that this event creates; random in production, counted in tests.
    pub seed: Uuid,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The operation got its environment's lock: pending → planning.
    Admitted {
        /// The environment's generation now: frozen as the one that this operation applies.
        generation: u64,
    },
    /// The plan is made: planning → running, and what is ready starts.
    Planned(Plan),
    /// The plan was refused: planning → failed, and attention is raised. Only [`crate::PlanRefusal::AbsentForNow`]
    /// keeps it in planning: plan again at the transition's `next_tick`.
    PlanRefused(crate::PlanRefusal),
    /// A region saw something of an attempt.
    Observed(Observation),
    /// A region's agent is silent past its limit: its attempts are unknown from `since` on.
    RegionSilent {
        /// Which region.
        region: RegionName,
        /// When it was last heard.
        since: Timestamp,
    },
    /// Time has passed: backoffs, timeouts, deadlines. While the operation is planning, the caller plans again too.
    Tick,
    /// A person steers a step.
    Verb {
        /// Which step.
        step: HookRef,
        /// What to do.
        verb: StepVerb,
        /// Who.
        by: Actor,
        /// Why; required where the verb changes what runs (checked by [`StepVerb::requires_reason`]).
        reason: Option<String>,
        /// What the caller saw; a mismatch is [`crate::Rejected::Expectation`].
        expected: Option<Expected>,
    },
    /// Ends the operation.
    Cancel {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
}

/// The verbs of DESIGN §7 that this version has; hold, stop, release, with-successors and ignore-dependency follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepVerb {
    /// Another attempt.
    Rerun,
    /// End the running attempt; never followed by an automatic retry.
    Kill,
    /// Leave it out; the applied generation does not advance.
    Skip,
    /// It was done by hand; the applied generation advances.
    Confirm {
        /// What successors read as its outputs.
        outputs: BTreeMap<String, String>,
    },
    /// The unknown attempt will never be heard of again.
    DeclareLost,
}

/// What a caller saw before it decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The step's state.
    pub state: Option<tenantry_model::StepState>,
    /// The number of its newest attempt.
    pub attempt: Option<u32>,
}
