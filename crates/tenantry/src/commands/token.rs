//! `tenantry token …`

use super::{Context, change, connect, connect::all, resolve::name, resolve::usage, resolve::word};
use crate::cli::{Format, TokenCommand};
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{CreateToken, PageQuery, RevokeToken, Token};
use tenantry_model::Scope;

impl Rows for Token {
    const HEADINGS: &'static [&'static str] = &["id", "name", "for", "role", "scopes", "expires", "revoked"];
    fn cells(&self) -> Vec<String> {
        let scopes: Vec<String> = self.scopes.iter().map(scope_text).collect();
        vec![
            self.id.to_string(),
            self.name.clone(),
            output::word(&self.purpose),
            self.role.as_ref().map(output::word).unwrap_or_default(),
            scopes.join(" "),
            self.expires_at.map(|at| at.to_string()).unwrap_or_default(),
            self.revoked_at.map(|at| at.to_string()).unwrap_or_default(),
        ]
    }
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::All => "all".to_owned(),
        Scope::Tenant(tenant) => format!("tenant:{tenant}"),
        Scope::Region(region) => format!("region:{region}"),
    }
}

fn scope(text: &str) -> Result<Scope> {
    match text.split_once(':') {
        None if text == "all" => Ok(Scope::All),
        Some(("tenant", tenant)) => Ok(Scope::Tenant(name(tenant)?)),
        Some(("region", region)) => Ok(Scope::Region(name(region)?)),
        _ => Err(usage(format!("--scope {text}: write all, tenant:NAME or region:NAME"))),
    }
}

/// Runs the command.
pub async fn run(context: Context, command: TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Create { name, role, scopes, expires_in, change, connection } => {
            let expires_in = expires_in
                .map(|text| text.parse().map_err(|error| usage(format!("--expires-in {text}: {error}"))))
                .transpose()?;
            let scopes = scopes.iter().map(|text| scope(text)).collect::<Result<_>>()?;
            let body = CreateToken { name, role: word(&role, "role")?, scopes, expires_in };
            let created = connect(connection)?.create_token(&body, &change::call(&change, None)).await?;
            if change.validate_only && context.format == Format::Table {
                output::list(context.format, &[created.token])?;
            } else if context.format == Format::Table {
                // Only the secret goes to stdout, so that `TOKEN=$(tenantry token create …)` works.
                anstream::eprintln!(
                    "token {} for {}; its secret is shown only now:",
                    created.token.id,
                    created.token.name
                );
                output::print(&format!("{}\n", created.secret))?;
            } else {
                output::document(context.format, &created)?;
            }
            change::only_checked(change.validate_only);
        }
        TokenCommand::List { connection } => {
            let client = connect(connection)?;
            let items = all(100_000, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.tokens(&query).await }
            })
            .await?;
            output::list(context.format, &items)?;
        }
        TokenCommand::Revoke { id, reason, change, connection } => {
            let id = id.parse().map_err(|error| usage(format!("token {id:?} is no UUID: {error}")))?;
            let body = RevokeToken { reason };
            let token = connect(connection)?.revoke_token(id, &body, &change::call(&change, None)).await?;
            output::list(context.format, &[token])?;
            change::only_checked(change.validate_only);
        }
    }
    Ok(Exit::Done)
}
