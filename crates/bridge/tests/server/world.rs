//! The world of a bridge: a folder with what its Pod has, a manager and an API server.

use super::{Asked, Server};
use clap::Parser;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tenantry_bridge::cli::Cli;

pub const OPERATION: &str = "0192f0c8-a7b3-7c3e-8f00-00000000abcd";

/// The world of one test: a folder with what a Pod has, and two servers.
pub struct World {
    folder: PathBuf,
    pub manager: Server,
}

impl World {
    pub async fn new(name: &str, manager: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self::of(name, manager, cluster).await
    }

    pub async fn of(
        name: &str,
        manager: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
        region: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("tenantry-managed-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (manager, region) = (Server::new(manager).await, Server::new(region).await);
        fs::write(folder.join("token"), "first\n").unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": region.url, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { folder, manager }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Runs the program; answers its exit code.
    async fn run(&self, verb: &str, flags: &[&str]) -> u8 {
        let mut all = vec![
            "tenantry-bridge".to_owned(),
            verb.to_owned(),
            "--operation=lifecycle.upsert".to_owned(),
            format!("--operation-id={OPERATION}"),
            "--region=eu1".to_owned(),
            "--round=2".to_owned(),
            format!("--kubeconfig={}", self.file("kubeconfig")),
            format!("--manager={}", self.manager.url),
            format!("--manager-token-file={}", self.file("token")),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        tenantry_bridge::main(Cli::try_parse_from(all).unwrap()).await
    }

    pub async fn discover(&self, flags: &[&str]) -> u8 {
        let output = format!("--output={}", self.file("out"));
        let all: Vec<&str> = ["--namespace=crm", &output].into_iter().chain(flags.iter().copied()).collect();
        self.run("discovery", &all).await
    }

    pub async fn bridge(&self, flags: &[&str]) -> u8 {
        let reason = format!("--reason-file={}", self.file("reason"));
        let outputs = format!("--outputs-file={}", self.file("outputs"));
        let all: Vec<&str> =
            ["--job=crm/one", &reason, &outputs].into_iter().chain(flags.iter().copied()).collect();
        self.run("bridge", &all).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn template(name: &str, lifecycle: &str, suspend: bool) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "namespace": "crm", "uid": name,
            "annotations": {"tenantry.io/tenant.lifecycle": lifecycle, "tenantry.io/tenant.selector": "tier=gold"},
        },
        "spec": {
            "suspend": suspend,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "hook", "image": "registry.example/crm:1"}],
            }},
        },
    })
}

/// An API server with three Jobs and no attempt.
pub fn cluster(asked: &Asked) -> (u16, Value) {
    let jobs = [
        template("one", "lifecycle.upsert", true),
        template("other", "lifecycle.suspend", true),
        template("broken", "lifecycle.upsert", false),
    ];
    if asked.path.contains("watch=true") {
        return (200, json!([]));
    }
    let path = asked.path.split('?').next().unwrap_or_default();
    let list = |items: Vec<Value>| {
        (200, json!({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}))
    };
    let absent = (
        404,
        json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "", "code": 404}),
    );
    match path.strip_prefix("/apis/batch/v1/namespaces/crm/jobs") {
        // Attempts are looked for by label, templates are not.
        Some("") if asked.path.contains("labelSelector") => list(Vec::new()),
        Some("") => list(jobs.to_vec()),
        Some(name) => {
            let job = jobs.iter().find(|job| job["metadata"]["name"] == name.trim_start_matches('/'));
            job.map_or(absent, |job| (200, job.clone()))
        }
        // Argo shuts it down.
        None if path.ends_with("/workflows/ended") && !asked.header("accept").contains("PartialObject") => {
            (200, json!({"metadata": {}, "spec": {"shutdown": "Terminate"}}))
        }
        None if path.contains("/workflows/") => (200, json!({"metadata": {}})),
        None if path == "/api/v1/namespaces/crm/pods" => list(Vec::new()),
        None => absent,
    }
}
