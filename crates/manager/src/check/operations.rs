//! Operations with their steps, attempts, timers, bridges and attention: each read in one transaction.

use super::{Checked, Checker, RESTORE, rules};
use std::collections::BTreeSet;
use tenantry_engine::{Event, Moment, Run, apply, keys};
use tenantry_model::{Operation, OperationId, Page};
use tenantry_store::{AttentionFilter, OperationFilter, Read};
use uuid::Uuid;

/// Keys whose cause a row of the operation shows.
const JUDGED: [&str; 2] = ["step-waiting/", "attempt-unknown/"];

impl Checker<'_> {
    pub(super) async fn operations(&mut self) -> Checked {
        self.begin("operations");
        let mut page = Page { after: None, limit: 100 };
        loop {
            let mut read = self.manager.store.read().await?;
            let part = read.operations(&OperationFilter::default(), &page).await?;
            for operation in part.items {
                self.operation(&mut *read, operation).await?;
                self.count().await?;
            }
            match part.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn operation(&mut self, read: &mut dyn Read, operation: Operation) -> Checked {
        let id = operation.id;
        let row = format!("operation {id}");
        match read.environment(operation.environment).await? {
            None => {
                let message = format!("its environment {} does not exist", operation.environment);
                self.error("operation-environment", row.clone(), message, RESTORE).await?;
            }
            Some(environment) if environment.generation < operation.generation => {
                let message = format!(
                    "it applies generation {}, and the environment is at {}",
                    operation.generation, environment.generation
                );
                self.error("operation-generation", row.clone(), message, RESTORE).await?;
            }
            Some(_) => {}
        }
        let (steps, attempts) = (read.steps(id).await?, read.attempts(id).await?);
        let timer = read.timer(id).await?;
        let run = Run::new(operation, steps, attempts, self.manager.rules());
        for fault in rules::faults(&run) {
            let place = fault.place.map_or_else(|| row.clone(), |place| format!("{row}, {place}"));
            self.error(fault.check, place, fault.message, fault.remedy).await?;
        }
        self.timer(&run, timer.is_some(), &row).await?;
        self.bridges(read, &run, &row).await?;
        self.scheduled(read, run.operation()).await?;
        self.steered(read, &run).await?;
        self.waiting(read, id, &run, &row).await
    }

    /// What waits for time has a timer; what has ended has none.
    async fn timer(&mut self, run: &Run, has_timer: bool, row: &str) -> Checked {
        if run.operation().state.is_final() {
            if has_timer {
                let message = "it has ended and has a timer".to_owned();
                self.error("timer", row.to_owned(), message, RESTORE).await?;
            }
            return Ok(());
        }
        // The engine itself says whether anything waits for time.
        let moment = Moment { now: self.manager.now(), seed: Uuid::nil() };
        let waits = apply(run, &Event::Tick, moment)
            .is_ok_and(|transition| transition.next_tick.is_some() || !transition.is_empty());
        if waits && !has_timer {
            let message =
                "something of it waits for time, and it has no timer: it would wait for ever".to_owned();
            let remedy =
                "any verb on one of its steps sets the timer again; or tenantry op cancel ID --reason …";
            self.error("timer", row.to_owned(), message, remedy).await?;
        }
        Ok(())
    }

    /// A bridge belongs to a step. Of Workflows only that they read back: what one waits for is not here.
    async fn bridges(&mut self, read: &mut dyn Read, run: &Run, row: &str) -> Checked {
        let id = run.operation().id;
        read.workflows(id).await?;
        for bridge in read.bridges(id).await? {
            if !run.steps().contains_key(&bridge.hook) {
                let message = format!("its bridge of {} belongs to no step", bridge.hook);
                self.error("bridge-step", row.to_owned(), message, RESTORE).await?;
            }
        }
        Ok(())
    }

    /// A step that waits, and only such a step, is in the list of what waits for a person.
    async fn waiting(&mut self, read: &mut dyn Read, id: OperationId, run: &Run, row: &str) -> Checked {
        let mut wanted: BTreeSet<String> = run
            .steps()
            .values()
            .filter(|step| step.waiting && !run.operation().state.is_final())
            .map(|step| keys::step_waiting(id, &step.hook))
            .collect();
        wanted.extend(
            run.attempts()
                .values()
                .filter(|attempt| attempt.unknown_reported && !attempt.state.is_over())
                .map(|attempt| keys::attempt_unknown(&attempt.id)),
        );
        let filter = AttentionFilter { operation: Some(id), ..AttentionFilter::default() };
        let mut page = Page { after: None, limit: 500 };
        loop {
            let open = read.attentions(&filter, &page).await?;
            for attention in open.items {
                if wanted.remove(&attention.key) {
                    continue;
                }
                let over = run.operation().state.is_final() && !attention.key.starts_with("plan-refused/");
                if over || JUDGED.iter().any(|prefix| attention.key.starts_with(*prefix)) {
                    let message = format!("attention {} is open and its cause is gone", attention.key);
                    self.error("attention-cause", row.to_owned(), message, RESTORE).await?;
                }
            }
            match open.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        for key in wanted {
            let message = format!("nobody is told: attention {key} is missing");
            let remedy = "decide it all the same: tenantry op get ID shows the step and its verbs";
            self.error("attention-missing", row.to_owned(), message, remedy).await?;
        }
        Ok(())
    }
}
