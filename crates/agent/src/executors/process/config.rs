//! Where a machine without a cluster has what templates ask for.

use super::containers::ContainerRuntime;
use std::{ffi::OsString, path::PathBuf, time::Duration};
use tenantry_hook::AnnotationDomains;

/// Settings of the process executor.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Folders of manifests (YAML or JSON, the same files as for a cluster), read with their subfolders.
    pub manifests: Vec<PathBuf>,
    /// The executor's own folder: one folder per attempt.
    pub folder: PathBuf,
    /// What stands for the cluster's Secrets and `PersistentVolumeClaims`:
    /// `secrets/<namespace>/<name>/<key>` and `volumes/<namespace>/<claim>/`.
    pub root: PathBuf,
    /// How a person maps a Secret that is missing.
    pub secrets_by: SecretsBy,
    /// The object store: `<namespace>/<environment>/<operation>/` below it. `None`: attempts that need it are refused.
    pub object_store: Option<PathBuf>,
    /// Program and first arguments of the shim; the attempt's folder is added.
    pub shim: Vec<OsString>,
    /// Runs each hook's image in a container; `None`: its command as a process.
    pub runtime: Option<ContainerRuntime>,
    /// Under which prefixes annotations count.
    pub domains: AnnotationDomains,
    /// Variables of the agent that hooks get too.
    pub inherit: Vec<String>,
    /// Of one attempt's log file, in bytes.
    pub log_limit: u64,
    /// How often the manifests are looked at.
    pub manifest_poll: Duration,
    /// Folders of attempts that did not succeed are kept so long after their release.
    pub keep_failed: Duration,
}

/// How Secrets come to [`ProcessConfig::root`]: what a refusal tells people to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsBy {
    /// People put files into folders below the root.
    Folder,
    /// The root is made for one run, from `--secret NAME=FOLDER` of `tenantry hook run`.
    Flag,
}

impl ProcessConfig {
    /// The defaults: this program's own `shim` verb, no object store.
    pub fn new(manifests: Vec<PathBuf>, folder: PathBuf, root: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            manifests,
            folder,
            root,
            secrets_by: SecretsBy::Folder,
            object_store: None,
            shim: vec![std::env::current_exe()?.into_os_string(), "shim".into()],
            runtime: None,
            domains: AnnotationDomains::default(),
            inherit: ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"].map(str::to_owned).to_vec(),
            log_limit: 64 * 1024 * 1024,
            manifest_poll: Duration::from_millis(500),
            keep_failed: Duration::from_hours(24),
        })
    }
}
