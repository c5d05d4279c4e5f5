//! An operation's progress on stderr: in a terminal a line per step that collapses when the step is done, elsewhere a
//! plain line for each change. Draws what it is given; it asks nobody.

use crate::output::{age, word};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::{collections::BTreeMap, io::IsTerminal, time::Duration};
use tenantry_api_types::v1::{Operation, Step};
use tenantry_model::StepState;

/// An attempt that has been unknown for less than this is not called so.
const QUIET_SECONDS: i64 = 10;

/// Shows one operation.
pub struct Progress {
    title: String,
    shown: BTreeMap<String, String>,
    view: Option<View>,
}

struct View {
    bars: MultiProgress,
    head: ProgressBar,
    steps: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Begins to show an operation; `title` names it and its environment.
    pub fn new(title: String) -> Self {
        let view = std::io::stderr().is_terminal().then(|| {
            let bars = MultiProgress::new();
            let head = bars.add(spinner("{spinner} {msg}"));
            View { bars, head, steps: BTreeMap::new() }
        });
        Self { title, shown: BTreeMap::new(), view }
    }

    /// Draws the operation as it is now.
    pub fn show(&mut self, operation: &Operation) {
        let steps = operation.steps.as_deref().unwrap_or_default();
        let done = steps.iter().filter(|step| step.state.is_done() || step.failure_accepted).count();
        let note = operation.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        let head = format!("{} {} {done}/{}{note}", self.title, word(&operation.state), steps.len());
        match &mut self.view {
            Some(view) => view.draw(&head, steps, operation.done),
            None => self.lines(operation, steps, &note),
        }
    }

    fn lines(&mut self, operation: &Operation, steps: &[Step], note: &str) {
        for step in steps {
            let text = describe(step);
            if self.shown.get(&step.id) != Some(&text) {
                // What has not begun says nothing new: a plan of 300 steps would print 300 lines at once.
                if step.state != StepState::Blocked {
                    anstream::eprintln!("{} {} {text}", self.title, name(step));
                }
                self.shown.insert(step.id.clone(), text);
            }
        }
        let state = format!("{}{note}", word(&operation.state));
        if self.shown.get("") != Some(&state) {
            anstream::eprintln!("{} {state}", self.title);
            self.shown.insert(String::new(), state);
        }
    }
}

impl View {
    fn draw(&mut self, head: &str, steps: &[Step], done: bool) {
        self.head.set_message(head.to_owned());
        for step in steps {
            let finished = step.state.is_done() || step.state == StepState::Cancelled;
            match self.steps.get(&step.id) {
                Some(bar) if finished => {
                    bar.finish_and_clear();
                    self.bars.remove(bar);
                    self.steps.remove(&step.id);
                }
                Some(bar) => bar.set_message(format!("{} {}", name(step), describe(step))),
                None if finished || step.state == StepState::Blocked || done => {}
                None => {
                    let bar = self.bars.add(spinner("  {spinner} {msg}"));
                    bar.set_message(format!("{} {}", name(step), describe(step)));
                    self.steps.insert(step.id.clone(), bar);
                }
            }
        }
        if done {
            self.steps.clear();
            let _ = self.bars.clear();
            anstream::eprintln!("{head}");
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}

fn spinner(template: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A step's name as people write it: without the region.
pub fn name(step: &Step) -> String {
    step.hook.path().to_string()
}

/// What a step is doing, in a few words.
pub fn describe(step: &Step) -> String {
    let mut text = word(&step.state);
    if step.waiting {
        text.push_str(", waits for a decision");
    }
    if let Some(hold) = step.holds.first() {
        text.push_str(&format!(", held by {}: {}", hold.by.name, hold.reason));
    }
    if let Some(stale) = &step.staleness {
        text.push_str(&format!(", stale since {} ran again", stale.of.path()));
    }
    if step.restarting {
        text.push_str(", begins again");
    }
    if step.kept.is_some() {
        text.push_str(", kept");
    }
    if let Some(attempt) = step.attempts.last() {
        if attempt.number > 1 {
            text.push_str(&format!(", attempt {}", attempt.number));
        }
        // A start that was asked for a moment ago is unknown too; that is news to nobody.
        if let Some(since) = attempt.unknown_since
            && Timestamp::now().duration_since(since).as_secs() > QUIET_SECONDS
        {
            text.push_str(", unknown");
        }
        if let Some(waiting) = &attempt.waiting_for {
            text.push_str(&format!(", waits for {waiting}"));
        }
        if let Some(outcome) = &attempt.outcome
            && let Some(reason) = &outcome.reason
        {
            text.push_str(&format!(": {}", word(reason)));
            if let Some(code) = outcome.exit_code {
                text.push_str(&format!(" (exit code {code})"));
            }
        }
    }
    if let (Some(from), Some(to)) = (step.started_at, step.ended_at)
        && step.state.is_done()
    {
        text.push_str(&format!(" in {}", age(from, to)));
    }
    text
}

/// How long an operation has taken so far.
pub fn duration(operation: &Operation) -> String {
    operation
        .started_at
        .map(|from| age(from, operation.ended_at.unwrap_or_else(Timestamp::now)))
        .unwrap_or_default()
}
