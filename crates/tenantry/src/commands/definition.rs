//! `tenantry definition …`

use super::{Context, change, connect, connect::all, resolve::name, resolve::usage};
use crate::cli::{DefinitionCommand, Format};
use crate::exit::Exit;
use crate::output::{self, Rows, word};
use anyhow::Result;
use tenantry_api_types::v1::{Definition, PageQuery};
use tenantry_client::Client;
use tenantry_model::OperationDefinition;

impl Rows for Definition {
    const HEADINGS: &'static [&'static str] =
        &["name", "lock", "on conflict", "empty plan", "built in", "description"];
    fn cells(&self) -> Vec<String> {
        let definition = &self.definition;
        vec![
            definition.name.to_string(),
            word(&definition.lock),
            word(&definition.on_conflict),
            word(&definition.empty_plan),
            definition.built_in.to_string(),
            definition.description.clone(),
        ]
    }
}

/// Runs the command.
pub async fn run(context: Context, command: DefinitionCommand) -> Result<Exit> {
    match command {
        DefinitionCommand::List { connection } => {
            let client = connect(connection)?;
            let items = definitions(&client).await?;
            output::list(context.format, &items)?;
        }
        DefinitionCommand::Get { name: operation, connection } => {
            let definition = connect(connection)?.definition(&name(&operation)?).await?;
            document(context, &definition)?;
        }
        DefinitionCommand::Apply { file, change, connection } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| usage(format!("{}: {error}", file.display())))?;
            let wanted: OperationDefinition = serde_saphyr::from_str(&text)
                .map_err(|error| usage(format!("{}: {error}", file.display())))?;
            let client = connect(connection)?;
            // The list holds what is stored or built in; asking for one name also answers what nobody defined.
            let now =
                definitions(&client).await?.into_iter().find(|known| known.definition.name == wanted.name);
            let now = now.map(|now| now.etag);
            let definition = client.put_definition(&wanted, &change::call(&change, now)).await?;
            document(context, &definition)?;
            change::only_checked(change.validate_only);
        }
        DefinitionCommand::Delete { name: operation, change, connection } => {
            let client = connect(connection)?;
            let now = client.definition(&name(&operation)?).await?;
            let call = change::call(&change, Some(now.etag));
            client.delete_definition(&now.definition.name, &call).await?;
            change::only_checked(change.validate_only);
        }
    }
    Ok(Exit::Done)
}

async fn definitions(client: &Client) -> Result<Vec<Definition>> {
    all(1000, |page_size, page_token| {
        let query = PageQuery { page_size: Some(page_size), page_token };
        async move { client.definitions(&query).await }
    })
    .await
}

/// A definition has too many parts for a table: people read it as the YAML they would apply.
fn document(context: Context, definition: &Definition) -> Result<()> {
    match context.format {
        Format::Table => output::document(Format::Yaml, &definition.definition),
        format => output::document(format, definition),
    }
}
