//! `tenantry retention`.

use super::Connection;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Says how much is old and needed by nothing; removes nothing
    Preview {
        #[command(flatten)]
        connection: Connection,
    },
    /// Removes it now; the manager does it by itself as well
    Run {
        #[command(flatten)]
        connection: Connection,
    },
}
