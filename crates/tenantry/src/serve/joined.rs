//! The region's credential: from the agent's folder, or made here and opened by joining once.
//!
//! The credential is kept before the manager is asked to take it, and the region's name after it has answered: an agent
//! that dies in between asks again with the same credential, which is the same join.

use super::private;
use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use tenantry_api_types::agent::JoinRequest;
use tenantry_client::NewCredential;
use tenantry_client::agent::AgentClient;
use tenantry_model::RegionName;

/// Kept when the agent has joined.
const REGION: &str = "region";
const CREDENTIAL: &str = "credential";

/// Whether the agent of this folder has joined its region.
pub fn has_joined(folder: &Path) -> Result<bool> {
    Ok(private::read(&folder.join(REGION))?.is_some() && private::read(&folder.join(CREDENTIAL))?.is_some())
}

/// The client of the region whose credential lies in `folder`; joins with `join_token` when it has not joined yet.
pub async fn client(
    url: &str,
    certificates: &[Vec<u8>],
    folder: &Path,
    join_token: Option<SecretString>,
) -> Result<(AgentClient, RegionName)> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the agent's folder {}", folder.display()))?;
    let (credential_file, region_file) = (folder.join(CREDENTIAL), folder.join(REGION));
    let kept = private::read(&credential_file)?;
    let (bearer, region) = match (kept, private::read(&region_file)?) {
        // Whatever it holds: the agent watches what runs, and says while it is refused what can be done.
        (Some(bearer), Some(region)) => {
            let region = region.parse().with_context(|| format!("{} is damaged", region_file.display()))?;
            (bearer.into(), region)
        }
        // A region without a credential: somebody has removed it to join anew.
        (kept, _) => {
            let credential = credential(kept, &credential_file)?;
            let region = join(url, certificates, folder, join_token, &credential).await?;
            private::write(&region_file, region.as_str())?;
            (credential.bearer(), region)
        }
    };
    let client = AgentClient::new(url, bearer, certificates)?;
    Ok((client.for_region(region.clone()), region))
}

/// The one that is kept, or a new one that is kept from now on.
fn credential(kept: Option<String>, file: &Path) -> Result<NewCredential> {
    if let Some(text) = kept {
        let damaged =
            || format!("{} holds no credential: remove it, so that another one is made", file.display());
        return NewCredential::parse(&text).with_context(damaged);
    }
    let new = NewCredential::generate().context("no random numbers to be had")?;
    private::write(file, new.bearer().expose_secret())?;
    Ok(new)
}

async fn join(
    url: &str,
    certificates: &[Vec<u8>],
    folder: &Path,
    join_token: Option<SecretString>,
    credential: &NewCredential,
) -> Result<RegionName> {
    let token = join_token.ok_or_else(|| {
        let message = format!(
            "the agent of {} has not joined a region yet: give --join-token (make one with `tenantry region \
             join-token NAME`)",
            folder.display()
        );
        Failure::new(Exit::Usage, message)
    })?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    let request = JoinRequest {
        host: host.trim().to_owned(),
        credential: credential.id,
        secret_sha256: credential.secret_sha256(),
    };
    let joining = AgentClient::new(url, token, certificates)?;
    Ok(joining.join(&request).await.with_context(|| format!("cannot join at {url}"))?.region)
}
