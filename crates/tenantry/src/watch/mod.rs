//! `tenantry op watch`: a live view of an operation in a terminal, its events as lines or JSON elsewhere. `view`, `keys`,
//! `graph` and `draw` are pure; `terminal` and `lines` speak to the world, `calls` to the manager.

mod calls;
mod draw;
mod graph;
mod keys;
mod lines;
mod style;
mod terminal;
mod verbs;
mod view;

#[cfg(test)]
#[allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that unwraps says where it broke")]
mod samples;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps says where it broke")]
mod tests;

use crate::cli::{Format, Wait};
use crate::exit::Exit;
use anyhow::Result;
use std::io::IsTerminal;
use tenantry_client::Client;
use tenantry_model::OperationId;

/// The words of the verbs that are refused without a reason.
#[cfg(test)]
pub fn verbs_with_reason() -> Vec<&'static str> {
    let needs = verbs::Verb::ALL.into_iter().filter(|verb| verb.needs_reason());
    needs.map(verbs::Verb::word).filter(|word| !word.contains(' ')).collect()
}

/// Watches an operation: in a terminal until the person leaves, elsewhere until it has ended, or with
/// [`Wait::Decision`] until a step waits for a person.
pub async fn watch(client: &Client, id: OperationId, until: Wait, format: Format) -> Result<Exit> {
    let operation = client.operation(id).await?;
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb;
    match format {
        Format::Table if terminal => terminal::run(client, operation).await,
        _ => lines::run(client, operation, until, format).await,
    }
}
