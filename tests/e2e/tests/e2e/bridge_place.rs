//! Where bridges run in these tests: a service account with the shipped rights and nothing else, and an environment.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};
use tenantry_e2e::{Answer, Cluster, Program, Team, World, bridge, repository};

/// One operation of one environment, run by bridges.
pub struct Place<'a> {
    pub world: &'a World,
    /// The namespace of the Workflows.
    pub argo: String,
    pub operation: String,
    kubeconfig: PathBuf,
    environment: PathBuf,
}

impl<'a> Place<'a> {
    pub fn new(world: &'a World) -> Result<Self> {
        let cluster = world.cluster()?;
        let argo = format!("argo-{}", world.tag);
        world.owns(&argo);
        cluster.apply(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": argo}})])?;
        shipped(cluster, "workflow.yaml", &argo, &argo)?;
        let place = Self {
            world,
            operation: uuid::Uuid::now_v7().to_string(),
            kubeconfig: kubeconfig(world, &argo)?,
            environment: world.folder().join("environment.yaml"),
            argo,
        };
        place.labels(&[("tier", "gold")])?;
        Ok(place)
    }

    /// Another operation of the same environment.
    pub fn again(&self) -> Self {
        Self {
            world: self.world,
            argo: self.argo.clone(),
            operation: uuid::Uuid::now_v7().to_string(),
            kubeconfig: self.kubeconfig.clone(),
            environment: self.environment.clone(),
        }
    }

    /// Writes the environment's file with these labels.
    pub fn labels(&self, labels: &[(&str, &str)]) -> Result<()> {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let document = json!({
            "apiVersion": "tenantry.io/v1", "kind": "TenantEnvironment",
            "metadata": {
                "id": "0192f0c8-0000-7000-8000-000000000001", "name": "prod", "tenant": "acme", "region": "eu1",
                "labels": labels, "generation": 3
            },
            "spec": {"settings": {"locale": "no"}}
        });
        std::fs::write(&self.environment, document.to_string())?;
        Ok(())
    }

    /// A team that has let bridges in.
    pub fn team(&self, name: &str) -> Result<Team> {
        let team = self.world.team(name)?;
        self.consent(&team)?;
        Ok(team)
    }

    pub fn consent(&self, team: &Team) -> Result<()> {
        shipped(self.world.cluster()?, "team.yaml", &team.namespace, &self.argo)
    }

    /// `discovery` with these flags.
    pub fn discovery(&self, flags: &[&str]) -> Result<Answer> {
        let mut command = program();
        command.args(["discovery", "--operation", "lifecycle.upsert", "--environment-file"]);
        command.arg(&self.environment).arg("--kubeconfig").arg(&self.kubeconfig).args(flags);
        Answer::of(&mut command)
    }

    /// `bridge` for one hook, not started yet.
    pub fn command(&self, job: &str, flags: &[&str]) -> Command {
        let mut command = program();
        command.args([
            "bridge",
            "--operation",
            "lifecycle.upsert",
            "--operation-id",
            &self.operation,
            "--job",
            job,
        ]);
        command.arg("--environment-file").arg(&self.environment);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.arg("--reason-file").arg(self.file(job, "reason"));
        command.arg("--outputs-file").arg(self.file(job, "outputs")).args(flags);
        command
    }

    /// Runs `bridge` to its end.
    pub fn run(&self, job: &str, flags: &[&str]) -> Result<Answer> {
        Answer::of(self.command(job, flags).stdin(Stdio::null()))
    }

    /// Starts `bridge`.
    pub fn start(&self, name: &str, job: &str, flags: &[&str]) -> Result<Program> {
        Program::start(name, self.world.folder(), &mut self.command(job, flags))
    }

    /// The output parameter `reason`.
    pub fn reason(&self, job: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.file(job, "reason"))?)
    }

    /// The output parameter `outputs`.
    pub fn outputs(&self, job: &str) -> Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.file(job, "outputs"))?)?)
    }

    fn file(&self, job: &str, what: &str) -> PathBuf {
        self.world.folder().join(format!("{}-{}.{what}", job.replace('/', "-"), self.operation))
    }

    /// The attempts of the operation in a namespace, as objects.
    pub fn attempts(&self, team: &Team) -> Result<Vec<Value>> {
        let selector = format!("tenantry.io/operation={}", self.operation);
        let list = self.world.cluster()?.get(&["pods,jobs", "-n", &team.namespace, "-l", &selector])?;
        Ok(list["items"].as_array().context("a list")?.clone())
    }
}

fn program() -> Command {
    let mut command = Command::new(bridge());
    command.env("HOME", "/nonexistent").env_remove("KUBECONFIG").env_remove("TRACEPARENT");
    command
}

/// A shipped manifest, for the service account of this test.
fn shipped(cluster: &Cluster, file: &str, namespace: &str, argo: &str) -> Result<()> {
    let text = std::fs::read_to_string(repository().join("deploy/bridge").join(file))?;
    let text = text.replace("namespace: argo}", &format!("namespace: {argo}}}"));
    cluster.kubectl_with(&["apply", "-n", namespace, "-f", "-"], &text).map(drop)
}

/// A kubeconfig with a token of the bridges' service account.
fn kubeconfig(world: &World, argo: &str) -> Result<PathBuf> {
    let cluster = world.cluster()?;
    let token = cluster.kubectl(&["create", "token", "tenantry-bridge", "-n", argo, "--duration=1h"])?;
    let admin: Value = serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "-o", "json"])?)?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bridge",
        "clusters": [{"name": "c", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "bridge", "user": {"token": token.trim()}}],
        "contexts": [{"name": "bridge", "context": {"cluster": "c", "user": "bridge"}}]
    });
    let path = world.folder().join("bridge.kubeconfig");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}
