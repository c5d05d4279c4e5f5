//! Steps by the executors `kubernetes` and `argo`, beside Workflows that Argo runs by itself, on one cluster with its
//! controllers as they are shipped.

use crate::cluster::{self, OURS, PEERS, TAIL, pod_spec, requests};
use crate::laptop::cpu;
use crate::place::{self, REGION};
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tenantry_e2e::argo::{ARGO, Argo, requested};
use tenantry_e2e::{AgentSettings, Cluster, Hook, Site, World, within};
use tenantry_model::{EnvironmentId, OperationId};

/// The region of Argo.
pub const WORKFLOWS: &str = "workflows";
/// Prefix of the hooks of the agent's region: discovery looks at the whole cluster.
const DOMAIN: &str = "bench.example";
/// What each environment runs when it is made, in both regions: one step.
const FIRST: &str = "lifecycle.upsert";
/// The same step in an operation of its own.
const WARM: &str = "bench.warm";
const MANY: &str = "bench.many";
/// Argo's own default, which the test bed shortens for its tests.
const REQUEUE: &str = "workflow-controller=DEFAULT_REQUEUE_TIME=10s";
/// Each look takes some of the manager's processor time, which is measured too.
const LOOK: Duration = Duration::from_millis(100);
/// What an idle cluster does comes in bursts.
const IDLE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_mins(30);
const CONTROLLER: &str = "workflow-controller";
/// Argo's programs among the cluster's: all others are Kubernetes' own.
const ARGOS: [&str; 2] = [CONTROLLER, "nats"];

/// A cluster with Argo, and an installation with a region of each executor.
pub struct WithArgo<'w> {
    /// Argo as it is shipped with tenantry.
    pub argo: Argo<'w>,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The installation.
    pub site: Site,
    /// The namespace of the hooks that Workflows run.
    pub team: String,
    /// An environment of each region.
    pub environments: BTreeMap<&'static str, EnvironmentId>,
    idle: Load,
}

/// What has been asked of a cluster and its controllers.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    requests: f64,
    /// Seconds of processor time: manager, agent, Argo's controller.
    controllers: f64,
    /// Of the cluster's own programs.
    cluster: f64,
}

/// What one side came to.
#[derive(Clone, Copy, Debug)]
struct Cost {
    took: Duration,
    load: Load,
}

impl<'w> WithArgo<'w> {
    /// Starts it all, runs one step of each kind, and counts what the idle cluster does.
    pub fn start(world: &'w World) -> Result<Self> {
        let cluster = Arc::clone(world.cluster()?);
        cluster.testbed(&["add"], &["argo-workflows", "--env", REQUEUE])?;
        cluster.testbed(&["add"], &["argo-events"])?;
        let argo = Argo::install_for(world, WORKFLOWS)?;
        let mut site = argo.manager(WORKFLOWS, argo.webhook(), &[], &[])?;
        cluster::namespaces(world, &cluster)?;
        cluster.apply(&rights_of_peers())?;
        let team = argo.team("bench")?.namespace;
        let authority = site.authority().context("a manager with TLS")?.display().to_string();
        let agent = AgentSettings::kubernetes(&cluster.kubeconfig, &[OURS])
            .flag("annotation-domains", DOMAIN)
            .flag("manager-ca-file", &authority);
        site.add_region(REGION, agent)?;
        let load = Load::default();
        let mut this = Self { argo, cluster, site, team, environments: BTreeMap::new(), idle: load };
        this.add(|hook| hook("warm").tenant("lifecycle", &format!("{FIRST},{WARM}")))?;
        for region in [REGION, WORKFLOWS] {
            let made = this.site.create_environment(region, region, json!({}))?;
            this.site.wait_succeeded(made.operation.context("no operation")?.id)?;
            this.environments.insert(region, made.environment.id);
        }
        this.by_itself(1)?;
        this.clear()?;
        let before = this.load()?;
        std::thread::sleep(IDLE);
        this.idle = this.load()?.since(before).divided(IDLE.as_secs_f64());
        eprintln!("idle, each second: {:?}", this.idle);
        Ok(this)
    }

    /// The same hook in both regions, and waits until the agent has told of it.
    pub fn add(&self, make: impl Fn(&dyn Fn(&str) -> Hook) -> Hook) -> Result<()> {
        let ours = make(&|name| Hook::new(OURS, name).domain(DOMAIN));
        let team = make(&|name| Hook::new(&self.team, name));
        self.cluster.apply(&[ours.manifest(), team.manifest()])?;
        self.site.wait_for_hooks(REGION, &[&ours.path()])
    }

