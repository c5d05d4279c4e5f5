//! `tenantry audit`.

use super::Connection;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Lists changes by time, oldest first
    List(AuditListArgs),
    /// Checks every entry against its chain and against signed heads (exit code 1 if anything does not fit)
    Verify(AuditVerifyArgs),
    /// Writes all signed heads and all entries as JSON lines
    Export {
        /// File to write to instead of stdout; must not exist
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Prints the public keys of signed heads as PEM, the current one last
    Keys {
        #[command(flatten)]
        connection: Connection,
    },
    /// Signs a head over everything that is not sealed yet, without waiting for its time
    Seal {
        #[command(flatten)]
        connection: Connection,
    },
    /// Replaces the key: the old one signs a head that announces the new one
    RotateKey {
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
pub struct AuditListArgs {
    /// Only this environment's: its id, or TENANT/NAME
    #[arg(long, value_name = "ENVIRONMENT")]
    pub env: Option<String>,
    /// Only by the actor of this name
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Only this action (`step.skip`)
    #[arg(long)]
    pub action: Option<String>,
    /// From this time on (`2026-11-21T22:00:00Z`), or so long ago (`24h`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time, or so long ago
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    pub limit: usize,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct AuditVerifyArgs {
    /// An export that was kept; without it the manager is asked for one
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Signed heads that were kept elsewhere: a folder or a file; several add up
    #[arg(long, value_name = "PATH")]
    pub heads: Vec<PathBuf>,
    /// Public keys (PEM) that are known from elsewhere; without it the manager's own word is taken
    #[arg(long, value_name = "FILE")]
    pub public_key: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: Connection,
}
