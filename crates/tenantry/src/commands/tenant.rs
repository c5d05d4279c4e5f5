//! `tenantry tenant …`

use super::{Context, change, connect, connect::all, resolve::name};
use crate::cli::TenantCommand;
use crate::exit::Exit;
use crate::output::{self, Rows};
use anyhow::Result;
use tenantry_api_types::v1::{CreateTenant, PageQuery, Tenant, UpdateTenant};

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
        TenantCommand::Create { name: tenant, display_name, change, connection } => {
            let body = CreateTenant { name: name(&tenant)?, display_name };
            let tenant = connect(connection)?.create_tenant(&body, &change::call(&change, None)).await?;
            output::one(context.format, &tenant, lines)?;
            change::only_checked(change.validate_only);
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
        TenantCommand::Update { name: tenant, display_name, change, connection } => {
            let client = connect(connection)?;
            let now = client.tenant(&name(&tenant)?).await?;
            let body = UpdateTenant { display_name };
            let call = change::call(&change, Some(now.etag));
            let tenant = client.update_tenant(&now.name, &body, &call).await?;
            output::one(context.format, &tenant, lines)?;
            change::only_checked(change.validate_only);
        }
        TenantCommand::Delete { name: tenant, change, connection } => {
            let client = connect(connection)?;
            let now = client.tenant(&name(&tenant)?).await?;
            client.delete_tenant(&now.name, &change::call(&change, Some(now.etag))).await?;
            change::only_checked(change.validate_only);
        }
    }
    Ok(Exit::Done)
}
