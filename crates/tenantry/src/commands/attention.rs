//! `tenantry attention`

use super::{Context, connect, connect::all};
use crate::cli::AttentionArgs;
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{Attention, AttentionQuery};

impl Rows for Attention {
    const HEADINGS: &'static [&'static str] = &["since", "what", "message", "resolve it with"];
    fn cells(&self) -> Vec<String> {
        vec![self.raised_at.to_string(), output::word(&self.kind), self.message.clone(), self.remedy.clone()]
    }
}

/// Runs the command.
pub async fn run(context: Context, args: AttentionArgs) -> Result<Exit> {
    let client = connect(args.connection)?;
    let operation = args.operation.as_deref().map(super::resolve::operation).transpose()?;
    let query = AttentionQuery { operation, settled: args.settled, ..AttentionQuery::default() };
    let items = all(args.limit, |page_size, page_token| {
        let query = AttentionQuery { page_size: Some(page_size), page_token, ..query.clone() };
        let client = &client;
        async move { client.attention(&query).await }
    })
    .await?;
    output::list(context.format, &items)?;
    Ok(Exit::Done)
}
