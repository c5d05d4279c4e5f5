//! Template → [`ProcessSpec`], or why a laptop cannot run it.
//!
//! What is refused here runs in a cluster; each refusal says what is in the way.

use crate::{
    AttemptRequest, EnvValue, Hook, MountSource, ProcessEnv, ProcessMount, ProcessPaths, ProcessSpec,
    Refusal, RegionPolicy, attempt_name, codes,
    problems::{Problems, below},
    spec::{self, TemplateSpec},
    variables::{Places, injected},
};
use k8s_openapi::api::core::v1::{Container, EnvVar, KeyToPath, Volume};
use serde_json::Value;
use tenantry_model::FailureReason;

const POD: &str = "/spec/template/spec";

/// What the process executor runs for this template, or why it cannot: init containers, sidecars, several
/// completions, a command that only the image knows, a kind of volume that has no local form.
pub fn process_spec(
    template: &Value,
    hook: &Hook,
    request: &AttemptRequest,
    paths: &ProcessPaths,
) -> Result<ProcessSpec, Refusal> {
    let mut problems = Problems::default();
    // Privileges are the cluster's affair; a local process has those of its user, whatever the template says.
    let spec = spec::read(template, &RegionPolicy::unrestricted(), &mut problems);
    shape(&spec, &mut problems);
    let Some(container) = spec.pod.containers.first() else {
        return Err(Refusal { reason: FailureReason::CannotStart, problems: problems.into_vec() });
    };
    let pointer = format!("{POD}/containers/0");
    let command: Vec<String> =
        container.command.iter().flatten().chain(container.args.iter().flatten()).cloned().collect();
    if container.command.as_ref().is_none_or(Vec::is_empty) {
        problems.add(
            codes::PROCESS_COMMAND,
            below(&pointer, "command"),
            format!(
                "container {} has no command: what runs is only in the image {}",
                container.name,
                container.image.as_deref().unwrap_or_default()
            ),
            "write the command into the template, or run the hook in a cluster (tenantry up --kubeconfig)",
        );
    }
    let places = Places {
        environment_file: &paths.environment_file,
        changeset_file: &paths.changeset_file,
        output_file: &paths.output_file,
        object_store: paths.object_store.as_deref(),
    };
    let mut env: Vec<ProcessEnv> = all_of(container);
    env.extend(
        injected(request, &places)
            .into_iter()
            .map(|(name, value)| ProcessEnv { name: name.to_owned(), value: EnvValue::Injected(value) }),
    );
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let pointer = below(&below(&pointer, "env"), index);
        if let Some(value) = value_of(variable, &pointer, hook, request, &spec, &mut problems) {
            env.push(ProcessEnv { name: variable.name.clone(), value });
        }
    }
    let mounts = mounts(container, &spec, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal { reason: FailureReason::CannotStart, problems: problems.into_vec() });
    }
    let working_dir = container.working_dir.clone().filter(|dir| !dir.is_empty());
    Ok(ProcessSpec { command, env, working_dir, mounts })
}

fn shape(spec: &TemplateSpec, problems: &mut Problems) {
    let remedy = "run the hook in a cluster (tenantry up --kubeconfig)";
    if spec.pod.init_containers.is_some() {
        problems.add(
            codes::PROCESS_CONTAINERS,
            below(POD, "initContainers"),
            "the template has init containers; a local process has none",
            remedy,
        );
    }
    if spec.pod.containers.len() > 1 {
        problems.add(
            codes::PROCESS_CONTAINERS,
            below(POD, "containers"),
            format!("the template has {} containers; a local process is one", spec.pod.containers.len()),
            remedy,
        );
    }
    if spec.needs_job() {
        problems.add(
            codes::PROCESS_COMPLETIONS,
            "/spec/completions",
            "the template has several completions or is Indexed; a local process runs once",
            remedy,
        );
    }
}

/// `envFrom`, which has the lowest rank.
fn all_of(container: &Container) -> Vec<ProcessEnv> {
    let sources = container.env_from.iter().flatten();
    sources
        .flat_map(|source| {
            let secret = source.secret_ref.as_ref().map(|secret| EnvValue::AllOfSecret {
                name: secret.name.clone(),
                optional: secret.optional.unwrap_or(false),
            });
            let config_map = source.config_map_ref.as_ref().map(|map| EnvValue::AllOfConfigMap {
                name: map.name.clone(),
                optional: map.optional.unwrap_or(false),
            });
            let name = source.prefix.clone().unwrap_or_default();
            secret.into_iter().chain(config_map).map(move |value| ProcessEnv { name: name.clone(), value })
        })
        .collect()
}

