//! Clusters of the test bed: one that the tests share, started when the first of them needs it, and clusters of
//! their own for tests that break one.

use crate::cli::Answer;
use crate::reap;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::wait::eventually;

/// The test bed's program, if `tests/run.sh` (or a developer) named it.
#[must_use]
pub fn testbed() -> Option<PathBuf> {
    std::env::var_os("TENANTRY_TESTBED").map(PathBuf::from)
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's address.
    pub server: String,
    /// This machine's address in the cluster's network.
    pub host: IpAddr,
    containerd: PathBuf,
    /// Teams whose names are given by files that must stay as they are: one test at a time.
    given_names: Mutex<()>,
    owned: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Up {
    kubeconfig: PathBuf,
    server: String,
    host_address: IpAddr,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    containerd: PathBuf,
}

fn command() -> Result<Command> {
    let mut command = Command::new(testbed().context("TENANTRY_TESTBED is not set")?);
    command.env("TESTBED_STATE", reap::state_folder());
    Ok(command)
}

static SHARED: OnceLock<Result<Arc<Cluster>, String>> = OnceLock::new();
static SHARED_WITH_ARGO: OnceLock<Result<Arc<Cluster>, String>> = OnceLock::new();

/// Each step needs two places, for its bridge and for its hook.
const WITH_ARGO: &[&str] = &["--with", "argo-workflows,argo-events", "--max-pods", "250"];

impl Cluster {
    /// The cluster that tests share; started with the first call.
    pub fn shared() -> Result<Arc<Self>> {
        SHARED
            .get_or_init(|| Self::start_shared().map(Arc::new).map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|why| anyhow::anyhow!("the shared cluster did not start: {why}"))
    }

    /// The one with Argo Workflows and Argo Events; nothing of ours is in it.
    pub fn shared_with_argo() -> Result<Arc<Self>> {
        SHARED_WITH_ARGO
            .get_or_init(|| Self::up("a", WITH_ARGO).map(Arc::new).map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|why| anyhow::anyhow!("the shared cluster with Argo did not start: {why}"))
    }

    /// A developer's own (`TENANTRY_E2E_CLUSTER=NAME` in `TESTBED_STATE`) is used and left as it is.
    fn start_shared() -> Result<Self> {
        let Ok(name) = std::env::var("TENANTRY_E2E_CLUSTER") else { return Self::up("s", &[]) };
        let list = Answer::of(command()?.arg("list"))?.expect(0)?;
        let clusters: Vec<Value> = serde_json::from_str(&list.out)?;
        let found = clusters.into_iter().find(|cluster| cluster["name"] == name.as_str());
        Self::of(&name, found.with_context(|| format!("no cluster {name}"))?, false)
    }

    /// Starts a cluster; dropping it takes it down.
    pub fn up(name: &str, flags: &[&str]) -> Result<Self> {
        reap::expect(name);
        let answer = Answer::of(command()?.args(["up", name]).args(flags))?.expect(0)?;
        Self::of(name, serde_json::from_str(&answer.out)?, true)
    }

    fn of(name: &str, up: Value, owned: bool) -> Result<Self> {
        let up: Up = serde_json::from_value(up)?;
        let containerd = up.nodes.into_iter().next().context("a cluster without nodes")?.containerd;
        Ok(Self {
            name: name.to_owned(),
            kubeconfig: up.kubeconfig,
            server: up.server,
            host: up.host_address,
            containerd,
            given_names: Mutex::new(()),
            owned,
        })
    }

    /// The socket of the first node's containerd.
    #[must_use]
    pub fn containerd(&self) -> &Path {
        &self.containerd
    }

    /// Steers a component: `stop`, `kill`, `start`, `freeze`, `thaw`.
    pub fn steer(&self, verb: &str, component: &str) -> Result<()> {
        Answer::of(command()?.args([verb, &self.name, component]))?.expect(0).map(drop)
    }

    /// Begins to start a component; it may have to wait for others that are ill.
    pub fn begin_start(&self, component: &str) -> Result<Child> {
        let mut start = command()?;
        start.args(["start", &self.name, component]).stdin(Stdio::null()).stdout(Stdio::null());
        start.stderr(Stdio::null()).spawn().with_context(|| format!("start {component}"))
    }

    /// The components that have ended, of themselves or because somebody ended them.
    pub fn stopped(&self) -> Result<Vec<String>> {
        let components: BTreeMap<String, Value> = serde_json::from_str(&self.testbed(&["pids"], &[])?)?;
        let stopped = components.into_iter().filter(|(_, status)| status["state"] == "stopped");
        Ok(stopped.map(|(name, _)| name).collect())
    }

    /// Runs another command of the test bed for this cluster; answers its standard output.
    pub fn testbed(&self, verb: &[&str], args: &[&str]) -> Result<String> {
        let answer = Answer::of(command()?.args(verb).arg(&self.name).args(args))?;
        answer.expect(0).map(|answer| answer.out).with_context(|| format!("testbed {}", verb.join(" ")))
    }

    /// Runs kubectl as the administrator; an error unless it ends with 0.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let answer = Answer::of(command()?.args(["kubectl", &self.name]).args(args))?;
        answer.expect(0).map(|answer| answer.out).with_context(|| format!("kubectl {}", args.join(" ")))
    }

    /// Runs kubectl, whatever it answers.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<Answer> {
        Answer::of(command()?.args(["kubectl", &self.name]).args(args))
    }

    /// Writes a program `kubectl` for scripts that call one.
    pub fn kubectl_program(&self, file: &Path) -> Result<()> {
        let testbed = testbed().context("TENANTRY_TESTBED is not set")?;
        let (state, name) = (reap::state_folder(), &self.name);
        let script = format!(
            "#!/bin/sh\nTESTBED_STATE='{}' exec '{}' kubectl {name} \"$@\"\n",
            state.display(),
            testbed.display()
        );
        std::fs::write(file, script)?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// What `testbed up --with PART` says about a part: addresses, programs.
    pub fn part(&self, part: &str) -> Result<Value> {
        let clusters: Vec<Value> = serde_json::from_str(&Answer::of(command()?.arg("list"))?.expect(0)?.out)?;
        let mine = clusters.into_iter().find(|cluster| cluster["name"] == self.name.as_str());
        let parts = mine.with_context(|| format!("no cluster {}", self.name))?["parts"].take();
        let found = parts.as_array().into_iter().flatten().find(|one| one["name"] == part);
        Ok(found.with_context(|| format!("no part {part} in {parts}"))?["values"].clone())
    }

    /// `kubectl get … -o json`.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&[&["get", "-o", "json"], args].concat())?)?)
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &[Value]) -> Result<()> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        self.kubectl_with(&["apply", "-f", "-"], &list.to_string()).map(drop)
    }

    /// Runs kubectl with this standard input.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = command()?
            .args(["kubectl", &self.name])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("a pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies the files as they are.
    pub fn apply_files(&self, files: &[&Path]) -> Result<()> {
        let mut args = vec!["apply".to_owned()];
        for file in files {
            args.extend(["-f".to_owned(), file.display().to_string()]);
        }
        self.kubectl(&args.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// Gives an image that is on the node another name, so that manifests need no change.
    pub fn tag_image(&self, from: &str, to: &str) -> Result<()> {
        let full =
            |name: &str| if name.contains('.') { name.to_owned() } else { format!("docker.io/{name}") };
        Answer::of(Command::new("ctr").arg("--address").arg(&self.containerd).args([
            "-n",
            "k8s.io",
            "images",
            "tag",
            "--force",
            &full(from),
            to,
        ]))?
        .expect(0)?;
        Ok(())
    }

    /// Holds the names that files give (`crm`, `billing`, …) until the guard is dropped.
    pub fn given_names(&self) -> MutexGuard<'_, ()> {
        self.given_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes namespaces with all that is in them, also what tenantry's finalizer holds.
    pub fn remove_namespaces(&self, namespaces: &[String], wait: bool) -> Result<()> {
        if namespaces.is_empty() {
            return Ok(());
        }
        for namespace in namespaces {
            let listing = self.kubectl(&["get", "pods,jobs", "-n", namespace, "-o", "name"])?;
            for object in listing.lines() {
                let free = r#"{"metadata":{"finalizers":null}}"#;
                // It may vanish meanwhile.
                drop(self.kubectl(&["patch", "-n", namespace, object, "--type=merge", "-p", free]));
            }
            drop(self.kubectl(&[
                "delete",
                "pods",
                "-n",
                namespace,
                "--all",
                "--grace-period=1",
                "--wait=false",
            ]));
        }
        let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
        self.kubectl(&[&["delete", "namespace", "--ignore-not-found", "--wait=false"], &names[..]].concat())?;
        if wait {
            eventually("the end of the namespaces", || {
                let left = self.kubectl(&["get", "namespaces", "-o", "name"])?;
                let gone = |name: &&str| !left.lines().any(|line| line == format!("namespace/{name}"));
                Ok(names.iter().all(gone).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Waits until the API server answers.
    pub fn wait_for_api(&self) -> Result<()> {
        eventually("an answer of the API server", || Ok(self.kubectl(&["get", "--raw", "/readyz"]).ok()))
            .map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.owned {
            reap::down(&self.name);
        }
    }
}

/// Checks that the named program of the test bed is there.
pub(crate) fn check() -> Result<()> {
    let Some(program) = testbed() else { bail!("TENANTRY_TESTBED is not set") };
    ensure!(program.is_file(), "TENANTRY_TESTBED={} is no file", program.display());
    Ok(())
}
