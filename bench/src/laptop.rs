//! Steps as processes of this machine, against processes spawned one after another.

use crate::Place;
use crate::place::REGION;
use crate::table::{self, Table};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;
use tenantry_e2e::{AgentSettings, Hook, World};

/// `count` no-op steps of one operation.
pub fn processes(world: &World, count: usize, table: &mut Table) -> Result<()> {
    let hooks: Vec<_> = (0..count)
        .map(|n| Hook::new("bench", &format!("p{n:04}")).tenant("lifecycle", "bench.processes"))
        .collect();
    let manifests: Vec<_> = hooks.iter().map(Hook::manifest).collect();
    let place = Place::start(world, AgentSettings::process(&templates(world, &manifests)?), count)?;

    let began = Instant::now();
    for _ in 0..count {
        let status = Command::new("sh").args(["-c", "true"]).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "sh -c true ended with {status}");
    }
    let peer = began.elapsed();
    let pids = [place.site.manager_id()?, place.site.agent_id(REGION)?];
    let before = [cpu(pids[0])?, cpu(pids[1])?];
    let ours = place.run("bench.processes", count)?;
    let [manager, agent] = [cpu(pids[0])? - before[0], cpu(pids[1])? - before[1]];
    table.times(&format!("{count} no-op steps as processes : {count} × `sh -c true`"), ours, peer, None);
    let per_second = |took: std::time::Duration| table::count(count) / took.as_secs_f64();
    table.ratio("… a second", per_second(ours), per_second(peer), "/s", None);
    // Less moved by what else the machine does than a time is.
    let each = |seconds: f64| seconds * 1000.0 / table::count(count);
    let peer = each(peer.as_secs_f64());
    table.ratio(
        "… processor time a step, agent with shims and hooks : a process's time",
        each(agent),
        peer,
        "ms",
        None,
    );
    table.ratio("… processor time a step, manager : a process's time", each(manager), peer, "ms", None);
    Ok(())
}

/// Seconds of processor time that a process and its children that have ended have taken.
pub fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a stat line")?;
    // utime, stime, cutime, cstime: the 14th to the 17th of the line, counted from the state as the 3rd.
    let ticks: f64 =
        fields.split_ascii_whitespace().skip(11).take(4).filter_map(|n| n.parse::<f64>().ok()).sum();
    // The kernel's USER_HZ, which is 100 on every Linux.
    Ok(ticks / 100.0)
}

/// A folder of templates.
pub fn templates(world: &World, manifests: &[Value]) -> Result<PathBuf> {
    let folder = world.folder().join("templates");
    std::fs::create_dir_all(&folder)?;
    for (number, manifest) in manifests.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.yaml")), manifest.to_string())?;
    }
    Ok(folder)
}
