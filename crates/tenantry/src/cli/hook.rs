//! `tenantry hook`.

use super::{ChangeArgs, Connection};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum HookCommand {
    /// Lists hooks as the regions report them
    List {
        #[arg(long)]
        region: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Checks manifests: each problem with file, line and remedy
    Lint {
        /// YAML or JSON files, or folders of them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Prefixes under which annotations are read
        #[arg(
            long,
            value_name = "NAMES",
            default_value = "tenantry.io",
            value_delimiter = ',',
            env = "TENANTRY_ANNOTATION_DOMAINS"
        )]
        annotation_domains: Vec<String>,
    },
    /// Runs one hook alone on this machine
    Run {
        /// Manifest; ConfigMaps that stand beside it in the same folder are used
        file: PathBuf,
        /// The environment to run it for (as for `env create -f`)
        #[arg(long, value_name = "FILE")]
        environment: PathBuf,
        /// Which operation
        #[arg(long, value_name = "NAME")]
        operation: String,
        /// Which hook, when the manifest holds several
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Folder that stands for a Secret, one file per key; several allowed
        #[arg(long = "secret", value_name = "NAME=FOLDER")]
        secrets: Vec<String>,
        /// Folder that stands for a claim; several allowed (default: a temporary folder)
        #[arg(long = "volume", value_name = "CLAIM=FOLDER")]
        volumes: Vec<String>,
        /// Parameter, KEY=VALUE (VALUE as YAML); several allowed
        #[arg(long = "parameter", short = 'p', value_name = "KEY=VALUE")]
        parameters: Vec<String>,
        /// Prefixes under which annotations are read
        #[arg(
            long,
            value_name = "NAMES",
            default_value = "tenantry.io",
            value_delimiter = ',',
            env = "TENANTRY_ANNOTATION_DOMAINS"
        )]
        annotation_domains: Vec<String>,
    },
    /// Says why a hook does or does not run
    Explain {
        /// NAMESPACE/NAME (or REGION/NAMESPACE/NAME)
        hook: String,
        /// Id, TENANT/NAME or alias
        #[arg(long)]
        environment: String,
        #[arg(long)]
        operation: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Declares that a hook is gone for good: plans no longer miss it
    Retire {
        /// NAMESPACE/NAME (or REGION/NAMESPACE/NAME)
        hook: String,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        connection: Connection,
    },
}
