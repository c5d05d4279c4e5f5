//! Template → what the process executor and `hook run` start on a machine without a cluster.

use crate::{AttemptRequest, Hook, Refusal};
use serde_json::Value;

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
    /// Program and arguments, `$(VAR)` not yet expanded; never empty. Expand with [`ProcessSpec::argv`] once the
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
    /// A key of a ConfigMap.
    ConfigMap {
        /// The ConfigMap.
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
    /// All keys of a ConfigMap (`envFrom`); `ProcessEnv::name` is the prefix.
    AllOfConfigMap {
        /// The ConfigMap.
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
    /// A ConfigMap; with the keys to be projected (empty: all).
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
    /// A PersistentVolumeClaim: a folder that lasts, one per namespace and claim.
    Claim {
        /// Its name.
        name: String,
    },
}

impl ProcessSpec {
    /// Resolves the variables in order and expands `$(VAR)` in command and arguments as the kubelet does
    /// (`$$(VAR)` is a literal `$(VAR)`, an unknown one stays as it is). `lookup` gives the values of Secrets and
    /// ConfigMaps: one pair for a key, all pairs for an `AllOf…`; nothing for what is absent and optional.
    pub fn resolve<E>(
        &self,
        lookup: &mut dyn FnMut(&ProcessEnv) -> Result<Vec<(String, String)>, E>,
    ) -> Result<ResolvedProcess, E> {
        let _ = lookup;
        todo!("signature first")
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

/// What the process executor runs for this template, or why it cannot: init containers, sidecars, several
/// completions, a command that only the image knows, a kind of volume that has no local form.
pub fn process_spec(
    template: &Value,
    hook: &Hook,
    request: &AttemptRequest,
    paths: &ProcessPaths,
) -> Result<ProcessSpec, Refusal> {
    let _ = (template, hook, request, paths);
    todo!("signature first")
}
