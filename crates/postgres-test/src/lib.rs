//! A real PostgreSQL for tests: one server for each test process, with a database for each test.
//!
//! It uses what is installed (Debian's `postgresql-15` or newer), or the server that `TENANTRY_TEST_POSTGRES` names (a
//! URL of somebody who may make databases). It knows no table.

mod certificates;
mod proxy;
mod server;

use anyhow::{Context, Result};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions};
use std::{sync::OnceLock, time::Duration};
use uuid::Uuid;

pub use certificates::{Authority, authority};
pub use proxy::{Proxy, When};
pub use server::{Server, installed};

/// The server of this process; `None` where there is no PostgreSQL: such tests count as ignored.
///
/// # Panics
/// If there is one and it does not start.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            Server::start().unwrap_or_else(|error| panic!("PostgreSQL does not start: {error:#}"))
        })
        .as_ref()
}

impl Server {
    /// Makes an empty database and gives its URL. It goes with the server; on a server that others own it stays until
    /// [`Server::drop_database`].
    pub async fn database(&self) -> Result<String> {
        let name = format!("t{}", Uuid::new_v4().simple());
        self.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(self.url_of(&name))
    }

    /// The same with the content of another one, in which nobody has a session.
    pub async fn database_like(&self, template: &str) -> Result<String> {
        let name = format!("t{}", Uuid::new_v4().simple());
        let template = template.rsplit('/').next().context("a database's URL")?;
        self.execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(self.url_of(&name))
    }

    /// Removes a database that [`Server::database`] made, with the sessions in it.
    pub async fn drop_database(&self, url: &str) -> Result<()> {
        let name = url.rsplit('/').next().context("a database's URL")?;
        self.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Ends every session of a database, as a restart of the server does.
    pub async fn end_sessions(&self, url: &str) -> Result<()> {
        let name = url.rsplit('/').next().context("a database's URL")?;
        self.execute(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await
    }

    /// For how long a session of a database has waited for its client's next word with a write that is not committed: the
    /// longest of them.
    pub async fn oldest_open_write(&self, url: &str) -> Result<Option<Duration>> {
        let name = url.rsplit('/').next().context("a database's URL")?;
        let options: PgConnectOptions = self.url().parse()?;
        let mut connection = options.connect().await.context("connect to the test server")?;
        let seconds: Option<f64> = sqlx::query_scalar(
            "SELECT max(extract(epoch FROM clock_timestamp() - state_change))::float8 FROM pg_stat_activity
             WHERE datname = $1 AND state = 'idle in transaction' AND backend_xid IS NOT NULL",
        )
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
    }

    /// Speaks TLS from now on, with a certificate for these names. Only for a server of this process.
    pub async fn speak_tls(&self, authority: &Authority, names: &[&str]) -> Result<()> {
        let options: PgConnectOptions = self.url().parse()?;
        let mut connection = options.connect().await.context("connect to the test server")?;
        let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
        authority.issue(std::path::Path::new(&folder), names)?;
        for setting in ["ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'", "ssl = on"] {
            connection.execute(sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await?;
        }
        connection.execute("SELECT pg_reload_conf()").await?;
        Ok(connection.close().await?)
    }

    async fn execute(&self, sql: String) -> Result<()> {
        let options: PgConnectOptions = self.url().parse()?;
        let mut connection = options.connect().await.context("connect to the test server")?;
        connection.execute(sqlx::AssertSqlSafe(sql)).await?;
        Ok(connection.close().await?)
    }
}
