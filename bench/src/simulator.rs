//! How many seeded worlds the engine's simulator lives a second.

use crate::table::{self, Table};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The seeds that `make test` runs shall be done in a minute.
const AIM: f64 = 10_000.0 / 60.0;

/// `program`: the test program of the simulator.
pub fn seeds(program: &Path, seeds: usize, table: &mut Table) -> Result<()> {
    let began = Instant::now();
    let status = Command::new(program)
        .arg("every_invariant_holds")
        .env("TENANTRY_SIM_SEEDS", seeds.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the simulator ended with {status}");
    let rate = table::count(seeds) / began.elapsed().as_secs_f64();
    table.ratio("simulator: seeds a second, all cores : 10,000 in a minute", rate, AIM, "/s", None);
    Ok(())
}
