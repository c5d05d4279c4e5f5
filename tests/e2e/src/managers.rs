//! The managers of an installation: one with its data folder, or several over one database, each with ways of its own
//! to the database and from the balancer that can be cut.

use crate::cli::tenantry;
use crate::postgres::Postgres;
use crate::site::Site;
use crate::{Program, Proxy, World, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};

/// One manager, which can be killed and started again with what it left.
#[derive(Debug)]
pub(crate) struct ManagerLife {
    name: String,
    folder: PathBuf,
    data: PathBuf,
    pub address: SocketAddr,
    flags: Vec<String>,
    /// Where its rows are.
    store: Vec<String>,
    pub program: Option<Program>,
    ways: Option<Ways>,
}

/// How one of several managers is reached, and reaches its database.
#[derive(Debug)]
pub struct Ways {
    /// From the manager to PostgreSQL.
    pub to_store: Proxy,
    /// From the balancer to the manager.
    pub from_balancer: Proxy,
}

/// An address that stays free while its manager is away: below the ports that the kernel gives to connections (32768), any of
/// which may have it when the manager comes back.
fn free(on: IpAddr) -> Result<SocketAddr> {
    const PORTS: std::ops::Range<u32> = 20_000..30_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Test programs run beside each other.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + begin.wrapping_add(step) % count;
        if let Ok(listener) = TcpListener::bind((on, u16::try_from(port)?)) {
            return Ok(listener.local_addr()?);
        }
    }
    anyhow::bail!("no port of {PORTS:?} is free")
}

impl ManagerLife {
    /// The only one, with rows in its data folder.
    pub fn alone(folder: &Path, flags: &[&str]) -> Result<Self> {
        Self::listening(folder, Ipv4Addr::LOCALHOST.into(), flags)
    }

    /// The same, on another address of this machine.
    pub fn listening(folder: &Path, on: IpAddr, flags: &[&str]) -> Result<Self> {
        let flags = flags.iter().map(ToString::to_string).collect();
        Self::new("manager", folder, folder.join("data"), on, flags)
    }

    fn new(name: &str, folder: &Path, data: PathBuf, on: IpAddr, flags: Vec<String>) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            data,
            address: free(on)?,
            flags,
            store: Vec::new(),
            program: None,
            ways: None,
        })
    }

    /// Where its rows are: `--store …` and the like.
    pub fn keep_rows_in(&mut self, store: Vec<String>) {
        self.store = store;
    }

    pub fn command(&self, variables: &[(String, String)]) -> Command {
        let mut command = tenantry();
        command.arg("manager").arg("--data").arg(&self.data);
        command.args(["--listen", &self.address.to_string(), "--log-format", "json"]);
        command.args(&self.flags).args(&self.store);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it, and does not wait for it.
    pub fn begin(&mut self, variables: &[(String, String)]) -> Result<&mut Program> {
        let program = Program::start(&self.name, &self.folder, &mut self.command(variables))?;
        Ok(self.program.insert(program))
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self, variables: &[(String, String)]) -> Result<()> {
        let address = self.address;
        let program = self.begin(variables)?;
        eventually("the manager's start", || {
            program.check_alive()?;
            Ok(std::net::TcpStream::connect(address).ok())
        })?;
        Ok(())
    }

    fn running(&self) -> Result<&Program> {
        self.program.as_ref().with_context(|| format!("{} does not run", self.name))
    }
}

