//! The spec of a template: allow-list, types, and the typed pieces that attempts are built from.
//!
//! A field is copied, known to be without effect, or refused; never dropped silently. It must never know annotations
//! of the contract.

use crate::{
    RegionPolicy, codes,
    decode::{decode, items, members, object, refuse_field, wrong_type},
    privileges,
    problems::{Problems, below},
};
use k8s_openapi::api::{
    batch::v1::SuccessPolicy,
    core::v1::{Container, PodSpec, Volume},
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Copied to a Job.
pub(crate) const JOB_COPIED: [&str; 5] =
    ["completions", "parallelism", "completionMode", "successPolicy", "template"];
/// Known, and without effect on attempts; `hook lint` says so where an author may expect one.
pub(crate) const JOB_WITHOUT_EFFECT: [&str; 9] = [
    "suspend",
    "selector",
    "manualSelector",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "podFailurePolicy",
    "podReplacementPolicy",
    "ttlSecondsAfterFinished",
];
const POD_COPIED: [&str; 37] = [
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];
const CONTAINER_COPIED: [&str; 24] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// Where the files of the contract are mounted in every container.
pub const FILES_DIR: &str = "/tenantry/files";
/// Where the object store's prefix is mounted in every container, for operations that have one.
pub const STORE_DIR: &str = "/tenantry/store";
/// The part of every container's file system that is tenantry's.
pub(crate) const RESERVED_DIR: &str = "/tenantry";
/// Names of volumes, variables, labels and annotations that begin so are tenantry's.
pub(crate) const RESERVED_VOLUME: &str = "tenantry-";
pub(crate) const RESERVED_VARIABLE: &str = "LIFECYCLE_";
pub(crate) const RESERVED_KEY: &str = "tenantry.io/";

/// The copied part of a template, typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemplateSpec {
    pub(crate) completions: Option<i32>,
    pub(crate) parallelism: Option<i32>,
    pub(crate) completion_mode: Option<String>,
    pub(crate) success_policy: Option<SuccessPolicy>,
    /// Of the pods, without what controllers and Argo CD put there.
    pub(crate) labels: BTreeMap<String, String>,
    /// Of the pods, likewise.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) pod: PodSpec,
}

impl TemplateSpec {
    /// Whether only a Job can run it.
    pub(crate) fn needs_job(&self) -> bool {
        self.completions.unwrap_or(1) != 1
            || self.parallelism.unwrap_or(1) != 1
            || self.completion_mode.as_deref() == Some("Indexed")
    }
}

/// Reads `spec`; adds every problem. What cannot be read is left out of the result, which may only be used when no
/// problem was found.
pub(crate) fn read(template: &Value, policy: &RegionPolicy, problems: &mut Problems) -> TemplateSpec {
    let mut found = TemplateSpec::default();
    let Some(spec) = object(template, "/spec", problems) else { return found };
    for (field, value) in members(spec) {
        let pointer = below("/spec", field);
        match field.as_str() {
            "completions" => found.completions = decode(value, &pointer, problems),
            "parallelism" => found.parallelism = decode(value, &pointer, problems),
            "completionMode" => found.completion_mode = decode(value, &pointer, problems),
            "successPolicy" => found.success_policy = decode(value, &pointer, problems),
            "activeDeadlineSeconds" => problems.add(
                codes::FIELD_NOT_ALLOWED,
                pointer,
                "activeDeadlineSeconds is not part of the contract",
                "use the annotation tenant.timeout, which also the laptop's executor keeps",
            ),
            known if JOB_COPIED.contains(&known) || JOB_WITHOUT_EFFECT.contains(&known) => {}
            _ => refuse_field(field, &pointer, &[&JOB_COPIED, &JOB_WITHOUT_EFFECT], problems),
        }
    }
    let Some(pod) = object(template, "/spec/template", problems) else { return found };
    for (field, _) in members(pod) {
        if !["metadata", "spec"].contains(&field.as_str()) {
            refuse_field(field, &below("/spec/template", field), &[&["metadata", "spec"]], problems);
        }
    }
    pod_metadata(pod, policy, &mut found, problems);
    pod_spec(template, policy, &mut found, problems);
    found
}

