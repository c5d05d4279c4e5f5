//! From the driver's errors to [`StoreError`], with a text that says what was tried and what to do. It knows
//! PostgreSQL's SQLSTATE codes (<https://www.postgresql.org/docs/15/errcodes-appendix.html>) and nothing of tables.

use sqlx::error::DatabaseError;
use std::io::ErrorKind;
use tenantry_store::StoreError;

/// Makes an error of `what` ("read a tenant") from the driver's.
pub fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| of(what, error)
}

/// The same as a function of what was tried.
pub fn of(what: &str, error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(database) = &error
        && let Some(why) = conflict(database.as_ref())
    {
        return StoreError::Conflict { what: format!("cannot {what}: {why}"), source: Box::new(error) };
    }
    StoreError::Unavailable { what: format!("cannot {what}: {}", advice(&error)), source: Box::new(error) }
}

/// What became of a commit that did not answer with success. A server that says no has rolled back; a connection that
/// broke while the answer was on its way leaves both possible.
pub fn commit(error: sqlx::Error) -> StoreError {
    let answered = matches!(&error, sqlx::Error::Database(database)
        if !ends_session(database.as_ref()) || ended_idle(database.as_ref()));
    if answered {
        return of("commit", error);
    }
    StoreError::Unknown {
        what: format!("the answer to a commit was lost: {}", advice(&error)),
        source: Box::new(error),
    }
}

/// Nothing is wrong but the moment: the same transaction, begun again, may well succeed.
fn conflict(error: &dyn DatabaseError) -> Option<&'static str> {
    match error.code()?.as_ref() {
        "40001" => Some("another transaction changed the same rows first"),
        "40P01" => Some("it and another transaction waited for each other"),
        "55P03" => Some("another transaction keeps a lock for too long"),
        // Whether a name is taken is asked before it is written; whoever took it in between shows at the next look.
        "23505" => Some("another transaction wrote the same key first"),
        _ => None,
    }
}

/// The server ended the session: what was on its way may have been done before.
pub fn ends_session(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P05" | "25P03" | "08006" | "08003"))
}

/// The server ended the session while it waited for the next word in a transaction: it has not heard a commit.
fn ended_idle(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("25P03")
}

fn advice(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(database) => of_code(database.code().as_deref().unwrap_or_default()),
        sqlx::Error::PoolTimedOut => {
            "no connection became free in time; the database is too slow or the load too high"
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "the store is closed",
        sqlx::Error::Tls(error) => of_tls(&error.to_string()),
        // A certificate that is refused comes as broken data of the connection.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => of_tls(&error.to_string()),
        sqlx::Error::Io(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
        {
            "a file that the store's URL names cannot be read: sslrootcert, sslcert, sslkey, or the server's socket"
        }
        sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
            "the database does not answer; check it and the network to it"
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => {
            "the connection to the database broke; check that it runs and can be reached"
        }
        _ => "the database driver failed",
    }
}

/// The driver hands on what its TLS library says, as text only.
fn of_tls(text: &str) -> &'static str {
    let about = |part: &str| text.contains(part);
    if about("does not support TLS") {
        "the server speaks no TLS; switch it on there (ssl = on), or put sslmode=disable into the store's URL if nobody \
         can listen in between"
    } else if about("UnknownIssuer") || about("BadSignature") || about("CaUsedAsEndEntity") {
        "the server's certificate was issued by nobody who is trusted; name the root certificate of who issued it: \
         sslrootcert=FILE in the store's URL"
    } else if about("NotValidForName") || about("not valid for name") {
        "the server's certificate is for another name; use its name in the store's URL, or sslmode=verify-ca"
    } else if about("Expired") || about("NotValidYet") || about("expired") {
        "the server's certificate is not valid now; renew it, or set this machine's clock right"
    } else {
        "TLS with the database failed; check sslmode and sslrootcert of the store's URL"
    }
}

fn of_code(code: &str) -> &'static str {
    match code {
        "23503" => "a row that it refers to does not exist; nothing was written",
        "25006" => "the database is read-only (a standby?); point the store's URL to the primary",
        "25P03" => {
            "the session was idle in a transaction for too long and was ended; this process was stopped or starved"
        }
        "28000" | "28P01" => {
            "the database refuses user or password; check the store's URL and the password file"
        }
        "3D000" => "there is no such database; make it (CREATE DATABASE …)",
        "42501" => "the database user lacks a right; it has to own the schema",
        "42P01" | "42703" => {
            "a table or column is missing: the schema is not of this version (run tenantry store migrate), or was changed \
             by hand (restore it from a backup)"
        }
        "53100" => "the database's disk is full; free space on its server",
        "53300" => "the database has no connection left; raise max_connections or run fewer managers",
        "57014" => "it took too long and was ended; look at the database's load",
        "57P01" | "57P02" | "57P03" | "57P05" => {
            "the database is stopping, starting or ended the session; it is tried again"
        }
        "58030" => "the database cannot read or write its files; look at its disk",
        "XX001" | "XX002" => {
            "the database is damaged; restore it from a backup (tenantry store import, or the server's own)"
        }
        _ => "the database refused it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_whose_connection_broke_is_unknown_and_other_calls_are_not() {
        let broken = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(commit(broken()), StoreError::Unknown { .. }));
        assert!(matches!(of("read", broken()), StoreError::Unavailable { .. }));
    }
}
