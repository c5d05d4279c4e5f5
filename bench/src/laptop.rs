//! Steps as processes of this machine, against processes spawned one after another.

use crate::Place;
use crate::table::{self, Table};
use anyhow::{Result, ensure};
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
    let ours = place.run("bench.processes", count)?;
    table.times(&format!("{count} no-op steps as processes : {count} × `sh -c true`"), ours, peer, None);
    let per_second = |took: std::time::Duration| table::count(count) / took.as_secs_f64();
    table.ratio("… a second", per_second(ours), per_second(peer), "/s", None);
    Ok(())
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
