//! What callers say and get about environments.

use crate::OperationAnswer;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use tenantry_model::{
    Alias, ConflictPolicy, Environment, EnvironmentId, EnvironmentName, EnvironmentSpec, InvalidName,
    OperationId, RegionName, TenantName,
};

/// How people name an environment: `UUID`, `tenant/name`, or an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentKey {
    /// Its id.
    Id(EnvironmentId),
    /// Its owner and name.
    Name(TenantName, EnvironmentName),
    /// A further name.
    Alias(Alias),
}

impl FromStr for EnvironmentKey {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if let Some((tenant, name)) = text.split_once('/') {
            return Ok(Self::Name(tenant.parse()?, name.parse()?));
        }
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Ok(Self::Alias(text.parse()?)),
        }
    }
}

impl std::fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(tenant, name) => write!(f, "{tenant}/{name}"),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

/// A new environment.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEnvironment {
    /// Chosen by the caller, or `None`: made as UUIDv7.
    pub id: Option<EnvironmentId>,
    /// Its owner; must exist.
    pub tenant: TenantName,
    /// Unique within the tenant.
    pub name: EnvironmentName,
    /// Further names.
    pub aliases: BTreeSet<Alias>,
    /// What selectors match.
    pub labels: BTreeMap<String, String>,
    /// Where it lives; must exist.
    pub region: RegionName,
    /// What is wished.
    pub spec: EnvironmentSpec,
}

/// New contents of the given parts of an environment; each replaces the whole part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvironmentChange {
    /// Further names.
    pub aliases: Option<BTreeSet<Alias>>,
    /// What selectors match.
    pub labels: Option<BTreeMap<String, String>>,
    /// Where it lives; fixed once hooks ran for it.
    pub region: Option<RegionName>,
    /// What is wished.
    pub spec: Option<EnvironmentSpec>,
}

/// How a change of an environment is to be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeOptions {
    /// The revision that the caller saw (`If-Match`).
    pub expected_revision: Option<u64>,
    /// Request `lifecycle.upsert` when the generation was raised.
    pub reconcile: bool,
    /// Why.
    pub reason: Option<String>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Default for ChangeOptions {
    fn default() -> Self {
        Self { expected_revision: None, reconcile: true, reason: None, validate_only: false }
    }
}

/// A made or changed environment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentAnswer {
    /// As it is now (with `validate_only`: as it would be).
    pub environment: Environment,
    /// The upsert that was requested, or the preview of it; `None` when nothing is to be done.
    pub operation: Option<OperationAnswer>,
}

/// What a lifecycle method asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Upsert at the present generation: brings new hooks to an existing environment.
    Reconcile,
    /// Switch off, keep.
    Suspend,
    /// Switch on again.
    Resume,
    /// Write a backup.
    Backup,
    /// Read a backup back.
    Restore {
        /// The operation that wrote it; `None`: the newest that succeeded.
        backup: Option<OperationId>,
    },
    /// Tear down, retained.
    Decommission {
        /// How long `undelete` is possible; `None`: the installation's default.
        retention: Option<SignedDuration>,
    },
    /// Bring a decommissioned environment back by an upsert.
    Undelete,
}

/// How a lifecycle method is to be carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LifecycleOptions {
    /// The revision of the environment that the caller saw.
    pub expected_revision: Option<u64>,
    /// Instead of the definition's policy.
    pub on_conflict: Option<ConflictPolicy>,
    /// Why.
    pub reason: Option<String>,
    /// Answer with the plan, change nothing.
    pub validate_only: bool,
}
