//! A PostgreSQL server of a test's own, which the test may stop, with databases in it.

use crate::World;
use anyhow::{Context, Result};
use libtest_mimic::Trial;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tenantry_postgres_test::{Server, installed};

/// A test that needs PostgreSQL: ignored where it is not installed.
#[must_use]
pub fn on_postgres(trial: Trial) -> Trial {
    if installed() { trial } else { trial.with_ignored_flag(true) }
}

/// A server; dropped it is removed with all its databases.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// The file with its user's password.
    pub password_file: PathBuf,
}

impl Postgres {
    /// Starts one.
    pub fn start(world: &World) -> Result<Self> {
        let server = Server::own()?.context("PostgreSQL is not installed")?;
        let password_file = world.folder().join("postgres-password");
        std::fs::write(&password_file, format!("{}\n", server.password()))?;
        Ok(Self { address: server.address()?, server, password_file })
    }

    /// Makes an empty database; answers its name.
    pub fn database(&self) -> Result<String> {
        let url = runtime()?.block_on(self.server.database())?;
        Ok(url.rsplit('/').next().context("a database's URL")?.to_owned())
    }

    /// The settings of a store in this database, by way of `address`.
    #[must_use]
    pub fn settings(&self, database: &str, address: SocketAddr) -> Vec<String> {
        let url = format!("postgres://tester@{address}/{database}");
        let file = self.password_file.display().to_string();
        ["--store".to_owned(), url, "--store-password-file".to_owned(), file].into()
    }

    /// For how long a session of a database has stood in the middle of a write: the longest of them.
    pub fn oldest_open_write(&self, database: &str) -> Result<Option<Duration>> {
        runtime()?.block_on(self.server.oldest_open_write(database))
    }

    /// All that the server has said.
    pub fn log(&self) -> Result<String> {
        self.server.log()
    }

    /// Ends the server as a crash does.
    pub fn stop_at_once(&self) -> Result<()> {
        self.server.stop_at_once()
    }

    /// Begins to start it again.
    pub fn start_again(&self) -> Result<()> {
        self.server.start_again()
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
