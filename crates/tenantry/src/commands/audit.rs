//! `tenantry audit …`

use super::{Context, audit_verify, connect, connect::all, resolve, resolve::usage};
use crate::cli::{AuditCommand, AuditListArgs, Format};
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use std::io::Write as _;
use std::path::Path;
use tenantry_api_types::v1::{AuditEntry, AuditQuery, RotateAuditKey};
use tenantry_client::{Call, Client};

impl Rows for AuditEntry {
    const HEADINGS: &'static [&'static str] = &["at", "who", "what", "on", "environment", "position", "why"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.actor.name.clone(),
            self.action.clone(),
            self.target.clone(),
            self.environment.map(|id| id.to_string()).unwrap_or_default(),
            self.position.to_string(),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: AuditCommand) -> Result<Exit> {
    match command {
        AuditCommand::List(args) => list(context, args).await?,
        AuditCommand::Verify(args) => return audit_verify::run(context, args).await,
        AuditCommand::Export { to, connection } => export(&connect(connection)?, to.as_deref()).await?,
        AuditCommand::Keys { connection } => {
            let keys = connect(connection)?.audit_keys().await?;
            if context.format == Format::Table {
                // The file that `audit verify --public-key` takes.
                output::print(&keys.items.iter().map(|key| key.pem.as_str()).collect::<String>())?;
            } else {
                output::document(context.format, &keys.items)?;
            }
        }
        AuditCommand::Seal { connection } => {
            let sealed = connect(connection)?.seal_audit(&Call::default()).await?;
            output::one(context.format, &sealed, |sealed| {
                vec![("head", sealed.head.map(|head| head.to_string()).unwrap_or_default())]
            })?;
        }
        AuditCommand::RotateKey { reason, connection } => {
            let body = RotateAuditKey { reason };
            let key = connect(connection)?.rotate_audit_key(&body, &Call::default()).await?;
            if context.format == Format::Table {
                anstream::eprintln!("key {} signs from now on; the key before it has signed that", key.id);
                output::print(&key.pem)?;
            } else {
                output::document(context.format, &key)?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn list(context: Context, args: AuditListArgs) -> Result<()> {
    let now = Timestamp::now();
    let time = |text: Option<String>, name| text.map(|text| moment(&text, now, name)).transpose();
    let query = AuditQuery {
        actor: args.actor,
        action: args.action,
        since: time(args.since, "--since")?,
        until: time(args.until, "--until")?,
        ..AuditQuery::default()
    };
    let client = connect(args.connection)?;
    let environment = match &args.env {
        Some(text) => Some(resolve::environment(&client, text).await?.id),
        None => None,
    };
    let items = all(args.limit, |page_size, page_token| {
        let query = AuditQuery { page_size: Some(page_size), page_token, ..query.clone() };
        let client = &client;
        async move {
            match environment {
                Some(id) => client.environment_audit(id, &query).await,
                None => client.audit(&query).await,
            }
        }
    })
    .await?;
    output::list(context.format, &items)
}

/// A time, or how long ago.
fn moment(text: &str, now: Timestamp, flag: &str) -> Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let ago: SignedDuration = text.parse().map_err(|_| {
        usage(format!("{flag} {text}: write a time (2026-11-21T22:00:00Z) or how long ago (24h)"))
    })?;
    now.checked_sub(ago).map_err(|error| usage(format!("{flag} {text}: {error}")))
}

async fn export(client: &Client, to: Option<&Path>) -> Result<()> {
    let mut pieces = std::pin::pin!(client.export_audit().await?);
    let Some(path) = to else {
        while let Some(piece) = pieces.next().await {
            output::bytes(&piece?)?;
        }
        return Ok(());
    };
    let mut file =
        std::fs::File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    file.sync_all().with_context(|| format!("cannot write {}", path.display()))
}
