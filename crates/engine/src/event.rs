//! What can happen to an operation.

use crate::Plan;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_model::{Actor, HoldId, HookRef, Observation, RegionName, StepHold};
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
    /// Nobody speaks for these steps any more, though the region does: their attempts are unknown from `since` on.
    StepsSilent {
        /// Which.
        steps: BTreeSet<HookRef>,
        /// When somebody was last heard about them.
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
    /// A hold by predicate was set that catches these steps of the operation. Those that are done go on, and an
    /// operation without steps is none of its business: a plan catches by itself.
    Held {
        /// What it puts on each of them.
        hold: StepHold,
        /// Which steps.
        steps: BTreeSet<HookRef>,
    },
    /// A hold by predicate is gone. Whatever it holds here goes on, unless something else holds it too.
    Lifted {
        /// Which.
        hold: HoldId,
    },
    /// No new steps start; what runs goes on to its end, and its timers with it.
    Pause {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// What is ready starts.
    Resume {
        /// Who.
        by: Actor,
        /// Why.
        reason: Option<String>,
    },
    /// Ends the operation.
    Cancel {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
}

/// The verbs of DESIGN §7 on a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepVerb {
    /// It will not start; a running one finishes, and its successors wait. Said again, the newer one counts.
    Hold {
        /// When it lifts by itself; `None`: never.
        until: Option<Timestamp>,
    },
    /// Kill and hold in one. Once the attempt is over and the hold is gone, the step begins again.
    Stop {
        /// When the hold lifts by itself; `None`: never.
        until: Option<Timestamp>,
    },
    /// Lifts a hold of this step. What the step or its successors could not do meanwhile goes on, unless something
    /// else holds it too.
    Release {
        /// `None`: what `hold` or `stop` put on this step; else that of this hold by predicate, for this step only.
        hold: Option<HoldId>,
    },
    /// Another attempt. What used the outputs of the one before becomes stale.
    Rerun {
        /// Everything that started after it is thrown away and begins again, once all of it is known to be over.
        with_successors: bool,
    },
    /// End the running attempt; never followed by an automatic retry.
    Kill,
    /// Leave it out; the applied generation does not advance.
    Skip,
    /// It was done by hand; the applied generation advances.
    Confirm {
        /// What successors read as its outputs.
        outputs: BTreeMap<String, String>,
    },
    /// It does not wait for a predecessor any more.
    IgnoreDependency {
        /// Which; `None`: all that it still waits for.
        on: Option<HookRef>,
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
