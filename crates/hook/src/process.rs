//! What the process executor and `hook run` start on a machine without a cluster.
//!
//! It says what is needed (this Secret's key, that volume) and never where it is: mapping names to local folders is
//! the executor's.

use crate::expand;
use std::collections::BTreeMap;

/// Where the executor has put things for one attempt; absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessPaths {
    /// `LIFECYCLE_TENANT_ENV_FILE`.
    pub environment_file: String,
    /// `LIFECYCLE_CHANGESET_FILE`.
    pub changeset_file: String,
    /// `LIFECYCLE_OUTPUT_FILE`; exists and is empty.
    pub output_file: String,
    /// The folder of the operation's prefix, if the request has an object store.
    pub object_store: Option<String>,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Program and arguments, `$(VAR)` not yet expanded; never empty. Expand with [`ProcessSpec::resolve`] once the
    /// values of `env` are known.
    pub command: Vec<String>,
    /// In order; later ones may refer to earlier ones by `$(VAR)`.
    pub env: Vec<ProcessEnv>,
    /// The container's `workingDir`, if given; a path inside the image, to be mapped by the executor.
    pub working_dir: Option<String>,
    /// Volumes that the container mounts and that need a local folder.
    pub mounts: Vec<ProcessMount>,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEnv {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: EnvValue,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// As written; may hold `$(VAR)`.
    Literal(String),
    /// Injected by tenantry: never expanded.
    Injected(String),
    /// A key of a Secret: mapped to a local folder by name (`--secret name=dir`, file = key).
    Secret {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
        /// Left out when it is not there.
        optional: bool,
    },
    /// A key of a config map.
    ConfigMap {
        /// The config map.
        name: String,
        /// The key.
        key: String,
        /// Left out when it is not there.
        optional: bool,
    },
    /// All keys of a Secret (`envFrom`); `ProcessEnv::name` is the prefix.
    AllOfSecret {
        /// The Secret.
        name: String,
        /// Left out when it is not there.
        optional: bool,
    },
    /// All keys of a config map (`envFrom`); `ProcessEnv::name` is the prefix.
    AllOfConfigMap {
        /// The config map.
        name: String,
        /// Left out when it is not there.
        optional: bool,
    },
}

/// A volume that the container mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessMount {
    /// The volume's name.
    pub volume: String,
    /// What it is made from.
    pub source: MountSource,
    /// Where the container expects it.
    pub path: String,
    /// Part of the volume, if given.
    pub sub_path: Option<String>,
    /// Mounted read-only.
    pub read_only: bool,
}

/// What a volume is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A Secret; with the keys to be projected (empty: all).
    Secret {
        /// Its name.
        name: String,
        /// Key → path.
        items: Vec<(String, String)>,
        /// May be absent.
        optional: bool,
    },
    /// A config map; with the keys to be projected (empty: all).
    ConfigMap {
        /// Its name.
        name: String,
        /// Key → path.
        items: Vec<(String, String)>,
        /// May be absent.
        optional: bool,
    },
    /// An empty folder of the attempt's own.
    EmptyDir,
    /// A persistent volume claim: a folder that lasts, one per namespace and claim.
    Claim {
        /// Its name.
        name: String,
    },
}

/// Gives the values behind a variable: key and value, each.
pub type Lookup<'a, E> = dyn FnMut(&ProcessEnv) -> Result<Vec<(String, String)>, E> + 'a;

impl ProcessSpec {
    /// Resolves the variables in order and expands `$(VAR)` in values, command and arguments as the kubelet does
    /// (`$$(VAR)` is a literal `$(VAR)`, an unknown one stays as it is). `lookup` gives the values of Secrets and
    /// config maps: one pair for a key, all pairs for an `AllOf…`; nothing for what is absent and optional.
    pub fn resolve<E>(&self, lookup: &mut Lookup<'_, E>) -> Result<ResolvedProcess, E> {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut order: Vec<String> = Vec::new();
        for variable in &self.env {
            let values = match &variable.value {
                EnvValue::Literal(text) => vec![(variable.name.clone(), expand::expand(text, &known))],
                EnvValue::Injected(text) => vec![(variable.name.clone(), text.clone())],
                EnvValue::AllOfSecret { .. } | EnvValue::AllOfConfigMap { .. } => lookup(variable)?
                    .into_iter()
                    .map(|(key, value)| (format!("{}{key}", variable.name), value))
                    .collect(),
                EnvValue::Secret { .. } | EnvValue::ConfigMap { .. } => {
                    lookup(variable)?.into_iter().map(|(_, value)| (variable.name.clone(), value)).collect()
                }
            };
            for (name, value) in values {
                if known.insert(name.clone(), value).is_none() {
                    order.push(name);
                }
            }
        }
        let argv = self.command.iter().map(|word| expand::expand(word, &known)).collect();
        let env =
            order.into_iter().filter_map(|name| known.remove(&name).map(|value| (name, value))).collect();
        Ok(ResolvedProcess { argv, env })
    }
}

/// Ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedProcess {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The environment, in order, each name once.
    pub env: Vec<(String, String)>,
}
