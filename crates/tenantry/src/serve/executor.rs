//! How settings become an executor.

use crate::exit::{Exit, Failure};
use crate::settings::{OfGroup, Settings};
use anyhow::{Context, Result};
use jiff::SignedDuration;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tenantry_agent::executors::Executor;
use tenantry_agent::executors::kubernetes::{KubernetesConfig, KubernetesExecutor};
use tenantry_agent::executors::process::{ContainerRuntime, ProcessConfig, ProcessExecutor};
use tenantry_hook::{AnnotationDomains, RegionPolicy};
use tenantry_kube_run::{Connection, Scope, Settings as Tolerances};
use tenantry_model::Namespace;

/// The executor that the settings name. `folder` is the agent's own.
pub async fn executor<G: OfGroup>(settings: &Settings<G>, folder: &Path) -> Result<Arc<dyn Executor>> {
    match settings.need("executor")? {
        "process" => process(settings, folder),
        "kubernetes" => Ok(Arc::new(kubernetes(settings).await?)),
        other => {
            Err(Failure::new(Exit::Usage, format!("executor {other:?}: use process or kubernetes")).into())
        }
    }
}

fn process<G: OfGroup>(settings: &Settings<G>, folder: &Path) -> Result<Arc<dyn Executor>> {
    let templates =
        settings.need("templates").map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    let root = settings.get("root").map_or_else(|| folder.join("root"), PathBuf::from);
    let objects = settings.get("object-store").map_or_else(|| folder.join("objects"), PathBuf::from);
    let mut config = ProcessConfig::new(vec![PathBuf::from(templates)], folder.join("attempts"), root)
        .context("cannot find this program's own file")?;
    config.domains = domains(settings)?;
    config.object_store = Some(objects);
    config.runtime = match settings.get("runtime") {
        None => None,
        Some(program @ ("docker" | "podman")) => Some(ContainerRuntime::find(program).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("runtime {program:?} is not on this machine: install it"))
        })?),
        Some(other) => {
            return Err(Failure::new(Exit::Usage, format!("runtime {other:?}: use docker or podman")).into());
        }
    };
    if let Some(keep) = duration(settings, "keep-failed")? {
        config.keep_failed = keep;
    }
    Ok(Arc::new(ProcessExecutor::new(config)?))
}

/// The Kubernetes executor as itself: `agent drain` needs more of it than the agent.
pub async fn kubernetes<G: OfGroup>(settings: &Settings<G>) -> Result<KubernetesExecutor> {
    let namespaces = namespaces(settings)?;
    let mut tolerances = Tolerances::default();
    for (key, into) in [
        ("image-pull-tolerance", &mut tolerances.image_pull_tolerance),
        ("unschedulable-tolerance", &mut tolerances.unschedulable_tolerance),
        ("cannot-start-tolerance", &mut tolerances.cannot_start_tolerance),
        ("preparing-tolerance", &mut tolerances.preparing_tolerance),
        ("keep-succeeded", &mut tolerances.keep_succeeded),
        ("keep-failed", &mut tolerances.keep_failed),
    ] {
        if let Some(value) = duration(settings, key)? {
            *into = value;
        }
    }
    let config = KubernetesConfig {
        connection: Connection { kubeconfig: settings.get("kubeconfig").map(PathBuf::from), context: None },
        scope: if namespaces.is_empty() {
            Scope::Cluster
        } else {
            Scope::Namespaces(namespaces.into_iter().collect())
        },
        domains: domains(settings)?,
        policy: policy(settings)?,
        settings: tolerances,
    };
    Ok(KubernetesExecutor::new(config).await?)
}

/// The namespaces that the region is limited to; empty: all.
pub fn namespaces<G: OfGroup>(settings: &Settings<G>) -> Result<Vec<Namespace>> {
    settings.list("namespaces").iter().map(|name| name.parse().context("setting `namespaces`")).collect()
}

/// Under which prefixes annotations are read.
pub fn domains<G: OfGroup>(settings: &Settings<G>) -> Result<AnnotationDomains> {
    AnnotationDomains::new(settings.list("annotation-domains")).context("setting `annotation-domains`")
}

/// What the region lets its hooks do. A process has no Pod privileges that could be refused.
pub fn policy<G: OfGroup>(settings: &Settings<G>) -> Result<RegionPolicy> {
    let mut policy = match settings.need("executor")? {
        "process" => RegionPolicy::unrestricted(),
        _ => RegionPolicy::default(),
    };
    policy.object_store_claim = settings.get("object-store-claim").map(str::to_owned);
    policy.tracking_labels = settings.list("tracking-labels").into_iter().collect();
    for name in settings.list("allow") {
        let word = serde_json::Value::String(name.clone());
        policy
            .allow
            .insert(serde_json::from_value(word).with_context(|| format!("setting `allow`: {name:?}"))?);
    }
    Ok(policy)
}

fn duration<G: OfGroup>(settings: &Settings<G>, key: &'static str) -> Result<Option<Duration>> {
    let value: Option<SignedDuration> = settings.parse(key)?;
    value
        .map(|value| Duration::try_from(value).with_context(|| format!("setting `{key}` is negative")))
        .transpose()
}
