//! `tenantry event …`

use super::inbox;
use super::resolve::usage;
use super::{Context, change::only_checked, connect, connect::all};
use crate::cli::{DeadLetterCommand, EventCommand, EventSinkCommand};
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use tenantry_api_types::v1::{
    ChangedDeadLetters, DeadLetter, DiscardEvents, EventSink, ForgetEventSink, PageQuery, RedeliverEvents,
    ReplayEvents,
};
use tenantry_client::Call;

impl Rows for EventSink {
    const HEADINGS: &'static [&'static str] =
        &["sink", "to", "types", "position", "newest", "parked", "dead letters", "problem"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.to.clone(),
            if self.types.is_empty() { "all".to_owned() } else { self.types.join(", ") },
            self.position.to_string(),
            self.newest.to_string(),
            self.parked.len().to_string(),
            self.dead_letters.to_string(),
            self.problem.clone().unwrap_or_default(),
        ]
    }
}

impl Rows for DeadLetter {
    const HEADINGS: &'static [&'static str] =
        &["position", "type", "environment", "at", "tries", "problem", "wanted"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.position.to_string(),
            self.kind.clone(),
            self.environment.map(|id| id.to_string()).unwrap_or_default(),
            format!("{:.0}", self.at),
            self.tries.to_string(),
            self.problem.clone(),
            if self.wanted { "yes" } else { "" }.to_owned(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: EventCommand) -> Result<Exit> {
    match command {
        EventCommand::Sink(command) => sink(context, command).await?,
        EventCommand::DeadLetter(command) => dead_letter(context, command).await?,
        EventCommand::Inbox(command) => inbox::run(context, command).await?,
    }
    Ok(Exit::Done)
}

async fn sink(context: Context, command: EventSinkCommand) -> Result<()> {
    match command {
        EventSinkCommand::List { connection } => {
            let client = connect(connection)?;
            let items = all(usize::MAX, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.event_sinks(&query).await }
            })
            .await?;
            output::list(context.format, &items)
        }
        EventSinkCommand::Replay { sink, from_position, from, reason, dry_run, connection } => {
            let from_time = from.as_deref().map(since).transpose()?;
            let body = ReplayEvents { from_position, from_time, reason };
            let shown = connect(connection)?.replay_events(&sink, &body, &call(dry_run)).await?;
            output::one(context.format, &shown, |shown| {
                vec![
                    ("sink", shown.name.clone()),
                    ("delivered again after", shown.position.to_string()),
                    ("newest", shown.newest.to_string()),
                ]
            })?;
            only_checked(dry_run);
            Ok(())
        }
        EventSinkCommand::Forget { sink, reason, dry_run, connection } => {
            let body = ForgetEventSink { reason };
            connect(connection)?.forget_event_sink(&sink, &body, &call(dry_run)).await?;
            only_checked(dry_run);
            Ok(())
        }
    }
}

async fn dead_letter(context: Context, command: DeadLetterCommand) -> Result<()> {
    match command {
        DeadLetterCommand::List { sink, limit, connection } => {
            let client = connect(connection)?;
            let items = all(limit, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let (client, sink) = (&client, &sink);
                async move { client.dead_letters(sink, &query).await }
            })
            .await?;
            output::list(context.format, &items)
        }
        DeadLetterCommand::Redeliver { sink, positions, reason, dry_run, connection } => {
            let body = RedeliverEvents { positions, reason };
            let changed = connect(connection)?.redeliver(&sink, &body, &call(dry_run)).await?;
            show(context, &changed, "to be delivered")?;
            only_checked(dry_run);
            Ok(())
        }
        DeadLetterCommand::Discard { sink, positions, reason, dry_run, connection } => {
            let body = DiscardEvents { positions, reason };
            let changed = connect(connection)?.discard(&sink, &body, &call(dry_run)).await?;
            show(context, &changed, "thrown away")?;
            only_checked(dry_run);
            Ok(())
        }
    }
}

fn show(context: Context, changed: &ChangedDeadLetters, what: &'static str) -> Result<()> {
    output::one(context.format, changed, |changed| {
        let more = if changed.more { "; there are more: repeat the command" } else { "" };
        vec![("sink", changed.sink.clone()), (what, format!("{}{more}", changed.positions.len()))]
    })
}

pub(super) fn call(dry_run: bool) -> Call {
    Call { validate_only: dry_run, ..Call::default() }
}

/// A time, or as long ago as that.
fn since(text: &str) -> Result<Timestamp> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let length: SignedDuration = text.parse().map_err(|_| {
        usage(format!("{text:?} is neither a time (2026-11-21T06:00:00Z) nor a length of time (8h)"))
    })?;
    Timestamp::now().checked_sub(length).map_err(usage)
}
