//! `tenantry check`: through the API of a running manager, or on the data folder of a stopped one.

use super::{Context, connect, connect::all_lines};
use crate::cli::{CheckArgs, Format};
use crate::exit::{Exit, Failure};
use crate::output::{self, Rows};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::sync::Arc;
use tenantry_api_types::v1::{CheckLine, CheckQuery, Finding, OpenCommand};
use tenantry_logs::LogStore;
use tenantry_manager::{CheckOptions, Manager, ManagerConfig};
use tenantry_model::with_causes;
use tenantry_store::StoreError;
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
        at_rest(folder, args.logs.as_deref(), args.deep, &mut answer).await?;
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

/// Looks and makes nothing. What keeps it from looking never ends with [`Exit::Failed`], which says that something was
/// found.
async fn at_rest(folder: &Path, logs: Option<&Path>, deep: bool, answer: &mut Answer) -> Result<()> {
    if !folder.join("tenantry.db").is_file() {
        let message = format!(
            "{} holds no database tenantry.db: name the data folder of a manager that keeps its rows there; one with \
             another store is asked while it runs",
            folder.display()
        );
        return Err(Failure::new(Exit::NotFound, message).into());
    }
    let store = SqliteStore::open_to_look(folder).await.map_err(|error| match &error {
        StoreError::InUse(holder) => {
            let holder = holder.split(": stop it").next().unwrap_or(holder);
            let hint = "stop it, or leave out --data: it checks itself while it runs";
            Failure::new(Exit::Conflict, format!("{holder}: {hint}"))
        }
        error => Failure::new(Exit::Refused, with_causes(error)),
    })?;
    let place = logs.map_or_else(|| folder.join("logs"), Path::to_owned);
    if !place.is_dir() {
        if logs.is_some() {
            return Err(
                Failure::new(Exit::NotFound, format!("there is no folder {}", place.display())).into()
            );
        }
        let place = place.display();
        anstream::eprintln!(
            "there is no {place}: without logs; --logs FOLDER names those that lie elsewhere"
        );
    }
    let manager = Manager::new(Arc::new(store), LogStore::at_rest(&place), ManagerConfig::default());
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
