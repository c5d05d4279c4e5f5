//! `tenantry hook …`

use super::resolve::{environment, name};
use super::{Context, change, connect, connect::all};
use crate::cli::{Format, HookCommand};
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{ExplainQuery, Hook, HookExplanation, HooksQuery, RetireHook};

impl Rows for Hook {
    const HEADINGS: &'static [&'static str] =
        &["hook", "state", "operations", "after", "selector", "problem"];
    fn cells(&self) -> Vec<String> {
        let version = self.current.as_ref().or(self.last_good.as_ref());
        let operations: Vec<String> =
            version.iter().flat_map(|version| &version.operations).map(ToString::to_string).collect();
        let after: Vec<String> = version
            .iter()
            .flat_map(|version| &version.after)
            .map(|target| format!("{}{}", target.hook, if target.optional { "?" } else { "" }))
            .collect();
        vec![
            self.hook.to_string(),
            output::word(&self.state),
            operations.join(","),
            after.join(","),
            version.map(|version| version.selector.clone()).unwrap_or_default(),
            self.problems.first().map(|problem| problem.message.clone()).unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: HookCommand) -> Result<Exit> {
    match command {
        HookCommand::List { region, limit, connection } => {
            let client = connect(connection)?;
            let query =
                HooksQuery { region: region.as_deref().map(name).transpose()?, ..HooksQuery::default() };
            let items = all(limit, |page_size, page_token| {
                let query = HooksQuery { page_size: Some(page_size), page_token, ..query.clone() };
                let client = &client;
                async move { client.hooks(&query).await }
            })
            .await?;
            output::list(context.format, &items)?;
            Ok(Exit::Done)
        }
        HookCommand::Explain { hook, environment: text, operation, connection } => {
            let client = connect(connection)?;
            let query = ExplainQuery {
                environment: environment(&client, &text).await?.id,
                operation: name(&operation)?,
            };
            let hook = super::resolve::hook(&client, &hook).await?;
            let explanation = client.explain_hook(&hook, &query).await?;
            explain(context, &explanation)?;
            Ok(Exit::Done)
        }
        HookCommand::Retire { hook, reason, change, connection } => {
            let client = connect(connection)?;
            let hook = super::resolve::hook(&client, &hook).await?;
            let call = change::call(&change, None);
            let hook = client.retire_hook(&hook, &RetireHook { reason }, &call).await?;
            output::list(context.format, &[hook])?;
            change::only_checked(change.validate_only);
            Ok(Exit::Done)
        }
        HookCommand::Lint { files, annotation_domains } => {
            super::hook_files::lint(context, &files, &annotation_domains)
        }
        HookCommand::Run { .. } => super::hook_run::run(context, command).await,
    }
}

fn explain(context: Context, explanation: &HookExplanation) -> Result<()> {
    if context.format != Format::Table {
        return output::document(context.format, explanation);
    }
    output::print(&format!("{}\n", explanation.summary))?;
    output::table(
        &["result", "question", "finding"],
        explanation
            .checks
            .iter()
            .map(|check| vec![output::word(&check.result), check.name.clone(), check.detail.clone()]),
    )?;
    if !explanation.waits_for.is_empty() {
        let after: Vec<String> = explanation.waits_for.iter().map(|hook| hook.path().to_string()).collect();
        output::print(&format!("it waits for {}\n", after.join(", ")))?;
    }
    Ok(())
}
