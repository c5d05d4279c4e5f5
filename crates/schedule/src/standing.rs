//! How a run stands to its deadline, and what of that is news.

use crate::mutants::{Mutant, on};
use crate::{PastRun, Prediction, StepLeft, predict};
use jiff::Timestamp;
use tenantry_model::ScheduleRun;

/// How a run stands to its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The deadline has passed. Nothing else is said of the run from then on, whatever the clock does.
    Missed,
    /// It will probably end later.
    AtRisk(Prediction),
    /// Nothing is to be said.
    Fine,
}

impl Standing {
    /// How the run stands without its past: what costs no reading. `None`: its past decides.
    #[must_use]
    pub fn at_once(run: &ScheduleRun, now: Timestamp) -> Option<Self> {
        match run.deadline_at {
            None => Some(Self::Fine),
            Some(deadline) if run.missed || now > deadline => Some(Self::Missed),
            Some(_) => None,
        }
    }

    /// Whether it differs from what the run's row says was said.
    #[must_use]
    pub fn is_news(&self, run: &ScheduleRun) -> bool {
        match self {
            Self::Missed => !run.missed || on(Mutant::MissedAgain),
            Self::AtRisk(_) => !run.at_risk && !on(Mutant::RiskUnsaid),
            Self::Fine => run.at_risk && !on(Mutant::RiskStays),
        }
    }

    /// The run's row after it was said.
    #[must_use]
    pub fn said(&self, run: &ScheduleRun) -> ScheduleRun {
        ScheduleRun {
            at_risk: matches!(self, Self::AtRisk(_)),
            missed: run.missed || matches!(self, Self::Missed),
            ..run.clone()
        }
    }
}

/// Judges a run by the steps that are left of it and the newest past runs.
#[must_use]
pub fn standing(run: &ScheduleRun, steps: &[StepLeft], past: &[PastRun], now: Timestamp) -> Standing {
    if let Some(known) = Standing::at_once(run, now) {
        return known;
    }
    match (run.deadline_at, predict(steps, past, now)) {
        (Some(deadline), Some(prediction)) if prediction.ends_at > deadline => Standing::AtRisk(prediction),
        _ => Standing::Fine,
    }
}

/// Whether a run that ends now has missed its deadline and nobody was told: it is said all the same.
#[must_use]
pub fn ended_late(run: &ScheduleRun, now: Timestamp) -> bool {
    !run.missed && run.deadline_at.is_some_and(|deadline| now > deadline) && !on(Mutant::MissedUnseen)
}