fn value_of(
    variable: &EnvVar,
    pointer: &str,
    hook: &Hook,
    request: &AttemptRequest,
    spec: &TemplateSpec,
    problems: &mut Problems,
) -> Option<EnvValue> {
    let Some(from) = &variable.value_from else {
        return Some(EnvValue::Literal(variable.value.clone().unwrap_or_default()));
    };
    if let Some(secret) = &from.secret_key_ref {
        return Some(EnvValue::Secret {
            name: secret.name.clone(),
            key: secret.key.clone(),
            optional: secret.optional.unwrap_or(false),
        });
    }
    if let Some(map) = &from.config_map_key_ref {
        return Some(EnvValue::ConfigMap {
            name: map.name.clone(),
            key: map.key.clone(),
            optional: map.optional.unwrap_or(false),
        });
    }
    let field = from.field_ref.as_ref().map(|field| field.field_path.as_str());
    let keyed = |prefix: &str| {
        field.and_then(|field| field.strip_prefix(prefix)?.strip_suffix("']")).map(str::to_owned)
    };
    let known = match field {
        Some("metadata.namespace") => Some(hook.path.namespace.to_string()),
        Some("metadata.name") => Some(attempt_name(&request.attempt)),
        Some("metadata.uid") => Some(request.nonce.to_string()),
        Some("spec.serviceAccountName") => {
            Some(spec.pod.service_account_name.clone().unwrap_or_else(|| "default".to_owned()))
        }
        _ => {
            let label = keyed("metadata.labels['").and_then(|key| spec.labels.get(&key).cloned());
            label.or_else(|| {
                keyed("metadata.annotations['").and_then(|key| spec.annotations.get(&key).cloned())
            })
        }
    };
    if known.is_none() {
        problems.add(
            codes::PROCESS_VARIABLE,
            below(pointer, "valueFrom"),
            format!(
                "the variable {} comes from {}, which exists only in a cluster",
                variable.name,
                field.unwrap_or("a resource of the container")
            ),
            "run the hook in a cluster (tenantry up --kubeconfig)",
        );
    }
    // Not expanded by the kubelet either.
    known.map(EnvValue::Injected)
}

fn mounts(container: &Container, spec: &TemplateSpec, problems: &mut Problems) -> Vec<ProcessMount> {
    let volumes = spec.pod.volumes.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let Some((place, volume)) = volumes.iter().enumerate().find(|(_, volume)| volume.name == mount.name)
        else {
            problems.add(
                codes::PROCESS_VOLUME,
                format!("{POD}/containers/0/volumeMounts/{index}/name"),
                format!("the template has no volume {:?}", mount.name),
                "correct the name",
            );
            continue;
        };
        let Some(source) = source(volume) else {
            problems.add(
                codes::PROCESS_VOLUME,
                format!("{POD}/volumes/{place}"),
                format!("the volume {} is of a kind that has no local form", volume.name),
                "use a secret, configMap, emptyDir or persistentVolumeClaim, or run the hook in a cluster",
            );
            continue;
        };
        found.push(ProcessMount {
            volume: volume.name.clone(),
            source,
            path: mount.mount_path.clone(),
            sub_path: mount.sub_path.clone().filter(|path| !path.is_empty()),
            read_only: mount.read_only.unwrap_or(false),
        });
    }
    found
}

fn source(volume: &Volume) -> Option<MountSource> {
    let items = |items: &Option<Vec<KeyToPath>>| {
        items.iter().flatten().map(|item| (item.key.clone(), item.path.clone())).collect()
    };
    if let Some(secret) = &volume.secret {
        return Some(MountSource::Secret {
            name: secret.secret_name.clone()?,
            items: items(&secret.items),
            optional: secret.optional.unwrap_or(false),
        });
    }
    if let Some(map) = &volume.config_map {
        return Some(MountSource::ConfigMap {
            name: map.name.clone(),
            items: items(&map.items),
            optional: map.optional.unwrap_or(false),
        });
    }
    if volume.empty_dir.is_some() {
        return Some(MountSource::EmptyDir);
    }
    let claim = volume.persistent_volume_claim.as_ref()?;
    Some(MountSource::Claim { name: claim.claim_name.clone() })
}
