//! The live view in a terminal: keys, changes and answers come in, a frame goes out. The terminal is given back as it
//! was, however the view ends.

use super::calls::{self, Outcome};
use super::draw::draw;
use super::keys::{Request, press};
use super::style::Palette;
use super::view::{Intent, Link, Mode, View};
use crate::exit::Exit;
use anyhow::{Context, Result};
use crossterm::event::{Event, EventStream};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use futures::StreamExt;
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{Stdout, stdout};
use std::time::Duration;
use tenantry_api_types::v1::Operation;
use tenantry_client::{Client, Steered};
use tenantry_model::{AttemptId, OperationId, OperationState, with_causes};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How often durations move on when nothing else happens.
const TICK: Duration = Duration::from_secs(1);
/// Pause before a connection is tried again that failed for the client's whole patience.
const AGAIN: Duration = Duration::from_secs(2);
/// Messages that may wait to be drawn; who sends more waits.
const WAITING: usize = 256;

/// What happens beside keys.
enum Update {
    Operation(Box<Operation>),
    Lost(String),
    /// What a verb would do, or why it cannot.
    Previewed(Intent, Result<Vec<String>, String>),
    /// What a verb did.
    Acted(Intent, Result<Outcome, String>),
    Log(Result<(Vec<u8>, bool), String>),
}

/// The terminal while it is ours.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn open() -> Result<Self> {
        enable_raw_mode().context("cannot read single keys of this terminal")?;
        // From here on dropping gives the terminal back, also when the next line fails.
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        let entered = execute!(stdout(), EnterAlternateScreen, cursor::Hide);
        match (terminal, entered) {
            (Ok(terminal), Ok(())) => Ok(Self { terminal }),
            (Err(error), _) | (_, Err(error)) => {
                give_back();
                Err(error).context("cannot draw in this terminal")
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    let _ = execute!(stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// Shows the operation until the person leaves. The exit code says how it stood then.
pub async fn run(client: &Client, first: Operation) -> Result<Exit> {
    let mut id = first.id;
    let (send, mut updates) = mpsc::channel(WAITING);
    let mut follower = AbortOnDropHandle::new(tokio::spawn(follow(client.clone(), id, send.clone())));
    let mut log: Option<AbortOnDropHandle<()>> = None;
    let mut call: Option<AbortOnDropHandle<()>> = None;
    let mut end = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let palette = Palette::from_environment();
    let mut view = View::new(first);
    let mut screen = Screen::open()?;
    let mut input = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        screen
            .terminal
            .draw(|frame| draw(frame, &mut view, palette, Timestamp::now()))
            .context("cannot draw in this terminal")?;
        let request = tokio::select! {
            event = input.next() => match event {
                Some(Ok(Event::Key(key))) => press(&mut view, key),
                // A new size is read when the next frame is drawn.
                Some(Ok(_)) => None,
                Some(Err(error)) => return Err(error).context("cannot read keys of this terminal"),
                None => Some(Request::Quit),
            },
            update = updates.recv() => {
                // Changes that came together are drawn together.
                if let Some(update) = update {
                    take(&mut view, update);
                }
                while let Ok(update) = updates.try_recv() {
                    take(&mut view, update);
                }
                None
            }
            _ = tick.tick() => None,
            _ = end.recv() => Some(Request::Quit),
            _ = hangup.recv() => Some(Request::Quit),
        };
        // A replay has made the operation that is shown now.
        if view.operation.id != id {
            id = view.operation.id;
            let next = AbortOnDropHandle::new(tokio::spawn(follow(client.clone(), id, send.clone())));
            drop(std::mem::replace(&mut follower, next));
        }
        match request {
            None => {}
            Some(Request::Quit) => return Ok(exit(&view.operation)),
            Some(Request::Log(attempt)) => {
                log = attempt.map(|attempt| {
                    AbortOnDropHandle::new(tokio::spawn(follow_log(client.clone(), attempt, send.clone())))
                });
            }
            Some(Request::Preview(intent)) => {
                let (client, send) = (client.clone(), send.clone());
                call = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                    let lines = calls::preview(&client, id, &intent).await;
                    let _ = send.send(Update::Previewed(intent, lines)).await;
                })));
            }
            Some(Request::Act(intent)) => {
                let (client, send) = (client.clone(), send.clone());
                call = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                    let done = calls::act(&client, id, &intent).await;
                    let _ = send.send(Update::Acted(intent, done)).await;
                })));
            }
        }
        if !matches!(view.mode, Mode::Log(_)) {
            drop(log.take());
        }
        // Only `Busy` waits for an answer, and it is left by the answer alone.
        if !matches!(view.mode, Mode::Busy(_)) {
            drop(call.take());
        }
    }
}

