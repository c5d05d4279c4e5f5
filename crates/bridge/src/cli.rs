//! The command line. docs/bridge.md has the same words: a test compares them.
//!
//! It must never do anything but read.

#![allow(clippy::doc_markdown)] // these comments are the program's help, which has no markup

use crate::{
    BridgeError, dag,
    environment::{Encoding, Named},
};
use clap::{ArgGroup, Args, Parser, Subcommand};
use jiff::SignedDuration;
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tenantry_hook::{AnnotationDomains, Privilege, RegionPolicy};
use tenantry_kube_run::{Connection, Scope};
use tenantry_model::{HookPath, Namespace, OperationId, OperationName, RegionName};

/// The exit code of `bridge` when the hook has none: nothing ran, or what ran was not the hook's to decide.
pub const PLATFORM: u8 = 125;
/// The exit code of `bridge` when it is to be started again: after SIGTERM, when it leaves its attempt running, and when the
/// API server does not answer. Not 143: that is what a hook ends with when somebody deletes its Pod, and nobody may take that
/// for a bridge that is to be started again.
pub const DETACHED: u8 = 122;

/// Finds hooks for an Argo Workflow, and runs them as its steps.
#[derive(Debug, Parser)]
#[command(name = "tenantry-bridge", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prints the hooks that an operation runs for an environment, as JSON
    Discovery(Discovery),
    /// Runs one hook: creates its attempt (or finds it), prints its log, ends with its exit code
    Bridge(Bridge),
}

/// Which cluster, and what counts there.
#[derive(Args, Debug)]
pub struct Region {
    /// Cluster to use instead of the one the program runs in
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one without
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Prefix under which annotations count; several may be given
    #[arg(long = "domain", value_name = "DOMAIN", default_value = "tenantry.io", value_delimiter = ',')]
    pub domains: Vec<String>,
    /// Privilege that hooks may use (host-path, …); none without
    #[arg(long = "allow", value_name = "PRIVILEGE", value_delimiter = ',', value_parser = privilege)]
    pub allow: Vec<Privilege>,
    /// Label by which Argo CD tracks its objects, besides app.kubernetes.io/instance; not copied
    #[arg(long = "tracking-label", value_name = "LABEL", value_delimiter = ',')]
    pub tracking_labels: Vec<String>,
    /// Claim that is mounted for backups, of the same name in each namespace
    #[arg(long, value_name = "NAME")]
    pub object_store_claim: Option<String>,
}

/// Whether a manager decides, and how it is reached.
#[derive(Args, Clone, Debug)]
pub struct Managed {
    /// Manager that decides what runs: its URL. Without one the cluster's objects are all that counts
    #[arg(long, value_name = "URL", requires = "region_name", requires = "operation_id")]
    pub manager: Option<String>,
    /// With --manager: the token of the Pod's service account; read for each call, because it changes
    #[arg(long, value_name = "FILE", default_value = dag::TOKEN_FILE)]
    pub manager_token_file: PathBuf,
    /// With --manager: certificates of its authority; those of the image without
    #[arg(long, value_name = "FILE")]
    pub manager_ca_file: Option<PathBuf>,
    /// With --manager: which Workflow of the operation this is
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub round: u32,
    /// Name of the region that this is, as events and the manager have it: what is for another one is refused
    #[arg(id = "region_name", long = "region", value_name = "NAME")]
    pub region_name: Option<RegionName>,
    /// With --region: which region was asked; without, or empty, and without a manager, it is the environment's
    #[arg(long, value_name = "NAME", requires = "region_name")]
    pub for_region: Option<String>,
}

