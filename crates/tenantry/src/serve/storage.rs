//! Where the data is, as the settings say: SQLite in the data folder, or PostgreSQL with a folder of logs that its
//! managers share.

use crate::exit::{Exit, Failure};
use crate::settings::{OfGroup, Settings};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tenantry_failpoints::Point;
use tenantry_logs::{Limits, LogStore, folder_name};
use tenantry_model::with_causes;
use tenantry_store::Store;
use tenantry_store_postgres::{Database, Password, PostgresStore};
use tenantry_store_sqlite::SqliteStore;
use uuid::Uuid;

/// Which store the settings name.
pub enum Place {
    /// In this data folder.
    Sqlite(PathBuf),
    /// In this database.
    Postgres(Box<Database>),
}

/// The setting that names the folder of logs which belongs to a database.
const LOGS_FOLDER: &str = "logs-folder";

/// Where the rows are. `data` is the data folder.
pub fn place<G: OfGroup>(settings: &Settings<G>, data: &Path) -> Result<Place> {
    let store = settings.need("store")?;
    if store == "sqlite" {
        return Ok(Place::Sqlite(data.to_owned()));
    }
    if !store.starts_with("postgres://") && !store.starts_with("postgresql://") {
        // Not repeated: a mistyped URL may hold a password.
        let message = "setting `store` is neither sqlite nor a URL that begins with postgres://";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let password = match settings.get("store-password-file") {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            Some(Password(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        None => None,
    };
    let database = Database::new(store, password).map_err(|error| refused(&error))?;
    Ok(Place::Postgres(Box::new(database)))
}

/// Opens the rows and the logs.
pub async fn open<G: OfGroup>(settings: &Settings<G>, data: &Path) -> Result<(Arc<dyn Store>, LogStore)> {
    let default = Limits::default();
    let limits = Limits {
        head: settings.parse("log-head")?.unwrap_or(default.head),
        tail: settings.parse("log-tail")?.unwrap_or(default.tail),
    };
    let folder = settings.get("logs-folder").map_or_else(|| data.join("logs"), PathBuf::from);
    match place(settings, data)? {
        Place::Sqlite(data) => {
            let store = SqliteStore::open(&data).await.map_err(|error| refused(&error))?;
            let logs = LogStore::with_limits(&folder, limits).map_err(|error| refused(&error))?;
            Ok((Arc::new(store), logs))
        }
        Place::Postgres(database) => {
            let migrate = settings.parse("store-migrate")?.unwrap_or(true);
            let store = PostgresStore::open(&database, migrate).await.map_err(|error| refused(&error))?;
            let logs = LogStore::shared(&folder, limits).map_err(|error| refused(&error))?;
            same_logs(&store, &folder).await?;
            Ok((Arc::new(store), logs))
        }
    }
}

/// The database keeps the name of the folder that its logs are in. A manager with another folder would show no logs of
/// attempts that another one took in, and tell agents to send what is stored already.
async fn same_logs(store: &PostgresStore, folder: &Path) -> Result<()> {
    let name = folder_name(folder, &Uuid::new_v4().to_string()).map_err(|error| refused(&error))?;
    let mut write = store.write().await.map_err(|error| refused(&error))?;
    let known = write.setting(LOGS_FOLDER).await.map_err(|error| refused(&error))?;
    match known.as_ref().and_then(|known| known.as_str()) {
        Some(known) if known == name => Ok(()),
        Some(known) => {
            let message = format!(
                "the logs of this store are in another folder than {} (the store knows folder {known}, this one is \
                 {name}): give every manager of the store the same --logs-folder, on a file system that all of them reach",
                folder.display()
            );
            Err(Failure::new(Exit::Refused, message).into())
        }
        None => {
            write.put_setting(LOGS_FOLDER, &name.into()).await.map_err(|error| refused(&error))?;
            write.commit().await.map_err(|error| refused(&error))?;
            Point::LogsFolderName.reached();
            Ok(())
        }
    }
}

/// A start that cannot succeed as things are: the message stands alone, with its causes.
pub fn refused(error: &dyn std::error::Error) -> anyhow::Error {
    Failure::new(Exit::Refused, with_causes(error)).into()
}
