//! From settings to a client, and from its errors to exit codes.

use crate::cli::Connection;
use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use std::{path::PathBuf, time::Duration};
use tenantry_client::{Client, ClientConfig, ClientError};
use tenantry_model::with_causes;

/// Makes a client. Nothing is sent yet.
pub fn connect(connection: Connection) -> Result<Client> {
    let settings = connection.resolve().map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    let mut config = ClientConfig::new(settings.need("url")?);
    let token = match (settings.get("token"), settings.get("token-file")) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(file)) => Some(
            std::fs::read_to_string(file).with_context(|| format!("cannot read the token file {file}"))?,
        ),
        (None, None) => None,
    };
    if let Some(token) = token {
        config = config.with_token(token.trim());
    }
    // A person waits: long enough for a manager that is being restarted, short enough to be told.
    config.retry_for = Duration::from_secs(3);
    config.ca_file = settings.get("ca-file").map(PathBuf::from);
    Ok(Client::new(&config)?)
}

/// The exit code of a failed call.
pub fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } | ClientError::Silent { .. } | ClientError::Protocol { .. } => {
            Exit::Unreachable
        }
        ClientError::Config(_) => Exit::Usage,
        ClientError::Deadline(_) => Exit::Failed,
        ClientError::Problem(problem) => match problem.status {
            404 | 410 => Exit::NotFound,
            409 | 412 | 428 => Exit::Conflict,
            502..=504 => Exit::Unreachable,
            400..=499 => Exit::Refused,
            _ => Exit::Failed,
        },
    }
}

/// What people read of a failed call: the detail, each single fault, the present state, the code.
pub fn explain(error: &ClientError) -> String {
    let Some(problem) = error.problem() else { return with_causes(error) };
    let mut text = problem.detail.clone();
    for fault in &problem.errors {
        let place = match (fault.line, fault.column) {
            (Some(line), Some(column)) => format!("{} (line {line}, column {column})", fault.pointer),
            _ => fault.pointer.clone(),
        };
        text.push_str(&format!("\n  {place}: {}", fault.detail));
    }
    if let Some(current) = &problem.current {
        text.push_str(&format!("\n  now: {current}"));
    }
    text.push_str(&format!("\n  code {}, request {}", problem.code, problem.instance));
    if problem.retryable {
        text.push_str("; the same command may succeed later");
    }
    if problem.status == 401 {
        text.push_str("\n  give a token with --token, TENANTRY_TOKEN or --token-file");
    }
    text
}

/// All items of a list that comes in pages, at most `limit`. Says on stderr when there are more.
pub async fn all<T, F>(limit: usize, mut page: impl FnMut(u32, Option<String>) -> F) -> Result<Vec<T>>
where
    F: Future<Output = tenantry_client::Result<tenantry_api_types::v1::List<T>>>,
{
    let mut items = Vec::new();
    let mut token = None;
    loop {
        let wanted = u32::try_from(limit.saturating_sub(items.len()).clamp(1, 1000)).unwrap_or(1000);
        let list = page(wanted, token).await?;
        items.extend(list.items);
        token = list.next_page_token;
        if token.is_none() {
            return Ok(items);
        }
        if items.len() >= limit {
            anstream::eprintln!("only the first {limit} are shown; --limit shows more");
            items.truncate(limit);
            return Ok(items);
        }
    }
}

/// Gives each line of a stream whose pieces end anywhere; a line longer than `longest` bytes is refused.
pub async fn all_lines<S>(pieces: S, longest: usize, mut line: impl FnMut(&str) -> Result<()>) -> Result<()>
where
    S: futures::Stream<Item = tenantry_client::Result<bytes::Bytes>>,
{
    use futures::StreamExt as _;
    let mut pieces = std::pin::pin!(pieces);
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let mut parts = piece.split(|byte| *byte == b'\n');
        // What follows the last line feed is the beginning of a line that is still to come.
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            rest.extend_from_slice(part);
            line(std::str::from_utf8(&rest).context("the manager's answer is no text")?)?;
            rest.clear();
        }
        rest.extend_from_slice(last);
        anyhow::ensure!(
            rest.len() <= longest,
            "the manager's answer has a line of more than {longest} bytes"
        );
    }
    if rest.is_empty() { Ok(()) } else { line(std::str::from_utf8(&rest).context("the answer is no text")?) }
}