/// Flags of `discovery`.
#[allow(clippy::struct_excessive_bools)] // as many as there are flags
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("where").required(true))]
pub struct Discovery {
    /// Operation whose hooks are wanted
    #[arg(long, value_name = "NAME")]
    pub operation: OperationName,
    /// The environment (a TenantEnvironment): its labels decide selectors
    #[arg(long, value_name = "FILE")]
    pub environment_file: Option<PathBuf>,
    /// The environment's file is base64: Argo would take what looks like one of its expressions for one
    #[arg(long, requires = "environment_file")]
    pub base64: bool,
    /// Namespace to look in; several may be given
    #[arg(long = "namespace", value_name = "NAME", value_delimiter = ',', group = "where")]
    pub namespaces: Vec<Namespace>,
    /// Look in the whole cluster
    #[arg(long, group = "where")]
    pub all_namespaces: bool,
    /// Hook that must be there, or nothing is printed; several may be given
    #[arg(long = "expect", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    pub expect: Vec<HookPath>,
    /// Print nothing to do as an empty list instead of refusing it
    #[arg(long)]
    pub allow_empty: bool,
    /// Refuse tenant.after that names a hook of another namespace
    #[arg(long)]
    pub same_namespace_only: bool,
    /// Print a list of levels: those of a level may run at once, after all levels before
    #[arg(long, conflicts_with = "as_dag")]
    pub levels: bool,
    /// Print a Workflow with one task per hook and the exact order; needs --environment-file or --manager
    #[arg(long, requires = "operation_id")]
    pub as_dag: bool,
    /// With --as-dag: make the Workflow instead of printing it; one of its name that is there is left as it is
    #[arg(long, requires = "as_dag", requires = "workflow_namespace", conflicts_with = "output")]
    pub submit: bool,
    /// Write to this file instead of stdout; needed above 256 KiB, which is all that Argo takes from stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Jobs to ask for at a time
    #[arg(long, value_name = "COUNT", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub page: u32,
    /// With --as-dag or --manager: the operation's id
    #[arg(long, value_name = "UUID")]
    pub operation_id: Option<OperationId>,
    /// With --manager: Workflow that this is a step of
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "manager")]
    pub workflow: Option<Named>,
    /// With --as-dag: name of the Workflow; tenantry-UUID without
    #[arg(long, value_name = "NAME", requires = "as_dag")]
    pub workflow_name: Option<String>,
    /// With --as-dag: how long the Workflow stays after its end; longer than anybody may send its event again
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    pub workflow_ttl: u32,
    /// With --as-dag: how many of its Pods there are at a time; as many as the order allows without
    #[arg(long, value_name = "COUNT", requires = "as_dag", value_parser = clap::value_parser!(u32).range(1..))]
    pub workflow_parallelism: Option<u32>,
    /// With --as-dag: the Workflow's priority; where Argo bounds how many run at a time, those with more begin first
    #[arg(long, value_name = "NUMBER", requires = "as_dag", allow_hyphen_values = true)]
    pub workflow_priority: Option<i32>,
    /// With --as-dag: namespace of the Workflow; that of the submitter without
    #[arg(long, value_name = "NAME")]
    pub workflow_namespace: Option<Namespace>,
    /// With --as-dag: service account of its Pods
    #[arg(long, value_name = "NAME", default_value = "tenantry-bridge")]
    pub service_account: String,
    /// With --as-dag: image of this program
    #[arg(long, value_name = "IMAGE", default_value = concat!("tenantry-bridge:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// With --as-dag and --manager: audience of the bridges' tokens
    #[arg(long, value_name = "AUDIENCE", default_value = tenantry_api_types::bridge::AUDIENCE)]
    pub manager_audience: String,
    /// With --as-dag and --manager: Secret with the manager's authority (ca.crt) for the bridges
    #[arg(long, value_name = "NAME")]
    pub manager_ca_secret: Option<String>,
    /// With --as-dag: further flag of each bridge; several may be given
    #[arg(long = "bridge-flag", value_name = "FLAG", requires = "as_dag", allow_hyphen_values = true)]
    pub bridge_flags: Vec<String>,
    /// Whether a manager decides.
    #[command(flatten)]
    pub managed: Managed,
    /// Which cluster, and what counts there.
    #[command(flatten)]
    pub region: Region,
}

/// How long something may be in an attempt's way before it fails for that: the words of an agent's settings.
#[derive(Args, Debug)]
pub struct Tolerances {
    /// How long an image may fail to be pulled before the attempt fails; 2 min without
    #[arg(long, value_name = "DURATION", value_parser = tolerance)]
    pub image_pull_tolerance: Option<Duration>,
    /// How long no node may take the Pod before the attempt fails; 10 min without
    #[arg(long, value_name = "DURATION", value_parser = tolerance)]
    pub unschedulable_tolerance: Option<Duration>,
    /// How long a container may fail to start, for a missing Secret say, before the attempt fails; 1 min without
    #[arg(long, value_name = "DURATION", value_parser = tolerance)]
    pub cannot_start_tolerance: Option<Duration>,
    /// How long the Pod's volumes may fail to come, or a Job's Pods to be made, before the attempt fails; 10 min without
    #[arg(long, value_name = "DURATION", value_parser = tolerance)]
    pub preparing_tolerance: Option<Duration>,
}

