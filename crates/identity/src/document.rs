//! The document that names the regions of Argo: where their events go, and who their bridges are.

use crate::{ConfigError, file};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, path::Path, path::PathBuf, str::FromStr};
use tenantry_api_types::bridge::AUDIENCE;
use tenantry_model::{EventMode, Namespace, RegionName};

/// The example that is shown at [`RegionsOfArgo`].
pub const EXAMPLE: &str = include_str!("regions-of-argo.yaml");

const SERVICE_ACCOUNT: &str = "tenantry-argo/tenantry-bridge";

/// # Regions of Argo
///
/// A region that this document names has no agent: the manager sends a CloudEvent to the region's Argo Events for each
/// operation, and the bridges of the Workflow that it becomes lease their steps. One document in YAML or JSON, of at
/// most 1 MiB; a name that it does not know is an error.
///
#[doc = "```yaml"]
#[doc = include_str!("regions-of-argo.yaml")]
#[doc = "```"]
///
/// | setting | what |
/// |---|---|
/// | `ui` | none, or where people see Argo Workflows' pages: operations link to their Workflows there |
/// | `events.url` | the webhook of the region's `EventSource` |
/// | `events.tokenFile` | the bearer token that it asks for |
/// | `events.caFile` | authorities (PEM) that its certificate is checked with; default: those of the machine |
/// | `events.mode` | `structured` (default: the body is the whole event) or `binary` (its attributes are headers) |
/// | `identity.issuer` | `iss` of the cluster's tokens: `kubectl get --raw /.well-known/openid-configuration` says it |
/// | `identity.audience` | the audience of the bridges' projected volume; default `tenantry` |
/// | `identity.serviceAccount` | `namespace/name` that bridges run as; default `tenantry-argo/tenantry-bridge` |
/// | `identity.keysFile` | the cluster's public keys, as `kubectl get --raw /openid/v1/jwks` prints them |
///
/// The cluster is never asked: keys come as a file, so that a manager checks tokens of clusters that it cannot reach.
/// The file is read again when it changes. When a cluster gets a new key, write the file again, best before the key is
/// used; as long as the file cannot be read, the keys that were read last stay good. The document itself is read at the
/// start only. To take a region's trust away at once, write `{"keys": []}` to its keys file.
///
/// Clusters have their issuer's default in common: it is the keys that tell one cluster from another. Two regions that
/// share a cluster are told apart by their service accounts or audiences, and by nothing else: equal ones are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionsOfArgo {
    /// By name.
    pub regions: BTreeMap<RegionName, RegionOfArgo>,
}

/// One region of Argo.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionOfArgo {
    /// Where its events go.
    pub events: EventsConfig,
    /// Who its bridges are.
    pub identity: IdentityConfig,
    /// Where people see Argo Workflows' own pages, for links; none: nowhere.
    #[serde(default)]
    pub ui: Option<String>,
}

/// Where `CloudEvents` for a region's Argo Events go. Plain data: whoever sends reads the files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventsConfig {
    /// The webhook.
    pub url: String,
    /// A file with the bearer token that it asks for.
    pub token_file: PathBuf,
    /// Authorities that its certificate is checked with, if not the machine's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How an event travels.
    #[serde(default)]
    pub mode: EventMode,
}

/// Whose tokens a region's bridges present.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityConfig {
    /// `iss` of the cluster's tokens.
    pub issuer: String,
    /// The audience that they must have among theirs.
    #[serde(default = "audience")]
    pub audience: String,
    /// Whose they must be.
    #[serde(default)]
    pub service_account: ServiceAccount,
    /// The cluster's public keys (JWKS).
    pub keys_file: PathBuf,
}

fn audience() -> String {
    AUDIENCE.to_owned()
}

/// A service account, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Default for ServiceAccount {
    fn default() -> Self {
        let (namespace, name) = SERVICE_ACCOUNT.split_once('/').unwrap_or_default();
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl FromStr for ServiceAccount {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| name.len() <= 253 && name.split('.').all(is::<Namespace>);
        match text.split_once('/') {
            Some((namespace, name)) if is::<Namespace>(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is no service account: write namespace/name")),
        }
    }
}

/// Namespaces and the parts of names follow one rule: a label of DNS.
fn is<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

impl TryFrom<String> for ServiceAccount {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl RegionsOfArgo {
    /// Reads the document, and none of the files that it names.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = file::read(path)?;
        // Without snippets: by a mistake in a path this can be a file that belongs in no log.
        let options = serde_saphyr::options! { with_snippet: false };
        let document: Self = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| ConfigError::Document { path: path.to_owned(), message: error.to_string() })?;
        if document.regions.is_empty() {
            return Err(ConfigError::NoRegion { path: path.to_owned() });
        }
        Ok(document)
    }
}
