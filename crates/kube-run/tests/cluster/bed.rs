//! A namespace of the test cluster, hooks made of a few words, and an observer that remembers.

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{
        ConfigMap, Namespace as KubeNamespace, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount,
    },
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use tenantry_hook::{
    AnnotationDomains, AttemptObjects, AttemptRequest, FINALIZER, RegionPolicy, attempt_name, build, parse,
};
use tenantry_kube_run::{Cluster, Connection, Known, Observer, Runner, Settings};
use tenantry_model::{AttemptId, EnvironmentId, Fact, HookPath, HookRef, Namespace, OperationId, Outcome};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Clone)]
pub struct Bed {
    pub cluster: Cluster,
    pub runner: Runner,
    pub namespace: Namespace,
}

/// Only a test that fails waits this long: machines may be slow.
const PATIENCE: Duration = Duration::from_mins(5);

/// The patience of operations, except for what tests wait for. Those whose hook can never start have none at all
/// ([`Bed::with`]): an honest hook may take as long as it likes on a busy machine.
pub fn settings() -> Settings {
    Settings {
        answer_deadline: PATIENCE,
        create_settles_after: Duration::from_secs(2),
        api_server_tolerance: Duration::from_secs(3),
        keep_failed: Duration::ZERO,
        sweep_interval: Duration::from_secs(1),
        ..Settings::default()
    }
}

impl Bed {
    pub async fn new(kubeconfig: &Path) -> anyhow::Result<Self> {
        let settings = settings();
        let connection = Connection { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let cluster = Cluster::connect(&connection, &settings).await?;
        let name = format!("kr-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let namespaces: Api<KubeNamespace> = Api::all(cluster.client());
        let new: KubeNamespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &new).await.context("create the test's namespace")?;
        let runner = Runner::new(cluster.clone(), settings);
        let bed = Self { cluster, runner, namespace: name.parse()? };
        let accounts: Api<ServiceAccount> = bed.api();
        eventually("the namespace's service account", || async {
            Ok(accounts.get_opt("default").await?.map(drop))
        })
        .await?;
        // Every Pod mounts it; one that comes before it waits for the kubelet's next try.
        let maps: Api<ConfigMap> = bed.api();
        eventually("the namespace's certificates", || async {
            Ok(maps.get_opt("kube-root-ca.crt").await?.map(drop))
        })
        .await?;
        Ok(bed)
    }

    /// The same with a runner of its own.
    pub fn with(self, settings: Settings) -> Self {
        Self { runner: Runner::new(self.cluster.clone(), settings), ..self }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.cluster.client(), self.namespace.as_str())
    }