    /// `count` no-op steps of one operation, by each executor and by Argo alone.
    pub fn many(&mut self, count: usize, table: &mut Table) -> Result<()> {
        let name = |n: usize| format!("m{n:03}");
        let ours = (0..count).map(|n| Hook::new(OURS, &name(n)).domain(DOMAIN).tenant("lifecycle", MANY));
        let teams = (0..count).map(|n| Hook::new(&self.team, &name(n)).tenant("lifecycle", MANY));
        let manifests: Vec<Value> = ours.chain(teams).map(|hook| hook.manifest()).collect();
        self.cluster.apply(&manifests)?;
        let paths: Vec<String> = (0..count).map(|n| format!("{OURS}/{}", name(n))).collect();
        self.site.wait_for_hooks(REGION, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;

        let alone = self.cost(|this| this.by_itself(count))?;
        self.clear()?;
        let mut row = |what: &str, ours: Cost, aims| Self::row(count, what, ours, alone, aims, table);
        row("executor kubernetes", self.cost(|this| this.run(REGION, count))?, [Some(0.4), Some(0.5)]);
        self.clear()?;
        row("executor argo, levels", self.cost(|this| this.run(WORKFLOWS, count))?, [None; 2]);
        self.clear()?;
        self.argo.attach(&self.site, WORKFLOWS, &["order=graph"])?;
        self.made_of("tenantry-graph")?;
        row("executor argo, graph", self.cost(|this| this.run(WORKFLOWS, count))?, [None; 2]);
        self.clear()?;
        // Their templates say nothing of a manager.
        self.argo.chart(&[])?;
        let bridges = self.cost(|this| this.without_manager(count))?;
        row("bridges without a manager, levels", bridges, [None; 2]);
        self.clear()?;
        self.argo.attach(&self.site, WORKFLOWS, &[])?;
        self.made_of("tenantry-operation")
    }

    fn row(count: usize, what: &str, ours: Cost, peer: Cost, aims: [Option<f64>; 2], table: &mut Table) {
        let figure = format!("{count} no-op steps, {what} : {count} Pods of one Workflow of Argo alone");
        table.times(&figure, ours.took, peer.took, aims[0]);
        let each = |load: f64| load / table::count(count);
        let (ours, peer) = (ours.load, peer.load);
        table.ratio("… API server requests a step", each(ours.requests), each(peer.requests), "", aims[1]);
        let mut processor = |what: &str, ours: f64, peer: f64| {
            let figure = format!("… processor time a step, {what}");
            table.ratio(&figure, each(ours) * 1000.0, each(peer) * 1000.0, "ms", None);
        };
        processor("manager, agent and Argo's controller", ours.controllers, peer.controllers);
        processor("Kubernetes' own programs", ours.cluster, peer.cluster);
    }

    fn run(&self, region: &'static str, count: usize) -> Result<Duration> {
        let environment = *self.environments.get(region).context("no environment")?;
        let (took, id) = place::run(&self.site, environment, MANY, count, LOOK)?;
        if region == WORKFLOWS {
            self.workflow_ends(&format!("tenantry-{id}"))?;
        }
        Ok(took)
    }

    /// Waits until Workflows are made of this template: a Sensor that is changed begins anew, and the old one works until then.
    fn made_of(&self, template: &str) -> Result<()> {
        let environment = *self.environments.get(WORKFLOWS).context("no environment")?;
        within(PATIENCE, format!("a Workflow of {template}"), || {
            let (_, id) = place::run(&self.site, environment, WARM, 1, LOOK)?;
            let workflow = self.argo.workflow(&format!("tenantry-{id}"))?;
            Ok((workflow["spec"]["workflowTemplateRef"]["name"] == template).then_some(()))
        })?;
        self.clear()
    }

    /// Pods of one Workflow that nobody but Argo knows.
    fn by_itself(&self, count: usize) -> Result<Duration> {
        let name = "alone";
        let began = Instant::now();
        self.cluster.kubectl_with(&["create", "-f", "-"], &workflow(name, count)?.to_string())?;
        self.succeed(PEERS, &format!("workflow/{name}"))?;
        Ok(began.elapsed())
    }

    /// The talk's form: an event, discovery, a bridge for each hook, and no manager that knows of it.
    fn without_manager(&self, count: usize) -> Result<Duration> {
        let id = OperationId(uuid::Uuid::now_v7()).to_string();
        let began = Instant::now();
        let mut event = requested(MANY, &id, &json!({}));
        event["data"]["environment"]["metadata"]["region"] = json!(WORKFLOWS);
        event["data"]["region"] = json!(WORKFLOWS);
        let status = self.argo.send(&event)?;
        ensure!(status == 200, "the webhook answered {status}");
        self.workflow_ends(&format!("tenantry-{id}"))?;
        let took = began.elapsed();
        let found = tenantry_e2e::argo::bridges(&self.argo.workflow(&format!("tenantry-{id}"))?).len();
        ensure!(found == count, "{found} bridges");
        Ok(took)
    }

    fn workflow_ends(&self, name: &str) -> Result<()> {
        let workflow = format!("workflow/{name}");
        // An event's way to it takes a moment.
        self.cluster.kubectl(&["wait", &workflow, "-n", ARGO, "--for=create", "--timeout=300s"])?;
        self.succeed(ARGO, &workflow)
    }

    /// Waits until a Workflow has succeeded, or all of a namespace (`--all`). By one watch: who looks again and again takes
    /// its part of the cores.
    pub fn succeed(&self, namespace: &str, which: &str) -> Result<()> {
        let end = "--for=jsonpath={.status.phase}=Succeeded";
        let kind: &[&str] = if which == "--all" { &["workflows"] } else { &[] };
        let wait = [&["wait"], kind, &[which, "-n", namespace, end, "--timeout=1800s"]].concat();
        self.cluster.kubectl(&wait).map(drop)
    }

    /// Nothing of one side stays to disturb the next.
    pub fn clear(&self) -> Result<()> {
        for namespace in [ARGO, PEERS] {
            self.cluster.kubectl(&["delete", "workflows", "--all", "-n", namespace, "--timeout=300s"])?;
            within(PATIENCE, format!("the end of the Pods of Workflows in {namespace}"), || {
                let path = ["-l", "workflows.argoproj.io/workflow", "-o", "name"];
                let left = self.cluster.kubectl(&[&["get", "pods", "-n", namespace], &path[..]].concat())?;
                Ok(left.is_empty().then_some(()))
            })?;
        }
        Ok(())
    }

    /// Time and load of one side; what an idle cluster does is taken off.
    fn cost(&self, run: impl FnOnce(&Self) -> Result<Duration>) -> Result<Cost> {
        let (before, began) = (self.load()?, Instant::now());
        let took = run(self)?;
        std::thread::sleep(TAIL);
        let all = self.load()?.since(before);
        let idle = self.idle.divided(1.0 / began.elapsed().as_secs_f64());
        eprintln!("{:.1} s, {all:?}, of that idle {idle:?}", took.as_secs_f64());
        Ok(Cost { took, load: all.since(idle) })
    }

    fn load(&self) -> Result<Load> {
        let programs: BTreeMap<String, Value> = serde_json::from_str(&self.cluster.testbed(&["pids"], &[])?)?;
        let used = |program: &Value| -> Result<f64> {
            cpu(u32::try_from(program["pid"].as_u64().context("a pid")?)?)
        };
        let controller = used(programs.get(CONTROLLER).context("no controller of Argo")?)?;
        let controllers = cpu(self.site.manager_id()?)? + cpu(self.site.agent_id(REGION)?)? + controller;
        let own = programs.iter().filter(|(name, _)| !ARGOS.contains(&name.as_str()));
        let cluster = own.map(|(_, program)| used(program)).sum::<Result<f64>>()?;
        Ok(Load { requests: requests(&self.cluster)?, controllers, cluster })
    }
}

impl Load {
    fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            controllers: self.controllers - before.controllers,
            cluster: self.cluster - before.cluster,
        }
    }

    fn divided(self, by: f64) -> Self {
        Self { requests: self.requests / by, controllers: self.controllers / by, cluster: self.cluster / by }
    }
}

/// A Workflow with so many Pods of the same no-op container, all at once.
pub fn workflow(name: &str, count: usize) -> Result<Value> {
    let mut container = pod_spec()?["containers"][0].take();
    container["name"] = json!("main");
    Ok(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": name, "namespace": PEERS},
        "spec": {
            "entrypoint": "all",
            "templates": [
                {"name": "all", "steps": [[
                    {"name": "each", "template": "each", "withSequence": {"count": count.to_string()}}
                ]]},
                {"name": "each", "container": container}
            ]
        }
    }))
}

/// Pods of Workflows say their results as objects.
fn rights_of_peers() -> [Value; 2] {
    let metadata = json!({"name": "peer", "namespace": PEERS});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [{
                "apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]
            }]
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "peer"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": PEERS}]
        }),
    ]
}
