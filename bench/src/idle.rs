//! What a manager's memory is, idle and with many running operations; how long a command takes to start.

use crate::steps::Installation;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tenantry_e2e::instant::Answer;
use tenantry_e2e::{World, binary, testbed};

/// A manager that has just started does some work.
const SETTLE: Duration = Duration::from_secs(5);
/// How often each command is started, by turns.
const STARTS: usize = 30;

/// Resident memory of the manager: idle, and with so many running operations of 20 steps.
pub fn memory(world: &World, operations: usize, table: &mut Table) -> Result<()> {
    let all = Installation::start(world, operations, Answer::Runs)?;
    std::thread::sleep(SETTLE);
    let idle = resident(all.site.manager_id()?)?;
    table.ratio("memory of an idle manager : aim", idle, 40.0, "MB", Some(1.0));
    all.begin("bench.graph")?;
    // The first layer runs, for ever.
    all.wait_started(operations * 5)?;
    std::thread::sleep(SETTLE);
    let busy = resident(all.site.manager_id()?)?;
    let figure = format!("… with {operations} running operations of 20 steps : idle");
    table.ratio(&figure, busy, idle, "MB", None);
    all.stop()
}

fn resident(pid: u32) -> Result<f64> {
    memory_of(pid, "VmRSS")
}

/// A program's memory in megabytes: `VmRSS` as it is, `VmHWM` at most.
pub fn memory_of(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kilobytes: f64 =
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().context("memory")?;
    Ok(kilobytes * 1024.0 / 1e6)
}

/// How long `tenantry --version` takes, beside kubectl and a program that does nothing.
pub fn start(table: &mut Table) -> Result<()> {
    let mut commands = vec![("true".to_owned(), Command::new("true"))];
    let mut ours = Command::new(binary());
    ours.arg("--version");
    commands.push(("tenantry".to_owned(), ours));
    let mut kubectl = Command::new("kubectl");
    if Command::new("kubectl").arg("version").arg("--client").output().is_err()
        && let Some(testbed) = testbed()
    {
        kubectl = Command::new(testbed.with_file_name("kube"));
        kubectl.arg("kubectl");
    }
    kubectl.args(["version", "--client"]);
    if kubectl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        commands.push(("kubectl".to_owned(), kubectl));
    }
    let mut times = vec![Vec::new(); commands.len()];
    for _ in 0..STARTS {
        for ((name, command), times) in commands.iter_mut().zip(&mut times) {
            let began = Instant::now();
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            ensure!(status.success(), "{name} ended with {status}");
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    if let Some(kubectl) = medians.get(2) {
        let figure = "`tenantry --version` : `kubectl version --client`, median";
        table.ratio(figure, medians[1], *kubectl, "ms", None);
    }
    table.ratio("`tenantry --version` : `true`, median", medians[1], medians[0], "ms", None);
    Ok(())
}

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
