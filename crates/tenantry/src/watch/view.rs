//! What the live view shows at a moment, and how it moves: selection, scrolling, filter, questions. It asks nobody and
//! draws nothing.

use super::{graph, graph::Node, verbs::Verb};
use std::collections::{BTreeMap, VecDeque};
use tenantry_api_types::v1::{ExpectedStep, Operation};
use tenantry_model::{AttemptId, HookRef, OperationState};

/// Lines of a log that are kept; what was before them is in `tenantry op logs`.
const LOG_LINES: usize = 5_000;
/// Longest part of a log's line that is kept, in characters.
const LOG_WIDTH: usize = 2_000;

/// A verb with everything that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which verb.
    pub verb: Verb,
    /// On which step; `None` for verbs of the operation.
    pub step: Option<HookRef>,
    /// Why.
    pub reason: Option<String>,
    /// What `confirm` hands to successors.
    pub outputs: BTreeMap<String, String>,
    /// The step as it was seen when the key was pressed: the manager refuses if it has moved on.
    pub expected: Option<ExpectedStep>,
    /// The operation's state at that time.
    pub expected_state: Option<OperationState>,
}

/// A question that waits for text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// For what.
    pub intent: Intent,
    /// Whether the outputs of `confirm` are asked for; otherwise the reason.
    pub outputs: bool,
    /// What was typed so far.
    pub text: String,
}

/// A log that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Of which attempt.
    pub title: String,
    /// Its last lines.
    pub lines: VecDeque<String>,
    /// Lines between the end and what is at the bottom of the screen.
    pub back: usize,
    /// Nothing follows.
    pub complete: bool,
    /// The last line has no end yet.
    open: bool,
}

/// What keys do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Move in the graph, or begin a verb.
    Graph,
    /// Type a filter.
    Filter,
    /// Read the keys.
    Help,
    /// Type an answer.
    Ask(Ask),
    /// The manager is being asked; the intent is kept for the answer.
    Busy(Intent),
    /// Look at what would happen, then say yes or no.
    Sure(Intent, Vec<String>),
    /// Read a log.
    Log(Log),
}

/// The connection to the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// What is shown is what is.
    Live,
    /// What is shown is old; why.
    Lost(String),
}

/// The whole view.
#[derive(Clone, Debug)]
pub struct View {
    /// The operation; its steps are in `nodes`.
    pub operation: Operation,
    /// All steps, in order.
    pub nodes: Vec<Node>,
    /// Those that the filter lets through, as places in `nodes`.
    pub shown: Vec<usize>,
    /// The selected one, as a place in `shown`.
    pub selected: usize,
    /// The first line on the screen, as a place in `shown`.
    pub top: usize,
    /// Lines that fit; set when it is drawn.
    pub page: usize,
    /// Only steps that contain this, in name, state or note.
    pub filter: String,
    /// What keys do.
    pub mode: Mode,
    /// The last thing that happened, for the line above the keys.
    pub message: String,
    /// The connection.
    pub link: Link,
}

impl View {
    /// A view of an operation, the selection on the first step that waits for a person.
    pub fn new(operation: Operation) -> Self {
        let mut view = Self {
            nodes: graph::nodes(&operation),
            operation,
            shown: Vec::new(),
            selected: 0,
            top: 0,
            page: 20,
            filter: String::new(),
            mode: Mode::Graph,
            message: String::new(),
            link: Link::Live,
        };
        view.sieve();
        view.next_waiting();
        view
    }

    /// The operation as it is now. The selection stays on its step.
    pub fn update(&mut self, operation: Operation) {
        let selected = self.node().map(|node| node.hook.clone());
        self.nodes = graph::nodes(&operation);
        self.operation = operation;
        self.link = Link::Live;
        self.sieve();
        if let Some(hook) = selected
            && let Some(at) = self.shown.iter().position(|at| self.nodes[*at].hook == hook)
        {
            self.selected = at;
        }
        self.scroll();
    }

    /// The selected step.
    pub fn node(&self) -> Option<&Node> {
        self.shown.get(self.selected).map(|at| &self.nodes[*at])
    }

