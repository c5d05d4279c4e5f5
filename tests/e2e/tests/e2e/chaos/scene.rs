//! The installation that is tormented, and how each fault is done to it and healed.
//!
//! Only programs that this test started are touched: by their pid, or as parts of its own cluster.

use super::plan::{Fault, Planned, Store, Target};
use anyhow::{Context, Result};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use tenantry_e2e::{AgentSettings, Cluster, Postgres, Proxy, Site, Team, World};

pub const REGION: &str = "eu1";

/// Managers, agent and the ways between them, their store and the cluster.
pub struct Scene<'a> {
    pub site: Site,
    store: Store,
    postgres: Option<Postgres>,
    cluster: &'a Cluster,
    to_manager: Proxy,
    to_cluster: Proxy,
    /// Who is ill, with what, and when that ends.
    ill: BTreeMap<Target, Ill>,
    /// Who was ill, with what, and when.
    pub history: Vec<Was>,
    /// Last words of managers that ended of themselves.
    pub ended: Vec<String>,
    /// How often each fault was done.
    pub done: BTreeMap<Fault, u32>,
    /// Components of the cluster that are being started.
    starting: BTreeMap<String, Child>,
    /// When the components were looked at.
    looked: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Ill {
    fault: Fault,
    since: Timestamp,
    until: Instant,
}

