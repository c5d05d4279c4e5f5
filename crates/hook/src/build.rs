//! Template + request → the Kubernetes objects of one attempt. Pure: the same input gives the same objects, so that a
//! repeated create is the same create.
//!
//! It must never know whether the objects are ever created.

use crate::{
    AttemptKind, AttemptObjects, AttemptRequest, FILES_DIR, FINALIZER, Hook, Refusal, RegionPolicy,
    STORE_DIR, Workload,
    attempt::{annotations, labels},
    attempt_name, codes,
    problems::{Problems, problem},
    spec::{self, TemplateSpec},
    variables::{Places, injected},
};
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{
        ConfigMap, ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EnvVar,
        KeyToPath, ObjectFieldSelector, PersistentVolumeClaimVolumeSource, Pod, PodSpec, PodTemplateSpec,
        Volume, VolumeMount,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use tenantry_model::FailureReason;
use tenantry_mutants::{self as mutants, Mutant};

/// Both files together travel as annotations up to this size; above it in a config map.
pub const FILES_INLINE_LIMIT: usize = 200 * 1024;
/// The API server's limit for all annotations of an object is 256 KiB; room is left for what admission adds.
const ANNOTATIONS_LIMIT: usize = 240 * 1024;
/// A config map holds 1 MiB; room is left for its metadata.
const FILES_LIMIT: usize = 1000 * 1024;

const FILES_VOLUME: &str = "tenantry-files";
const STORE_VOLUME: &str = "tenantry-store";
const ENVIRONMENT_FILE: &str = "environment.yaml";
const CHANGESET_FILE: &str = "changeset.yaml";
const FILES: [&str; 2] = [ENVIRONMENT_FILE, CHANGESET_FILE];

/// Builds the attempt's objects from the template, as JSON as stored, and the [`Hook`] that [`crate::parse()`] made of
/// it. The region's policy is judged again: it may have become stricter since the template was read.
pub fn build(
    template: &Value,
    hook: &Hook,
    request: &AttemptRequest,
    policy: &RegionPolicy,
) -> Result<AttemptObjects, Refusal> {
    let mut problems = Problems::default();
    let spec = spec::read(template, policy, &mut problems);
    let refuse = |problems| Refusal { reason: FailureReason::Rejected, problems };
    if !problems.is_empty() {
        return Err(refuse(problems.into_vec()));
    }
    let size = request.environment_file.len() + request.changeset_file.len();
    if size > FILES_LIMIT {
        return Err(refuse(vec![problem(
            codes::FILES_TOO_LARGE,
            "",
            format!(
                "environment.yaml and changeset.yaml have {size} bytes; at most {FILES_LIMIT} can be mounted"
            ),
            "make the environment's settings smaller: large data belongs where the hook can fetch it",
        )]));
    }
    if request.object_store.is_some() && policy.object_store_claim.is_none() {
        return Err(refuse(vec![problem(
            codes::OBJECT_STORE_MISSING,
            "",
            format!("{} needs an object store, and the region has none", request.operation_name),
            "let the region's operators set object-store-claim and provide the claim in the hook's namespace",
        )]));
    }
    let others: usize = spec.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    let inline = size <= FILES_INLINE_LIMIT && size + others <= ANNOTATIONS_LIMIT;
    let config_map = (!inline).then(|| config_map(hook, request));
    let kind = hook.kind;
    let workload = match kind {
        AttemptKind::Pod => {
            let PodTemplateSpec { metadata, spec } = pod(spec, hook, request, policy, inline);
            let metadata = ObjectMeta {
                name: Some(attempt_name(&request.attempt)),
                namespace: Some(hook.path.namespace.to_string()),
                ..metadata.unwrap_or_default()
            };
            let mut spec = spec.unwrap_or_default();
            spec.active_deadline_seconds = deadline(hook);
            Workload::Pod(Box::new(Pod { metadata, spec: Some(spec), status: None }))
        }
        AttemptKind::Job => Workload::Job(Box::new(Job {
            metadata: ObjectMeta {
                name: Some(attempt_name(&request.attempt)),
                namespace: Some(hook.path.namespace.to_string()),
                labels: Some(labels(request)),
                annotations: Some(annotations(request, hook)),
                finalizers: Some(vec![FINALIZER.to_owned()]),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                completions: spec.completions,
                parallelism: spec.parallelism,
                completion_mode: spec.completion_mode.clone(),
                success_policy: spec.success_policy.clone(),
                // tenant.retries is the one retry.
                backoff_limit: Some(0),
                // A pod that is only being deleted may still run: its successor would overlap it.
                pod_replacement_policy: Some("Failed".to_owned()),
                active_deadline_seconds: deadline(hook),
                template: pod(spec, hook, request, policy, inline),
                ..JobSpec::default()
            }),
            status: None,
        })),
    };
    Ok(AttemptObjects { config_map, workload })
}

fn deadline(hook: &Hook) -> Option<i64> {
    hook.policy.timeout.map(|timeout| timeout.as_secs().max(1))
}

