//! What can go wrong with a store.

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique name is taken; says which (`environment name acme/prod`, `alias x`).
    #[error("{0} exists already")]
    Duplicate(String),
    /// Another process holds the data.
    #[error("{0}")]
    InUse(String),
    /// The data was written by a newer version.
    #[error("the data has schema version {found}, this program knows {known}: use a newer tenantry")]
    TooNew {
        /// In the data.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// The data was written by an older version, and nobody said that it may be changed.
    #[error("the data has schema version {found}, this program needs {known}: run tenantry store migrate")]
    TooOld {
        /// In the data; 0: none yet.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// Another transaction came in between: nothing was done, and the same transaction may succeed when it is begun
    /// again.
    #[error("{what}")]
    Conflict {
        /// What was tried, and what came in between.
        what: String,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The lease of work that exists once has passed to another process. Nothing was done.
    #[error("another manager has taken over {0}")]
    LeaseLost(String),
    /// The connection broke while a commit was under way: it is committed as a whole, or not at all. Only a look tells.
    #[error("{what}; look whether it is there before trying again")]
    Unknown {
        /// What was tried.
        what: String,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The medium cannot be read or written: full disk, read-only folder, lost connection. Nothing was half done.
    #[error("the store cannot be used: {what}")]
    Unavailable {
        /// What was tried and where, and what to do.
        what: String,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row does not read back: damaged data, or a bug.
    #[error("row {key} in {table} cannot be read")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// Which row.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