    /// A second life of the runner, with nothing in memory.
    pub async fn another_life(&self, kubeconfig: &Path) -> anyhow::Result<Runner> {
        let connection = Connection { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        Ok(Runner::new(Cluster::connect(&connection, &settings()).await?, settings()))
    }

    /// Removes all Pods by force, finalizers included.
    pub async fn clean_up_pods(&self) -> anyhow::Result<()> {
        let none = json!({"metadata": {"finalizers": null}});
        for pod in self.api::<Pod>().list(&ListParams::default()).await?.items {
            if let Some(name) = pod.metadata.name {
                drop(self.api::<Pod>().patch(&name, &PatchParams::default(), &Patch::Merge(&none)).await);
                drop(self.api::<Pod>().delete(&name, &DeleteParams::default().grace_period(0)).await);
            }
        }
        Ok(())
    }

    /// Removes what the test left, finalizers included.
    pub async fn clean_up(&self) -> anyhow::Result<()> {
        let none = json!({"metadata": {"finalizers": null}});
        self.clean_up_pods().await?;
        for job in self.api::<Job>().list(&ListParams::default()).await?.items {
            if let Some(name) = job.metadata.name {
                drop(self.api::<Job>().patch(&name, &PatchParams::default(), &Patch::Merge(&none)).await);
            }
        }
        let volumes: Api<PersistentVolume> = Api::all(self.cluster.client());
        if volumes.get_opt(self.namespace.as_str()).await?.is_some() {
            volumes.delete(self.namespace.as_str(), &DeleteParams::default()).await?;
        }
        let namespaces: Api<KubeNamespace> = Api::all(self.cluster.client());
        namespaces.delete(self.namespace.as_str(), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Writes what is left of the test's attempt, without what names this run or nobody reads.
    pub async fn record(&self, file: &Path) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        for job in self.api::<Job>().list(&ListParams::default()).await?.items {
            objects.push(serde_json::to_value(job)?);
        }
        for pod in self.api::<Pod>().list(&ListParams::default()).await?.items {
            objects.push(serde_json::to_value(pod)?);
        }
        for object in &mut objects {
            object["metadata"]["managedFields"] = Value::Null;
            for pointer in ["/spec", "/spec/template/spec"] {
                if let Some(spec) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
                    spec.retain(|key, _| {
                        [
                            "containers",
                            "nodeName",
                            "terminationGracePeriodSeconds",
                            "completions",
                            "parallelism",
                        ]
                        .contains(&key.as_str())
                    });
                }
            }
            if let Some(containers) = object.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
                for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                    container.retain(|key, _| ["name", "image"].contains(&key.as_str()));
                }
            }
        }
        std::fs::write(file, serde_json::to_string_pretty(&objects)? + "\n")?;
        Ok(())
    }

    /// A hook of one shell line.
    pub fn shell(&self, script: &str) -> Value {
        self.hook(&json!([{
            "name": "hook", "image": "local/tools:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script]
        }]))
    }

    /// A hook that says `up`, waits until the test opens the gate, and goes on with `then`.
    pub async fn gated(&self, then: &str) -> anyhow::Result<(Value, Gate)> {
        let folder = tempfile::tempdir()?;
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": self.namespace},
            "spec": {
                "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "gate",
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": self.namespace, "name": "gate"},
                "hostPath": {"path": folder.path(), "type": "Directory"}
            }
        }))?;
        Api::all(self.cluster.client()).create(&PostParams::default(), &volume).await?;
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "gate"},
            "spec": {
                "accessModes": ["ReadWriteMany"], "storageClassName": "gate",
                "resources": {"requests": {"storage": "1Mi"}}
            }
        }))?;
        self.api::<PersistentVolumeClaim>().create(&PostParams::default(), &claim).await?;
        let mut template =
            self.shell(&format!("echo up; until [ -e /gate/open ]; do sleep 0.2; done; {then}"));
        let spec = &mut template["spec"]["template"]["spec"];
        spec["volumes"] = json!([{"name": "gate", "persistentVolumeClaim": {"claimName": "gate"}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "gate", "mountPath": "/gate"}]);
        Ok((template, Gate(folder)))
    }

    /// A hook of these containers.
    pub fn hook(&self, containers: &Value) -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "tenant", "namespace": self.namespace,
                "annotations": {"tenantry.io/tenant.lifecycle": "lifecycle.upsert"}
            },
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": containers
            }}}
        })
    }

    /// An attempt of the template, not started yet.
    pub fn attempt(template: &Value) -> anyhow::Result<Attempt> {
        Self::attempt_with(template, "kind: TenantEnvironment\n")
    }

    pub fn attempt_with(template: &Value, environment: &str) -> anyhow::Result<Attempt> {
        let (domains, policy) = (AnnotationDomains::default(), RegionPolicy::default());
        let hook = parse(template, &domains, &policy).map_err(|p| anyhow::anyhow!("not a hook: {p:?}"))?;
        let path: HookPath = hook.path.clone();
        let attempt = AttemptId {
            operation: OperationId(Uuid::now_v7()),
            step: HookRef::new("eu1".parse()?, path),
            number: 1,
        };
        let request = AttemptRequest {
            attempt: attempt.clone(),
            nonce: Uuid::new_v4(),
            environment: EnvironmentId(Uuid::new_v4()),
            operation_name: "lifecycle.upsert".parse()?,
            batch: None,
            scheduled_time: None,
            traceparent: None,
            environment_file: environment.to_owned(),
            changeset_file: "kind: TenantChangeset\n".to_owned(),
            object_store: None,
        };
        let objects = build(template, &hook, &request, &policy)?;
        let known = Known { attempt, nonce: request.nonce, log_from: 0, start_tried: false };
        Ok(Attempt { known, objects, seen: Recorder::new() })
    }

    pub async fn start(&self, template: &Value) -> anyhow::Result<Attempt> {
        let attempt = Self::attempt(template)?;
        self.runner.start(&attempt.known, &attempt.objects, attempt.seen.clone()).await?;
        Ok(attempt)
    }

    pub async fn pod(&self, attempt: &Attempt) -> anyhow::Result<Option<Pod>> {
        Ok(self.api::<Pod>().get_opt(&attempt.name()).await?)
    }

    /// Starts a hook, waits for its end.
    pub async fn run(&self, template: &Value) -> anyhow::Result<(Attempt, Outcome)> {
        let attempt = self.start(template).await?;
        let outcome = attempt.seen.outcome().await?;
        Ok((attempt, outcome))
    }
}