fn take(view: &mut View, update: Update) {
    match update {
        // What still comes of the operation before a replay is not what is shown.
        Update::Operation(operation) if operation.id == view.operation.id => view.update(*operation),
        Update::Operation(_) => {}
        Update::Lost(why) => view.link = Link::Lost(why),
        Update::Previewed(intent, answer) => {
            if view.mode == Mode::Busy(intent.clone()) {
                match answer {
                    Ok(lines) => view.mode = Mode::Sure(intent, lines),
                    Err(why) => refuse(view, &intent, &why),
                }
            }
        }
        Update::Acted(intent, answer) => {
            view.mode = Mode::Graph;
            match answer {
                Ok(Outcome::Steered(Steered::Done(operation))) => {
                    view.message = format!("{}: done", intent.verb.word());
                    view.update(*operation);
                }
                Ok(Outcome::Steered(Steered::Pending(approval))) => {
                    let word = intent.verb.word();
                    view.message = format!(
                        "{word}: a second person must approve it: tenantry approval approve {}",
                        approval.id
                    );
                }
                Ok(Outcome::Steered(Steered::Preview(_))) => {
                    view.message = format!("{}: nothing was done", intent.verb.word());
                }
                Ok(Outcome::Replayed(operation)) => {
                    let of = view.operation.id;
                    *view = View::new(*operation);
                    view.message = format!("replay of {of}");
                }
                Err(why) => refuse(view, &intent, &why),
            }
        }
        Update::Log(part) => {
            if let Mode::Log(log) = &mut view.mode {
                match part {
                    Ok((bytes, complete)) => {
                        log.push(&bytes);
                        log.complete = complete;
                    }
                    Err(why) => log.push(format!("\n[the log broke off: {why}]\n").as_bytes()),
                }
            }
        }
    }
}

fn refuse(view: &mut View, intent: &Intent, why: &str) {
    view.mode = Mode::Graph;
    view.message = format!("{}: {}", intent.verb.word(), why.replace('\n', "; "));
}

/// Sends the operation after each change until it has ended. The client's stream goes on after its last event when a
/// connection breaks; when it gives up, it is asked again.
async fn follow(client: Client, id: OperationId, send: mpsc::Sender<Update>) {
    loop {
        let mut changes = std::pin::pin!(client.watch_operation(id));
        while let Some(change) = changes.next().await {
            let update = match change {
                Ok(operation) if operation.done => {
                    let _ = send.send(Update::Operation(Box::new(operation))).await;
                    return;
                }
                Ok(operation) => Update::Operation(Box::new(operation)),
                Err(error) => Update::Lost(with_causes(&error)),
            };
            if send.send(update).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow_log(client: Client, attempt: AttemptId, send: mpsc::Sender<Update>) {
    let mut ranges = std::pin::pin!(client.follow_log(&attempt, 0));
    while let Some(range) = ranges.next().await {
        let part = match range {
            Ok(range) => Ok((range.bytes.to_vec(), range.complete)),
            Err(error) => Err(with_causes(&error)),
        };
        let last = !matches!(part, Ok((_, false)));
        if send.send(Update::Log(part)).await.is_err() || last {
            return;
        }
    }
}

/// As `op watch` without a terminal would end at this moment.
fn exit(operation: &Operation) -> Exit {
    match operation.state {
        OperationState::Failed | OperationState::Cancelled => Exit::Failed,
        _ if operation.steps.iter().flatten().any(|step| step.waiting) => Exit::NeedsPerson,
        _ => Exit::Done,
    }
}
