//! The sinks that events are carried to, from settings: pagers, and those of the document `event-sinks`. And the stream from
//! which events come: the document `event-inbox`.

use crate::exit::{Exit, Failure};
use crate::settings::{OfGroup, Settings};
use anyhow::Result;
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use tenantry_events::{CommandSink, EventInbox, EventSinks, HttpSink, Sink};
use tenantry_manager::{Inbox, Outlet, Wants};

/// All of them.
pub fn outlets<G: OfGroup>(settings: &Settings<G>) -> Result<Vec<Outlet>> {
    let mut outlets: Vec<Outlet> = pagers(settings)?.into_iter().map(Outlet::pager).collect();
    if let Some(file) = settings.get("event-sinks") {
        let usage = |why| Failure::new(Exit::Usage, format!("event-sinks: {why}"));
        let document = EventSinks::from_file(Path::new(file)).map_err(usage)?;
        let found = document.configure().map_err(|why| usage(format!("{file}: {why}")))?;
        let outlet = |one: tenantry_events::Configured| Outlet {
            sink: one.sink,
            wants: Wants::Types(one.types),
            to: one.to,
        };
        outlets.extend(found.into_iter().map(outlet));
    }
    Ok(outlets)
}

/// The stream from which operations are asked for, if there is one.
pub fn inbox<G: OfGroup>(settings: &Settings<G>) -> Result<Option<Inbox>> {
    let Some(file) = settings.get("event-inbox") else { return Ok(None) };
    let usage = |why| Failure::new(Exit::Usage, format!("event-inbox: {why}"));
    let document = EventInbox::from_file(Path::new(file)).map_err(usage)?;
    let source = document.configure().map_err(|why| usage(format!("{file}: {why}")))?;
    Ok(Some(Inbox { source, token_file: document.token_file }))
}

/// What tells this installation's events from another one's, if somebody says.
pub fn source<G: OfGroup>(settings: &Settings<G>) -> Result<Option<String>> {
    let Some(source) = settings.get("event-source") else { return Ok(None) };
    let good =
        source.contains(':') && source.len() <= 500 && source.bytes().all(|byte| byte.is_ascii_graphic());
    if !good {
        let message = "setting `event-source` must be a URI with its scheme, of at most 500 characters";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    Ok(Some(source.to_owned()))
}

/// Their names tell them apart, so the same one twice is an error.
fn pagers<G: OfGroup>(settings: &Settings<G>) -> Result<Vec<Arc<dyn Sink>>> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let token = match settings.get("notify-token-file") {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                usage(format!("cannot read the file {file} (notify-token-file): {error}"))
            })?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    for url in settings.list("notify-http") {
        let token = token.clone().map(SecretString::from);
        sinks.push(Arc::new(
            HttpSink::new(&url, token).map_err(|error| usage(format!("notify-http: {error}")))?,
        ));
    }
    for program in settings.list("notify-command") {
        sinks.push(Arc::new(CommandSink::new(Path::new(&program))));
    }
    for (at, sink) in sinks.iter().enumerate() {
        if sinks.iter().take(at).any(|other| other.name() == sink.name()) {
            return Err(usage(format!(
                "two sinks are called {}: one place in the stream is kept for each",
                sink.name()
            ))
            .into());
        }
    }
    Ok(sinks)
}