fn config_map(hook: &Hook, request: &AttemptRequest) -> ConfigMap {
    let elsewhere = mutants::on(Mutant::CopyElsewhere);
    // No finalizer: it holds no outcome. Without an owner either, it is swept by its labels.
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(attempt_name(&request.attempt)),
            namespace: Some(if elsewhere { "other".to_owned() } else { hook.path.namespace.to_string() }),
            labels: Some(labels(request)),
            annotations: Some(annotations(request, hook)),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(files(request).map(|(file, text)| (file.to_owned(), text.to_owned())).into()),
        binary_data: None,
    }
}

fn files(request: &AttemptRequest) -> [(&'static str, &str); 2] {
    [(ENVIRONMENT_FILE, &request.environment_file), (CHANGESET_FILE, &request.changeset_file)]
}

fn file_annotation(file: &str) -> String {
    format!("tenantry.io/{file}")
}

/// The pod, as a Pod of its own or as a Job's template.
fn pod(
    template: TemplateSpec,
    hook: &Hook,
    request: &AttemptRequest,
    policy: &RegionPolicy,
    inline: bool,
) -> PodTemplateSpec {
    let mut all_annotations = template.annotations;
    all_annotations.extend(annotations(request, hook));
    // `kubectl logs` without -c shows the container that counts.
    all_annotations
        .entry("kubectl.kubernetes.io/default-container".to_owned())
        .or_insert_with(|| hook.container.clone());
    if inline {
        all_annotations.extend(files(request).map(|(file, text)| (file_annotation(file), text.to_owned())));
    }
    let mut all_labels = template.labels;
    all_labels.extend(labels(request));

    let mut spec = template.pod;
    spec.restart_policy = Some("Never".to_owned());
    let store = request.object_store.as_ref().and(policy.object_store_claim.as_ref());
    inject(&mut spec, request, store.is_some());
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(files_volume(request, inline));
    if let Some(claim) = store {
        volumes.push(Volume {
            name: STORE_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                // Read-only is a matter of the mount: the same claim may be mounted for writing on this node.
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations: Some(all_annotations),
            // On a Job's pods too: their statuses are the proof of how the attempt ended.
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn files_volume(request: &AttemptRequest, inline: bool) -> Volume {
    let downward = DownwardAPIVolumeSource {
        items: Some(
            FILES
                .map(|file| DownwardAPIVolumeFile {
                    path: file.to_owned(),
                    field_ref: Some(ObjectFieldSelector {
                        api_version: None,
                        field_path: format!("metadata.annotations['{}']", file_annotation(file)),
                    }),
                    ..DownwardAPIVolumeFile::default()
                })
                .into(),
        ),
        ..DownwardAPIVolumeSource::default()
    };
    let config_map = ConfigMapVolumeSource {
        name: attempt_name(&request.attempt),
        items: Some(
            FILES
                .map(|file| KeyToPath { key: file.to_owned(), path: file.to_owned(), ..KeyToPath::default() })
                .into(),
        ),
        ..ConfigMapVolumeSource::default()
    };
    Volume {
        name: FILES_VOLUME.to_owned(),
        downward_api: inline.then_some(downward),
        config_map: (!inline).then_some(config_map),
        ..Volume::default()
    }
}

fn inject(spec: &mut PodSpec, request: &AttemptRequest, with_store: bool) {
    let environment_file = format!("{FILES_DIR}/{ENVIRONMENT_FILE}");
    let changeset_file = format!("{FILES_DIR}/{CHANGESET_FILE}");
    let mounts = mounts(request, with_store);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        let output_file = output_file(container).to_owned();
        let places = Places {
            environment_file: &environment_file,
            changeset_file: &changeset_file,
            output_file: &output_file,
            object_store: with_store.then_some(STORE_DIR),
        };
        let own = container.env.take().unwrap_or_default();
        // First, so that the template's own variables may refer to them by $(LIFECYCLE_…).
        let first = injected(request, &places).into_iter().map(|(name, value)| EnvVar {
            name: name.to_owned(),
            // The kubelet would expand $(…) in what came from a request.
            value: Some(value.replace('$', "$$")),
            value_from: None,
        });
        container.env = Some(first.chain(own).collect());
        container.volume_mounts.get_or_insert_default().extend(mounts.iter().cloned());
    }
}

/// Where the kubelet reads the termination message.
fn output_file(container: &Container) -> &str {
    container
        .termination_message_path
        .as_deref()
        .filter(|path| !path.is_empty())
        .unwrap_or("/dev/termination-log")
}

fn mounts(request: &AttemptRequest, with_store: bool) -> Vec<VolumeMount> {
    let mut found = vec![VolumeMount {
        name: FILES_VOLUME.to_owned(),
        mount_path: FILES_DIR.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }];
    if let Some(store) = request.object_store.as_ref().filter(|_| with_store) {
        found.push(VolumeMount {
            name: STORE_VOLUME.to_owned(),
            mount_path: STORE_DIR.to_owned(),
            // The hook sees its operation's prefix, nothing beside it.
            sub_path: Some(store.prefix(request.environment)),
            read_only: store.read_only.then_some(true),
            ..VolumeMount::default()
        });
    }
    found
}
