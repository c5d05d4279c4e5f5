//! `tenantry event inbox …`

use super::event::call;
use super::{Context, change::only_checked, connect, connect::all};
use crate::cli::InboxCommand;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{DiscardMessages, PageQuery, RefusedMessage, RetryMessage};

impl Rows for RefusedMessage {
    const HEADINGS: &'static [&'static str] =
        &["id", "place", "source", "event", "refused", "code", "problem", "whole"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.place.clone(),
            self.source.clone().unwrap_or_default(),
            self.event.clone().unwrap_or_default(),
            format!("{:.0}", self.refused_at),
            self.code.clone(),
            self.problem.clone(),
            if self.whole { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: InboxCommand) -> Result<()> {
    match command {
        InboxCommand::List { limit, connection } => {
            let client = connect(connection)?;
            let items = all(limit, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.refused_messages(&query).await }
            })
            .await?;
            output::list(context.format, &items)
        }
        InboxCommand::Show { message, connection } => {
            let shown = connect(connection)?.refused_message(message).await?;
            output::one(context.format, &shown, |shown| {
                let cut = if shown.whole { "" } else { " (a part of it is kept)" };
                vec![
                    ("message", shown.id.to_string()),
                    ("place", shown.place.clone()),
                    ("subject", shown.subject.clone()),
                    ("published", shown.published_at.to_string()),
                    ("refused", shown.refused_at.to_string()),
                    ("code", shown.code.clone()),
                    ("problem", shown.problem.clone()),
                    ("bytes", format!("{}{cut}", shown.size)),
                    ("body", shown.body.clone().unwrap_or_default()),
                ]
            })
        }
        InboxCommand::Retry { message, reason, dry_run, connection } => {
            let body = RetryMessage { reason };
            let accepted = connect(connection)?.retry_message(message, &body, &call(dry_run)).await?;
            output::one(context.format, &accepted, |accepted| {
                let operation = accepted.operation.as_ref();
                vec![
                    ("environment", accepted.environment.id.to_string()),
                    ("operation", operation.map(|operation| operation.id.to_string()).unwrap_or_default()),
                ]
            })?;
            only_checked(dry_run);
            Ok(())
        }
        InboxCommand::Discard { messages, reason, dry_run, connection } => {
            let body = DiscardMessages { messages, reason };
            let discarded = connect(connection)?.discard_messages(&body, &call(dry_run)).await?;
            output::one(context.format, &discarded, |discarded| {
                let more = if discarded.more { "; there are more: repeat the command" } else { "" };
                vec![("thrown away", format!("{}{more}", discarded.messages.len()))]
            })?;
            only_checked(dry_run);
            Ok(())
        }
    }
}
