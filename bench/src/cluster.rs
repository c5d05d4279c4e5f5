//! Steps as Pods and Jobs, against what kubectl makes of the same Pods in the same cluster.

use crate::Place;
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tenantry_e2e::{AgentSettings, Cluster, Hook, World, eventually, testbed};

/// Where the hooks run.
pub const OURS: &str = "bench-ours";
/// Where kubectl's objects run.
pub const PEERS: &str = "bench-peer";
/// Requests that follow the end (cleaning up, garbage collection) are counted for so long.
pub const TAIL: Duration = Duration::from_secs(10);

/// A cluster, an installation with an agent in it, and a kubectl.
pub struct InCluster {
    /// The installation.
    pub place: Place,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The figures' own.
    pub folder: PathBuf,
    hooks: usize,
    /// Requests a second while nothing runs.
    idle: f64,
}

/// What one side came to.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    took: Duration,
    requests: f64,
}

impl InCluster {
    /// Starts it all, and counts what the idle cluster asks of its API server.
    pub fn start(world: &World) -> Result<Self> {
        let cluster = Arc::clone(world.cluster()?);
        namespaces(world, &cluster)?;
        let warm = Hook::new(OURS, "warm").tenant("lifecycle", "bench.warm");
        cluster.apply(&[warm.manifest()])?;
        let place = Place::start(world, AgentSettings::kubernetes(&cluster.kubeconfig, &[]), 1)?;
        let mut this = Self { place, cluster, folder: world.folder().to_owned(), hooks: 1, idle: 0.0 };
        this.place.run("bench.warm", 1)?;
        this.loop_of_jobs(1)?;
        this.clear_peers()?;
        let before = this.requests()?;
        std::thread::sleep(TAIL);
        this.idle = (this.requests()? - before) / TAIL.as_secs_f64();
        Ok(this)
    }

    /// A chain of `count` steps, as Pods and as Jobs, against a shell loop of Jobs.
    pub fn sequential(&mut self, count: usize, rounds: usize, table: &mut Table) -> Result<()> {
        let chain = |letter: &str, operation: &str| -> Vec<Hook> {
            let name = |n: usize| format!("{letter}{n:03}");
            let hook = |n| Hook::new(OURS, &name(n)).tenant("lifecycle", operation);
            (0..count).map(|n| if n == 0 { hook(0) } else { hook(n).after(&name(n - 1)) }).collect()
        };
        let jobs = chain("j", "bench.jobs").into_iter().map(|hook| hook.tenant("attempt-kind", "job"));
        self.add(chain("c", "bench.pods").into_iter().chain(jobs))?;
        let (mut peer, mut as_pods, mut as_jobs) = (Cost::default(), Cost::default(), Cost::default());
        for _ in 0..rounds {
            peer.add(self.cost(|| self.loop_of_jobs(count))?);
            self.clear_peers()?;
            as_pods.add(self.cost(|| self.place.run("bench.pods", count))?);
            as_jobs.add(self.cost(|| self.place.run("bench.jobs", count))?);
        }
        let steps = table::count(count * rounds);
        let name = format!("{count} sequential steps");
        for (kind, ours, aim) in [("Pods", as_pods, 0.75), ("Jobs", as_jobs, 1.05)] {
            table.times(
                &format!("{name} as {kind} : loop of kubectl create + wait"),
                ours.took,
                peer.took,
                Some(aim),
            );
            let (ours, peer) = (ours.requests / steps, peer.requests / steps);
            table.ratio("… API server requests a step", ours, peer, "", None);
        }
        Ok(())
    }

    /// `count` steps that wait for nothing, against as many Pods of one file.
    pub fn parallel(&mut self, count: usize, rounds: usize, table: &mut Table) -> Result<()> {
        let hooks =
            (0..count).map(|n| Hook::new(OURS, &format!("p{n:03}")).tenant("lifecycle", "bench.parallel"));
        self.add(hooks)?;
        let (mut peer, mut ours) = (Cost::default(), Cost::default());
        for _ in 0..rounds {
            peer.add(self.cost(|| self.pods_at_once(count))?);
            self.clear_peers()?;
            ours.add(self.cost(|| self.place.run("bench.parallel", count))?);
        }
        let steps = table::count(count * rounds);
        let figure = format!("{count} parallel steps as Pods : {count} Pods of one kubectl create");
        table.times(&figure, ours.took, peer.took, Some(1.1));
        table.ratio("… API server requests a step", ours.requests / steps, peer.requests / steps, "", None);
        Ok(())
    }

