//! `tenantry region …`

use super::{Context, change, connect, connect::all, resolve::name};
use crate::cli::{Format, RegionCommand};
use crate::exit::Exit;
use crate::output::{self, Rows, age};
use anyhow::Result;
use jiff::Timestamp;
use tenantry_api_types::v1::{CreateRegion, PageQuery, Region};

impl Rows for Region {
    const HEADINGS: &'static [&'static str] = &["name", "executor", "agent", "state", "last seen"];
    fn cells(&self) -> Vec<String> {
        let state = match (self.last_seen_at, self.alive, self.inventory_complete) {
            (None, ..) => "no agent yet",
            (_, false, _) => "silent",
            (_, true, false) => "reading hooks",
            (_, true, true) => "ready",
        };
        vec![
            self.name.to_string(),
            self.executor.as_ref().map(output::word).unwrap_or_default(),
            self.agent_version.clone().unwrap_or_default(),
            state.to_owned(),
            self.last_seen_at.map(|at| format!("{} ago", age(at, Timestamp::now()))).unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: RegionCommand) -> Result<Exit> {
    match command {
        RegionCommand::Create { name: region, change, connection } => {
            let body = CreateRegion { name: name(&region)? };
            let region = connect(connection)?.create_region(&body, &change::call(&change, None)).await?;
            output::list(context.format, &[region])?;
            change::only_checked(change.validate_only);
        }
        RegionCommand::List { connection } => {
            let client = connect(connection)?;
            let items = all(1000, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.regions(&query).await }
            })
            .await?;
            output::list(context.format, &items)?;
        }
        RegionCommand::Commands { name: region, connection } => {
            let commands = connect(connection)?.open_commands(&name(&region)?).await?;
            output::list(context.format, &commands.items)?;
        }
        RegionCommand::JoinToken { name: region, change, connection } => {
            let call = change::call(&change, None);
            let token = connect(connection)?.create_join_token(&name(&region)?, &call).await?;
            if context.format == Format::Table && !change.validate_only {
                anstream::eprintln!("give it to one agent, once: `tenantry agent --join-token …`");
                output::print(&format!("{}\n", token.token))?;
            } else if context.format != Format::Table {
                output::document(context.format, &token)?;
            }
            change::only_checked(change.validate_only);
        }
    }
    Ok(Exit::Done)
}