/// What a hook waits for: nothing depends on how fast the machine is.
pub struct Gate(tempfile::TempDir);

impl Gate {
    pub fn open(&self) -> std::io::Result<()> {
        std::fs::write(self.0.path().join("open"), "")
    }
}

pub struct Attempt {
    pub known: Known,
    pub objects: AttemptObjects,
    pub seen: Arc<Recorder>,
}

impl Attempt {
    pub fn name(&self) -> String {
        attempt_name(&self.known.attempt)
    }
}

/// What an observer was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub facts: Vec<Fact>,
    pub log: Vec<u8>,
    pub log_end: Option<u64>,
    /// A log call that did not begin where the one before ended.
    pub gap: bool,
    /// Facts told when the log ended.
    pub facts_at_log_end: usize,
}

pub struct Recorder(watch::Sender<Told>);

impl Recorder {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(watch::channel(Told::default()).0))
    }

    pub fn told(&self) -> Told {
        self.0.borrow().clone()
    }

    pub async fn wait(&self, what: &str, mut is: impl FnMut(&Told) -> bool) -> anyhow::Result<Told> {
        let mut receiver = self.0.subscribe();
        match tokio::time::timeout(PATIENCE, receiver.wait_for(|told| is(told))).await {
            Ok(told) => Ok(told?.clone()),
            Err(_) => bail!("{what} was not seen; told: {:?}", self.told().facts),
        }
    }

    pub async fn running(&self) -> anyhow::Result<Told> {
        self.wait("a running hook", |told| matches!(told.facts.last(), Some(Fact::Running { .. }))).await
    }

    pub async fn outcome(&self) -> anyhow::Result<Outcome> {
        let told = self.wait("the end", |told| matches!(told.facts.last(), Some(Fact::Ended { .. }))).await?;
        match told.facts.into_iter().last() {
            Some(Fact::Ended { outcome, .. }) => Ok(outcome),
            other => bail!("not an end: {other:?}"),
        }
    }
}

#[async_trait]
impl Observer for Recorder {
    async fn fact(&self, _attempt: &AttemptId, fact: Fact) {
        self.0.send_modify(|told| told.facts.push(fact));
    }
    async fn log(&self, _attempt: &AttemptId, offset: u64, bytes: Bytes) {
        self.0.send_modify(|told| {
            told.gap |= offset != told.log.len() as u64;
            told.log.extend_from_slice(&bytes);
        });
    }
    async fn log_end(&self, _attempt: &AttemptId, offset: u64) {
        self.0.send_modify(|told| {
            told.log_end = Some(offset);
            told.facts_at_log_end = told.facts.len();
        });
    }
}

/// Looks until it is there.
pub async fn eventually<T, F, L>(what: &str, look: L) -> anyhow::Result<T>
where
    L: Fn() -> F,
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{what} did not come")
}

pub fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}
