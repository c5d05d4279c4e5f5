//! Finding hooks among ten thousand Jobs: by a bridge that looks once, by an agent that has just been started, and in the
//! index that it has told the manager; beside one LIST of the same Jobs' metadata.

use crate::idle::{median, memory_of};
use crate::place::asked;
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tenantry_api_types::v1::CreateRegion;
use tenantry_client::Call;
use tenantry_e2e::{AgentSettings, Answer, Cluster, Hook, Site, World, bridge, testbed, within};
use tenantry_model::{EnvironmentId, RegionName};

/// The cluster's own controller of Jobs writes each one's status, by default for eight minutes.
pub const FLAGS: &[&str] =
    &["--arg", "controller-manager=--kube-api-qps=1000", "--arg", "controller-manager=--kube-api-burst=1000"];
/// Under this prefix three of the Jobs are hooks.
const FEW: &str = "tenantry.io";
/// Under this one all are: of the same three operations, and of another one.
const MANY: &str = "many.example";
const OPERATION: &str = "bench.found";
const OTHER: &str = "bench.other";
const HOOKS: usize = 3;
/// Who makes the Jobs, side by side.
const MAKERS: usize = 8;
/// How often what takes less than seconds is measured, by turns.
const ROUNDS: usize = 5;
const PLANS: usize = 100;
/// What may take minutes.
const PATIENCE: Duration = Duration::from_mins(30);
/// After it has told all it knows.
const SETTLE: Duration = Duration::from_secs(5);

/// How many Jobs there are, in how many namespaces.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Suspended Jobs.
    pub jobs: usize,
    /// Namespaces.
    pub namespaces: usize,
}

struct Place<'w> {
    world: &'w World,
    cluster: Arc<Cluster>,
    size: Size,
    token: String,
}

/// All of it.
pub fn measure(world: &World, size: Size, table: &mut Table) -> Result<()> {
    let place = Place::fill(world, size)?;
    let list = place.bridge(table)?;
    place.agents(list, table)
}

/// What a bridge's look came to.
struct Look {
    took: Duration,
    /// Megabytes.
    peak: f64,
}