    /// The newest attempt of the selected step.
    pub fn attempt(&self) -> Option<AttemptId> {
        let node = self.node().filter(|node| node.attempt > 0)?;
        Some(AttemptId { operation: self.operation.id, step: node.hook.clone(), number: node.attempt })
    }

    /// Sets the filter.
    pub fn filter(&mut self, filter: String) {
        self.filter = filter;
        self.sieve();
        self.scroll();
    }

    fn sieve(&mut self) {
        let wanted = self.filter.to_lowercase();
        let matches = |node: &Node| {
            wanted.is_empty()
                || [&node.path, &node.note, &crate::output::word(&node.state)]
                    .into_iter()
                    .any(|text| text.to_lowercase().contains(&wanted))
        };
        self.shown = (0..self.nodes.len()).filter(|at| matches(&self.nodes[*at])).collect();
        self.selected = self.selected.min(self.shown.len().saturating_sub(1));
    }

    /// Moves the selection by lines; it stops at the ends.
    pub fn go(&mut self, lines: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(lines).min(last);
        self.scroll();
    }

    /// To the next step that waits for a person, round and round.
    pub fn next_waiting(&mut self) {
        let count = self.shown.len();
        let after = (1..=count).map(|by| (self.selected + by) % count);
        // The first call looks at the selected one too: it is the last of the round.
        let mut waiting = after.filter(|at| self.nodes[self.shown[*at]].waiting);
        if let Some(at) = waiting.next() {
            self.selected = at;
        }
        self.scroll();
    }

    /// Keeps the selection on the screen.
    pub fn scroll(&mut self) {
        let page = self.page.max(1);
        self.top = self.top.clamp((self.selected + 1).saturating_sub(page), self.selected);
        self.top = self.top.min(self.shown.len().saturating_sub(page));
    }

    /// Begins a verb: a question for the reason, or at once what would happen.
    pub fn begin(&mut self, verb: Verb) {
        let refused = match (self.operation.done, verb.replays()) {
            (true, false) => Some(format!("the operation has ended: nothing to {}", verb.word())),
            (false, true) => Some("the operation has not ended: rerun its steps instead".to_owned()),
            _ => None,
        };
        if let Some(why) = refused {
            self.message = why;
            return;
        }
        let node = self.node().filter(|_| !verb.of_operation());
        if node.is_none() && !verb.of_operation() {
            "no step is selected".clone_into(&mut self.message);
            return;
        }
        let intent = Intent {
            verb,
            step: node.map(|node| node.hook.clone()),
            reason: None,
            outputs: BTreeMap::new(),
            expected: node.map(|node| ExpectedStep { state: Some(node.state), attempt: Some(node.attempt) }),
            expected_state: verb.of_operation().then_some(self.operation.state),
        };
        self.message.clear();
        self.mode = Mode::Ask(Ask { intent, outputs: false, text: String::new() });
    }
}

impl Log {
    /// The log of an attempt, still empty.
    pub fn of(attempt: &AttemptId) -> Self {
        let title = format!("{} attempt {}", attempt.step.path(), attempt.number);
        Self { title, ..Self::default() }
    }

    /// Takes what the hook wrote. Escape sequences and other control characters are taken out: a log must not steer the
    /// terminal of who reads it.
    pub fn push(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for part in text.split_inclusive('\n') {
            let ended = part.ends_with('\n');
            let shown = anstream::adapter::strip_str(part).to_string().replace('\t', "    ");
            let clean = shown.chars().filter(|c| !c.is_control());
            match self.lines.back_mut().filter(|_| self.open) {
                Some(line) => {
                    let room = LOG_WIDTH.saturating_sub(line.chars().count());
                    line.extend(clean.take(room));
                }
                None => self.lines.push_back(clean.take(LOG_WIDTH).collect()),
            }
            self.open = !ended;
            // A reader who scrolled back stays at the same lines while new ones come.
            if ended && self.back > 0 {
                self.back += 1;
            }
        }
        while self.lines.len() > LOG_LINES {
            self.lines.pop_front();
        }
    }

    /// Moves by lines, backwards if negative.
    pub fn go(&mut self, lines: isize) {
        self.back = self.back.saturating_add_signed(-lines).min(self.lines.len().saturating_sub(1));
    }
}
