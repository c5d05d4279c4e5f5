//! The one function that moves an operation.
//!
//! A draft collects changed rows and actions while one event's rules run; nothing is visible before all of them
//! agreed. One file an event or command. It must never read a clock or scan all rows for one report.

mod admitted;
mod cancel;
mod draft;
mod hold;
mod observed;
mod over;
mod pause;
mod planned;
mod rerun;
mod silent;
mod start;
mod tick;
mod verb;

use crate::{Event, Moment, Rejected, Run, Transition};
use draft::Draft;

/// Applies one event. Nothing but `run`, `event` and `moment` decides what comes out.
///
/// The transition is to be committed whole, or not at all; then [`Run::commit`] takes it in. An event that was
/// applied before changes nothing (invariant 4).
///
/// # Errors
/// [`Rejected`] says why the event does not fit; nothing is changed then.
pub fn apply(run: &Run, event: &Event, moment: Moment) -> Result<Transition, Rejected> {
    let mut draft = Draft::new(run, moment);
    let mut replan_at = None;
    match event {
        Event::Admitted { generation } => admitted::apply(&mut draft, *generation)?,
        Event::Planned(plan) => planned::apply(&mut draft, plan)?,
        Event::PlanRefused(refusal) => replan_at = planned::refuse(&mut draft, refusal)?,
        Event::Observed(observation) => observed::apply(&mut draft, observation)?,
        Event::RegionSilent { region, since } => {
            silent::apply(&mut draft, |hook| hook.region == *region, *since);
        }
        Event::StepsSilent { steps, since } => silent::apply(&mut draft, |hook| steps.contains(hook), *since),
        Event::Tick => tick::apply(&mut draft),
        Event::Verb { step, verb, by, reason, expected } => {
            let request =
                verb::Request { step, verb, by, reason: reason.as_deref(), expected: expected.as_ref() };
            verb::apply(&mut draft, &request)?;
        }
        Event::Held { hold, steps } => hold::caught(&mut draft, hold, steps),
        Event::Lifted { hold } => hold::lifted(&mut draft, *hold),
        Event::Pause { by, reason } => pause::pause(&mut draft, by, reason)?,
        Event::Resume { .. } => pause::resume(&mut draft)?,
        Event::Cancel { by, reason } => cancel::apply(&mut draft, by, reason)?,
    }
    start::spread(&mut draft);
    over::conclude(&mut draft);
    let next_tick = [tick::next(&draft), replan_at].into_iter().flatten().min();
    Ok(draft.finish(next_tick))
}
