//! The region's credential: from the agent's folder, or by joining once.

use super::private;
use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use secrecy::SecretString;
use std::path::Path;
use tenantry_api_types::agent::JoinRequest;
use tenantry_client::agent::AgentClient;
use tenantry_model::RegionName;

/// The client of the region whose credential lies in `folder`; joins with `join_token` when there is none yet.
pub async fn client(
    url: &str,
    certificates: &[Vec<u8>],
    folder: &Path,
    join_token: Option<SecretString>,
) -> Result<(AgentClient, RegionName)> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the agent's folder {}", folder.display()))?;
    let (credential_file, region_file) = (folder.join("credential"), folder.join("region"));
    if let (Some(credential), Some(region)) = (private::read(&credential_file)?, private::read(&region_file)?)
    {
        let region: RegionName =
            region.parse().with_context(|| format!("{} is damaged", region_file.display()))?;
        let client = AgentClient::new(url, credential.into(), certificates)?;
        return Ok((client.for_region(region.clone()), region));
    }
    let token = join_token.ok_or_else(|| {
        let message = format!(
            "{} holds no credential yet: give --join-token (make one with `tenantry region join-token NAME`)",
            folder.display()
        );
        Failure::new(Exit::Usage, message)
    })?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    let joining = AgentClient::new(url, token, certificates)?;
    let answer = joining
        .join(&JoinRequest { host: host.trim().to_owned() })
        .await
        .with_context(|| format!("cannot join at {url}"))?;
    // The region first: with a credential and no region the next start would ask for a token that is used up.
    private::write(&region_file, answer.region.as_str())?;
    private::write(&credential_file, &answer.credential)?;
    let client = AgentClient::new(url, answer.credential.into(), certificates)?;
    Ok((client.for_region(answer.region.clone()), answer.region))
}
