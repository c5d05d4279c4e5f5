//! `tenantry token` and `tenantry region`.

use super::{ChangeArgs, Connection};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token; its secret is shown once, on stdout
    Create {
        /// Who uses it; becomes the actor's name in the audit log
        name: String,
        /// viewer, operator or admin
        #[arg(long)]
        role: String,
        /// all, tenant:NAME or region:NAME; several add up
        #[arg(long = "scope", default_value = "all")]
        scopes: Vec<String>,
        /// From now (`720h`); without it the token does not expire
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists tokens, without their secrets
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Makes a token useless
    Revoke {
        /// Its id
        id: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum RegionCommand {
    /// Makes a region
    Create {
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists regions and how their agents are
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists what the region's agent has been told and has not done yet
    Commands {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Makes a token with which one agent joins the region, once
    JoinToken {
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}
