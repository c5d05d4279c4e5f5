//! Keys → changes of the view, and what is to be asked of the manager.

use super::verbs::Verb;
use super::view::{Ask, Intent, Log, Mode, View};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::collections::BTreeMap;
use tenantry_model::{AttemptId, OperationState};

/// Longest text that can be typed, in characters.
const MOST_TEXT: usize = 500;

/// What a key asks for beyond the view itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Leave.
    Quit,
    /// Ask what the verb would do.
    Preview(Intent),
    /// Do it.
    Act(Intent),
    /// Follow a log; `None`: no longer.
    Log(Option<AttemptId>),
}

/// Takes a key.
pub fn press(view: &mut View, key: KeyEvent) -> Option<Request> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Request::Quit);
    }
    // Taken out, so that a mode may change the view and be replaced.
    match std::mem::replace(&mut view.mode, Mode::Graph) {
        Mode::Graph => graph(view, key.code),
        Mode::Help => None,
        Mode::Filter => filter(view, key.code),
        Mode::Ask(ask) => answer(view, ask, key.code),
        Mode::Busy(intent) => {
            // What was sent cannot be taken back: the answer comes, whatever is pressed.
            view.mode = Mode::Busy(intent);
            None
        }
        Mode::Sure(intent, lines) => match key.code {
            KeyCode::Char('y') | KeyCode::Enter => {
                view.mode = Mode::Busy(intent.clone());
                Some(Request::Act(intent))
            }
            KeyCode::Char('n' | 'q') | KeyCode::Esc => {
                view.message = format!("{}: nothing was done", intent.verb.word());
                None
            }
            _ => {
                view.mode = Mode::Sure(intent, lines);
                None
            }
        },
        Mode::Log(log) => read(view, log, key.code),
    }
}

fn graph(view: &mut View, code: KeyCode) -> Option<Request> {
    let page = isize::try_from(view.page).unwrap_or(1);
    match code {
        KeyCode::Up => view.go(-1),
        KeyCode::Down => view.go(1),
        KeyCode::PageUp => view.go(-page),
        KeyCode::PageDown => view.go(page),
        KeyCode::Home => view.go(isize::MIN),
        KeyCode::End => view.go(isize::MAX),
        KeyCode::Tab => view.next_waiting(),
        KeyCode::Esc => view.filter(String::new()),
        KeyCode::Char('/') => view.mode = Mode::Filter,
        KeyCode::Char('?') => view.mode = Mode::Help,
        KeyCode::Char('q') => return Some(Request::Quit),
        KeyCode::Char('l') | KeyCode::Enter => match view.attempt() {
            Some(attempt) => {
                view.mode = Mode::Log(Log::of(&attempt));
                return Some(Request::Log(Some(attempt)));
            }
            None => "this step has not started yet: it has no log".clone_into(&mut view.message),
        },
        KeyCode::Char(key) => {
            if let Some(verb) = Verb::of_key(key, view.operation.state == OperationState::Paused) {
                view.begin(verb);
            }
        }
        _ => {}
    }
    None
}

fn filter(view: &mut View, code: KeyCode) -> Option<Request> {
    let mut text = view.filter.clone();
    match code {
        KeyCode::Enter => return None,
        KeyCode::Esc => text.clear(),
        _ => {
            edit(&mut text, code);
            view.mode = Mode::Filter;
        }
    }
    view.filter(text);
    None
}

fn answer(view: &mut View, mut ask: Ask, code: KeyCode) -> Option<Request> {
    match code {
        KeyCode::Esc => {
            view.message = format!("{}: nothing was done", ask.intent.verb.word());
            return None;
        }
        KeyCode::Enter => {}
        _ => {
            edit(&mut ask.text, code);
            view.message.clear();
            view.mode = Mode::Ask(ask);
            return None;
        }
    }
    let text = ask.text.trim().to_owned();
    if ask.outputs {
        match pairs(&text) {
            Ok(outputs) => ask.intent.outputs = outputs,
            Err(why) => {
                view.message = why;
                view.mode = Mode::Ask(ask);
                return None;
            }
        }
    } else if text.is_empty() && ask.intent.verb.needs_reason() {
        view.message = format!("{} needs a reason", ask.intent.verb.word());
        view.mode = Mode::Ask(ask);
        return None;
    } else {
        ask.intent.reason = (!text.is_empty()).then_some(text);
        if ask.intent.verb == Verb::Confirm {
            view.mode = Mode::Ask(Ask { outputs: true, text: String::new(), ..ask });
            return None;
        }
    }
    view.mode = Mode::Busy(ask.intent.clone());
    Some(Request::Preview(ask.intent))
}

/// `key=value key=value`: outputs have no spaces here; `tenantry op confirm --set` takes any.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split_whitespace()
        .map(|entry| match entry.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(format!("{entry}: write KEY=VALUE")),
        })
        .collect()
}

fn edit(text: &mut String, code: KeyCode) {
    match code {
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(key) if text.chars().count() < MOST_TEXT => text.push(key),
        _ => {}
    }
}

fn read(view: &mut View, mut log: Log, code: KeyCode) -> Option<Request> {
    let page = isize::try_from(view.page).unwrap_or(1);
    match code {
        KeyCode::Esc | KeyCode::Char('q' | 'l') => return Some(Request::Log(None)),
        KeyCode::Up => log.go(-1),
        KeyCode::Down => log.go(1),
        KeyCode::PageUp => log.go(-page),
        KeyCode::PageDown => log.go(page),
        KeyCode::Home => log.go(isize::MIN + 1),
        KeyCode::End => log.go(isize::MAX),
        _ => {}
    }
    view.mode = Mode::Log(log);
    None
}
