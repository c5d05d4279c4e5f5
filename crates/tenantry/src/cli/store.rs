//! `tenantry store`: the rows as a whole. Speaks to the data itself, not to a manager.

use crate::settings::{self, Settings};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Brings the schema up to this version (the data folder must not be in use; a database may be)
    Migrate {
        #[command(flatten)]
        settings: Settings<settings::Store>,
    },
    /// Reads every row and asks the database whether its files are whole
    Check {
        #[command(flatten)]
        settings: Settings<settings::Store>,
    },
    /// Writes all rows to a file, as they are at one moment; hooks' logs are files of their own and not in it
    Export {
        /// File to make
        file: PathBuf,
        #[command(flatten)]
        settings: Settings<settings::Store>,
    },
    /// Puts an exported file into an empty store of either kind, all of it or nothing
    Import {
        /// File to read
        file: PathBuf,
        #[command(flatten)]
        settings: Settings<settings::Store>,
    },
}