    /// Adds hooks and waits until they are known.
    pub fn add(&mut self, hooks: impl IntoIterator<Item = Hook>) -> Result<()> {
        let manifests: Vec<_> = hooks.into_iter().map(|hook| hook.manifest()).collect();
        self.cluster.apply(&manifests)?;
        self.hooks += manifests.len();
        self.place.wait_for_hooks(self.hooks)
    }

    /// A kubectl without a wrapper around it, with a warm cache of its own.
    pub fn kubectl(&self) -> Result<Command> {
        let kube = testbed().context("TENANTRY_TESTBED is not set")?.with_file_name("kube");
        let mut command = Command::new(kube);
        command.arg("kubectl");
        self.settings_of(&mut command);
        Ok(command)
    }

    pub fn settings_of(&self, command: &mut Command) {
        command
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("KUBECACHEDIR", self.folder.join("kube-cache"));
    }

    /// What somebody would write without tenantry.
    fn loop_of_jobs(&self, count: usize) -> Result<Duration> {
        let file = self.folder.join("job.json");
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "NAME", "namespace": PEERS},
            "spec": {"backoffLimit": 0, "template": {"spec": pod_spec()?}}
        });
        std::fs::write(&file, job.to_string())?;
        let kubectl =
            format!("{} kubectl", testbed().context("TENANTRY_TESTBED")?.with_file_name("kube").display());
        let script = format!(
            "set -e; n=0; while [ $n -lt {count} ]; do sed s/NAME/job-$n/ {file} | {kubectl} create -f - >/dev/null; \
             {kubectl} wait -n {PEERS} --for=condition=complete --timeout=300s job/job-$n >/dev/null; n=$((n+1)); done",
            file = file.display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        self.settings_of(&mut shell);
        timed(shell)
    }

    fn pods_at_once(&self, count: usize) -> Result<Duration> {
        let spec = pod_spec()?;
        let pods: Vec<Value> = (0..count)
            .map(|n| {
                let metadata = json!({"name": format!("pod-{n}"), "namespace": PEERS});
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            })
            .collect();
        let file = self.folder.join("pods.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string())?;
        let mut create = self.kubectl()?;
        create.args(["create", "-f"]).arg(&file);
        let created = timed(create)?;
        let mut wait = self.kubectl()?;
        wait.args([
            "wait",
            "-n",
            PEERS,
            "pods",
            "--all",
            "--timeout=600s",
            "--for=jsonpath={.status.phase}=Succeeded",
        ]);
        Ok(created + timed(wait)?)
    }

    /// Nothing of the peer's stays to disturb what is measured next.
    pub fn clear_peers(&self) -> Result<()> {
        self.cluster.kubectl(&["delete", "jobs,pods", "--all", "-n", PEERS, "--timeout=300s"]).map(drop)
    }

    /// Time and requests of one side; requests of an idle cluster are taken off.
    fn cost(&self, run: impl FnOnce() -> Result<Duration>) -> Result<Cost> {
        let (before, began) = (self.requests()?, Instant::now());
        let took = run()?;
        std::thread::sleep(TAIL);
        let all = self.requests()? - before;
        Ok(Cost { took, requests: all - self.idle * began.elapsed().as_secs_f64() })
    }

    fn requests(&self) -> Result<f64> {
        requests(&self.cluster)
    }
}

/// All requests that the API server has answered, watches left out: how often they begin again says nothing.
pub fn requests(cluster: &Cluster) -> Result<f64> {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{") && !line.contains("verb=\"WATCH\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counted.sum())
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.took += other.took;
        self.requests += other.requests;
    }
}

/// Makes the namespaces of both sides.
pub fn namespaces(world: &World, cluster: &Cluster) -> Result<()> {
    for namespace in [OURS, PEERS] {
        world.owns(namespace);
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.apply(&[manifest])?;
        eventually(format!("the service account of {namespace}"), || {
            Ok(cluster.kubectl(&["get", "serviceaccount", "default", "-n", namespace]).ok())
        })?;
    }
    Ok(())
}

/// The Pod of a no-op hook.
pub fn pod_spec() -> Result<Value> {
    let manifest = Hook::new(PEERS, "peer").manifest();
    manifest.pointer("/spec/template/spec").cloned().context("a template without a pod")
}

fn timed(mut command: Command) -> Result<Duration> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(began.elapsed())
}
