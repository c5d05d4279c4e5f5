//! One region for a test: folders, manifests, and an agent inside of the test or as a process that can be killed.

use crate::manager::Manager;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tenantry_agent::{
    Agent, AgentConfig, AgentError, AgentStatus,
    executors::process::{ProcessConfig, ProcessExecutor},
    spool::LogLimits,
};
use tenantry_api_types::agent::{Order, StartOrder};
use tenantry_client::agent::AgentClient;
use tenantry_hook::AttemptRequest;
use tenantry_model::{AttemptId, EnvironmentId, OperationId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct Site {
    pub manager: Arc<Manager>,
    pub root: tempfile::TempDir,
}

pub struct Running {
    pub status: AgentStatus,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), AgentError>>,
}

impl Running {
    /// Waits until it ends by itself.
    pub async fn ended(self) -> Result<(), AgentError> {
        self.task.await.unwrap()
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(crate::manager::PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// A process that is killed when the test forgets it.
pub struct Process(Child);

impl Process {
    /// As `kill -9` does.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn wait(&mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn config(root: &Path, url: &str) -> AgentConfig {
    let client = AgentClient::new(url, "secret".to_owned().into(), &[]).unwrap();
    let mut config = AgentConfig::new(root.join("agent"), client);
    config.poll_seconds = 5;
    config.refused_pause = Duration::from_millis(100);
    if let Ok(total) = std::fs::read_to_string(root.join("log-limit")) {
        config.log_limits = LogLimits { total: total.trim().parse().unwrap(), segment: 64 * 1024 };
    }
    config
}

pub fn executor(root: &Path) -> ProcessExecutor {
    let mut config =
        ProcessConfig::new(vec![root.join("manifests")], root.join("attempts"), root.join("local")).unwrap();
    config.shim = vec![std::env::current_exe().unwrap().into_os_string(), OsString::from("shim")];
    config.object_store = Some(root.join("objects"));
    if let Ok(limit) = std::fs::read_to_string(root.join("hook-log-limit")) {
        config.log_limit = limit.trim().parse().unwrap();
    }
    config.manifest_poll = Duration::from_millis(20);
    config.keep_failed = Duration::ZERO;
    ProcessExecutor::new(config).unwrap()
}

impl Site {
    pub async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("manifests")).unwrap();
        Self { manager: Manager::start().await, root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn manifest(&self, file: &str, text: &str) {
        std::fs::write(self.path("manifests").join(file), text).unwrap();
    }

    /// A hook `crm/<name>` that runs this script.
    pub fn script(&self, name: &str, script: &str) {
        self.hook(name, &serde_json::json!({ "command": ["sh", "-c", script] }), &serde_json::json!({}));
    }

    /// A hook with this container and these further fields of the pod.
    pub fn hook(&self, name: &str, container: &serde_json::Value, pod: &serde_json::Value) {
        let mut manifest = serde_json::json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": "crm",
                "annotations": { "tenantry.io/tenant.lifecycle": "lifecycle.upsert" },
            },
            "spec": { "suspend": true, "template": { "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "main", "image": "local/tools:1" }],
            }}},
        });
        merge(&mut manifest["spec"]["template"]["spec"]["containers"][0], container);
        merge(&mut manifest["spec"]["template"]["spec"], pod);
        self.manifest(&format!("{name}.json"), &manifest.to_string());
    }

    pub fn agent(&self) -> Running {
        self.agent_with(executor(self.root.path()))
    }

    /// An executor refuses folders that are not there when it is made.
    pub fn agent_with(&self, executor: ProcessExecutor) -> Running {
        let shutdown = CancellationToken::new();
        let config = config(self.root.path(), &self.manager.url());
        let status = config.status.clone();
        let task = tokio::spawn(Agent::run(config, Arc::new(executor), shutdown.clone()));
        Running { status, shutdown, task }
    }

    pub fn agent_process(&self) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .arg("agent")
            .arg(self.root.path())
            .arg(self.manager.url())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    pub fn request(hook: &str, number: u32) -> AttemptRequest {
        let attempt = AttemptId {
            operation: OperationId(Uuid::now_v7()),
            step: format!("eu1/crm/{hook}").parse().unwrap(),
            number,
        };
        AttemptRequest {
            attempt,
            nonce: Uuid::new_v4(),
            environment: EnvironmentId(Uuid::now_v7()),
            operation_name: "lifecycle.upsert".parse().unwrap(),
            batch: None,
            scheduled_time: None,
            traceparent: None,
            environment_file: "apiVersion: tenantry.io/v1\n".to_owned(),
            changeset_file: "kind: TenantChangeset\n".to_owned(),
            object_store: None,
        }
    }

    pub async fn order_for(&self, request: AttemptRequest) -> (AttemptId, StartOrder) {
        let path = request.attempt.step.path();
        let report = self.manager.wait_for_hook(&path.to_string()).await;
        let hook = report.hook.unwrap_or_else(|| panic!("{path}: {:?}", report.problems));
        let attempt = request.attempt.clone();
        (attempt, StartOrder { hook: path, hash: hook.hash, request, timeout: None })
    }

    /// Waits for the hook and orders an attempt.
    pub async fn start(&self, hook: &str) -> AttemptId {
        let (attempt, order) = self.order_for(Self::request(hook, 1)).await;
        self.manager.order(&attempt, Order::Start(Box::new(order)));
        attempt
    }

    pub fn attempt_folder(&self, attempt: &AttemptId) -> PathBuf {
        self.path("attempts").join(tenantry_hook::attempt_name(attempt))
    }
}

fn merge(into: &mut serde_json::Value, from: &serde_json::Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// Waits until `look` finds something that no protocol tells.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + crate::manager::PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
