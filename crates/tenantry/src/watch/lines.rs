//! An operation's events without a terminal: one line each, for people, or as JSON for programs.
//!
//! The events begin with the oldest that is kept, so that nothing falls between asking and listening. When the wait is over,
//! what was committed before is still printed.

use crate::cli::{Format, Wait};
use crate::commands::told;
use crate::exit::Exit;
use crate::output::{document, print};
use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::Value;
use std::time::Duration;
use tenantry_api_types::v1::{Event, Operation};
use tenantry_client::{Client, EventScope, WaitFor, Waited};

/// How long events are waited for that the end of the operation promises.
const DRAIN: Duration = Duration::from_secs(10);
/// After this silence nothing more of one commit is to come.
const QUIET: Duration = Duration::from_millis(250);

/// Prints events until the wait is over.
pub async fn run(client: &Client, operation: Operation, until: Wait, format: Format) -> Result<Exit> {
    let until = match until {
        Wait::Decision => WaitFor::DoneOrDecision,
        Wait::Settled => WaitFor::Settled,
    };
    let mut events = Box::pin(client.events(EventScope::Operation(operation.id), Some(0)).fuse());
    let mut wait = Box::pin(client.wait_operation(operation.id, until, None, |_| {}));
    let waited = loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => show(&event?, format)?,
                // The operation has ended; what is missing is how.
                None => break wait.await?,
            },
            waited = &mut wait => break waited?,
        }
    };
    let drained = tokio::time::timeout(DRAIN, async {
        // The event that ended the wait, then those of the same commit: they come together.
        let mut pause = DRAIN;
        while let Ok(Some(event)) = tokio::time::timeout(pause, events.next()).await {
            let event = event?;
            show(&event, format)?;
            if says(&waited, &event) {
                pause = QUIET;
            }
        }
        anyhow::Ok(())
    });
    // Without them the exit code and the hints still say how it stands.
    if let Ok(result) = drained.await {
        result?;
    }
    Ok(told(&waited))
}

/// The event that ended the wait.
fn says(waited: &Waited, event: &Event) -> bool {
    let Waited::NeedsDecision(operation) = waited else { return false };
    operation.steps.iter().flatten().filter(|step| step.waiting).any(|step| {
        event.data["step"] == step.id
            && event.data["waiting"] == true
            && event.data["attempt"] == step.attempt
    })
}

fn show(event: &Event, format: Format) -> Result<()> {
    match format {
        Format::Table => print(&(line(event) + "\n")),
        Format::Json => {
            print(&(serde_json::to_string(event).context("cannot write an event as JSON")? + "\n"))
        }
        Format::Yaml => {
            print("---\n")?;
            document(format, event)
        }
    }
}

/// Time, what, and its state, with what explains it.
fn line(event: &Event) -> String {
    let data = &event.data;
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    // `eu1/crm/schema` → `crm/schema`, as in all other output.
    let hook = text("hook").split_once('/').map_or("", |(_, path)| path);
    let mut parts = vec![format!("{:.0}", event.at)];
    match event.kind.strip_prefix("io.tenantry.").unwrap_or(&event.kind) {
        "step.changed.v1" => {
            parts.push(format!("{hook} {}", text("state")));
            for flag in ["waiting", "held", "stale"] {
                if data[flag] == true {
                    parts.push(flag.to_owned());
                }
            }
        }
        "attempt.changed.v1" => {
            parts.push(format!("{hook} attempt {} {}", data["number"], text("state")));
            if !data["unknownSince"].is_null() {
                parts.push("unknown".to_owned());
            }
            match data["outcome"]["reason"].as_str() {
                Some(reason) => parts.push(format!("{reason}{}", code(&data["outcome"]["exitCode"]))),
                None if !text("waitingFor").is_empty() => {
                    parts.push(format!("waits for {}", text("waitingFor")));
                }
                None => {}
            }
        }
        "operation.changed.v1" => {
            parts.push(format!("operation {}", text("state")));
            if !text("note").is_empty() {
                parts.push(text("note").to_owned());
            }
        }
        other => parts.push(other.trim_end_matches(".v1").replace('.', " ")),
    }
    parts.join("  ")
}

fn code(code: &Value) -> String {
    if code.is_null() { String::new() } else { format!(" (exit code {code})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, data: &Value) -> Event {
        serde_json::from_value(json!({
            "position": 7, "type": format!("io.tenantry.{kind}.v1"), "version": 3, "at": "2026-03-03T03:00:00.25Z",
            "data": data,
        }))
        .expect("a sample is an event")
    }

    #[test]
    fn each_event_is_one_line_that_explains_itself() {
        let lines = [
            event("step.changed", &json!({"hook": "eu1/bank/sum", "state": "blocked", "held": true})),
            event(
                "attempt.changed",
                &json!({"hook": "eu1/bank/sum", "number": 2, "state": "failed",
                    "outcome": {"reason": "hook-failed", "exitCode": 1}}),
            ),
            event("operation.changed", &json!({"state": "failed", "note": "cancelled by anna"})),
            event("attention.raised", &json!({})),
        ]
        .map(|event| line(&event));
        assert_eq!(
            lines,
            [
                "2026-03-03T03:00:00Z  bank/sum blocked  held",
                "2026-03-03T03:00:00Z  bank/sum attempt 2 failed  hook-failed (exit code 1)",
                "2026-03-03T03:00:00Z  operation failed  cancelled by anna",
                "2026-03-03T03:00:00Z  attention raised",
            ]
        );
    }
}