impl<'w> Place<'w> {
    /// Makes the Jobs, and waits until the cluster's controllers have nothing more to do about them.
    fn fill(world: &'w World, size: Size) -> Result<Self> {
        let cluster = Arc::clone(world.cluster()?);
        let namespaces: Vec<Value> = (0..size.namespaces)
            .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n)}}))
            .chain([
                json!({
                    "apiVersion": "v1", "kind": "ServiceAccount",
                    "metadata": {"name": "bench", "namespace": "default"}
                }),
                json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                    "metadata": {"name": "bench"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "ServiceAccount", "name": "bench", "namespace": "default"}]
                }),
            ])
            .collect();
        let began = Instant::now();
        let place = Self { world, cluster, size, token: String::new() };
        place.create(vec![namespaces])?;
        let mut shares = vec![Vec::new(); MAKERS];
        for n in 0..size.jobs {
            shares[n % MAKERS].push(place.job(n));
        }
        place.create(shares)?;
        within(PATIENCE, "the status of all Jobs", || {
            let written = place.written()?;
            Ok((written >= table::count(size.jobs)).then_some(()))
        })?;
        eprintln!("{} Jobs were made and looked at in {} s", size.jobs, began.elapsed().as_secs());
        let token = place.cluster.kubectl(&["create", "token", "bench", "-n", "default", "--duration=2h"])?;
        Ok(Self { token: token.trim().to_owned(), ..place })
    }

    /// The n-th Job: a no-op hook under one prefix, and three of them under the other one too.
    fn job(&self, n: usize) -> Value {
        let hook = Hook::new(&namespace(n % self.size.namespaces), &format!("job-{n:05}")).domain(MANY);
        // Not all on the first page.
        let found = n.is_multiple_of(self.size.jobs.div_ceil(HOOKS));
        // Each is a version of its own.
        let hook = hook.shell(&format!("true {n}"));
        let mut job = hook.tenant("lifecycle", if found { OPERATION } else { OTHER }).manifest();
        if found {
            job["metadata"]["annotations"][format!("{FEW}/tenant.lifecycle")] = json!(OPERATION);
        }
        job
    }

    /// How often a Job's status was written: once for each. The Jobs themselves are too many to look at again and again.
    fn written(&self) -> Result<f64> {
        let metrics = self.cluster.kubectl(&["get", "--raw", "/metrics"])?;
        let of_status = |line: &&str| {
            let words =
                ["apiserver_request_total{code=\"200\"", "resource=\"jobs\"", "subresource=\"status\""];
            words.into_iter().all(|word| line.contains(word))
        };
        Ok(metrics
            .lines()
            .filter(of_status)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// By one kubectl for each list, side by side.
    fn create(&self, lists: Vec<Vec<Value>>) -> Result<()> {
        let mut running = Vec::new();
        for (n, items) in lists.into_iter().enumerate() {
            let file = self.world.folder().join(format!("create-{n}.json"));
            std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
            let kube = testbed().context("TENANTRY_TESTBED is not set")?.with_file_name("kube");
            let mut create = Command::new(kube);
            create.args(["kubectl", "create", "--validate=false", "-o", "name", "-f"]).arg(&file);
            create.env("KUBECONFIG", &self.cluster.kubeconfig);
            create.env("KUBECACHEDIR", self.world.folder().join("kube-cache"));
            running.push(create.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        }
        for mut child in running {
            ensure!(child.wait()?.success(), "kubectl create failed");
        }
        Ok(())
    }

    /// One LIST of all Jobs' metadata by curl, which reads nothing of it.
    fn list(&self) -> Result<Duration> {
        let authority = self.world.folder().join("ca.crt");
        if !authority.exists() {
            let config = ["configmap", "kube-root-ca.crt", "-n", "default"];
            let text = self.cluster.get(&config)?["data"]["ca.crt"].take();
            std::fs::write(&authority, text.as_str().context("an authority")?)?;
        }
        let answer = self.world.folder().join("list.json");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert"]).arg(&authority);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.args(["--header", "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"]);
        curl.arg("--output").arg(&answer).arg(format!("{}/apis/batch/v1/jobs", self.cluster.server));
        let began = Instant::now();
        Answer::of(&mut curl)?.expect(0)?;
        let took = began.elapsed();
        let text = std::fs::read_to_string(&answer)?;
        let all: Value = serde_json::from_str(&text)?;
        let items = all["items"].as_array().map_or(0, Vec::len);
        ensure!(all["kind"] == "PartialObjectMetadataList" && items == self.size.jobs, "{items} items");
        eprintln!("one LIST: {} bytes in {:.3} s", text.len(), took.as_secs_f64());
        Ok(took)
    }

    /// `tenantry-bridge discovery`, which must find so many.
    fn look(&self, domain: &str, operation: &str, count: usize) -> Result<Look> {
        let output = self.world.folder().join("found.json");
        let mut discovery = Command::new(bridge());
        discovery.args(["discovery", "--all-namespaces", "--operation", operation, "--domain", domain]);
        discovery.arg("--kubeconfig").arg(&self.cluster.kubeconfig).arg("--output").arg(&output);
        let began = Instant::now();
        let mut child = discovery.stdin(Stdio::null()).spawn()?;
        let peak = memory_until_its_end(&mut child)?;
        let took = began.elapsed();
        ensure!(child.wait()?.success(), "discovery failed");
        let found: Value = serde_json::from_slice(&std::fs::read(&output)?)?;
        let names = found.as_array().map_or(0, Vec::len);
        ensure!(names == count, "{names} hooks of {count}");
        Ok(Look { took, peak })
    }

    /// Answers the median of one LIST.
    fn bridge(&self, table: &mut Table) -> Result<Duration> {
        ensure!(bridge().is_file(), "{} is not there: deploy/bridge/build-image.sh", bridge().display());
        let (mut lists, mut few, mut others, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
        self.list()?;
        for _ in 0..ROUNDS {
            lists.push(self.list()?.as_secs_f64());
            for (domain, times) in [(FEW, &mut few), (MANY, &mut others)] {
                let look = self.look(domain, OPERATION, HOOKS)?;
                times.push(look.took.as_secs_f64());
                peak = peak.max(look.peak);
            }
        }
        let (list, few, others) = (median(&mut lists), median(&mut few), median(&mut others));
        let Size { jobs, namespaces } = self.size;
        let figure = format!(
            "`tenantry-bridge discovery` of {HOOKS} hooks among {jobs} Jobs in {namespaces} namespaces : one LIST"
        );
        table.ratio(&figure, few, list, "s", Some(1.2));
        table.ratio("… all of them hooks, the others of another operation", others, list, "s", Some(1.2));
        let every = self.look(MANY, OTHER, jobs - HOOKS)?;
        let figure = format!("… {} hooks of the operation, each read : one LIST", jobs - HOOKS);
        table.ratio(&figure, every.took.as_secs_f64(), list, "s", None);
        table.ratio("… its memory at most : aim", peak, 12.0 * MIB, "MB", Some(1.0));
        table.ratio("… when each is read : aim", every.peak, 12.0 * MIB, "MB", Some(1.0));
        Ok(Duration::from_secs_f64(list))
    }

    fn agents(&self, list: Duration, table: &mut Table) -> Result<()> {
        let mut site = Site::start(self.world, &[])?;
        let few = self.cold(&mut site, "few", FEW)?;
        let figure =
            format!("an agent's cold start ({HOOKS} hooks among {} Jobs) : one LIST", self.size.jobs);
        table.times(&figure, few, list, Some(1.2));
        let small = settled(&site, "few")?;
        site.kill_agent("few")?;
        let many = self.cold(&mut site, "many", MANY)?;
        let figure = format!("an agent's cold start, all {} of them hooks : one LIST", self.size.jobs);
        table.times(&figure, many, list, None);
        let large = settled(&site, "many")?;
        let most = memory_of(site.agent_id("many")?, "VmHWM")?;
        table.ratio(
            &format!("an agent's memory with {} hooks : aim", self.size.jobs),
            large,
            60.0,
            "MB",
            Some(1.0),
        );
        table.ratio("… at most, while it started : aim", most, 60.0, "MB", None);
        table.ratio(&format!("… with {HOOKS} hooks : with all"), small, large, "MB", None);

        site.kill_agent("many")?;
        let began = Instant::now();
        site.start_agent("many")?;
        // Its session begins with nothing.
        wait_for(&site, &"many".parse()?, false)?;
        wait_for(&site, &"many".parse()?, true)?;
        table.times("… of an agent that has their templates : one LIST", began.elapsed(), list, None);

        let environment = site.create_environment("many", "many", json!({}))?;
        site.wait_succeeded(environment.operation.context("no operation")?.id)?;
        let mut times = plans(&site, environment.environment.id)?;
        let figure =
            format!("a plan of {HOOKS} steps out of the index of {} hooks : one LIST", self.size.jobs);
        table.ratio(&figure, median(&mut times) * 1000.0, list.as_secs_f64() * 1000.0, "ms", Some(0.01));
        Ok(())
    }

    /// From the start of an agent without anything to a manager that has its whole inventory.
    fn cold(&self, site: &mut Site, region: &str, domain: &str) -> Result<Duration> {
        let name: RegionName = region.parse()?;
        site.call(site.client().create_region(&CreateRegion { name: name.clone() }, &Call::default()))?;
        let token = site.join_token(region)?;
        let settings = AgentSettings::kubernetes(&self.cluster.kubeconfig, &[]);
        let began = Instant::now();
        site.join_region(region, settings.flag("annotation-domains", domain), token)?;
        wait_for(site, &name, true)?;
        Ok(began.elapsed())
    }
}

/// In megabytes.
pub const MIB: f64 = 1.048_576;

fn namespace(n: usize) -> String {
    format!("team-{n:03}")
}

/// The most memory that a program took, in megabytes; looked at until it has ended.
pub fn memory_until_its_end(child: &mut Child) -> Result<f64> {
    let mut peak = 0.0_f64;
    while child.try_wait()?.is_none() {
        // It may have ended meanwhile.
        peak = peak.max(memory_of(child.id(), "VmHWM").unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(peak)
}

fn settled(site: &Site, region: &str) -> Result<f64> {
    std::thread::sleep(SETTLE);
    memory_of(site.agent_id(region)?, "VmRSS")
}

/// Waits until the manager has the region's whole inventory, or has it no longer. Looks more often than [`within`] does: it
/// may take less than a second.
fn wait_for(site: &Site, region: &RegionName, whole: bool) -> Result<()> {
    let began = Instant::now();
    loop {
        let region = site.call(site.client().region(region))?;
        if region.alive && region.inventory_complete == whole {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "the inventory of {} is not as expected", region.name);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long plans take that are made and not kept, in seconds.
fn plans(site: &Site, environment: EnvironmentId) -> Result<Vec<f64>> {
    let body = asked(OPERATION)?;
    let call = Call { validate_only: true, ..Call::default() };
    let mut times = Vec::new();
    for _ in 0..PLANS {
        let began = Instant::now();
        let accepted = site.call(site.client().run_operation(environment, &body, &call))?;
        times.push(began.elapsed().as_secs_f64());
        let steps = accepted.preview.context("no preview")?.steps.len();
        ensure!(steps == HOOKS, "{steps} steps");
    }
    Ok(times)
}
