//! `tenantry retention …`

use super::{Context, connect};
use crate::cli::RetentionCommand;
use crate::exit::Exit;
use crate::output;
use anyhow::Result;
use tenantry_api_types::v1::{Retention, RunRetention};
use tenantry_client::Call;

/// Runs the command.
pub async fn run(context: Context, command: RetentionCommand) -> Result<Exit> {
    let found = match command {
        RetentionCommand::Preview { connection } => connect(connection)?.preview_retention().await?,
        RetentionCommand::Run { clock_is_right, connection } => {
            let client = connect(connection)?;
            let body = RunRetention { clock_is_right };
            let mut gone = client.run_retention(&body, &Call::default()).await?;
            while gone.more {
                gone = sum(gone, client.run_retention(&body, &Call::default()).await?);
            }
            gone
        }
    };
    output::one(context.format, &found, |found| {
        let more = if found.more { " or more" } else { "" };
        let mut lines = vec![
            ("operations", format!("{}{more}", found.operations)),
            ("logs alone", format!("{}{more}", found.logs)),
            ("logs without operation", found.orphans.to_string()),
            ("events", found.events.to_string()),
            ("settled attention", found.attentions.to_string()),
            ("answers", found.answers.to_string()),
        ];
        if found.clock_doubted {
            let note = "the clock is in doubt, nothing of it goes: tenantry attention";
            lines.push(("waits", note.to_owned()));
        }
        lines
    })?;
    Ok(Exit::Done)
}

fn sum(one: Retention, other: Retention) -> Retention {
    Retention {
        operations: one.operations + other.operations,
        logs: one.logs + other.logs,
        orphans: one.orphans + other.orphans,
        events: one.events + other.events,
        attentions: one.attentions + other.attentions,
        answers: one.answers + other.answers,
        more: other.more,
        clock_doubted: other.clock_doubted,
    }
}
