//! Where the database is and how its sessions behave. Knows URLs, TLS and limits; no statements.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{fmt, str::FromStr as _, time::Duration};
use tenantry_store::{Result, StoreError};

/// Longest wait for a lock of another transaction. Transactions take milliseconds: who waits this long stands behind a
/// process that has stopped.
pub const LOCK: Duration = Duration::from_secs(15);
/// A session that says nothing in the middle of a transaction for so long is ended by the server: a manager that was
/// stopped must not keep its locks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);
/// Longest statement.
const STATEMENT: Duration = Duration::from_mins(1);
/// The server asks a silent connection this often whether its manager is still there, and gives it up after three times
/// without an answer, or when what it sent is not taken for [`UNACKNOWLEDGED`]: a manager whose machine is gone keeps no
/// connection for hours, and a firewall in between does not forget one that is quiet.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A password that is given apart from the URL.
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A database's address with everything that is needed to log in. Shows itself without the password.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
}

impl Database {
    /// Reads `postgres://USER@HOST:PORT/NAME?sslmode=…&sslrootcert=…`. The password is `password`, or the URL's, or that
    /// of `PGPASSWORD` or the file `PGPASSFILE` (`~/.pgpass`). To another machine the connection is encrypted and the
    /// server's certificate checked, unless the URL names another `sslmode`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it is no such URL; the text does not repeat it, since it may hold a password.
    pub fn new(url: &str, password: Option<Password>) -> Result<Self> {
        let mut options = PgConnectOptions::from_str(url).map_err(|source| StoreError::Unavailable {
            what: "the store's address is no URL like postgres://USER@HOST:PORT/NAME".to_owned(),
            source: Box::new(source),
        })?;
        if let Some(Password(password)) = password {
            options = options.password(&password);
        }
        let says_mode = ["sslmode", "ssl-mode"].iter().any(|key| url.contains(&format!("{key}=")));
        let here = options.get_socket().is_some()
            || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
            || options.get_host().starts_with('/');
        if !says_mode && !here {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        Ok(Self { options })
    }

    /// For the manager's own transactions.
    pub(crate) fn limited(&self) -> PgConnectOptions {
        let millis = |time: Duration| time.as_millis().to_string();
        self.options.clone().application_name("tenantry").statement_cache_capacity(512).options([
            ("lock_timeout", millis(LOCK)),
            ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION)),
            ("statement_timeout", millis(STATEMENT)),
            ("tcp_keepalives_idle", KEEP_ALIVE.as_secs().to_string()),
            ("tcp_keepalives_interval", KEEP_ALIVE.as_secs().to_string()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", millis(UNACKNOWLEDGED)),
        ])
    }

    /// For schema changes and whole archives, which take as long as they take.
    pub(crate) fn unlimited(&self) -> PgConnectOptions {
        self.options.clone().application_name("tenantry store")
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, name) = (self.options.get_username(), self.options.get_database().unwrap_or_default());
        match self.options.get_socket() {
            Some(socket) => write!(f, "postgres:///{name}?host={}&user={user}", socket.display()),
            None => {
                write!(f, "postgres://{user}@{}:{}/{name}", self.options.get_host(), self.options.get_port())
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "postgres://ann:geheim@db.example:5433/tenantry",
            "postgres:///tenantry?host=/run/pg&user=ann&password=geheim",
        ] {
            let database = Database::new(url, None).unwrap();
            let shown = format!("{database} {database:?}");
            assert!(
                !shown.contains("geheim") && shown.contains("ann") && shown.contains("tenantry"),
                "{shown}"
            );
        }
        let refused = Database::new("postgres://ann:geheim@db:port/x", None).unwrap_err().to_string();
        assert!(!refused.contains("geheim"), "{refused}");
        assert!(!format!("{:?}", Password("geheim".to_owned())).contains("geheim"));
    }

    #[test]
    fn another_machine_is_spoken_to_over_checked_tls_unless_the_url_says_otherwise() {
        let mode = |url| Database::new(url, None).unwrap().options.get_ssl_mode();
        assert!(matches!(mode("postgres://a@db.example/x"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://a@db.example/x?sslmode=disable"), PgSslMode::Disable));
        for here in
            ["postgres://a@127.0.0.1/x", "postgres://a@localhost/x", "postgres:///x?host=/run/pg&user=a"]
        {
            assert!(matches!(mode(here), PgSslMode::Prefer), "{here}");
        }
    }
}
