//! What a region lets its hooks do. Forbidden by default; a region's configuration allows.
//!
//! It must never know where the configuration comes from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a pod spec can ask for that reaches beyond its own namespace or container.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Privilege {
    /// `hostPath` volumes.
    HostPath,
    /// `hostNetwork`.
    HostNetwork,
    /// `hostPID`.
    HostPid,
    /// `hostIPC`.
    HostIpc,
    /// `hostPort` of a container's port.
    HostPort,
    /// `securityContext.privileged`, `procMount: Unmasked`, Windows' `hostProcess`.
    Privileged,
    /// `capabilities.add`.
    AddCapabilities,
    /// `sysctls`.
    Sysctls,
    /// `seccompProfile`/`appArmorProfile` of type `Unconfined`.
    Unconfined,
    /// `seLinuxOptions` with a user, a role, or a type that is none of containers.
    SelinuxOptions,
    /// `host` of probes and of `postStart` and `preStop`: the node calls an address of the template's choice.
    ProbeHost,
    /// `nodeName`: goes past the scheduler.
    NodeName,
    /// Annotations of the pod that name objects of another namespace (Multus networks).
    ForeignNamespaceAnnotations,
}

/// A region's rules for hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RegionPolicy {
    /// What is allowed; nothing by default.
    pub allow: BTreeSet<Privilege>,
    /// Labels by which Argo CD tracks its objects besides its default `app.kubernetes.io/instance`
    /// (`application.instanceLabelKey`); removed from the copy, else Argo CD prunes it.
    pub tracking_labels: BTreeSet<String>,
    /// The claim (persistent volume), of the same name in each namespace, that is mounted for the object store.
    /// `None`: attempts that need one are refused.
    pub object_store_claim: Option<String>,
}

impl Privilege {
    /// Every privilege, for tables and for regions that forbid nothing.
    pub const ALL: [Self; 13] = [
        Self::HostPath,
        Self::HostNetwork,
        Self::HostPid,
        Self::HostIpc,
        Self::HostPort,
        Self::Privileged,
        Self::AddCapabilities,
        Self::Sysctls,
        Self::Unconfined,
        Self::SelinuxOptions,
        Self::ProbeHost,
        Self::NodeName,
        Self::ForeignNamespaceAnnotations,
    ];
}

impl RegionPolicy {
    /// A region that forbids nothing: where attempts are processes, privileges of containers mean nothing.
    #[must_use]
    pub fn unrestricted() -> Self {
        Self { allow: Privilege::ALL.into(), ..Self::default() }
    }
}
