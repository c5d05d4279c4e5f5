//! Where a manager of these tests has its rows and the rest, laid out as a program's data folder.

use super::common::*;
use jiff::SignedDuration;
use std::path::PathBuf;
use std::sync::Arc;
use tenantry_engine::VerbKind;
use tenantry_logs::Limits;
use tenantry_manager::{AuditConfig, LogStore, Manager};
use tenantry_postgres_test::server;
use tenantry_store::Store;
use tenantry_store_postgres::{Database, PostgresStore};
use tenantry_store_sqlite::SqliteStore;

/// The kinds of places, as fixtures and tests name them.
pub const FOLDER: &str = "sqlite";
pub const SERVER: &str = "postgresql";

/// For how long what ends by itself is there.
pub const LONG: SignedDuration = SignedDuration::from_hours(3000 * 24);

pub struct Place {
    pub world: World,
    /// Of its database, which is empty at first; `None`: rows lie in the folder.
    pub url: Option<String>,
}

impl Place {
    pub async fn new(kind: &str) -> Self {
        let mut world = World::new();
        world.config.audit = AuditConfig {
            key_file: Some(world.folder.path().join("data/audit-key.pem")),
            ..AuditConfig::default()
        };
        world.config.four_eyes = [VerbKind::Confirm].into();
        // Programs meet a fixture by their own clock, years later.
        world.config.approval_time = LONG;
        // Hours pass between two calls of the agent; nothing here is about its silence.
        world.config.agent_silent_after = SignedDuration::from_hours(10_000);
        let url = match kind {
            SERVER => Some(server().unwrap().database().await.unwrap()),
            _ => None,
        };
        Self { world, url }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.world.folder.path().join("data")
    }

    /// What its agent reads its hooks from.
    pub fn templates(&self) -> PathBuf {
        self.world.folder.path().join("templates")
    }

    /// The administrator's token of the first start.
    pub fn admin_token(&self) -> PathBuf {
        self.world.folder.path().join("admin-token")
    }

    /// A manager, which brings the schema up to its version; and its rows, for closing them.
    pub async fn manager(&self) -> (Manager, Rows) {
        std::fs::create_dir_all(self.data()).unwrap();
        let folder = self.data().join("logs");
        let (rows, logs) = match &self.url {
            None => {
                let store = SqliteStore::open(&self.data()).await.unwrap();
                (Rows::Folder(Arc::new(store)), LogStore::open(&folder))
            }
            Some(url) => {
                let database = Database::new(url, None).unwrap();
                let store = PostgresStore::open(&database, true).await.unwrap();
                (Rows::Server(Arc::new(store)), LogStore::shared(&folder, Limits::default()))
            }
        };
        let logs = logs.unwrap();
        (self.world.over(rows.store(), logs), rows)
    }
}

#[derive(Clone)]
pub enum Rows {
    Folder(Arc<SqliteStore>),
    Server(Arc<PostgresStore>),
}

impl Rows {
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Folder(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Server(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Folder(store) => store.close().await,
            Self::Server(store) => store.close().await,
        }
    }
}
