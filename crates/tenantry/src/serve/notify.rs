//! The sinks that attention is carried to, from settings.

use crate::exit::{Exit, Failure};
use crate::settings::{OfGroup, Settings};
use anyhow::Result;
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use tenantry_events::{CommandSink, HttpSink, Sink};

/// All sinks; their names tell them apart, so the same one twice is an error.
pub fn sinks<G: OfGroup>(settings: &Settings<G>) -> Result<Vec<Arc<dyn Sink>>> {
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
