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
        /// The manager's clock is right, although it has moved by more than a week since the last run
        #[arg(long)]
        clock_is_right: bool,
        #[command(flatten)]
        connection: Connection,
    },
}
