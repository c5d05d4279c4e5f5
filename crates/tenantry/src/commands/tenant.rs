//! `tenantry tenant …`

use super::{Context, connect, connect::all, resolve::name};
use crate::cli::TenantCommand;
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{CreateTenant, PageQuery, Tenant, UpdateTenant};
use tenantry_client::Call;

impl Rows for Tenant {
    const HEADINGS: &'static [&'static str] = &["name", "display name", "created"];
    fn cells(&self) -> Vec<String> {
        vec![self.name.to_string(), self.display_name.clone(), self.created_at.to_string()]
    }
}

fn lines(tenant: &Tenant) -> Vec<(&'static str, String)> {
    vec![
        ("tenant", tenant.name.to_string()),
        ("display name", tenant.display_name.clone()),
        ("created", tenant.created_at.to_string()),
    ]
}

/// Runs the command.
pub async fn run(context: Context, command: TenantCommand) -> Result<Exit> {
    match command {
        TenantCommand::Create { name: tenant, display_name, connection } => {
            let body = CreateTenant { name: name(&tenant)?, display_name };
            let tenant = connect(connection)?.create_tenant(&body, &Call::default()).await?;
            output::one(context.format, &tenant, lines)?;
        }
        TenantCommand::Get { name: tenant, connection } => {
            let tenant = connect(connection)?.tenant(&name(&tenant)?).await?;
            output::one(context.format, &tenant, lines)?;
        }
        TenantCommand::List { connection } => {
            let client = connect(connection)?;
            let tenants = all(100_000, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.tenants(&query).await }
            })
            .await?;
            output::list(context.format, &tenants)?;
        }
        TenantCommand::Update { name: tenant, display_name, connection } => {
            let client = connect(connection)?;
            let now = client.tenant(&name(&tenant)?).await?;
            let body = UpdateTenant { display_name };
            let tenant = client.update_tenant(&now.name, &body, &Call::if_match(now.etag)).await?;
            output::one(context.format, &tenant, lines)?;
        }
        TenantCommand::Delete { name: tenant, connection } => {
            let client = connect(connection)?;
            let now = client.tenant(&name(&tenant)?).await?;
            client.delete_tenant(&now.name, &Call::if_match(now.etag)).await?;
        }
    }
    Ok(Exit::Done)
}
