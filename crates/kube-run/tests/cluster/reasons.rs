//! Every reason that one node can produce.

use crate::{bed::Bed, trial};
use libtest_mimic::Trial;
use std::path::PathBuf;

pub fn trials(kubeconfig: Option<&PathBuf>) -> Vec<Trial> {
    vec![trial(kubeconfig, "an_exit_code_is_the_hooks_own", exit_code)]
}

async fn exit_code(bed: Bed) -> anyhow::Result<()> {
    let (_, outcome) = bed.run(&bed.shell("exit 42")).await?;
    anyhow::ensure!(outcome.exit_code == Some(42), "{outcome:?}");
    Ok(())
}
