//! `tenantry check`: through the API of a running manager, or on the data folder of a stopped one.

use super::{Context, chain, connect, connect::all_lines};
use crate::cli::{CheckArgs, Format};
use crate::exit::{Exit, Failure};
use crate::output::{self, Rows};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::sync::Arc;
use tenantry_api_types::v1::{CheckLine, CheckQuery, Finding, OpenCommand};
use tenantry_logs::LogStore;
use tenantry_manager::{CheckOptions, Manager, ManagerConfig};
use tenantry_store_sqlite::SqliteStore;
use tokio::sync::mpsc;

/// Longest line of the answer.
const MAX_LINE: usize = 1024 * 1024;

impl Rows for Finding {
    const HEADINGS: &'static [&'static str] = &["severity", "check", "row", "message", "remedy"];
    fn cells(&self) -> Vec<String> {
        vec![
            output::word(&self.severity),
            self.check.clone(),
            self.row.clone(),
            self.message.clone(),
            self.remedy.clone(),
        ]
    }
}

impl Rows for OpenCommand {
    const HEADINGS: &'static [&'static str] = &["id", "what", "operation", "step", "attempt", "leased until"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            output::word(&self.kind),
            self.operation.to_string(),
            self.step.to_string(),
            self.attempt.to_string(),
            self.leased_until.map(|at| at.to_string()).unwrap_or_default(),
        ]
    }
}

/// What came so far.
#[derive(Default)]
struct Answer {
    findings: Vec<Finding>,
    end: Option<CheckLine>,
}

impl Answer {
    fn take(&mut self, line: CheckLine) {
        match line {
            CheckLine::Progress { section, done } => anstream::eprintln!("{section}: {done}"),
            CheckLine::Finding(finding) => self.findings.push(finding),
            end @ CheckLine::End { .. } => self.end = Some(end),
        }
    }
}

/// Runs the command.
pub async fn run(context: Context, args: CheckArgs) -> Result<Exit> {
    let mut answer = Answer::default();
    if let Some(folder) = &args.folder {
        at_rest(folder, args.deep, &mut answer).await?;
    } else {
        let stream = connect(args.connection)?.check(&CheckQuery { deep: args.deep }).await?;
        all_lines(stream, MAX_LINE, |text| {
            answer.take(serde_json::from_str(text).context("the manager's answer cannot be read")?);
            Ok(())
        })
        .await?;
    }
    let Some(CheckLine::End { errors, warnings, checked }) = answer.end else {
        return Err(Failure::new(Exit::Failed, "the check broke off before its end").into());
    };
    if context.format != Format::Table || !answer.findings.is_empty() {
        output::list(context.format, &answer.findings)?;
    }
    let checked: Vec<String> = checked.iter().map(|(section, count)| format!("{count} {section}")).collect();
    anstream::eprintln!("looked at {}: {errors} errors, {warnings} warnings", checked.join(", "));
    Ok(if errors == 0 { Exit::Done } else { Exit::Failed })
}

async fn at_rest(folder: &Path, deep: bool, answer: &mut Answer) -> Result<()> {
    let refused = |error: &dyn std::error::Error| Failure::new(Exit::Failed, chain(error));
    let store = SqliteStore::open_to_look(folder).await.map_err(|error| refused(&error))?;
    let logs = LogStore::open(&folder.join("logs")).map_err(|error| refused(&error))?;
    let manager = Manager::new(Arc::new(store), logs, ManagerConfig::default());
    let (sender, mut lines) = mpsc::channel(64);
    let checking = async { manager.check(CheckOptions { deep }, sender).await };
    let reading = async {
        while let Some(line) = lines.recv().await {
            answer.take(line);
        }
    };
    tokio::join!(checking, reading);
    Ok(())
}