impl Site {
    /// Starts so many managers over one database, behind a balancer that clients and agents are told of.
    pub fn start_several(
        world: &World,
        postgres: &Postgres,
        database: &str,
        managers: usize,
        flags: &[&str],
    ) -> Result<Self> {
        let folder = world.folder().join("site");
        std::fs::create_dir_all(&folder)?;
        let mut lives = Vec::new();
        for n in 0..managers {
            let name = format!("manager-{n}");
            let mut shared = flags.iter().map(ToString::to_string).collect::<Vec<_>>();
            for (flag, name) in [("--logs-folder", "logs"), ("--audit-key", "audit-key.pem")] {
                shared.extend([flag.to_owned(), folder.join(name).display().to_string()]);
            }
            let data = folder.join(format!("data-{n}"));
            let mut life = ManagerLife::new(&name, &folder, data, Ipv4Addr::LOCALHOST.into(), shared)?;
            let to_store = Proxy::start(postgres.address)?;
            life.store = postgres.settings(database, to_store.address);
            life.ways = Some(Ways { to_store, from_balancer: Proxy::start(life.address)? });
            lives.push(life);
        }
        let ways = lives.iter().filter_map(|life| life.ways.as_ref());
        let balancer = Proxy::balancing(&ways.map(|ways| ways.from_balancer.address).collect::<Vec<_>>())?;
        Self::begin(folder, lives, Some(balancer), &[], None)
    }

    /// The ways of one of several managers.
    pub fn ways(&self, manager: usize) -> Result<&Ways> {
        let life = self.managers.get(manager).context("no such manager")?;
        life.ways.as_ref().context("a manager alone has no ways")
    }

    /// The URL of this manager itself.
    pub fn url_of(&self, manager: usize) -> Result<String> {
        Ok(format!("http://{}", self.managers.get(manager).context("no such manager")?.address))
    }

    /// Starts this manager (again), and waits until it answers.
    pub fn start_nth_manager(&mut self, manager: usize) -> Result<()> {
        self.managers.get_mut(manager).context("no such manager")?.start(&self.variables)
    }

    /// The same without waiting: what it needs may be away.
    pub fn begin_nth_manager(&mut self, manager: usize) -> Result<()> {
        self.managers.get_mut(manager).context("no such manager")?.begin(&self.variables).map(drop)
    }

    /// SIGKILL to this manager.
    pub fn kill_nth_manager(&mut self, manager: usize) -> Result<()> {
        let life = self.managers.get_mut(manager).context("no such manager")?;
        life.program.take().context("the manager does not run")?.kill()
    }

    /// A signal to this manager.
    pub fn signal_nth_manager(&self, manager: usize, signal: Signal) -> Result<()> {
        self.managers.get(manager).context("no such manager")?.running()?.signal(signal)
    }

    /// How this manager ended if it has ended by itself.
    pub fn manager_ended(&mut self, manager: usize) -> Result<Option<ExitStatus>> {
        let life = self.managers.get_mut(manager).context("no such manager")?;
        life.program.as_mut().map_or(Ok(None), Program::ended)
    }

    /// All that this manager wrote on standard error, in all its lives.
    pub fn manager_log(&self, manager: usize) -> Result<String> {
        self.managers.get(manager).context("no such manager")?.running()?.log_text()
    }

    /// Ends all managers in good order.
    pub fn stop_managers(&mut self) -> Result<()> {
        for life in &mut self.managers {
            let mut program = life.program.take().with_context(|| format!("{} does not run", life.name))?;
            program.check_alive()?;
            let status = program.terminate()?;
            ensure!(status.success(), "{} ended with {status}:\n{}", life.name, program.tail());
        }
        Ok(())
    }

    /// Further flags of this manager's next lives.
    pub fn add_manager_flags(&mut self, manager: usize, flags: &[&str]) -> Result<()> {
        let life = self.managers.get_mut(manager).context("no such manager")?;
        life.flags.extend(flags.iter().map(ToString::to_string));
        Ok(())
    }

    /// Where this manager's rows are in its next lives: `--store …` and the like, and its data folder.
    pub fn move_store(&mut self, manager: usize, settings: Vec<String>, data: &Path) -> Result<()> {
        let life = self.managers.get_mut(manager).context("no such manager")?;
        life.store = settings;
        data.clone_into(&mut life.data);
        Ok(())
    }

    /// Each manager's log holds only what the test expects.
    pub(crate) fn check_manager_logs(&self) -> Result<()> {
        let check = self.logs.borrow();
        self.managers.iter().try_for_each(|life| check.check(&life.folder.join(format!("{}.log", life.name))))
    }
}
