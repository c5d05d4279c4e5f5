//! `tenantry check`.

use super::Connection;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Data folder of a manager that is stopped; without it the manager at --url is asked
    #[arg(long = "data", value_name = "FOLDER", conflicts_with_all = ["url", "token", "token-file"])]
    pub folder: Option<PathBuf>,
    /// Folder of that manager's logs, if its setting `logs` names another than `logs` in the data folder
    #[arg(long, value_name = "FOLDER", requires = "folder")]
    pub logs: Option<PathBuf>,
    /// Read every log segment and the whole database file too: slow on a large installation
    #[arg(long)]
    pub deep: bool,
    #[command(flatten)]
    pub connection: Connection,
}
