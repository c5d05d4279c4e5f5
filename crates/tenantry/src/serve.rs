use crate::cli::*;
use crate::exit::Exit;
use anyhow::Result;
pub async fn up(_: UpArgs) -> Result<Exit> {
    anyhow::bail!("x")
}
pub async fn manager(_: ManagerArgs) -> Result<Exit> {
    anyhow::bail!("x")
}
pub async fn agent(_: AgentArgs) -> Result<Exit> {
    anyhow::bail!("x")
}
