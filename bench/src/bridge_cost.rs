//! What a bridge costs: its size, its start, its memory while it streams a log; and how long it takes from a request to a
//! hook's first line.

use crate::argo::{WORKFLOWS, WithArgo};
use crate::discovery::{MIB, memory_until_its_end};
use crate::idle::median;
use crate::place::{self, REGION};
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tenantry_api_types::v1::LogQuery;
use tenantry_e2e::argo::requested;
use tenantry_e2e::{bridge, repository, testbed};
use tenantry_model::AttemptId;

/// How often each program is started, by turns.
const STARTS: usize = 30;
/// How often a first line is waited for, by turns.
const LINES: usize = 5;
const LINE: &str = "bench.line";
const TALK: &str = "bench.talk";
/// For ten seconds, fifty lines of a hundred characters twenty times a second.
const TALKS: &str = "n=0; while [ $n -lt 200 ]; do m=0; while [ $m -lt 50 ]; do \
    echo \"line $n/$m ................................................................................\"; \
    m=$((m+1)); done; n=$((n+1)); sleep 0.05; done";
const TALKED: usize = 200 * 50;
/// Between two looks at a log.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(5);

/// Size and start, beside Argo's program that each of its steps has.
pub fn program(table: &mut Table) -> Result<()> {
    let argoexec =
        testbed().context("TENANTRY_TESTBED is not set")?.with_file_name("argo-workflows/argoexec");
    let size = |path: &Path| -> Result<f64> {
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(f64::from(u32::try_from(metadata.len())?) / 1e6)
    };
    let archive: PathBuf = repository().join("target/bridge-image/tenantry-bridge.tar");
    table.ratio("the bridge's program : argoexec", size(&bridge())?, size(&argoexec)?, "MB", None);
    table.ratio("… its image, as an archive : aim", size(&archive)?, 9.0, "MB", Some(1.0));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        for (program, argument, times) in
            [(bridge(), "--version", &mut ours), (argoexec.clone(), "version", &mut theirs)]
        {
            let mut command = Command::new(&program);
            let began = Instant::now();
            let status = command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            ensure!(status.success(), "{} {argument} ended with {status}", program.display());
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let figure = "`tenantry-bridge --version` : `argoexec version`, median";
    table.ratio(figure, median(&mut ours), median(&mut theirs), "ms", None);
    Ok(())
}

impl WithArgo<'_> {
    /// Memory while a log is streamed, and the way to a first line.
    pub fn bridge(&self, table: &mut Table) -> Result<()> {
        self.streams(table).context("a bridge that streams a log")?;
        self.add(|hook| hook("line").tenant("lifecycle", LINE).shell("echo here"))?;
        let (mut kubernetes, mut argo) = (Vec::new(), Vec::new());
        for _ in 0..LINES {
            kubernetes.push(self.first_line(REGION)?);
            argo.push(self.first_line(WORKFLOWS)?);
        }
        let figure = "from the request to the hook's first line, median: executor kubernetes : argo";
        table.ratio(figure, median(&mut kubernetes), median(&mut argo), "s", None);
        Ok(())
    }

    /// A bridge as the image has it, as a process of this machine.
    fn streams(&self, table: &mut Table) -> Result<()> {
        self.add(|hook| hook("talk").tenant("lifecycle", TALK).shell(TALKS))?;
        let folder = self.argo.world.folder();
        let (environment, log) = (folder.join("environment.json"), folder.join("talk.log"));
        let id = uuid::Uuid::now_v7().to_string();
        let document = requested(TALK, &id, &json!({}))["data"]["environment"].take();
        std::fs::write(&environment, document.to_string())?;
        let job = format!("{}/talk", self.team);
        let mut command = Command::new(bridge());
        command.args(["bridge", "--operation", TALK, "--operation-id", &id, "--job", &job]);
        command.arg("--environment-file").arg(&environment);
        command.arg("--kubeconfig").arg(&self.cluster.kubeconfig);
        let mut child = command.stdin(Stdio::null()).stdout(File::create(&log)?).spawn()?;
        let peak = memory_until_its_end(&mut child)?;
        ensure!(child.wait()?.success(), "the bridge failed");
        let lines = std::fs::read_to_string(&log)?.lines().count();
        ensure!(lines == TALKED, "{lines} lines of {TALKED}");
        table.ratio(
            "a bridge's memory at most, while it streams a log : aim",
            peak,
            8.0 * MIB,
            "MB",
            Some(1.0),
        );
        Ok(())
    }

    /// Seconds from the request to a log that is not empty.
    fn first_line(&self, region: &'static str) -> Result<f64> {
        let environment = *self.environments.get(region).context("no environment")?;
        let began = Instant::now();
        let id = place::begin(&self.site, environment, LINE)?;
        let team = if region == REGION { crate::cluster::OURS } else { &self.team };
        let step = format!("{region}/{team}/line").parse()?;
        let attempt = AttemptId { operation: id, step, number: 1 };
        loop {
            // Until it begins there is none.
            let asked = self.site.client().log(&attempt, &LogQuery { offset: 0, limit: None });
            if self.site.call(asked).is_ok_and(|range| !range.bytes.is_empty()) {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "no line of {attempt}");
            std::thread::sleep(LOOK);
        }
        let took = began.elapsed().as_secs_f64();
        self.site.wait_succeeded(id)?;
        Ok(took)
    }
}
