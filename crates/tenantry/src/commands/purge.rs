//! `tenantry env purge`: one environment, named twice; never by a selector.

use super::resolve::{environment, name};
use super::{Context, approval, connect};
use crate::cli::{Format, PurgeArgs};
use crate::exit::Exit;
use crate::output;
use anyhow::Result;
use tenantry_api_types::v1::{PurgeEnvironment, PurgedEnvironment};
use tenantry_client::{Call, Purge};

/// Runs the command.
pub async fn run(context: Context, args: PurgeArgs) -> Result<Exit> {
    let client = connect(args.connection)?;
    let now = environment(&client, &args.environment).await?;
    let typed = match &args.confirm {
        Some(typed) => name(typed)?,
        // Only with --dry-run: what changes nothing needs no second look.
        None => now.name.clone(),
    };
    let body = PurgeEnvironment { name: typed, reason: args.reason, before_retention_ends: args.now };
    // What was looked at a moment ago, by a name that somebody else may have by now.
    let etag = args.if_match.unwrap_or(now.etag);
    let call = Call { key: args.idempotency_key, validate_only: args.dry_run, if_match: Some(etag) };
    match client.purge(now.id, &body, &call).await? {
        Purge::Pending(pending) => {
            approval::show(context, &pending)?;
            approval::tell_second_person(&pending);
            Ok(Exit::NeedsPerson)
        }
        Purge::Done(purged) => {
            show(context, &purged)?;
            if args.dry_run {
                anstream::eprintln!("only checked: nothing was changed");
            }
            Ok(Exit::Done)
        }
    }
}

/// What went, or would go.
pub fn show(context: Context, purged: &PurgedEnvironment) -> Result<()> {
    if context.format != Format::Table {
        return output::document(context.format, purged);
    }
    let lines = |items: &[String]| items.join("\n");
    let words = |items: &mut dyn Iterator<Item = String>| lines(&items.collect::<Vec<_>>());
    output::one(context.format, purged, |purged| {
        vec![
            ("environment", format!("{}/{}", purged.environment.tenant, purged.environment.name)),
            ("id", purged.environment.id.to_string()),
            ("state", output::word(&purged.environment.state)),
            ("free aliases", words(&mut purged.aliases.iter().map(ToString::to_string))),
            ("forgotten generations", purged.generations.to_string()),
            ("forgotten hooks", words(&mut purged.hooks.iter().map(ToString::to_string))),
            ("deleted schedules", words(&mut purged.schedules.iter().map(ToString::to_string))),
            ("settled attention", purged.attentions.to_string()),
            ("backups left alone", words(&mut purged.backups.iter().map(ToString::to_string))),
        ]
    })
}
