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