fn pod_metadata(
    pod: &Map<String, Value>,
    policy: &RegionPolicy,
    found: &mut TemplateSpec,
    problems: &mut Problems,
) {
    let Some(metadata) = pod.get("metadata").and_then(Value::as_object) else { return };
    let parent = "/spec/template/metadata";
    for (field, value) in members(metadata) {
        let pointer = below(parent, field);
        match field.as_str() {
            "labels" => found.labels = decode(value, &pointer, problems).unwrap_or_default(),
            "annotations" => found.annotations = decode(value, &pointer, problems).unwrap_or_default(),
            _ => refuse_field(field, &pointer, &[&["labels", "annotations"]], problems),
        }
    }
    for (kind, keys) in [("labels", &found.labels), ("annotations", &found.annotations)] {
        for key in keys.keys().filter(|key| key.starts_with(RESERVED_KEY) && !is_contract(key)) {
            problems.add(
                codes::NAME_RESERVED,
                below(&below(parent, kind), key),
                format!("{key} belongs to tenantry"),
                "use a key of your own domain",
            );
        }
    }
    privileges::pod_annotations(&found.annotations, policy, problems);
    found.labels.retain(|key, _| !is_tracking_label(key) && !policy.tracking_labels.contains(key));
    found.annotations.retain(|key, _| !is_tracking_annotation(key) && !is_contract(key));
}

fn pod_spec(template: &Value, policy: &RegionPolicy, found: &mut TemplateSpec, problems: &mut Problems) {
    let parent = "/spec/template/spec";
    let Some(spec) = object(template, parent, problems) else { return };
    for (field, _) in members(spec) {
        let pointer = below(parent, field);
        if field == "activeDeadlineSeconds" {
            problems.add(
                codes::FIELD_NOT_ALLOWED,
                pointer,
                "activeDeadlineSeconds is not part of the contract",
                "use the annotation tenant.timeout, which also the laptop's executor keeps",
            );
        } else if !POD_COPIED.contains(&field.as_str()) {
            refuse_field(field, &pointer, &[&POD_COPIED], problems);
        }
    }
    privileges::pod_spec(spec, policy, problems);
    // Lists of objects are read one by one: a problem then names its container.
    let mut rest = spec.clone();
    for list in ["containers", "initContainers", "volumes"] {
        rest.remove(list);
    }
    rest.retain(|field, _| POD_COPIED.contains(&field.as_str()));
    found.pod = decode(&Value::Object(rest), parent, problems).unwrap_or_default();
    let mut names = BTreeSet::new();
    found.pod.containers = containers(spec, "containers", &mut names, problems);
    if found.pod.containers.is_empty()
        && spec.get("containers").and_then(Value::as_array).is_none_or(Vec::is_empty)
    {
        problems.add(
            codes::CONTAINERS_MISSING,
            below(parent, "containers"),
            "the template has no container",
            "add the container whose exit code is the hook's result",
        );
    }
    let init = containers(spec, "initContainers", &mut names, problems);
    found.pod.init_containers = (!init.is_empty()).then_some(init);
    let volumes = volumes(spec, problems);
    found.pod.volumes = (!volumes.is_empty()).then_some(volumes);
    let restart = found.pod.restart_policy.as_deref();
    if !matches!(restart, Some("Never" | "OnFailure")) {
        problems.add(
            codes::RESTART_POLICY,
            below(parent, "restartPolicy"),
            restart
                .map_or("restartPolicy is missing".to_owned(), |policy| format!("restartPolicy is {policy}")),
            "write restartPolicy: Never",
        );
    }
}

