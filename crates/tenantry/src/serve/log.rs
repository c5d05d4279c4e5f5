//! tenantry's own log, on stderr.

use crate::settings::{OfGroup, Settings};
use anyhow::{Context, Result};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging as the settings say.
pub fn start<G: OfGroup>(settings: &Settings<G>) -> Result<()> {
    let filter = settings.need("log")?;
    let filter = EnvFilter::try_new(with_quiet_libraries(filter))
        .with_context(|| format!("setting `log` has the value {filter:?}"))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.need("log-format")? {
        "json" => builder.json().init(),
        "text" => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        other => anyhow::bail!("setting `log-format` is {other:?}: use text or json"),
    }
    Ok(())
}

/// The Kubernetes client reports each failed request and does not say what it was for; the database driver warns of each
/// wait and each broken connection. Whoever made the call says that, as loud as it deserves; a filter that names a part
/// of them gets it back.
fn with_quiet_libraries(filter: &str) -> String {
    let quiet =
        [("kube_client::client", "off"), ("kube_runtime::watcher", "off"), ("sqlx", "error")].into_iter();
    let quiet =
        quiet.filter(|(part, _)| !filter.contains(part)).map(|(part, level)| format!("{part}={level}"));
    std::iter::once(filter.to_owned())
        .filter(|own| !own.is_empty())
        .chain(quiet)
        .collect::<Vec<_>>()
        .join(",")
}
