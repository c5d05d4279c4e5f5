//! What a list of events has changed about one operation and is not written yet: several events change the same rows, and
//! each row is written once, as the last of them leaves it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use tenantry_engine::{Action, Change, Event, Run};
use tenantry_model::{AppliedHook, Attempt, AttemptId, CommandId, HookRef, Operation, Step};
use tenantry_store::{Command, CommandKind, Moved, TimerChange};

/// Rows in the order in which the store lists them.
#[derive(Default)]
pub(super) struct Pending {
    operation: Option<Operation>,
    steps: BTreeMap<HookRef, Step>,
    attempts: BTreeMap<(HookRef, u32), Attempt>,
    applied: BTreeMap<HookRef, AppliedHook>,
    /// In the order of their making.
    commands: BTreeMap<CommandId, Command>,
    /// Which is which: thousands may start at once.
    places: BTreeMap<(AttemptId, CommandKind), CommandId>,
}

impl Pending {
    pub(super) fn change(&mut self, change: &Change) {
        match change {
            Change::Operation(operation) => self.operation = Some((**operation).clone()),
            Change::Step(step) => {
                self.steps.insert(step.hook.clone(), step.clone());
            }
            Change::Attempt(attempt) => {
                self.attempts.insert((attempt.id.step.clone(), attempt.id.number), attempt.clone());
            }
        }
    }

    pub(super) fn apply(&mut self, row: AppliedHook) {
        self.applied.insert(row.hook.clone(), row);
    }

    /// An equal (attempt, kind) stays as it is, as in the store.
    pub(super) fn command(&mut self, command: Command) {
        if let Entry::Vacant(place) = self.places.entry((command.attempt.clone(), command.kind)) {
            place.insert(command.id);
            self.commands.insert(command.id, command);
        }
    }

    /// Takes a command back that nobody has seen yet; tells whether there was one.
    pub(super) fn withdraw(&mut self, attempt: &AttemptId, kind: CommandKind) -> bool {
        let place = self.places.remove(&(attempt.clone(), kind));
        place.and_then(|id| self.commands.remove(&id)).is_some()
    }

    /// All of it, and what becomes of the timer; `None` if there is nothing to write.
    pub(super) fn moved(self, run: &Run, timer: TimerChange) -> Option<Moved> {
        let moved = Moved {
            id: run.operation().id,
            environment: run.operation().environment,
            operation: self.operation,
            steps: self.steps.into_values().collect(),
            attempts: self.attempts.into_values().collect(),
            applied: self.applied.into_values().collect(),
            commands: self.commands.into_values().collect(),
            timer,
        };
        let rows = moved.steps.len() + moved.attempts.len() + moved.applied.len() + moved.commands.len();
        (rows > 0 || moved.operation.is_some() || timer != TimerChange::None).then_some(moved)
    }
}

/// What hooks have applied for the environment, as far as it was read, and as it is now.
#[derive(Default)]
pub(super) struct Applied {
    known: BTreeMap<HookRef, Option<AppliedHook>>,
    /// Hooks that will be asked for: read together with the first of them.
    likely: BTreeSet<HookRef>,
}

impl Applied {
    /// A fact about an attempt is most often its end.
    pub(super) fn of_events(events: &[Event]) -> Self {
        let observed = events.iter().filter_map(|event| match event {
            Event::Observed(observation) => Some(observation.attempt.step.clone()),
            _ => None,
        });
        Self { known: BTreeMap::new(), likely: observed.collect() }
    }

    /// These are about to be carried out.
    pub(super) fn expect(&mut self, actions: &[Action]) {
        let asked = actions.iter().filter_map(|action| match action {
            Action::Start(attempt) => Some(&attempt.step),
            Action::Applied { hook, .. } => Some(hook),
            _ => None,
        });
        let unknown = asked.filter(|hook| !self.known.contains_key(*hook));
        self.likely.extend(unknown.cloned());
    }

    /// Whether it was read.
    pub(super) fn knows(&self, hook: &HookRef) -> bool {
        self.known.contains_key(hook)
    }

    /// The row, as far as it was read.
    pub(super) fn get(&self, hook: &HookRef) -> Option<&AppliedHook> {
        self.known.get(hook)?.as_ref()
    }

    /// What to read when `hook` is not known.
    pub(super) fn asked_with(&mut self, hook: &HookRef) -> Vec<HookRef> {
        let mut hooks = std::mem::take(&mut self.likely);
        hooks.insert(hook.clone());
        hooks.retain(|hook| !self.known.contains_key(hook));
        hooks.into_iter().collect()
    }

    /// What was read for these hooks.
    pub(super) fn learn(&mut self, asked: Vec<HookRef>, rows: Vec<AppliedHook>) {
        self.known.extend(asked.into_iter().map(|hook| (hook, None)));
        for row in rows {
            self.put(row);
        }
    }

    pub(super) fn put(&mut self, row: AppliedHook) {
        self.known.insert(row.hook.clone(), Some(row));
    }
}