fn containers(
    spec: &Map<String, Value>,
    list: &str,
    names: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Vec<Container> {
    let parent = below("/spec/template/spec", list);
    let mut found = Vec::new();
    for (index, value) in items(spec, list, &parent, problems).iter().enumerate() {
        let pointer = below(&parent, index);
        let Some(fields) = value.as_object() else {
            wrong_type(&pointer, "an object", value, problems);
            continue;
        };
        for (field, value) in members(fields) {
            let is_sidecar = list == "initContainers" && value == "Always";
            if field == "restartPolicy" && !is_sidecar {
                problems.add(
                    codes::FIELD_NOT_ALLOWED,
                    below(&pointer, field),
                    "a container's restartPolicy would repeat the hook behind tenantry's back",
                    "remove it; use the annotation tenant.retries (only a sidecar, an init container with Always, may have it)",
                );
            } else if !CONTAINER_COPIED.contains(&field.as_str()) {
                refuse_field(field, &below(&pointer, field), &[&CONTAINER_COPIED], problems);
            }
        }
        let mut copied = fields.clone();
        copied.retain(|field, _| CONTAINER_COPIED.contains(&field.as_str()));
        let Some(container) = decode::<Container>(&Value::Object(copied), &pointer, problems) else {
            continue;
        };
        container_names(&container, &pointer, names, problems);
        found.push(container);
    }
    found
}

fn container_names(
    container: &Container,
    pointer: &str,
    names: &mut BTreeSet<String>,
    problems: &mut Problems,
) {
    if container.name.parse::<tenantry_model::Namespace>().is_err() {
        problems.add(
            codes::CONTAINER_INVALID,
            below(pointer, "name"),
            format!("{:?} is no name of a container", container.name),
            "use 1 to 63 of a-z, 0-9 and '-'",
        );
    } else if !names.insert(container.name.clone()) {
        problems.add(
            codes::CONTAINER_INVALID,
            below(pointer, "name"),
            format!("two containers are called {}", container.name),
            "give each a name of its own",
        );
    }
    if container.image.as_deref().unwrap_or_default().trim().is_empty() {
        problems.add(
            codes::CONTAINER_INVALID,
            below(pointer, "image"),
            format!("container {} has no image", container.name),
            "name the image",
        );
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if variable.name.starts_with(RESERVED_VARIABLE) || variable.name == "TRACEPARENT" {
            problems.add(
                codes::NAME_RESERVED,
                below(&below(&below(pointer, "env"), index), "name"),
                format!("the variable {} is injected by tenantry", variable.name),
                "remove it, or give yours another name",
            );
        }
    }
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = mount.mount_path.trim_end_matches('/');
        if path == RESERVED_DIR || path.starts_with(&format!("{RESERVED_DIR}/")) {
            problems.add(
                codes::NAME_RESERVED,
                below(&below(&below(pointer, "volumeMounts"), index), "mountPath"),
                format!("{} is where tenantry mounts its files", mount.mount_path),
                "mount it somewhere else",
            );
        }
    }
}

fn volumes(spec: &Map<String, Value>, problems: &mut Problems) -> Vec<Volume> {
    let parent = "/spec/template/spec/volumes";
    let mut found: Vec<Volume> = Vec::new();
    for (index, value) in items(spec, "volumes", parent, problems).iter().enumerate() {
        let pointer = below(parent, index);
        let Some(volume) = decode::<Volume>(value, &pointer, problems) else { continue };
        if volume.name.starts_with(RESERVED_VOLUME) {
            problems.add(
                codes::NAME_RESERVED,
                below(&pointer, "name"),
                format!("volume names that begin with {RESERVED_VOLUME} belong to tenantry"),
                "give the volume another name",
            );
        } else if volume.name.is_empty() || found.iter().any(|other| other.name == volume.name) {
            problems.add(
                codes::CONTAINER_INVALID,
                below(&pointer, "name"),
                format!("the volume's name {:?} is missing or used twice", volume.name),
                "give each volume a name of its own",
            );
        }
        found.push(volume);
    }
    found
}

/// A contract annotation of whatever domain.
pub(crate) fn is_contract(key: &str) -> bool {
    key.split_once('/').is_some_and(|(_, name)| name.starts_with("tenant."))
}

/// Put on an object's labels by the Job controller or by Argo CD; with them Argo CD would prune the copy.
pub(crate) fn is_tracking_label(key: &str) -> bool {
    key.starts_with("batch.kubernetes.io/")
        || key.starts_with("argocd.argoproj.io/")
        || matches!(key, "controller-uid" | "job-name" | "app.kubernetes.io/instance")
}

/// Put on an object's annotations by Argo CD, kubectl or a controller.
pub(crate) fn is_tracking_annotation(key: &str) -> bool {
    key.starts_with("argocd.argoproj.io/")
        || key.starts_with("batch.kubernetes.io/")
        || key == "kubectl.kubernetes.io/last-applied-configuration"
}
