//! `tenantry approval …`

use super::resolve::{operation, usage};
use super::steer::show_preview;
use super::{Context, connect, connect::all};
use crate::cli::{ApprovalCommand, DecideArgs, Format};
use crate::exit::Exit;
use crate::output::{self, Rows, word};
use anyhow::Result;
use tenantry_api_types::v1::{Approval, ApprovalsQuery, DecideApproval, DecidedApproval};
use tenantry_client::Call;
use tenantry_model::ApprovalId;

impl Rows for Approval {
    const HEADINGS: &'static [&'static str] =
        &["approval", "state", "about", "step", "verb", "asked by", "until", "reason"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            word(&self.state),
            match self.operation {
                Some(operation) => format!("operation {operation}"),
                None => format!("environment {}", self.environment),
            },
            self.step.as_ref().map(|step| step.path().to_string()).unwrap_or_default(),
            self.verb.clone(),
            self.requested_by.name.clone(),
            format!("{:.0}", self.expires_at),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: ApprovalCommand) -> Result<Exit> {
    match command {
        ApprovalCommand::List { operation: of, decided, limit, connection } => {
            let client = connect(connection)?;
            let of = of.as_deref().map(operation).transpose()?;
            let items = all(limit, |page_size, page_token| {
                let query = ApprovalsQuery {
                    operation: of,
                    decided,
                    page_size: Some(page_size),
                    page_token,
                    ..ApprovalsQuery::default()
                };
                let client = &client;
                async move { client.approvals(&query).await }
            })
            .await?;
            output::list(context.format, &items)?;
        }
        ApprovalCommand::Get { approval, connection } => {
            show(context, &connect(connection)?.approval(id_of(&approval)?).await?)?;
        }
        ApprovalCommand::Approve(args) => decide(context, args, true).await?,
        ApprovalCommand::Reject(args) => decide(context, args, false).await?,
    }
    Ok(Exit::Done)
}

async fn decide(context: Context, args: DecideArgs, approve: bool) -> Result<()> {
    let client = connect(args.connection)?;
    let (id, body) = (id_of(&args.approval)?, DecideApproval { reason: args.reason });
    let call = Call { validate_only: args.dry_run, ..Call::default() };
    let decided =
        if approve { client.approve(id, &body, &call).await } else { client.reject(id, &body, &call).await }?;
    match (context.format, &decided) {
        (Format::Table, DecidedApproval { preview: Some(preview), .. }) => show_preview(context, preview),
        (Format::Table, DecidedApproval { purged: Some(purged), .. }) => super::purge::show(context, purged),
        (Format::Table, _) => show(context, &decided.approval),
        (format, _) => output::document(format, &decided),
    }
}

fn id_of(text: &str) -> Result<ApprovalId> {
    text.parse().map_err(|error| {
        usage(format!("approval {text:?} is no UUID ({error}); `tenantry approval list` shows them"))
    })
}

/// What happens next.
pub fn tell_second_person(approval: &Approval) {
    anstream::eprintln!(
        "a second person decides: `tenantry approval approve {0}` with another credential (or: reject)",
        approval.id
    );
}

/// One approval for people.
pub fn show(context: Context, approval: &Approval) -> Result<()> {
    output::one(context.format, approval, |approval| {
        let decided = approval.decided_by.as_ref().map(|by| by.name.clone());
        vec![
            ("approval", approval.id.to_string()),
            ("state", word(&approval.state)),
            ("environment", approval.environment.to_string()),
            ("operation", approval.operation.map(|id| id.to_string()).unwrap_or_default()),
            ("step", approval.step.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("verb", approval.verb.clone()),
            ("asked by", approval.requested_by.name.clone()),
            ("reason", approval.reason.clone().unwrap_or_default()),
            ("until", format!("{:.0}", approval.expires_at)),
            ("decided by", decided.unwrap_or_default()),
            ("because", approval.decision_reason.clone().unwrap_or_default()),
        ]
    })
}
