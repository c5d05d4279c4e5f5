//! Where the region of a test is, so that one test runs on each executor that has a cluster: over an agent, and over Argo
//! without one.
//!
//! What is passed to both is said once here; a test knows the difference only where docs/argo.md declares one.

use anyhow::Result;
use libtest_mimic::Trial;
use std::path::PathBuf;
use tenantry_e2e::argo::Argo;
use tenantry_e2e::{AgentSettings, Needs, Site, World, trial};

/// Of a trial over Argo: after the name that it has over an agent.
pub const OVER_ARGO: &str = "_over_argo";
/// The region of these tests.
pub const REGION: &str = "eu1";

/// Who runs the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An agent with executor `kubernetes`.
    Agent,
    /// Executor `argo`: Workflows of the shipped chart, one bridge a step.
    Argo,
}

/// The test on each executor.
pub fn on_each(name: &str, test: fn(&World, Place) -> Result<()>) -> [Trial; 2] {
    [
        trial(Needs::Cluster, name, move |world| test(world, Place::Agent)),
        trial(Needs::Argo, format!("{name}{OVER_ARGO}"), move |world| test(world, Place::Argo)),
    ]
}

/// A manager and its one region in the making.
pub struct Setup<'a> {
    place: Place,
    namespaces: Vec<&'a str>,
    manager: Vec<&'a str>,
    /// What the agent may do in the cluster; without, everything.
    kubeconfig: Option<PathBuf>,
    /// Settings of an agent.
    agent: Vec<(String, String)>,
    /// Values of the chart.
    chart: Vec<String>,
    /// Flags of bridges, and of discovery as well.
    bridge: Vec<String>,
    both: Vec<String>,
}

impl<'a> Setup<'a> {
    /// A region with hooks in these namespaces.
    pub fn new(place: Place, namespaces: &[&'a str]) -> Self {
        Self {
            place,
            namespaces: namespaces.to_vec(),
            manager: Vec::new(),
            kubeconfig: None,
            agent: Vec::new(),
            chart: Vec::new(),
            bridge: Vec::new(),
            both: Vec::new(),
        }
    }

    /// Flags of the manager.
    pub fn manager(mut self, flags: &[&'a str]) -> Self {
        self.manager.extend(flags);
        self
    }

    /// `--NAME-tolerance`.
    pub fn tolerance(mut self, name: &str, duration: &str) -> Self {
        self.bridge.push(format!("--{name}-tolerance={duration}"));
        self.agent(&format!("{name}-tolerance"), duration)
    }

    /// What succeeded can be looked at.
    pub fn keep_succeeded(mut self) -> Self {
        self.bridge.push("--keep-succeeded".to_owned());
        self.agent("keep-succeeded", "1h")
    }

    /// A label by which Argo CD tracks.
    pub fn tracking_label(mut self, label: &str) -> Self {
        self.both.push(format!("--tracking-label={label}"));
        self.agent("tracking-labels", label)
    }

    /// The claim that backups are written to.
    pub fn object_store(mut self, claim: &str) -> Self {
        self.both.push(format!("--object-store-claim={claim}"));
        self.agent("object-store-claim", claim)
    }

    /// Under which prefix annotations count.
    pub fn domain(mut self, domain: &str) -> Self {
        self.chart.push(format!("domains={{{domain}}}"));
        self.agent("annotation-domains", domain)
    }

    /// An agent has these rights.
    pub fn rights(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = Some(kubeconfig);
        self
    }

    /// With the exact edges in Argo too: no hook waits for one that it does not name.
    pub fn exact(mut self) -> Self {
        self.chart.push("order=graph".to_owned());
        self
    }

    /// A setting of an agent, where there is one.
    pub fn agent(mut self, name: &str, value: &str) -> Self {
        self.agent.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts them.
    pub fn start(self, world: &World) -> Result<Site> {
        match self.place {
            Place::Agent => self.with_agent(world),
            Place::Argo => self.over_argo(world),
        }
    }

    fn with_agent(self, world: &World) -> Result<Site> {
        let mut site = Site::start(world, &self.manager)?;
        let kubeconfig = self.kubeconfig.as_ref().unwrap_or(&world.cluster()?.kubeconfig);
        let mut settings = AgentSettings::kubernetes(kubeconfig, &self.namespaces);
        for (name, value) in &self.agent {
            settings = settings.flag(name, value);
        }
        site.add_region(REGION, settings)?;
        Ok(site)
    }

    fn over_argo(self, world: &World) -> Result<Site> {
        let mut values =
            vec![format!("region={REGION}"), format!("namespaces={{{}}}", self.namespaces.join(","))];
        values.extend(self.chart);
        for (list, flags) in [("bridgeFlags", self.bridge), ("flags", self.both)] {
            values.extend(flags.iter().enumerate().map(|(at, flag)| format!("{list}[{at}]={flag}")));
        }
        let argo = Argo::install_beside(world, &values)?;
        for namespace in self.namespaces {
            argo.let_in(namespace)?;
        }
        argo.manager(REGION, argo.webhook(), &self.manager, &[])
    }
}
