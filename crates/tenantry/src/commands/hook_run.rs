use crate::cli::*;
use crate::exit::Exit;
use anyhow::Result;
pub async fn run(_: super::Context, _: HookCommand) -> Result<Exit> {
    anyhow::bail!("x")
}
