//! From the driver's errors to [`StoreError`], with a text that says what was tried and what to do. It knows
//! SQLite's result codes and nothing of tables.

use tenantry_store::StoreError;

/// Makes an error of `what` ("read a tenant") from the driver's.
pub fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| unavailable(what, error)
}

/// Like [`failed`]; a broken unique rule is [`StoreError::Duplicate`] of `taken`.
pub fn taken(what: &'static str, taken: impl FnOnce() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => StoreError::Duplicate(taken()),
        _ => unavailable(what, error),
    }
}

/// The medium did not do `what`.
pub fn unavailable(what: &str, error: sqlx::Error) -> StoreError {
    let advice = match &error {
        sqlx::Error::Database(database) if database.is_foreign_key_violation() => {
            "a row that it refers to does not exist; nothing was written"
        }
        // https://www.sqlite.org/rescode.html: the low byte is the primary code.
        sqlx::Error::Database(database) => {
            match database.code().and_then(|code| code.parse::<i32>().ok()).map_or(0, |code| code & 0xff) {
                5 | 6 => "another process holds the database; end it and try again",
                8 => "the database is read-only; mount its folder writable",
                10 => "reading or writing the file failed; look at the disk and the kernel's log",
                11 | 26 => "the database file is damaged; stop the manager and put a backup in its place",
                13 => "the disk is full; free space in the data folder",
                14 => "the file cannot be opened; check the data folder and its permissions",
                _ => "the database refused it",
            }
        }
        sqlx::Error::PoolTimedOut => {
            "no connection became free in time; the disk is too slow or the load too high"
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "the store is closed",
        sqlx::Error::Io(_) => "reading or writing the file failed; look at the disk and the data folder",
        _ => "the database driver failed",
    };
    StoreError::Unavailable { what: format!("cannot {what}: {advice}"), source: Box::new(error) }
}