/// Flags of `bridge`.
#[derive(Args, Debug)]
pub struct Bridge {
    /// The hook: a suspended Job
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub job: HookPath,
    /// Operation that is run
    #[arg(long, value_name = "NAME")]
    pub operation: OperationName,
    /// The operation's id; attempts are named by it, so that the same step is never run twice at once
    #[arg(long, value_name = "UUID")]
    pub operation_id: OperationId,
    /// The environment (a TenantEnvironment), as the hook gets it; with --manager not read
    #[arg(long, value_name = "FILE", required_unless_present = "manager")]
    pub environment_file: Option<PathBuf>,
    /// The changeset (a TenantChangeset); without, the hook is told that what is there is unknown
    #[arg(long, value_name = "FILE")]
    pub changeset_file: Option<PathBuf>,
    /// The files of environment and changeset are base64: Argo would take what looks like one of its expressions for one
    #[arg(long)]
    pub base64: bool,
    /// File for the reason of a failure, in one word; empty after success
    #[arg(long, value_name = "FILE")]
    pub reason_file: Option<PathBuf>,
    /// File for the hook's outputs, a JSON object; `{}` without any
    #[arg(long, value_name = "FILE")]
    pub outputs_file: Option<PathBuf>,
    /// File for how a failure came about, in a line; /dev/termination-log, and Argo shows it as the node's message
    #[arg(long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// Workflow that this is a step of: the attempt ends when it is shut down or deleted
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub workflow: Option<Named>,
    /// Time that an attempt is given to end with its Workflow; stay below the Pod's terminationGracePeriodSeconds
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = seconds)]
    pub grace: Duration,
    /// Keep the Pod (or Job) of an attempt that succeeded
    #[arg(long)]
    pub keep_succeeded: bool,
    /// What is waited for, and how long.
    #[command(flatten)]
    pub tolerances: Tolerances,
    /// Whether a manager decides.
    #[command(flatten)]
    pub managed: Managed,
    /// Which cluster, and what counts there.
    #[command(flatten)]
    pub region: Region,
}

impl Discovery {
    pub(crate) fn encoding(&self) -> Encoding {
        if self.base64 { Encoding::Base64 } else { Encoding::Plain }
    }
}

impl Bridge {
    pub(crate) fn encoding(&self) -> Encoding {
        if self.base64 { Encoding::Base64 } else { Encoding::Plain }
    }
}

impl Region {
    pub(crate) fn connection(&self) -> Connection {
        Connection { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }

    pub(crate) fn domains(&self) -> Result<AnnotationDomains, BridgeError> {
        AnnotationDomains::new(&self.domains).map_err(|error| BridgeError::Usage(error.to_string()))
    }

    pub(crate) fn policy(&self) -> RegionPolicy {
        RegionPolicy {
            allow: self.allow.iter().copied().collect(),
            tracking_labels: self.tracking_labels.iter().cloned().collect(),
            object_store_claim: self.object_store_claim.clone(),
        }
    }
}

impl Discovery {
    pub(crate) fn scope(&self) -> Scope {
        if self.all_namespaces {
            return Scope::Cluster;
        }
        Scope::Namespaces(self.namespaces.iter().cloned().collect::<BTreeSet<_>>())
    }
}

fn privilege(text: &str) -> Result<Privilege, String> {
    let known = || Privilege::ALL.map(|privilege| serde_json::to_value(privilege).unwrap_or_default());
    serde_json::from_value(Value::from(text)).map_err(|_| {
        let names: Vec<String> = known().iter().filter_map(Value::as_str).map(str::to_owned).collect();
        format!("no such privilege; there are {}", names.join(", "))
    })
}

fn tolerance(text: &str) -> Result<Duration, String> {
    let given = text.parse::<SignedDuration>().ok();
    given
        .and_then(|given| Duration::try_from(given).ok())
        .ok_or_else(|| "give a duration like 90s or 5m".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "give a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_written_as_in_an_agents_settings() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(tolerance(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "-5s", "soon"] {
            tolerance(wrong).unwrap_err();
        }
    }
}
