//! What holds on a laptop: attempts are processes, no cluster is needed.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use std::process::Command;
use tenantry_e2e::{Answer, Needs, World, binary, repository, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial(Needs::Laptop, "the_saas_example_runs_unchanged_on_a_laptop", demo)]
}

fn demo(_: &World) -> Result<()> {
    let script = repository().join("examples/saas/demo.sh");
    let answer = Answer::of(Command::new(script).arg(binary()))?.expect(0)?;
    ensure!(answer.out.contains("lifecycle.decommission"), "{}", answer.out);
    Ok(())
}
