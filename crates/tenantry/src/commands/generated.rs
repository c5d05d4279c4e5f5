//! What is made from the command line's own words: completions for shells, and manual pages.

use crate::cli::Cli;
use crate::output;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenantry", &mut text);
    output::bytes(&text)
}

/// Prints `tenantry(1)`, or writes a page for each command (`tenantry-op-hold.1`) to the folder.
pub fn man(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut text).context("cannot write the manual page")?;
        return output::bytes(&text);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("cannot write the manual pages to {}", folder.display()))
}