/// A fault that is over.
#[derive(Clone, Copy, Debug)]
pub struct Was {
    pub target: Target,
    pub fault: Fault,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl<'a> Scene<'a> {
    pub fn new(world: &'a World, team: &Team, store: Store) -> Result<Self> {
        let cluster = world.cluster()?;
        // A region is called silent early, so that a pause or a cut of some seconds has all its consequences.
        let flags = ["--agent-silent", "4s"];
        let (mut site, postgres) = match store {
            Store::Sqlite => (Site::start(world, &flags)?, None),
            Store::Postgres => {
                let postgres = Postgres::start(world)?;
                let database = postgres.database()?;
                let site = Site::start_several(world, &postgres, &database, store.managers(), &flags)?;
                (site, Some(postgres))
            }
        };
        let to_manager = Proxy::start(site.address)?;
        let to_cluster = Proxy::start(address_of(&cluster.server)?)?;
        let kubeconfig = through(world, cluster, to_cluster.address)?;
        let agent = AgentSettings::kubernetes(&kubeconfig, &[&team.namespace]).through(to_manager.address);
        // A sandbox whose shim was killed is made again by the kubelet after minutes, if ever: another attempt is sooner.
        let agent = agent.flag("preparing-tolerance", "30s").flag("cannot-start-tolerance", "15s");
        site.add_region(REGION, agent.flag("keep-failed", "0s"))?;
        Ok(Self {
            site,
            store,
            postgres,
            cluster,
            to_manager,
            to_cluster,
            ill: BTreeMap::new(),
            history: Vec::new(),
            ended: Vec::new(),
            done: BTreeMap::new(),
            starting: BTreeMap::new(),
            looked: Instant::now(),
        })
    }

    /// Does a fault. A shim that is to be killed may not be there; then nothing is counted.
    pub fn strike(&mut self, planned: &Planned) -> Result<()> {
        let since = Timestamp::now();
        match planned.fault {
            Fault::KillManager => {
                // It may just have ended of itself, for want of its database.
                self.keep_managers_up()?;
                self.site.kill_nth_manager(planned.target.manager()?)?;
            }
            Fault::PauseManager | Fault::PauseManagerPastItsRoles => {
                self.keep_managers_up()?;
                self.site.signal_nth_manager(planned.target.manager()?, Signal::STOP)?;
            }
            Fault::CutBalancer => self.site.ways(planned.target.manager()?)?.from_balancer.cut(),
            Fault::CutStore => self.site.ways(planned.target.manager()?)?.to_store.cut(),
            Fault::SilenceStore => self.site.ways(planned.target.manager()?)?.to_store.silence(),
            Fault::KillStore => self.postgres()?.stop_at_once()?,
            Fault::KillAgent => self.site.kill_agent(REGION)?,
            Fault::PauseAgent => self.site.signal_agent(REGION, Signal::STOP)?,
            Fault::CutManager => self.to_manager.cut(),
            Fault::CutCluster => self.to_cluster.cut(),
            Fault::KillApiServer => self.steer("kill", "apiserver")?,
            Fault::PauseApiServer => self.steer("freeze", "apiserver")?,
            Fault::KillKubelet => self.steer("kill", "kubelet")?,
            Fault::KillContainerd => self.steer("kill", "containerd")?,
            Fault::KillShim => {
                let shims = shims(self.cluster.containerd())?;
                let Some(pid) = pick(&shims, planned.choice) else { return Ok(()) };
                // It may have ended since.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        *self.done.entry(planned.fault).or_default() += 1;
        if planned.fault != Fault::KillShim {
            let until = Instant::now() + planned.lasts;
            self.ill.insert(planned.target, Ill { fault: planned.fault, since, until });
        }
        Ok(())
    }

    /// Whether the target can be made ill now.
    pub fn is_well(&self, target: Target) -> bool {
        !self.ill.contains_key(&target)
    }

    /// Heals those whose time has come, or all.
    pub fn heal(&mut self, all: bool) -> Result<()> {
        let now = Instant::now();
        let over: Vec<(Target, Fault)> = self
            .ill
            .iter()
            .filter(|(_, ill)| all || ill.until <= now)
            .map(|(target, ill)| (*target, ill.fault))
            .collect();
        for (target, fault) in over {
            match fault {
                // Not waited for: what it needs may be away.
                Fault::KillManager => self.site.begin_nth_manager(target.manager()?)?,
                Fault::PauseManager | Fault::PauseManagerPastItsRoles => {
                    self.site.signal_nth_manager(target.manager()?, Signal::CONT)?;
                }
                Fault::CutBalancer => self.site.ways(target.manager()?)?.from_balancer.mend(),
                Fault::CutStore | Fault::SilenceStore => self.site.ways(target.manager()?)?.to_store.mend(),
                Fault::KillStore => self.postgres()?.start_again()?,
                Fault::KillAgent => self.site.start_agent(REGION)?,
                Fault::PauseAgent => self.site.signal_agent(REGION, Signal::CONT)?,
                Fault::CutManager => self.to_manager.mend(),
                Fault::CutCluster => self.to_cluster.mend(),
                Fault::PauseApiServer => self.steer("thaw", "apiserver")?,
                Fault::KillApiServer => self.start("kube-apiserver")?,
                Fault::KillKubelet => self.start("kubelet")?,
                Fault::KillContainerd => self.start("containerd")?,
                Fault::KillShim => {}
            }
            if let Some(Ill { fault, since: from, .. }) = self.ill.remove(&target) {
                self.history.push(Was { target, fault, from, until: Timestamp::now() });
            }
        }
        self.keep_managers_up()?;
        self.keep_up()
    }

    fn postgres(&self) -> Result<&Postgres> {
        self.postgres.as_ref().context("the rows are not in PostgreSQL")
    }

    /// A manager that starts while its database is away says so and ends; it is started again.
    fn keep_managers_up(&mut self) -> Result<()> {
        for manager in 0..self.store.managers() {
            if self.is_well(Target::Manager(manager))
                && let Some(status) = self.site.manager_ended(manager)?
            {
                let log = self.site.manager_log(manager)?;
                // Its last word, which its loops may have talked over.
                let last = log.lines().rfind(|line| line.starts_with("tenantry: ")).unwrap_or_default();
                self.ended.push(format!("manager {manager}, {status}: {last}"));
                self.site.begin_nth_manager(manager)?;
            }
        }
        Ok(())
    }

    /// A component may have ended of itself just now, for want of another one: then there is nothing to do.
    fn steer(&self, verb: &str, component: &str) -> Result<()> {
        match self.cluster.steer(verb, component) {
            Err(error) if format!("{error:#}").contains("does not run") => Ok(()),
            answer => answer,
        }
    }

    fn start(&mut self, component: &str) -> Result<()> {
        if !self.starting.contains_key(component) {
            self.starting.insert(component.to_owned(), self.cluster.begin_start(component)?);
        }
        Ok(())
    }

    /// What systemd does on a real node: a component that ended of itself is started again.
    fn keep_up(&mut self) -> Result<()> {
        let mut started = Vec::new();
        for (component, child) in &mut self.starting {
            if child.try_wait()?.is_some() {
                started.push(component.clone());
            }
        }
        for component in started {
            self.starting.remove(&component);
        }
        if self.looked.elapsed() < Duration::from_secs(2) {
            return Ok(());
        }
        self.looked = Instant::now();
        for component in self.cluster.stopped()? {
            let ill = match component.as_str() {
                "kube-apiserver" => !self.is_well(Target::ApiServer),
                "kubelet" => !self.is_well(Target::Kubelet),
                "containerd" => !self.is_well(Target::Containerd),
                _ => false,
            };
            if !ill {
                self.start(&component)?;
            }
        }
        Ok(())
    }
}

impl Target {
    fn manager(self) -> Result<usize> {
        match self {
            Self::Manager(manager) | Self::WayFromBalancer(manager) | Self::WayToStore(manager) => {
                Ok(manager)
            }
            other => anyhow::bail!("{other:?} is no manager's"),
        }
    }
}

fn address_of(server: &str) -> Result<SocketAddr> {
    let address = server.trim_start_matches("https://").trim_end_matches('/');
    address.parse().with_context(|| format!("{server} is no address"))
}

/// The administrator's kubeconfig by way of the proxy; the certificate is still that of the API server's own address.
fn through(world: &World, cluster: &Cluster, proxy: SocketAddr) -> Result<PathBuf> {
    let mut config: serde_json::Value =
        serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "-o", "json"])?)?;
    let own = address_of(&cluster.server)?.ip().to_string();
    config["clusters"][0]["cluster"]["server"] = format!("https://{proxy}").into();
    config["clusters"][0]["cluster"]["tls-server-name"] = own.into();
    let path = world.folder().join("proxied.kubeconfig");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// The shims of this cluster's containerd: they say on their command line whose they are.
fn shims(containerd: &Path) -> Result<Vec<Pid>> {
    let address = containerd.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        // A process may end while it is looked at.
        let (Some(pid), Ok(line)) = (pid, std::fs::read(entry.path().join("cmdline"))) else { continue };
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let is_shim = words.next().is_some_and(|program| program.contains("containerd-shim"));
        if is_shim && words.any(|word| word == address) {
            found.push(pid);
        }
    }
    found.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
    Ok(found)
}

fn pick(pids: &[Pid], choice: u64) -> Option<Pid> {
    let at = choice.checked_rem(pids.len() as u64)?;
    usize::try_from(at).ok().and_then(|at| pids.get(at)).copied()
}
