//! Starting and ending the server.

use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

const VARIABLE: &str = "TENANTRY_TEST_POSTGRES";
/// One that has to be written otherwise in a URL.
const PASSWORD: &str = "a password with / and ?";
const PASSWORD_IN_URL: &str = "a%20password%20with%20%2F%20and%20%3F";

/// A server that accepts connections.
#[derive(Debug)]
pub struct Server {
    url: String,
    /// `None`: somebody else's.
    home: Option<Home>,
}

/// What a server of our own consists of.
#[derive(Debug)]
struct Home {
    programs: PathBuf,
    folder: PathBuf,
    root: bool,
    options: String,
    /// Stops the server and removes its folder when this process ends, however it ends: it waits for the end of a pipe
    /// that only this process holds.
    _keeper: Child,
}

/// Nothing here has to survive a power failure.
const FAST: &str = "-c fsync=off -c shared_buffers=64MB";

impl Server {
    /// The one that is named, or a new one if PostgreSQL is installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        Self::named_or(FAST)
    }

    /// The same, with every commit on disk: for measuring.
    ///
    /// # Errors
    /// If there is one and it does not start.
    pub fn durable() -> Result<Option<Self>> {
        Self::named_or("-c shared_buffers=256MB -c max_wal_size=4GB")
    }

    fn named_or(settings: &str) -> Result<Option<Self>> {
        if let Ok(url) = env::var(VARIABLE) {
            return Ok(Some(Self { url, home: None }));
        }
        Self::own_with(settings)
    }

    /// A new one of its own, for tests that stop it; `None` if PostgreSQL is not installed. Dropped it is removed.
    ///
    /// # Errors
    /// If it does not start.
    pub fn own() -> Result<Option<Self>> {
        Self::own_with(FAST)
    }

    fn own_with(settings: &str) -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("tenantry-postgres-").tempdir()?;
        let root = is_root()?;
        if root {
            let owner = id_of_postgres()?;
            chown(folder.path(), Some(owner), None).context("give the folder to the user postgres")?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        // From here on the keeper removes it.
        let folder = folder.keep();
        let keeper = keeper(&programs, &folder, root)?;
        initialise(&programs, &folder, root)?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={} -c max_connections=300 \
             -c max_locks_per_transaction=128 {settings}",
            folder.display()
        );
        let home = Home { programs, folder, root, options, _keeper: keeper };
        home.start("-w")?;
        let url = format!("postgres://tester:{PASSWORD_IN_URL}@127.0.0.1:{port}/postgres");
        Ok(Some(Self { url, home: Some(home) }))
    }

    /// All that a server of our own has said.
    ///
    /// # Errors
    /// If it is somebody else's, or has no log.
    pub fn log(&self) -> Result<String> {
        self.home()?.log()
    }

    /// Ends a server of our own as a crash does: no connection is told, nothing is tidied up.
    ///
    /// # Errors
    /// If it is somebody else's, or does not run.
    pub fn stop_at_once(&self) -> Result<()> {
        self.home()?.control(&["-m", "immediate", "-w", "stop"])
    }

    /// Starts it again, and does not wait until it has recovered.
    ///
    /// # Errors
    /// If it is somebody else's, or runs.
    pub fn start_again(&self) -> Result<()> {
        self.home()?.start("-W")
    }

    /// Of a server of our own.
    #[must_use]
    pub const fn password(&self) -> &'static str {
        PASSWORD
    }

    fn home(&self) -> Result<&Home> {
        self.home.as_ref().context("a server that others own is not ours to stop or to read")
    }

    /// Of a database that is always there, with the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Of a database on this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let end = self.url.rfind('/').unwrap_or(self.url.len());
        format!("{}/{database}", &self.url[..end])
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the URL names no address and port.
    pub fn address(&self) -> Result<SocketAddr> {
        let (_, rest) = self.url.rsplit_once('@').context("the URL names no user")?;
        let (host, _) = rest.split_once('/').context("the URL names no database")?;
        host.parse().with_context(|| format!("{host} is no address and port"))
    }
}

impl Home {
    fn start(&self, wait: &str) -> Result<()> {
        let log = self.folder.join("log").display().to_string();
        self.control(&[wait, "-t", "60", "-l", &log, "-o", &self.options, "start"])
    }

    fn log(&self) -> Result<String> {
        fs::read_to_string(self.folder.join("log")).context("read the server's log")
    }

    fn control(&self, what: &[&str]) -> Result<()> {
        let status = as_owner(self.root, &self.programs.join("pg_ctl"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(what)
            .current_dir(&self.folder)
            // The server keeps what it is given.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("start pg_ctl")?;
        if !status.success() {
            let log = self.log().unwrap_or_default();
            bail!("pg_ctl {what:?}: {status}\n{log}");
        }
        Ok(())
    }
}

/// Whether PostgreSQL is installed here.
#[must_use]
pub fn installed() -> bool {
    programs().is_some()
}

/// The folder of the newest installed server's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            (version >= 15 && bin.join("initdb").exists()).then_some((version, bin))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

fn initialise(programs: &Path, folder: &Path, root: bool) -> Result<()> {
    let password = folder.join("password");
    fs::write(&password, PASSWORD)?;
    if root {
        chown(&password, Some(id_of_postgres()?), None)?;
    }
    let output = as_owner(root, &programs.join("initdb"))
        .args([
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=tester",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(folder.join("data"))
        .current_dir(folder)
        .output()
        .context("start initdb")?;
    succeeded("initdb", &output)
}

fn keeper(programs: &Path, folder: &Path, root: bool) -> Result<Child> {
    let stop = if root { "runuser -u postgres -- \"$0\"/pg_ctl" } else { "\"$0\"/pg_ctl" };
    let script = format!(
        "cd /; cat >/dev/null; {stop} -D \"$1\"/data -m immediate -w stop >/dev/null 2>&1; rm -rf \"$1\""
    );
    Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(programs)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // An interrupted test run must not take it along.
        .process_group(0)
        .spawn()
        .context("start the keeper")
}

/// The server refuses to run as root.
fn as_owner(root: bool, program: &Path) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("start id")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn id_of_postgres() -> Result<u32> {
    let output = Command::new("id").args(["-u", "postgres"]).output().context("start id")?;
    succeeded("id -u postgres", &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

fn succeeded(what: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{what}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}
