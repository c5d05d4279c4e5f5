//! The environment's file as an event brought it, and the two files that a hook gets.
//!
//! It must never print what is in a file: its author's settings are nobody's business.

use crate::BridgeError;
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    str::FromStr,
};
use tenantry_hook::{
    Before, CHANGESET_KIND, ChangesetDocument, ENVIRONMENT_KIND, EnvironmentDocument, EnvironmentMetadata,
    FILES_API_VERSION, OperationInfo,
};
use tenantry_model::{
    BatchId, Environment, EnvironmentId, EnvironmentName, EnvironmentSpec, EnvironmentState, OperationId,
    OperationName, RegionName, TenantName,
};

/// Most characters of a label's value.
const LABEL_VALUE: usize = 63;

/// A `TenantEnvironment` that somebody else wrote: what a hook's file has, with `operation` and `outputs` optional.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentFile {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: EnvironmentSpec,
    #[serde(default)]
    operation: Operation,
    #[serde(default)]
    outputs: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    outputs_left_out: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    id: EnvironmentId,
    name: EnvironmentName,
    tenant: TenantName,
    region: RegionName,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default = "first")]
    generation: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Operation {
    id: Option<OperationId>,
    name: Option<OperationName>,
    batch: Option<BatchId>,
    scheduled_time: Option<Timestamp>,
    parameters: Map<String, Value>,
}

fn first() -> u64 {
    1
}

/// `NAMESPACE/NAME` of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for Named {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write it as namespace/name"),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        write!(f, "{namespace}/{name}")
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// YAML or JSON.
    Plain,
    /// The same in base64.
    Base64,
}

impl EnvironmentFile {
    /// Reads and checks the file.
    pub fn read(path: &Path, encoding: Encoding) -> Result<Self, BridgeError> {
        let file: Self = read(path, encoding)?;
        check(path, &file.api_version, &file.kind, ENVIRONMENT_KIND)?;
        Ok(file)
    }

    /// What selectors match.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.metadata.labels
    }

    /// What an operation's Workflow is found by; the Sensor gives its own the same.
    #[must_use]
    pub fn workflow_labels(&self, operation: &OperationName) -> BTreeMap<&'static str, String> {
        // Names of tenants and environments are no longer than a label's value.
        let mut operation = operation.to_string();
        operation.truncate(LABEL_VALUE);
        let operation = operation.trim_end_matches(['.', '-']).to_owned();
        [
            ("tenantry.io/operation-name", operation),
            ("tenantry.io/tenant", self.metadata.tenant.to_string()),
            ("tenantry.io/environment", self.metadata.name.to_string()),
        ]
        .into()
    }

    /// Where it lives.
    #[must_use]
    pub fn region(&self) -> &RegionName {
        &self.metadata.region
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> EnvironmentId {
        self.metadata.id
    }

    /// The batch of its operation.
    #[must_use]
    pub fn batch(&self) -> Option<BatchId> {
        self.operation.batch
    }

    /// When a schedule wanted its operation.
    #[must_use]
    pub fn scheduled_time(&self) -> Option<Timestamp> {
        self.operation.scheduled_time
    }

    /// What the caller gave to its operation.
    #[must_use]
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.operation.parameters
    }

    /// The operation that it names, if it names one, must be the one that is run.
    pub fn check_operation(&self, id: Option<OperationId>, name: &OperationName) -> Result<(), BridgeError> {
        let other_id = self.operation.id.zip(id).filter(|(mine, given)| mine != given);
        let other_name = self.operation.name.as_ref().filter(|mine| *mine != name);
        match (other_id, other_name) {
            (Some((mine, given)), _) => Err(BridgeError::Usage(format!(
                "the environment's file is of operation {mine}, but --operation-id is {given}"
            ))),
            (_, Some(mine)) => Err(BridgeError::Usage(format!(
                "the environment's file is of the operation {mine}, but --operation is {name}"
            ))),
            _ => Ok(()),
        }
    }

    /// The text of `environment.yaml`.
    pub fn environment_yaml(&self, id: OperationId, name: &OperationName) -> Result<String, BridgeError> {
        let Metadata { id: environment, name: called, tenant, region, labels, generation } = &self.metadata;
        let operation = &self.operation;
        let document = EnvironmentDocument {
            api_version: FILES_API_VERSION.to_owned(),
            kind: ENVIRONMENT_KIND.to_owned(),
            metadata: EnvironmentMetadata {
                id: *environment,
                name: called.to_string(),
                tenant: tenant.to_string(),
                region: region.to_string(),
                labels: labels.clone(),
                generation: *generation,
            },
            spec: self.spec.clone(),
            operation: OperationInfo {
                id,
                name: name.clone(),
                batch: operation.batch.map_or_else(|| id.to_string(), |batch| batch.to_string()),
                scheduled_time: operation.scheduled_time.map(|time| time.to_string()),
                parameters: operation.parameters.clone(),
            },
            outputs: self.outputs.clone(),
            outputs_left_out: self.outputs_left_out.clone(),
        };
        document.to_yaml().map_err(|error| BridgeError::Usage(error.to_string()))
    }

    /// The text of `changeset.yaml`: that of the file, or without one the whole document as additions to what nobody
    /// knows.
    pub fn changeset_yaml(&self, file: Option<&Path>, encoding: Encoding) -> Result<String, BridgeError> {
        let document = match file {
            Some(path) => {
                let document: ChangesetDocument = read(path, encoding)?;
                check(path, &document.api_version, &document.kind, CHANGESET_KIND)?;
                if document.environment != self.metadata.id {
                    return Err(BridgeError::Usage(format!(
                        "{} is of environment {}, but the environment's file of {}",
                        path.display(),
                        document.environment,
                        self.metadata.id
                    )));
                }
                document
            }
            None => ChangesetDocument::new(&self.environment(), Before::Unknown),
        };
        document.to_yaml().map_err(|error| BridgeError::Usage(error.to_string()))
    }

    fn environment(&self) -> Environment {
        let Metadata { id, name, tenant, region, labels, generation } = self.metadata.clone();
        Environment {
            id,
            tenant,
            name,
            aliases: BTreeSet::new(),
            labels,
            region,
            spec: self.spec.clone(),
            state: EnvironmentState::Active,
            generation,
            revision: 1,
            version: 1,
            retention: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// YAML 1.2, in which `no` and `y` are words. Nothing of the file is in an error but the place and the rule.
fn read<T: DeserializeOwned>(path: &Path, encoding: Encoding) -> Result<T, BridgeError> {
    let mut text = std::fs::read_to_string(path).map_err(|source| BridgeError::File {
        verb: "read",
        path: path.to_owned(),
        source,
    })?;
    if encoding == Encoding::Base64 {
        let bytes = STANDARD.decode(text.trim()).map_err(|error| {
            BridgeError::Usage(format!("{} is not base64, as --base64 says: {error}", path.display()))
        })?;
        text = String::from_utf8(bytes).map_err(|_| {
            BridgeError::Usage(format!("{} holds something else than text in base64", path.display()))
        })?;
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| BridgeError::Usage(format!("cannot read {}: {error}", path.display())))
}

fn check(path: &Path, version: &str, kind: &str, wanted: &str) -> Result<(), BridgeError> {
    if version == FILES_API_VERSION && kind == wanted {
        return Ok(());
    }
    Err(BridgeError::Usage(format!(
        "{} is no {wanted} of {FILES_API_VERSION}: correct its apiVersion and kind",
        path.display()
    )))
}
