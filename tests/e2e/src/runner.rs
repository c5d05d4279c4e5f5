//! How a test runs: its own folder and namespaces, the cluster that it needs, and an orderly end.

use crate::{Cluster, Team, Witness, binary, cluster, hooks, reap, team, testbed};
use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the variable that has long tests run without a test bed; `tests/run.sh all` sets it.
pub const LONG: &str = "TENANTRY_LONG";

/// What a test needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// This machine only.
    Laptop,
    /// The same, for more than a few seconds: the fast run, which has no test bed, leaves it out; [`LONG`] brings it back.
    Minutes,
    /// The cluster that tests share.
    Cluster,
    /// The same; the test's files give the names of namespaces (`crm`, …), so no other such test runs beside it.
    GivenNames,
    /// The cluster with Argo that tests share, each with an installation of its own.
    Argo,
    /// The same, with names that files give.
    ArgoGivenNames,
    /// A cluster of its own, with these flags of `testbed up`.
    OwnCluster(&'static [&'static str]),
}

/// What one test has.
pub struct World {
    folder: PathBuf,
    /// Distinguishes its names from those of other tests.
    pub tag: String,
    cluster: Option<Arc<Cluster>>,
    namespaces: RefCell<Vec<String>>,
}

impl World {
    /// A new folder; starts the cluster if one is needed. Who calls it removes the folder, and [`crate::down_all`]
    /// takes the cluster down.
    pub fn new(needs: Needs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tenantry-e2e-").tempdir()?.keep();
        // Hooks with a user of their own write to the witness's folder.
        std::fs::create_dir_all(folder.join("witness"))?;
        let tag = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
        let cluster = match needs {
            Needs::Laptop | Needs::Minutes => None,
            Needs::Cluster | Needs::GivenNames => Some(Cluster::shared()?),
            Needs::Argo | Needs::ArgoGivenNames => Some(Cluster::shared_with_argo()?),
            Needs::OwnCluster(flags) => Some(Arc::new(Cluster::up(&format!("o{tag}"), flags)?)),
        };
        Ok(Self { folder, tag, cluster, namespaces: RefCell::default() })
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The test's cluster.
    pub fn cluster(&self) -> Result<&Arc<Cluster>> {
        self.cluster.as_ref().context("this test has no cluster")
    }

    /// What the hooks wrote.
    #[must_use]
    pub fn witness(&self) -> Witness {
        Witness(self.folder.join("witness/records"))
    }

    /// Lets hooks with a gate ([`crate::Hook::gated_witness`]) end their work.
    pub fn open(&self, names: &[&str]) -> Result<()> {
        for name in names {
            std::fs::write(self.folder.join("witness").join(hooks::gate(name)), "")?;
        }
        Ok(())
    }

    /// Closes gates again, for hooks of another operation.
    pub fn close(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let gate = self.folder.join("witness").join(hooks::gate(name));
            std::fs::remove_file(&gate).with_context(|| format!("{} was not open", gate.display()))?;
        }
        Ok(())
    }

    /// A team's namespace in the cluster, with a name that no other test has.
    pub fn team(&self, name: &str) -> Result<Team> {
        self.team_named(&format!("{name}-{}", self.tag))
    }

    /// A team's namespace of exactly this name; hold [`Cluster::given_names`] for those that files give.
    pub fn team_named(&self, namespace: &str) -> Result<Team> {
        self.owns(namespace);
        Team::create(self.cluster()?, namespace, &self.folder.join("witness"))
    }

    /// A namespace that is removed after the test.
    pub fn owns(&self, namespace: &str) {
        self.namespaces.borrow_mut().push(namespace.to_owned());
    }

    /// A volume of the node, in the test's folder, for a claim that a file makes.
    pub fn volume(&self, namespace: &str, claim: &str, class: &str) -> Result<()> {
        let folder = self.folder.join("volumes").join(namespace).join(claim);
        self.cluster()?.apply(&team::volume(namespace, claim, class, &folder))
    }

    fn clean_up(&self, wait: bool) -> Result<()> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let namespaces = self.namespaces.borrow();
        cluster.remove_namespaces(&namespaces, wait)?;
        for namespace in namespaces.iter() {
            cluster.kubectl(&[
                "delete",
                "persistentvolume",
                "--wait=false",
                "-l",
                &format!("e2e/namespace={namespace}"),
            ])?;
        }
        Ok(())
    }
}

/// A test; its name reads as a sentence. Without a test bed it is ignored when it needs a cluster.
pub fn trial(
    needs: Needs,
    name: impl Into<String>,
    test: impl FnOnce(&World) -> Result<()> + Send + 'static,
) -> Trial {
    let missing = match needs {
        Needs::Laptop => false,
        Needs::Minutes => testbed().is_none() && std::env::var_os(LONG).is_none(),
        _ => testbed().is_none(),
    };
    Trial::test(name, move || {
        let world = World::new(needs).map_err(|error| Failed::from(format!("{error:#}")))?;
        let given = matches!(needs, Needs::GivenNames | Needs::ArgoGivenNames);
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = world.cluster.as_ref().filter(|_| given).map(|cluster| cluster.given_names());
            let answer = test(&world);
            // Names that others wait for must be free again.
            let cleaned = world.clean_up(given);
            answer.and(cleaned)
        }))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the test panicked; its message stands above")));
        match answer {
            Ok(()) => {
                drop(std::fs::remove_dir_all(&world.folder));
                Ok(())
            }
            Err(error) => Err(Failed::from(format!("{error:#}\nwhat it left: {}", world.folder.display()))),
        }
    })
    .with_ignored_flag(missing)
    .with_kind(match needs {
        Needs::Laptop => "laptop",
        Needs::Minutes => "minutes",
        _ => "cluster",
    })
}

/// Runs the tests and takes down what they started.
pub fn run(trials: Vec<Trial>) -> Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut arguments = Arguments::from_args();
    if arguments.list {
        libtest_mimic::run(&arguments, trials).exit();
    }
    ensure!(binary().is_file(), "{} is not there: run `cargo build -p tenantry`", binary().display());
    if testbed().is_some() {
        cluster::check()?;
        reap::leftovers();
    } else {
        eprintln!("TENANTRY_TESTBED is not set (see tests/run.sh): tests that need a cluster are ignored");
    }
    reap::on_signals()?;
    arguments.test_threads.get_or_insert(2);
    let conclusion = libtest_mimic::run(&arguments, trials);
    reap::down_all();
    conclusion.exit();
}
